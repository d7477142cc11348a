import { afterEach, describe, expect, it } from 'vitest';
import type { Statfs } from '../../agent/adapters/host/disks.ts';
import { createHostSampler, type HostSampler } from '../../agent/adapters/host/sampler.ts';
import type { Acceptance, ComponentProcess, SampleBatch, SampleSink } from '../../agent/core/model.ts';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import {
  CONTAINER_ID,
  containerV2,
  cpuV1,
  hybrid,
  machine,
  memoryV1,
  namespacedV2,
  PID,
  Plant,
  pidStat,
  podV2,
  sidecarV2,
  stat,
  type Tree,
  v1,
  v2,
} from './fixtures_host/trees.ts';

const GIB = 2 ** 30;

class MemorySink implements SampleSink {
  readonly batches: SampleBatch[] = [];
  answer: Acceptance = { state: 'accepted', rejected: 0 };
  accept(batch: SampleBatch): Acceptance {
    this.batches.push(batch);
    return this.answer;
  }
}

/** A machine made of files, sampled in virtual time. */
class Bench {
  readonly plant: Plant;
  readonly sink = new MemorySink();
  readonly sampler: HostSampler;
  targets: ComponentProcess[] = [{ component: 'chat', pid: PID }];
  nowMs = 1_700_000_000_000;
  /** By path. */
  readonly filesystems = new Map<string, Statfs>();

  constructor(tree: Tree, maxSeries = 1_000) {
    this.plant = new Plant(tree);
    this.sampler = createHostSampler({
      intervalMs: 1_000,
      sink: this.sink,
      interner: new SeriesInterner({ maxSeries }),
      targets: () => this.targets,
      root: this.plant.root,
      clock: { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs },
      hostName: 'box',
      askFilesystem: (path) => {
        const answer = this.filesystems.get(path);
        if (answer === undefined) throw new Error(`ENOENT: ${path}`);
        return answer;
      },
    });
  }

  /** Points of the sample taken now: `name{attribute values}` → value, of series with this service name. */
  async sample(afterMs = 0, change: Tree = {}): Promise<(service?: string) => Record<string, number>> {
    this.nowMs += afterMs;
    this.plant.write(change);
    await this.sampler.sample();
    const batch = this.sink.batches.at(-1)!;
    return (service) => {
      const points: Record<string, number> = {};
      for (const [i, series] of batch.series.entries()) {
        if (series.resource.get('service.name') !== service) continue;
        const attributes = [...series.attributes.values()].join(',');
        points[attributes === '' ? series.name : `${series.name}{${attributes}}`] = batch.value[i]!;
      }
      return points;
    };
  }
}

let bench: Bench | undefined;
function benchOf(tree: Tree, maxSeries?: number): Bench {
  bench = new Bench(tree, maxSeries);
  return bench;
}
afterEach(async () => {
  await bench?.sampler.stop(AbortSignal.timeout(1_000));
  bench?.plant[Symbol.dispose]();
  bench = undefined;
});

describe('the machine', () => {
  it('tells levels at once, and utilisation from the second reading on', async () => {
    const b = benchOf(machine);
    const first = (await b.sample())();
    expect(first).toMatchObject({
      'system.cpu.logical.count': 4,
      'system.memory.limit': 16 * GIB,
      'system.memory.usage{used}': 7 * GIB,
      'system.memory.usage{free}': 4 * GIB,
      'system.linux.memory.available': 9 * GIB,
      'system.cpu.load_average.1m': 0.52,
      'system.cpu.load_average.15m': 2,
      'system.cpu.linux.pressure.10s{some}': 0.125,
      'system.io.linux.pressure.10s{full}': 0.0175,
    });
    expect(Object.keys(first).filter((name) => name.includes('utilization'))).toEqual([]);

    // Of 4 × 10 s, 10 s in programs and 5 s in the kernel.
    const second = (await b.sample(10_000, { 'proc/stat': stat(1_400, 700, 5_900) }))();
    expect(second['system.cpu.utilization{user}']).toBeCloseTo(0.25, 12);
    expect(second['system.cpu.utilization{system}']).toBeCloseTo(0.125, 12);
    expect(second['system.cpu.utilization{idle}']).toBeCloseTo(0.625, 12);
    expect(b.sampler.counts.failures).toBe(0);
  });

  it('is all there is without cgroups', async () => {
    const b = benchOf(machine);
    const points = await b.sample();
    expect(Object.keys(points()).some((name) => name.startsWith('container.'))).toBe(false);
    expect(points('chat')['process.memory.usage']).toBe(200 * 2 ** 20);
  });

  it('leaves out what a kernel does not tell', async () => {
    const b = benchOf({ 'proc/stat': machine['proc/stat']! });
    expect(Object.keys((await b.sample())())).toEqual(['system.cpu.logical.count']);
    expect(b.sampler.counts.failures).toBe(0);
  });

  it('counts files that make no sense, and goes on', async () => {
    const b = benchOf({ ...machine, 'proc/meminfo': 'nonsense', 'proc/pressure/io': '' });
    const points = (await b.sample())();
    expect(b.sampler.counts.failures).toBe(2);
    expect(points['system.cpu.load_average.1m']).toBe(0.52);
    expect(Object.keys(points).some((name) => name.startsWith('system.memory.usage'))).toBe(false);
  });

  it('belongs to the host', async () => {
    const b = benchOf(machine);
    await b.sample();
    const system = b.sink.batches[0]!.series.find((series) => series.name === 'system.memory.limit')!;
    expect([...system.resource]).toEqual([['host.name', 'box']]);
  });
});

