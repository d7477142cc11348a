import { afterEach, describe, expect, it } from 'vitest';
import type { GpuSamplerOptions } from '../../agent/adapters/gpu/sampler.ts';
import { GpuBench, GpuMachine, noCompiler, status } from '../unit/fixtures_gpu/rig.ts';

const GIB = 2 ** 30;
const CANNOT = noCompiler === undefined ? '' : ` (skipped: ${noCompiler})`;

let machine: GpuMachine;
const machines: GpuMachine[] = [];
const benches: GpuBench[] = [];

interface Variant {
  readonly processList?: 1 | 2 | 3;
  /** Short only where the stub never answers. */
  readonly readMs?: number;
  readonly source?: GpuSamplerOptions['source'];
}

/** A sampler on a machine with the stub library. */
function bench(
  files: Readonly<Record<string, string>> = {},
  { processList, readMs = 20_000, source = 'nvml' }: Variant = {},
): GpuBench {
  const machine = machineOf(files);
  const nvmlLibrary = machine.buildLibrary(processList);
  return benchOn(machine, { source, nvmlLibrary, timeouts: { openMs: 20_000, readMs } });
}

function machineOf(files: Readonly<Record<string, string>> = {}): GpuMachine {
  machine = new GpuMachine(files);
  machines.push(machine);
  return machine;
}

function benchOn(machine: GpuMachine, options: Partial<GpuSamplerOptions>): GpuBench {
  const made = new GpuBench(machine, { source: 'nvml', ...options });
  benches.push(made);
  return made;
}

afterEach(async () => {
  for (const { sampler } of benches.splice(0)) await sampler.stop(AbortSignal.timeout(5_000));
  for (const each of machines.splice(0)) each[Symbol.dispose]();
});

