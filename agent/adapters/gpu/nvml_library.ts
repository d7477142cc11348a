import type { LibraryHandle } from 'koffi';

/** The parts of `nvml.h` that are read here. Nothing in this file sets anything. */
const DEVICE = 'uintptr_t';
const SIGNATURES = {
  nvmlInit_v2: [],
  nvmlDeviceGetCount_v2: ['void *'],
  nvmlDeviceGetHandleByIndex_v2: ['uint', 'void *'],
  nvmlDeviceGetName: [DEVICE, 'void *', 'uint'],
  nvmlDeviceGetUUID: [DEVICE, 'void *', 'uint'],
  nvmlDeviceGetUtilizationRates: [DEVICE, 'void *'],
  nvmlDeviceGetMemoryInfo: [DEVICE, 'void *'],
  nvmlDeviceGetMemoryInfo_v2: [DEVICE, 'void *'],
  nvmlDeviceGetPowerUsage: [DEVICE, 'void *'],
  nvmlDeviceGetTemperature: [DEVICE, 'uint', 'void *'],
  nvmlDeviceGetClockInfo: [DEVICE, 'uint', 'void *'],
  nvmlDeviceGetCurrentClocksEventReasons: [DEVICE, 'void *'],
  nvmlDeviceGetCurrentClocksThrottleReasons: [DEVICE, 'void *'],
  nvmlDeviceGetTotalEccErrors: [DEVICE, 'uint', 'uint', 'void *'],
  nvmlDeviceGetMigMode: [DEVICE, 'void *', 'void *'],
  nvmlDeviceGetMaxMigDeviceCount: [DEVICE, 'void *'],
  nvmlDeviceGetMigDeviceHandleByIndex: [DEVICE, 'uint', 'void *'],
  nvmlDeviceGetComputeRunningProcesses_v3: [DEVICE, 'void *', 'void *'],
  nvmlDeviceGetComputeRunningProcesses_v2: [DEVICE, 'void *', 'void *'],
  nvmlDeviceGetComputeRunningProcesses: [DEVICE, 'void *', 'void *'],
} as const;
export type NvmlCall = keyof typeof SIGNATURES;
export type Argument = number | bigint | Buffer;

export const NVML = { success: 0, insufficientSize: 7, driverNotLoaded: 9 } as const;

/** Not supported, no permission, not found, no such function, no such argument for this (MIG) device: it does not say. */
const SAYS_NOTHING = new Set([2, 3, 4, 6, 13]);
const MEANINGS: Readonly<Record<number, string>> = {
  1: 'uninitialized',
  2: 'invalid argument',
  3: 'not supported',
  4: 'no permission',
  6: 'not found',
  8: 'insufficient external power',
  9: 'driver not loaded',
  10: 'timeout',
  12: 'shared library not found',
  13: 'function not found',
  15: 'GPU is lost',
  16: 'reset required',
  17: 'operating system refused',
  18: 'driver and library versions differ',
  999: 'unknown error',
};

/** What a process list's entries look like: until CUDA 11 without the two MIG ids. */
const PROCESS_LISTS = [
  { call: 'nvmlDeviceGetComputeRunningProcesses_v3', bytes: 24 },
  { call: 'nvmlDeviceGetComputeRunningProcesses_v2', bytes: 24 },
  { call: 'nvmlDeviceGetComputeRunningProcesses', bytes: 16 },
] as const;
const MAX_PROCESSES = 4_096;
/** `NVML_VALUE_NOT_AVAILABLE`, all ones, and everything else that no GPU has. */
const NOT_AVAILABLE = 2n ** 53n;

/**
 * NVIDIA's management library by way of koffi: one method for each shape of answer. A value that the device or the
 * library does not have is `undefined`; a call that fails is `undefined` and counted.
 *
 * Memory layouts are those of a 64-bit little-endian machine with natural alignment, the only kind that NVIDIA ships
 * drivers for; `openNvml` checks with koffi that this is one.
 */
export class NvmlLibrary {
  /** Calls that failed for another reason than that there is nothing to say. */
  failures = 0;
  /** The latest of them, in words. */
  lastFailure = '';
  readonly #calls = new Map<NvmlCall, (...args: readonly Argument[]) => number>();
  readonly #out = Buffer.alloc(96);

  constructor(library: LibraryHandle) {
    for (const [name, types] of Object.entries(SIGNATURES)) {
      try {
        this.#calls.set(name as NvmlCall, library.func(name, 'int', [...types])); // Its own keys; `entries` forgets them.
      } catch {
        // Not in this version of the library: what it would tell is absent.
      }
    }
  }

  has(name: NvmlCall): boolean {
    return this.#calls.has(name);
  }

  /** The library's own status, or undefined where it has no such function. */
  status(name: NvmlCall, ...args: readonly Argument[]): number | undefined {
    return this.#calls.get(name)?.(...args);
  }

  /** A 32-bit number, the last argument of the call. */
  uint(name: NvmlCall, ...args: readonly Argument[]): number | undefined {
    return this.#succeeds(name, ...args, this.#out) ? this.#out.readUInt32LE(0) : undefined;
  }