describe('disks', () => {
  const disk = (reads: number, sectors: number, waitedMs: number, busyMs: number) =>
    `   8       0 sda ${reads} 0 ${sectors} ${waitedMs} 0 0 0 0 0 ${busyMs} ${busyMs}\n`;
  const mounts = '27 1 8:1 / / rw - ext4 /dev/sda1 rw\n';
  const ext4: Statfs = { bsize: 4_096, blocks: 1_000, bfree: 300, bavail: 200, files: 100, ffree: 25 };

  it('are told as busy and waited for from the second reading on', async () => {
    const b = benchOf({ ...machine, 'proc/diskstats': disk(100, 2_000, 500, 1_000) });
    const first = (await b.sample())();
    expect(first).toMatchObject({ 'system.disk.io{sda,read}': 1_024_000, 'system.disk.io_time{sda}': 1 });
    expect(first['system.disk.utilization{sda}']).toBeUndefined();
    const second = (await b.sample(10_000, { 'proc/diskstats': disk(150, 4_000, 1_500, 3_500) }))();
    expect(second['system.disk.utilization{sda}']).toBeCloseTo(0.25, 12);
    expect(second['system.disk.wait{sda}']).toBeCloseTo(0.02, 12);
    const idle = (await b.sample(10_000))();
    expect(idle['system.disk.utilization{sda}']).toBe(0);
    expect(idle['system.disk.wait{sda}']).toBeUndefined();
  });

  it('fill up: space as df counts it, and inodes', async () => {
    const b = benchOf({ ...machine, 'proc/self/mountinfo': mounts });
    b.filesystems.set('/', ext4);
    const points = (await b.sample())();
    expect(points['system.filesystem.usage{/dev/sda1,/,ext4,rw,used}']).toBe(700 * 4_096);
    expect(points['system.filesystem.usage{/dev/sda1,/,ext4,rw,reserved}']).toBe(100 * 4_096);
    expect(points['system.filesystem.utilization{/dev/sda1,/,ext4,rw}']).toBeCloseTo(700 / 900, 12);
    expect(points['system.filesystem.inodes.utilization{/dev/sda1,/,ext4,rw}']).toBe(0.75);
  });

  it('are those of the AI process as well, where it has others; what cannot be asked is left out', async () => {
    const theirs = `${mounts}28 27 8:17 / /models rw - xfs /dev/sdb1 rw\n29 27 8:33 / /secret rw - xfs /dev/sdc1 rw\n`;
    const b = benchOf({ ...machine, 'proc/self/mountinfo': mounts, [`proc/${PID}/mountinfo`]: theirs });
    b.filesystems.set('/', ext4);
    b.filesystems.set(`/proc/${PID}/root/models`, { ...ext4, files: 0, ffree: 0 });
    const points = (await b.sample())();
    const full = Object.keys(points).filter((name) => name.startsWith('system.filesystem.utilization'));
    expect(full).toEqual([
      'system.filesystem.utilization{/dev/sda1,/,ext4,rw}',
      'system.filesystem.utilization{/dev/sdb1,/models,xfs,rw}',
    ]);
    expect(Object.keys(points).filter((name) => name.includes('inodes.utilization'))).toHaveLength(1);
  });
});