describe.skipIf(noCompiler !== undefined)(`NVML, in a process of its own${CANNOT}`, () => {
  it('tells everything that a GPU says, and of one that says little only that', async () => {
    const b = bench();
    const points = (await b.sample())();
    expect(points).toMatchObject({
      'GPU-0 hw.gpu.utilization general': 0.75,
      'GPU-0 hw.gpu.memory.controller.utilization': 0.4,
      'GPU-0 hw.gpu.memory.usage': 20 * GIB,
      'GPU-0 hw.gpu.memory.limit': 80 * GIB,
      'GPU-0 hw.gpu.memory.utilization': 0.25,
      'GPU-0 hw.power': 350.5,
      'GPU-0 hw.temperature': 61,
      'GPU-0 hw.gpu.speed': 1.98e9,
      'GPU-0 hw.errors uncorrected': 2,
      'GPU-0 hw.gpu.throttled sw_power_cap': 1,
      'GPU-0 hw.gpu.throttled sw_thermal_slowdown': 1,
      'GPU-0 hw.gpu.throttled hw_thermal_slowdown': 0,
    });
    // Not 0 for what it does not say: absent.
    expect(Object.keys(points).filter((key) => key.startsWith('GPU-1'))).toEqual([
      'GPU-1 hw.gpu.memory.usage',
      'GPU-1 hw.gpu.memory.limit',
      'GPU-1 hw.gpu.memory.utilization',
    ]);
    expect(points['GPU-1 hw.gpu.memory.limit']).toBe(16 * GIB);
    const { attributes, resource } = b.batches[0]!.series[0]!;
    expect(Object.fromEntries(attributes)).toMatchObject({
      'hw.id': 'GPU-0',
      'hw.name': 'Stub 0',
      'hw.type': 'gpu',
      'hw.vendor': 'NVIDIA',
    });
    expect(Object.fromEntries(resource)).toEqual({ 'host.name': 'box' });
    expect(b.notices).toEqual([{ kind: 'reading', source: 'nvml', devices: 2 }]);
    expect(b.sampler.counts).toMatchObject({ samples: 1, failures: 0, hangs: 0, dropped: 0 });
  });

  it.each([3, 2, 1] as const)(
    'attributes memory to components, with version %i of the process list',
    async (version) => {
      const b = bench(
        {
          'nvml/processes': 'GPU-0 500 1073741824\nGPU-0 501 2147483648\nGPU-1 501 1024\nGPU-1 900 4096\nGPU-0 77 -1\n',
          // The server started the worker that computes; nobody knows 900; 77 does not say how much it holds.
          'proc/500/status': status(1, [500]),
          'proc/501/status': status(500, [501]),
          'proc/900/status': status(1, [900]),
          'proc/77/status': status(1, [77]),
        },
        { processList: version },
      );
      b.targets = [
        { component: 'chat', pid: 500 },
        { component: 'shy', pid: 77 },
      ];
      const points = await b.sample();
      expect(points('chat')).toEqual({
        'GPU-0 hw.gpu.utilization general': 0.75,
        'GPU-0 hw.gpu.memory.usage': 3 * GIB,
        'GPU-0 hw.gpu.memory.limit': 80 * GIB,
        'GPU-1 hw.gpu.memory.usage': 1_024,
        'GPU-1 hw.gpu.memory.limit': 16 * GIB,
      });
      expect(points('shy')).toEqual({ 'GPU-0 hw.gpu.utilization general': 0.75 });
    },
  );

  it('reads a process list that is longer than expected', async () => {
    const pids = Array.from({ length: 300 }, (_, i) => 1_000 + i);
    const b = bench({ 'nvml/processes': pids.map((pid) => `GPU-0 ${pid} 10`).join('\n') });
    b.targets = pids.map((pid) => ({ component: 'many', pid }));
    expect((await b.sample())('many')['GPU-0 hw.gpu.memory.usage']).toBe(3_000);
  });

  it('gives the instances of a partitioned GPU their memory, and the GPU what is its own', async () => {
    const b = bench({ 'nvml/mig': '', 'nvml/processes': 'MIG-0-1 500 1024\n' });
    b.targets = [{ component: 'chat', pid: 500 }];
    const points = await b.sample();
    const keys = Object.keys(points()).filter((key) => !key.startsWith('GPU-1'));
    expect(points()).toMatchObject({ 'MIG-0-0 hw.gpu.memory.usage': GIB, 'MIG-0-1 hw.gpu.memory.usage': 2 * GIB });
    // Counted once, and a utilisation that the driver does not tell is not invented.
    expect(keys).not.toContain('GPU-0 hw.gpu.memory.usage');
    expect(keys.filter((key) => key.includes('hw.gpu.utilization'))).toEqual([]);
    expect(keys).toContain('GPU-0 hw.power');
    expect(points('chat')).toEqual({ 'MIG-0-1 hw.gpu.memory.usage': 1_024, 'MIG-0-1 hw.gpu.memory.limit': 40 * GIB });
    const slice = b.batches[0]!.series.find(({ attributes }) => attributes.get('hw.id') === 'MIG-0-1');
    expect(slice!.attributes.get('hw.parent')).toBe('GPU-0');
  });

  it('goes on with the other GPUs when one is lost', async () => {
    const b = bench();
    await b.sample();
    machine.write('nvml/lost_1');
    const points = (await b.sample(1_000))();
    expect(points['GPU-0 hw.gpu.utilization general']).toBe(0.75);
    expect(Object.keys(points).filter((key) => key.startsWith('GPU-1'))).toEqual([]);
    expect(b.sampler.counts.failures).toBeGreaterThan(0);
    machine.remove('nvml/lost_1');
    expect((await b.sample(1_000))()['GPU-1 hw.gpu.memory.limit']).toBe(16 * GIB);
  });

  it('ends a reader that hangs, waits, and reads again', async () => {
    const b = bench({}, { readMs: 250 });
    await b.sample();
    machine.write('nvml/hang');
    expect((await b.sample(1_000))()).toEqual({});
    expect(b.sampler.counts).toMatchObject({ samples: 1, failures: 1, hangs: 1 });
    expect(b.notices.at(-1)).toEqual({
      kind: 'failed',
      source: 'nvml',
      reason: 'the driver did not answer within 250 ms',
      retryInMs: 1_000,
    });
    machine.remove('nvml/hang');
    // Not before its time, and then with a new process.
    expect((await b.sample(999))()).toEqual({});
    expect((await b.sample(1))()['GPU-0 hw.power']).toBe(350.5);
    expect(b.sampler.counts).toMatchObject({ samples: 2, failures: 1, hangs: 1 });
  });

  it('survives a driver that takes its process down', async () => {
    const b = bench();
    await b.sample();
    machine.write('nvml/crash');
    expect((await b.sample(1_000))()).toEqual({});
    expect(b.notices.at(-1)).toMatchObject({ kind: 'failed', reason: 'the reader ended by SIGABRT' });
    machine.remove('nvml/crash');
    expect((await b.sample(1_000))()['GPU-0 hw.power']).toBe(350.5);
    expect(b.sampler.counts).toMatchObject({ failures: 1, hangs: 0 });
  });

  it('opens the library anew after every call has failed', async () => {
    const b = bench({ 'nvml/all_fail': '' });
    expect((await b.sample())()).toEqual({});
    expect(b.notices.at(-1)).toMatchObject({ kind: 'failed', source: 'nvml', retryInMs: 1_000 });
    machine.remove('nvml/all_fail');
    expect((await b.sample(1_000))()['GPU-0 hw.power']).toBe(350.5);
  });

  it.each([
    ['no_driver', 'nvmlInit_v2: driver not loaded'],
    ['no_gpus', 'the NVIDIA driver shows no GPU'],
  ])('is absent, and says why: %s', async (state, reason) => {
    const b = bench({ [`nvml/${state}`]: '' });
    expect((await b.sample())()).toEqual({});
    expect(b.notices).toEqual([{ kind: 'none', reasons: { nvml: reason } }]);
    expect(b.sampler.counts.failures).toBe(0);
    // A driver that is loaded later is found.
    machine.remove(`nvml/${state}`);
    expect((await b.sample(59_999))()).toEqual({});
    expect((await b.sample(1))()['GPU-0 hw.power']).toBe(350.5);
  });

  it('ends its process when it is stopped, also in the middle of a reading', async () => {
    const b = bench({ 'nvml/hang_init': '' });
    const hanging = b.sampler.sample();
    await b.sampler.stop(AbortSignal.timeout(20_000));
    await hanging;
    expect(b.batches).toEqual([]);
    expect(b.notices).toEqual([]);
    expect(b.sampler.counts).toMatchObject({ samples: 0, failures: 0, hangs: 0 });
  });

  it('counts what the sink refuses', async () => {
    const b = bench();
    b.answer = { state: 'overloaded', retryAfterMs: 1_000 };
    await b.sample();
    expect(b.sampler.counts.points).toBe(0);
    expect(b.sampler.counts.dropped).toBe(b.batches[0]!.size);
  });
});