  /** A 64-bit number; undefined also where it stands for "not available". */
  ulong(name: NvmlCall, ...args: readonly Argument[]): number | undefined {
    return this.#succeeds(name, ...args, this.#out) ? available(this.#out.readBigUInt64LE(0)) : undefined;
  }

  /** The opaque pointer that stands for a device. */
  device(name: NvmlCall, ...args: readonly Argument[]): bigint | undefined {
    return this.#succeeds(name, ...args, this.#out) ? this.#out.readBigUInt64LE(0) : undefined;
  }

  text(name: NvmlCall, device: bigint): string | undefined {
    if (!this.#succeeds(name, device, this.#out, this.#out.length)) return undefined;
    const end = this.#out.indexOf(0);
    return this.#out.toString('latin1', 0, end < 0 ? this.#out.length : end) || undefined;
  }

  /** Percent of time that kernels ran, and that memory was accessed. `nvmlUtilization_t { uint gpu, memory; }` */
  utilization(device: bigint): { readonly gpu: number; readonly memory: number } | undefined {
    if (!this.#succeeds('nvmlDeviceGetUtilizationRates', device, this.#out)) return undefined;
    return { gpu: this.#out.readUInt32LE(0), memory: this.#out.readUInt32LE(4) };
  }

  /**
   * `nvmlMemory_v2_t { uint version; ulong total, reserved, free, used; }`, whose `used` is what nvidia-smi shows; the
   * older `nvmlMemory_t { ulong total, free, used; }` counts what the driver reserved for itself as used.
   */
  memory(device: bigint): { readonly totalBytes?: number; readonly usedBytes?: number } | undefined {
    const out = this.#out;
    out.writeUInt32LE(40 | (2 << 24), 0);
    if (this.status('nvmlDeviceGetMemoryInfo_v2', device, out) === NVML.success) return memoryAt(out, 8, 32);
    return this.#succeeds('nvmlDeviceGetMemoryInfo', device, out) ? memoryAt(out, 0, 16) : undefined;
  }

  /** Whether the GPU is cut into slices now. */
  isPartitioned(device: bigint): boolean {
    const pending = Buffer.alloc(4);
    return this.#succeeds('nvmlDeviceGetMigMode', device, this.#out, pending) && this.#out.readUInt32LE(0) === 1;
  }

  /** `nvmlProcessInfo_t { uint pid; ulong usedGpuMemory; uint gpuInstanceId, computeInstanceId; }` */
  processes(device: bigint): readonly { readonly pid: number; readonly memoryBytes?: number }[] | undefined {
    const list = PROCESS_LISTS.find(({ call }) => this.has(call));
    if (list === undefined) return undefined;
    const count = Buffer.alloc(4);
    for (let room = 64; room <= MAX_PROCESSES; room *= 4) {
      const entries = Buffer.alloc(room * list.bytes);
      count.writeUInt32LE(room, 0);
      const status = this.status(list.call, device, count, entries);
      if (status === NVML.insufficientSize) continue;
      if (!this.#isSuccess(list.call, status)) return undefined;
      const found = Math.min(room, count.readUInt32LE(0));
      return Array.from({ length: found }, (_, i) => {
        const memoryBytes = available(entries.readBigUInt64LE(i * list.bytes + 8));
        return { pid: entries.readUInt32LE(i * list.bytes), ...(memoryBytes !== undefined && { memoryBytes }) };
      });
    }
    this.#fail(list.call, `more than ${MAX_PROCESSES} processes`);
    return undefined;
  }

  #succeeds(name: NvmlCall, ...args: readonly Argument[]): boolean {
    return this.#isSuccess(name, this.status(name, ...args));
  }

  #isSuccess(name: NvmlCall, status: number | undefined): boolean {
    if (status === NVML.success) return true;
    if (status !== undefined && !SAYS_NOTHING.has(status)) this.#fail(name, meaningOf(status));
    return false;
  }

  #fail(name: NvmlCall, why: string): void {
    this.failures += 1;
    this.lastFailure = `${name}: ${why}`;
  }
}

/** Throws, in words, where there is no such library or no binary of koffi for this platform. */
export async function openNvml(path: string): Promise<NvmlLibrary> {
  const { default: koffi } = await import('koffi');
  const entry = koffi.struct({
    pid: 'uint',
    usedGpuMemory: 'uint64',
    gpuInstanceId: 'uint',
    computeInstanceId: 'uint',
  });
  if (koffi.sizeof('uintptr_t') !== 8 || koffi.sizeof(entry) !== 24 || koffi.offsetof(entry, 'usedGpuMemory') !== 8) {
    throw new Error('NVML is read on 64-bit platforms only');
  }
  const library = new NvmlLibrary(koffi.load(path));
  if (!library.has('nvmlInit_v2')) throw new Error(`${path} is not NVML: it has no nvmlInit_v2`);
  return library;
}

export function meaningOf(status: number): string {
  return MEANINGS[status] ?? `error ${status}`;
}

function memoryAt(out: Buffer, total: number, used: number) {
  const totalBytes = available(out.readBigUInt64LE(total));
  const usedBytes = available(out.readBigUInt64LE(used));
  return { ...(totalBytes !== undefined && { totalBytes }), ...(usedBytes !== undefined && { usedBytes }) };
}

function available(value: bigint): number | undefined {
  return value < NOT_AVAILABLE ? Number(value) : undefined;
}
