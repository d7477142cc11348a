import { expect, it } from 'vitest';
import { type GpuNotice, SourceChoice } from '../../agent/adapters/gpu/choice.ts';
import type { Answer, GpuSource, SourceName } from '../../agent/adapters/gpu/reading.ts';

/** Answers what it is told to. */
class ScriptedSource implements GpuSource {
  readonly name: SourceName;
  answer: Answer = { state: 'absent', reason: 'not here' };
  likely = true;
  reads = 0;
  closes = 0;

  constructor(name: SourceName) {
    this.name = name;
  }
  isLikely(): boolean {
    return this.likely;
  }
  async read(): Promise<Answer> {
    this.reads += 1;
    return this.answer;
  }
  async close(): Promise<void> {
    this.closes += 1;
  }
}

const GPU: Answer = { state: 'read', devices: [{ id: 'GPU-1', vendor: 'NVIDIA' }], failures: 0 };
const FAILED: Answer = { state: 'failed', reason: 'the driver is in trouble' };

function rig() {
  const nvml = new ScriptedSource('nvml');
  const smi = new ScriptedSource('nvidia-smi');
  const amd = new ScriptedSource('amd');
  const notices: GpuNotice[] = [];
  const choice = new SourceChoice([nvml, smi, amd], (notice) => notices.push(notice));
  return { nvml, smi, amd, notices, choice };
}

it('takes the first that tells something', async () => {
  const { smi, amd, notices, choice } = rig();
  smi.answer = GPU;
  amd.answer = GPU;
  expect(await choice.read(0)).toHaveLength(1);
  expect(await choice.read(1_000)).toHaveLength(1);
  expect([smi.reads, amd.reads]).toEqual([2, 0]);
  expect(notices).toEqual([{ kind: 'reading', source: 'nvidia-smi', devices: 1 }]);
});

it('looks again for what was absent after a minute, two, … ten', async () => {
  const { nvml, choice } = rig();
  const asked: number[] = [];
  for (let second = 0; second <= 3_600; second++) {
    const before = nvml.reads;
    await choice.read(second * 1_000);
    if (nvml.reads > before) asked.push(second);
  }
  expect(asked).toEqual([0, 60, 180, 420, 900, 1_500, 2_100, 2_700, 3_300]);
});

it('stays with one that fails for a moment, and leaves one that goes on failing', async () => {
  const { nvml, smi, choice, notices } = rig();
  nvml.answer = GPU;
  smi.answer = GPU;
  await choice.read(0);
  nvml.answer = FAILED;
  expect(await choice.read(1_000)).toEqual([]);
  expect(await choice.read(1_500)).toEqual([]);
  expect(nvml.reads).toBe(2);
  expect(await choice.read(2_000)).toEqual([]);
  expect(smi.reads).toBe(0);
  // The third failure in a row.
  expect(await choice.read(4_000)).toHaveLength(1);
  expect(notices.map((notice) => (notice.kind === 'failed' ? notice.retryInMs : notice.kind))).toEqual([
    'reading',
    1_000,
    2_000,
    4_000,
    'reading',
  ]);
  nvml.answer = GPU;
  await choice.read(7_999);
  expect([nvml.reads, smi.closes]).toEqual([4, 0]);
  await choice.read(8_000);
  expect([nvml.reads, smi.closes]).toEqual([5, 1]);
  expect(choice.counts).toEqual({ failures: 3, hangs: 0 });
});

it('waits no longer than five minutes for one that failed', async () => {
  const { nvml, choice } = rig();
  nvml.answer = { ...FAILED, hung: true };
  for (let second = 0; second < 7_200; second++) await choice.read(second * 1_000);
  // After 0, 1, 3, 7, … 511 s, then every 300 s.
  expect(nvml.reads).toBe(10 + Math.floor((7_199 - 511) / 300));
  expect(choice.counts).toEqual({ failures: nvml.reads, hangs: nvml.reads });
});

it('does not ask one that is not likely, nor any after it was closed', async () => {
  const { nvml, smi, choice } = rig();
  nvml.likely = false;
  await choice.read(0);
  expect([nvml.reads, smi.reads]).toEqual([0, 1]);
  await choice.close();
  expect(await choice.read(1e9)).toEqual([]);
  expect(smi.reads).toBe(1);
});