describe.skipIf(noCompiler !== undefined)(`the choice by itself${CANNOT}`, () => {
  const amd = { 'sys/class/drm/card0/device/vendor': '0x1002', 'sys/class/drm/card0/device/gpu_busy_percent': '7' };

  it('is NVML where the NVIDIA driver is loaded, also beside an AMD GPU', async () => {
    const b = bench({ ...amd, 'dev/nvidiactl': '' }, { source: 'auto' });
    expect((await b.sample())()['GPU-0 hw.power']).toBe(350.5);
    expect(b.notices).toEqual([{ kind: 'reading', source: 'nvml', devices: 2 }]);
  });

  it('is AMD where it is not, and starts nothing of NVIDIA', async () => {
    // The library is installed, and would answer.
    const b = bench(amd, { source: 'auto' });
    expect((await b.sample())()).toEqual({ 'card0 hw.gpu.utilization general': 0.07 });
    expect(b.notices).toEqual([{ kind: 'reading', source: 'amd', devices: 1 }]);
  });

  it('none takes no samples', async () => {
    const b = bench({ ...amd, 'dev/nvidiactl': '' }, { source: 'none' });
    await b.sampler.start();
    expect((await b.sample())()).toEqual({});
    expect(b.sampler.counts).toMatchObject({ samples: 0, failures: 0 });
  });
});

describe('without the library', () => {
  it('is absent with the reason of the loader', async () => {
    const b = benchOn(machineOf(), {});
    expect((await b.sample())()).toEqual({});
    expect(b.notices).toHaveLength(1);
    expect(b.notices[0]).toMatchObject({ kind: 'none', reasons: { nvml: expect.stringContaining('shared library') } });
    expect(b.sampler.counts).toMatchObject({ samples: 0, failures: 0 });
  });
});
