import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { GpuBench, GpuMachine } from '../unit/fixtures_gpu/rig.ts';

const MIB = 2 ** 20;
const FIRST = 'GPU-a, NVIDIA H100 80GB HBM3, 75, 40, 20480, 81559, 350.50, 61, 1980, 0x0000000000000004, 0\n';
/** A GPU that says little: N/A in each of nvidia-smi's wordings. */
const SECOND = 'GPU-b, Quadro, [N/A], [Not Supported], 512, 16384, [Unknown Error], N/A, [N/A], [N/A], [N/A]\n';

let machine: GpuMachine;
let bench: GpuBench;
let pipe: number | undefined;

function start(files: Readonly<Record<string, string>> = {}): GpuBench {
  machine = new GpuMachine(files);
  const smiCommand = machine.installSmi();
  // Open at both ends, so that neither side waits for the other.
  pipe = openSync(machine.path('smi/lines'), 'r+');
  bench = new GpuBench(machine, { source: 'nvidia-smi', smiCommand, timeouts: { openMs: 20_000, readMs: 20_000 } });
  return bench;
}

function say(text: string): void {
  writeSync(pipe!, text);
}

/** Pid and arguments of every start. */
function starts(): readonly string[] {
  return readFileSync(machine.path('smi/starts'), 'utf8').trim().split('\n');
}

function pidOf(line: string): number {
  return Number(line.split(' ')[0]);
}

afterEach(async () => {
  await bench.sampler.stop(AbortSignal.timeout(20_000));
  if (pipe !== undefined) closeSync(pipe);
  pipe = undefined;
  machine[Symbol.dispose]();
});

describe.skipIf(process.platform === 'win32')('nvidia-smi (a shell script stands in for it)', () => {
  it('is started once and goes on telling', async () => {
    const b = start();
    say(FIRST + SECOND);
    const points = (await b.sample())();
    expect(points).toMatchObject({
      'GPU-a hw.gpu.utilization general': 0.75,
      'GPU-a hw.gpu.memory.controller.utilization': 0.4,
      'GPU-a hw.gpu.memory.usage': 20_480 * MIB,
      'GPU-a hw.gpu.memory.limit': 81_559 * MIB,
      'GPU-a hw.power': 350.5,
      'GPU-a hw.temperature': 61,
      'GPU-a hw.gpu.speed': 1.98e9,
      'GPU-a hw.gpu.throttled sw_power_cap': 1,
      'GPU-a hw.gpu.throttled hw_slowdown': 0,
      'GPU-a hw.errors uncorrected': 0,
    });
    expect(Object.keys(points).filter((key) => key.startsWith('GPU-b'))).toEqual([
      'GPU-b hw.gpu.memory.usage',
      'GPU-b hw.gpu.memory.limit',
      'GPU-b hw.gpu.memory.utilization',
    ]);
    say(FIRST.replace('75', '10'));
    await expect.poll(async () => (await b.sample())()['GPU-a hw.gpu.utilization general']).toBe(0.1);
    expect(starts()).toHaveLength(1);
    expect(starts()[0]).toMatch(/--query-gpu=uuid,name,.* --format=csv,noheader,nounits --loop-ms=1000$/);
    expect(b.notices).toEqual([{ kind: 'reading', source: 'nvidia-smi', devices: 2 }]);
  });

  it('is started again when it ends, not at once, and is gone after stop', async () => {
    const b = start();
    say(FIRST);
    await b.sample();
    process.kill(pidOf(starts()[0]!), 'SIGKILL');
    const latest = async () => {
      await b.sample();
      return b.notices.at(-1)?.kind;
    };
    await expect.poll(latest).toBe('failed');
    expect(b.notices.at(-1)).toMatchObject({ source: 'nvidia-smi', reason: 'it ended by SIGKILL', retryInMs: 1_000 });
    expect((await b.sample(999))()).toEqual({});
    expect(starts()).toHaveLength(1);
    say(FIRST);
    expect((await b.sample(1))()['GPU-a hw.power']).toBe(350.5);
    expect(starts()).toHaveLength(2);
    await b.sampler.stop(AbortSignal.timeout(20_000));
    expect(() => process.kill(pidOf(starts()[1]!), 0)).toThrow('ESRCH');
  });

  it('counts for nothing once its lines are old, and as hung once it has said nothing for long', async () => {
    const b = start();
    say(FIRST);
    await b.sample();
    expect(Object.keys((await b.sample(3_000))())).not.toEqual([]);
    expect((await b.sample(1))()).toEqual({});
    expect(b.sampler.counts.hangs).toBe(0);
    expect((await b.sample(20_000))()).toEqual({});
    expect(b.sampler.counts).toMatchObject({ failures: 1, hangs: 1 });
  });

  it('is asked for less when it is too old for a field', async () => {
    const b = start({ 'smi/is_old': '' });
    expect((await b.sample())()).toEqual({});
    expect(b.notices.at(-1)).toMatchObject({ kind: 'failed', reason: expect.stringContaining('not a valid field') });
    say('GPU-a, Tesla K80, 5, 1, 100, 11441, 60.01, 40, 562\n');
    const points = (await b.sample(1_000))();
    expect(points['GPU-a hw.gpu.utilization general']).toBe(0.05);
    expect(Object.keys(points).filter((key) => key.includes('throttled'))).toEqual([]);
  });

  it('ignores what is no line of a GPU, and counts it', async () => {
    const b = start();
    say(`WARNING: infoROM is corrupted at gpu 0000:00:00.0\nGPU-a, cut\n${FIRST}`);
    expect((await b.sample())()['GPU-a hw.power']).toBe(350.5);
    expect(b.sampler.counts).toMatchObject({ samples: 1, failures: 2 });
  });

  it.each([
    ['No devices were found\n', 'none'],
    ["NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", 'failed'],
  ])('that only says why it cannot: %s', async (message, kind) => {
    const b = start({ 'smi/message': message });
    expect((await b.sample())()).toEqual({});
    expect(b.notices).toHaveLength(1);
    expect(b.notices[0]!.kind).toBe(kind);
    expect(JSON.stringify(b.notices[0])).toContain(`it ended with code 9: ${message.trim()}`);
  });

  it('is absent where it is not installed', async () => {
    machine = new GpuMachine();
    bench = new GpuBench(machine, { source: 'nvidia-smi' });
    expect((await bench.sample())()).toEqual({});
    expect(bench.notices).toMatchObject([
      { kind: 'none', reasons: { 'nvidia-smi': expect.stringContaining('ENOENT') } },
    ]);
  });
});
