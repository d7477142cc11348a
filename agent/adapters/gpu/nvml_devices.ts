import { meaningOf, NVML, type NvmlLibrary, openNvml } from './nvml_library.ts';
import { type Answer, type GpuDevice, throttleReasons } from './reading.ts';

const SENSOR_GPU = 0;
const CLOCK_SM = 1;
const ERROR_UNCORRECTED = 1;
const COUNTER_VOLATILE = 0;
/** Statuses of `nvmlInit_v2` that no retry within seconds will change: no permission, no driver, no library, or another's. */
const NOT_HERE: readonly number[] = [4, NVML.driverNotLoaded, 12, 18];

/**
 * Reads every NVIDIA GPU that the driver shows. Runs in the reader process, because any of these calls may hang.
 *
 * A GPU cut into MIG instances has no utilisation of its own (the driver does not say it), and its memory and processes
 * are those of its instances, which are given instead; power, temperature and clocks are the GPU's.
 */
export class NvmlDevices {
  readonly #path: string;
  #library: NvmlLibrary | undefined;
  /** Names do not change while the driver is loaded. */
  readonly #identities = new Map<bigint, Pick<GpuDevice, 'id' | 'name'>>();

  constructor(path: string) {
    this.#path = path;
  }

  async read(): Promise<Answer> {
    if (this.#library === undefined) {
      try {
        this.#library = await openNvml(this.#path);
      } catch (error) {
        return { state: 'absent', reason: error instanceof Error ? error.message : String(error) };
      }
      const status = this.#library.status('nvmlInit_v2') ?? 0;
      if (status !== NVML.success) {
        this.#library = undefined;
        return { state: NOT_HERE.includes(status) ? 'absent' : 'failed', reason: `nvmlInit_v2: ${meaningOf(status)}` };
      }
    }
    return this.#readAll(this.#library);
  }

  #readAll(nvml: NvmlLibrary): Answer {
    const before = nvml.failures;
    const count = nvml.uint('nvmlDeviceGetCount_v2');
    if (count === undefined)
      return { state: 'failed', reason: nvml.lastFailure || 'the library does not count devices' };
    if (count === 0) return { state: 'absent', reason: 'the NVIDIA driver shows no GPU' };
    const devices: GpuDevice[] = [];
    for (let index = 0; index < count; index++) {
      // One that a container may not use has no handle there.
      const handle = nvml.device('nvmlDeviceGetHandleByIndex_v2', index);
      if (handle !== undefined) devices.push(...this.#readDevice(nvml, handle));
    }
    const failures = nvml.failures - before;
    if (devices.length > 0) return { state: 'read', devices, failures };
    if (failures > 0) return { state: 'failed', reason: nvml.lastFailure };
    return { state: 'absent', reason: `none of the ${count} GPUs may be read here` };
  }

  #readDevice(nvml: NvmlLibrary, handle: bigint): readonly GpuDevice[] {
    const identity = this.#identify(nvml, handle);
    if (identity === undefined) return [];
    const before = nvml.failures;
    const instances = nvml.isPartitioned(handle) ? this.#readInstances(nvml, handle, identity.id) : [];
    const utilization = nvml.utilization(handle);
    const powerMilliwatts = nvml.uint('nvmlDeviceGetPowerUsage', handle);
    const temperatureCelsius = nvml.uint('nvmlDeviceGetTemperature', handle, SENSOR_GPU);
    const clockMegahertz = nvml.uint('nvmlDeviceGetClockInfo', handle, CLOCK_SM);
    const reasons =
      nvml.ulong('nvmlDeviceGetCurrentClocksEventReasons', handle) ??
      nvml.ulong('nvmlDeviceGetCurrentClocksThrottleReasons', handle);
    const uncorrectedErrors = nvml.ulong('nvmlDeviceGetTotalEccErrors', handle, ERROR_UNCORRECTED, COUNTER_VOLATILE);
    const device: GpuDevice = {
      ...identity,
      vendor: 'NVIDIA',
      ...(instances.length === 0 && readUse(nvml, handle)),
      ...(utilization !== undefined && {
        utilizationRatio: utilization.gpu / 100,
        memoryControllerRatio: utilization.memory / 100,
      }),
      ...(powerMilliwatts !== undefined && { powerWatts: powerMilliwatts / 1_000 }),
      ...(temperatureCelsius !== undefined && { temperatureCelsius }),
      ...(clockMegahertz !== undefined && { clockHertz: clockMegahertz * 1e6 }),
      ...(reasons !== undefined && { throttledBy: throttleReasons(reasons) }),
      ...(uncorrectedErrors !== undefined && { uncorrectedErrors }),
    };
    // One that has fallen off the bus still has its name, and nothing else.
    const isLost = nvml.failures > before && Object.keys(device).length <= Object.keys(identity).length + 1;
    return isLost ? [] : [device, ...instances];
  }

  /** Looked up at each reading: an administrator may cut a GPU anew at any time, and old handles are then void. */
  #readInstances(nvml: NvmlLibrary, parent: bigint, parentId: string): readonly GpuDevice[] {
    const room = nvml.uint('nvmlDeviceGetMaxMigDeviceCount', parent) ?? 0;
    const instances: GpuDevice[] = [];
    for (let index = 0; index < room; index++) {
      const handle = nvml.device('nvmlDeviceGetMigDeviceHandleByIndex', parent, index);
      const id = handle === undefined ? undefined : nvml.text('nvmlDeviceGetUUID', handle);
      if (handle === undefined || id === undefined) continue;
      const name = nvml.text('nvmlDeviceGetName', handle);
      instances.push({
        id,
        ...(name !== undefined && { name }),
        vendor: 'NVIDIA',
        parentId,
        ...readUse(nvml, handle),
      });
    }
    return instances;
  }

  #identify(nvml: NvmlLibrary, handle: bigint): Pick<GpuDevice, 'id' | 'name'> | undefined {
    const known = this.#identities.get(handle);
    if (known !== undefined) return known;
    const id = nvml.text('nvmlDeviceGetUUID', handle);
    if (id === undefined) return undefined;
    const name = nvml.text('nvmlDeviceGetName', handle);
    const identity = { id, ...(name !== undefined && { name }) };
    this.#identities.set(handle, identity);
    return identity;
  }
}

function readUse(nvml: NvmlLibrary, handle: bigint): Partial<GpuDevice> {
  const memory = nvml.memory(handle);
  const processes = nvml.processes(handle);
  return {
    ...(memory?.usedBytes !== undefined && { memoryUsedBytes: memory.usedBytes }),
    ...(memory?.totalBytes !== undefined && { memoryTotalBytes: memory.totalBytes }),
    ...(processes !== undefined && { processes }),
  };
}