describe('the AI process', () => {
  it('is told in its own terms: share of the cores that it can use', async () => {
    const b = benchOf(machine);
    expect((await b.sample())('chat')).toMatchObject({ 'process.thread.count': 9, 'process.disk.io{write}': 8_192 });
    const points = (await b.sample(10_000, { [`proc/${PID}/stat`]: pidStat(3_000, 900) }))('chat');
    expect(points['process.cpu.utilization{user}']).toBeCloseTo(20 / 10 / 4, 12);
    expect(points['process.cpu.utilization{system}']).toBeCloseTo(4 / 10 / 4, 12);
    expect(points['process.cpu.time{user}']).toBe(30);
  });

  it('never shows more than everything', async () => {
    const b = benchOf(machine);
    await b.sample();
    const points = (await b.sample(1_000, { [`proc/${PID}/stat`]: pidStat(1_401, 500) }))('chat');
    expect(points['process.cpu.utilization{user}']).toBe(1);
  });

  it('that is gone leaves no points and harms nobody', async () => {
    const b = benchOf(machine);
    await b.sample();
    b.plant.remove(`proc/${PID}`);
    const points = await b.sample(1_000);
    expect(points('chat')).toEqual({});
    expect(points()['system.memory.limit']).toBe(16 * GIB);
    expect(b.sampler.counts.failures).toBe(0);
  });

  it('is not mistaken for another that was given its pid', async () => {
    const b = benchOf(machine);
    await b.sample();
    const reused = (await b.sample(1_000, { [`proc/${PID}/stat`]: pidStat(5_000, 900, 99_999) }))('chat');
    expect(reused['process.cpu.time{user}']).toBe(50);
    expect(reused['process.cpu.utilization{user}']).toBeUndefined();
    const next = (await b.sample(1_000, { [`proc/${PID}/stat`]: pidStat(5_100, 900, 99_999) }))('chat');
    expect(next['process.cpu.utilization{user}']).toBeCloseTo(0.25, 12);
  });
});

describe('containers', () => {
  it('v2: limits hold from above, "max" is no limit, the machine is no container', async () => {
    const b = benchOf(v2);
    const points = await b.sample();
    expect(points('chat')).toMatchObject({
      'container.cpu.time': 10,
      'container.cpu.limit': 2,
      'container.cpu.throttled.time': 0.5,
      'container.memory.usage': GIB,
      'container.memory.limit': 2 * GIB,
      'container.memory.high': 1.5 * GIB,
      'container.memory.working_set': 0.75 * GIB,
      'container.memory.available': 1.25 * GIB,
      'container.memory.rss': 0.5 * GIB,
      'container.memory.events{oom_kill}': 1,
      'container.memory.events{max}': 2,
      'container.cpu.linux.pressure.10s{some}': 0.4,
      'container.memory.linux.pressure.10s{full}': 0.005,
    });
    expect(Object.keys(points()).some((name) => name.startsWith('container.'))).toBe(false);
    const series = b.sink.batches[0]!.series.find((each) => each.name === 'container.cpu.limit')!;
    expect(series.resource.get('container.id')).toBe(CONTAINER_ID);
  });

  it('v2: cores used and periods throttled come from two readings; the quota is what the process can use', async () => {
    const b = benchOf(v2);
    await b.sample();
    const cpuStat = 'usage_usec 15000000\nnr_periods 200\nnr_throttled 60\nthrottled_usec 900000\n';
    const points = (
      await b.sample(10_000, { [`${containerV2}/cpu.stat`]: cpuStat, [`proc/${PID}/stat`]: pidStat(1_500, 500) })
    )('chat');
    expect(points['container.cpu.usage']).toBeCloseTo(0.5, 12);
    expect(points['container.cpu.throttled.ratio']).toBeCloseTo(0.5, 12);
    expect(points['process.cpu.utilization{user}']).toBeCloseTo(0.5 / 2, 12);
  });

  it('v2: a limit that is taken away, or that exceeds the machine, limits nothing', async () => {
    const b = benchOf(v2);
    await b.sample();
    const points = (
      await b.sample(1_000, { [`${podV2}/memory.max`]: `${64 * GIB}\n`, [`${containerV2}/cpu.max`]: 'max 100000\n' })
    )('chat');
    expect(points['container.memory.limit']).toBeUndefined();
    expect(points['container.memory.available']).toBeUndefined();
    expect(points['container.cpu.limit']).toBeUndefined();
  });

  it('v1: each controller in its own hierarchy, the limit from memory.stat', async () => {
    const b = benchOf(v1);
    const points = await b.sample();
    expect(points('chat')).toMatchObject({
      'container.cpu.time': 10,
      'container.cpu.limit': 1.5,
      'container.cpu.throttled.time': 0.5,
      'container.memory.usage': GIB,
      'container.memory.limit': 3 * GIB,
      'container.memory.working_set': 0.75 * GIB,
      'container.memory.events{oom_kill}': 4,
      'container.memory.events{max}': 17,
    });
    expect(Object.keys(points('chat')).some((name) => name.includes('pressure'))).toBe(false);
    const next = await b.sample(2_000, {
      [`${cpuV1}/cpuacct.usage`]: '13000000000\n',
      [`${memoryV1}/memory.usage_in_bytes`]: '5\n',
    });
    expect(next('chat')['container.cpu.usage']).toBeCloseTo(1.5, 12);
    expect(next('chat')['container.memory.working_set']).toBe(0);
  });

  it('hybrid: controllers from v1, pressure from v2', async () => {
    const points = (await benchOf(hybrid).sample())('chat');
    expect(points).toMatchObject({
      'container.cpu.time': 10,
      'container.memory.limit': 3 * GIB,
      'container.cpu.linux.pressure.10s{some}': 0.2,
    });
  });

  it('one that the agent shares is seen as root, and is still a container', async () => {
    const points = await benchOf(namespacedV2).sample();
    expect(points('chat')).toMatchObject({ 'container.cpu.limit': 0.5, 'container.memory.limit': GIB });
    expect(points()['container.memory.limit']).toBeUndefined();
  });

  it('one of its own belongs to the host while no component is in it', async () => {
    const b = benchOf(namespacedV2);
    b.targets = [];
    expect((await b.sample())()['container.memory.limit']).toBe(GIB);
  });

  it('next door in the same pod is read through the process’s own mounts', async () => {
    const points = await benchOf(sidecarV2).sample();
    expect(points('chat')).toMatchObject({ 'container.cpu.time': 7, 'container.memory.usage': GIB / 4 });
    expect(points('chat')['container.memory.limit']).toBeUndefined();
    expect(points()).toMatchObject({ 'container.memory.limit': GIB });
  });

  it('with two components speaks to both', async () => {
    const b = benchOf({ ...v2, 'proc/77/stat': pidStat(1, 1, 5, 77), 'proc/77/cgroup': v2[`proc/${PID}/cgroup`]! });
    b.targets.push({ component: 'embed', pid: 77 });
    const points = await b.sample();
    expect(points('chat')['container.memory.usage']).toBe(GIB);
    expect(points('embed')['container.memory.usage']).toBe(GIB);
  });
});

describe('delivery', () => {
  it('keeps one object per series', async () => {
    const b = benchOf(v2);
    await b.sample();
    await b.sample(1_000);
    const [first, second] = b.sink.batches.map((batch) => new Set(batch.series));
    expect([...first!].every((series) => second!.has(series))).toBe(true);
  });

  it('counts points for which no series is left', async () => {
    const b = benchOf(machine, 5);
    await b.sample();
    expect(b.sampler.counts.points).toBe(5);
    expect(b.sampler.counts.dropped).toBeGreaterThan(0);
  });

  it('counts what the sink refuses, and goes on', async () => {
    const b = benchOf(machine);
    b.sink.answer = { state: 'overloaded', retryAfterMs: 1 };
    await b.sample();
    const { size } = b.sink.batches[0]!;
    expect(b.sampler.counts).toMatchObject({ samples: 1, points: 0, dropped: size });
    b.sink.answer = { state: 'accepted', rejected: 3, reason: 'too old' };
    await b.sample(1_000);
    expect(b.sampler.counts.dropped).toBe(size + 3);
    expect(b.sampler.counts.points).toBe(b.sink.batches[1]!.size - 3);
  });

  it('delivers nothing after stop', async () => {
    const b = benchOf(machine);
    await b.sample();
    await b.sampler.stop(AbortSignal.timeout(1_000));
    await b.sampler.sample();
    expect(b.sink.batches).toHaveLength(1);
  });
});
