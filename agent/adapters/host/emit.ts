/**
 * From readings to points, under the names of the OpenTelemetry semantic conventions (`system.*`, `container.*`,
 * `process.*`). Names that these lack are marked; pressure is named as proposed in semantic-conventions pull request 3528.
 *
 * Rates and utilisations need two readings: the first emits none.
 */
import type { SampleBatchBuilder } from '../../core/series/batch.ts';
import type { Instrument, Points } from '../../core/series/points.ts';
import type { DiskCounts } from './disk_parse.ts';
import type { CpuTimes } from './proc_parse.ts';
import type { ContainerReading, DisksReading, HostReading, Pressures, ProcessReading } from './reading.ts';

const gauge = (name: string, unit: string) => [name, unit, 'gauge' as Instrument] as const;
const upDown = (name: string, unit: string) => [name, unit, 'updowncounter' as Instrument] as const;
const counter = (name: string, unit: string) => [name, unit, 'counter' as Instrument] as const;

const SYSTEM = {
  cpuUtilization: gauge('system.cpu.utilization', '1'),
  cpuCount: upDown('system.cpu.logical.count', '{cpu}'),
  memoryUsage: upDown('system.memory.usage', 'By'),
  memoryLimit: upDown('system.memory.limit', 'By'),
  memoryAvailable: upDown('system.linux.memory.available', 'By'),
  // Of the Collector's hostmetrics receiver.
  load: [1, 5, 15].map((minutes) => gauge(`system.cpu.load_average.${minutes}m`, '{thread}')),
};
const DISK = {
  io: counter('system.disk.io', 'By'),
  operations: counter('system.disk.operations', '{operation}'),
  ioTime: counter('system.disk.io_time', 's'),
  operationTime: counter('system.disk.operation_time', 's'),
  // Not in the conventions: what the two above come to between two readings, as `iostat` tells it.
  utilization: gauge('system.disk.utilization', '1'),
  wait: gauge('system.disk.wait', 's'),
};
const FILESYSTEM = {
  usage: upDown('system.filesystem.usage', 'By'),
  utilization: gauge('system.filesystem.utilization', '1'),
  limit: upDown('system.filesystem.limit', 'By'),
  // Of the Collector's hostmetrics receiver, and the share that it lacks.
  inodesUsage: upDown('system.filesystem.inodes.usage', '{inodes}'),
  inodesUtilization: gauge('system.filesystem.inodes.utilization', '1'),
};
const CONTAINER = {
  cpuTime: counter('container.cpu.time', 's'),
  cpuUsage: gauge('container.cpu.usage', '{cpu}'),
  // Not in the conventions, until the next comment.
  cpuLimit: gauge('container.cpu.limit', '{cpu}'),
  cpuThrottledTime: counter('container.cpu.throttled.time', 's'),
  cpuThrottledRatio: gauge('container.cpu.throttled.ratio', '1'),
  memoryLimit: upDown('container.memory.limit', 'By'),
  memoryHigh: upDown('container.memory.high', 'By'),
  memoryEvents: counter('container.memory.events', '{event}'),
  // In the conventions again.
  memoryUsage: upDown('container.memory.usage', 'By'),
  memoryWorkingSet: upDown('container.memory.working_set', 'By'),
  memoryAvailable: upDown('container.memory.available', 'By'),
  memoryRss: upDown('container.memory.rss', 'By'),
};
const PROCESS = {
  cpuTime: counter('process.cpu.time', 's'),
  cpuUtilization: gauge('process.cpu.utilization', '1'),
  memoryUsage: upDown('process.memory.usage', 'By'),
  threads: upDown('process.thread.count', '{thread}'),
  faults: counter('process.paging.faults', '{fault}'),
  io: counter('process.disk.io', 'By'),
};

/** Where points go: the writer for a resource, the batch and the time they share. */
export interface Out {
  readonly points: Points;
  readonly batch: SampleBatchBuilder;
  readonly timeMs: number;
}

/** Two readings and the seconds between them; no `before` at the first. */
export interface Change<T> {
  readonly now: T;
  readonly before?: T;
  readonly seconds: number;
}

export function change<T>(now: T, before: T | undefined, seconds: number): Change<T> {
  return before === undefined ? { now, seconds } : { now, before, seconds };
}

export function emitHost({ points, batch, timeMs }: Out, { now, before, seconds }: Change<HostReading>): void {
  if (now.cpuTimes !== undefined && before?.cpuTimes !== undefined) {
    for (const [mode, share] of cpuShares(before.cpuTimes, now.cpuTimes)) {
      points.put(batch, timeMs, SYSTEM.cpuUtilization, share, { 'cpu.mode': mode });
    }
  }
  points.put(batch, timeMs, SYSTEM.cpuCount, now.logicalCpus);
  const { memory } = now;
  if (memory !== undefined) {
    const { total, free, buffers, cached } = memory;
    const states = { used: Math.max(0, total - free - buffers - cached), free, buffers, cached };
    for (const [state, bytes] of Object.entries(states)) {
      points.put(batch, timeMs, SYSTEM.memoryUsage, bytes, { 'system.memory.state': state });
    }
    points.put(batch, timeMs, SYSTEM.memoryLimit, total);
    points.put(batch, timeMs, SYSTEM.memoryAvailable, memory.available);
  }
  for (const [i, metric] of SYSTEM.load.entries()) points.put(batch, timeMs, metric, now.load?.[i]);
  emitPressure({ points, batch, timeMs }, 'system', now.pressure);
  for (const disk of now.disks?.disks ?? []) {
    const was = before?.disks?.disks.find(({ device }) => device === disk.device);
    emitDisk({ points, batch, timeMs }, change(disk, was, seconds));
  }
  emitFilesystems({ points, batch, timeMs }, now.disks?.filesystems ?? []);
}

function emitDisk({ points, batch, timeMs }: Out, { now, before, seconds }: Change<DiskCounts>): void {
  const device = { 'system.device': now.device };
  const put = (
    metric: readonly [string, string, Instrument],
    value: number | undefined,
    direction?: 'read' | 'write',
  ) =>
    points.put(
      batch,
      timeMs,
      metric,
      value,
      direction === undefined ? device : { ...device, 'disk.io.direction': direction },
    );
  put(DISK.io, now.readBytes, 'read');
  put(DISK.io, now.writeBytes, 'write');
  put(DISK.operations, now.reads, 'read');
  put(DISK.operations, now.writes, 'write');
  put(DISK.operationTime, now.readSeconds, 'read');
  put(DISK.operationTime, now.writeSeconds, 'write');
  put(DISK.ioTime, now.busySeconds);
  const busy = rate(now.busySeconds, before?.busySeconds, seconds);
  // The kernel books an operation when it ends: a long one can make more than passed.
  put(DISK.utilization, busy === undefined ? undefined : Math.min(1, busy));
  if (before === undefined) return;
  const operations = rise(now.reads + now.writes, before.reads + before.writes);
  const waited = rise(now.readSeconds + now.writeSeconds, before.readSeconds + before.writeSeconds);
  // Of no operation there is no wait.
  if (operations !== undefined && operations > 0 && waited !== undefined) put(DISK.wait, waited / operations);
}

function emitFilesystems({ points, batch, timeMs }: Out, filesystems: DisksReading['filesystems']): void {
  for (const { device, mountPoint, type, bytes, inodes } of filesystems) {
    const of = {
      ...{ 'system.device': device, 'system.filesystem.mountpoint': mountPoint },
      ...{ 'system.filesystem.type': type, 'system.filesystem.mode': 'rw' },
    };
    const put = (metric: readonly [string, string, Instrument], value: number, state?: string) =>
      points.put(batch, timeMs, metric, value, state === undefined ? of : { ...of, 'system.filesystem.state': state });
    const { total, free, used } = bytes;
    put(FILESYSTEM.usage, used, 'used');
    put(FILESYSTEM.usage, free, 'free');
    put(FILESYSTEM.usage, Math.max(0, total - used - free), 'reserved');
    put(FILESYSTEM.limit, total);
    // As `df` counts: of what is there for everybody.
    if (used + free > 0) put(FILESYSTEM.utilization, used / (used + free));
    if (inodes === undefined) continue;
    put(FILESYSTEM.inodesUsage, inodes.total - inodes.free, 'used');
    put(FILESYSTEM.inodesUsage, inodes.free, 'free');
    put(FILESYSTEM.inodesUtilization, 1 - inodes.free / inodes.total);
  }
}

export function emitContainer(
  { points, batch, timeMs }: Out,
  { now, before, seconds }: Change<ContainerReading>,
): void {
  const put = (metric: readonly [string, string, Instrument], value: number | undefined) =>
    points.put(batch, timeMs, metric, value);
  put(CONTAINER.cpuTime, now.cpuSeconds);
  put(CONTAINER.cpuUsage, rate(now.cpuSeconds, before?.cpuSeconds, seconds));
  put(CONTAINER.cpuLimit, now.cpuLimitCores);
  put(CONTAINER.cpuThrottledTime, now.throttledSeconds);
  const periods = rise(now.periods, before?.periods);
  const throttled = rise(now.throttledPeriods, before?.throttledPeriods);
  if (periods !== undefined && periods > 0 && throttled !== undefined)
    put(CONTAINER.cpuThrottledRatio, throttled / periods);

  put(CONTAINER.memoryUsage, now.memoryBytes);
  put(CONTAINER.memoryLimit, now.memoryLimitBytes);
  put(CONTAINER.memoryHigh, now.memoryHighBytes);
  put(CONTAINER.memoryRss, now.anonymousBytes);
  if (now.memoryBytes !== undefined && now.inactiveFileBytes !== undefined) {
    // As the kubelet counts it: what cannot be dropped at once.
    const workingSet = Math.max(0, now.memoryBytes - now.inactiveFileBytes);
    put(CONTAINER.memoryWorkingSet, workingSet);
    if (now.memoryLimitBytes !== undefined) {
      put(CONTAINER.memoryAvailable, Math.max(0, now.memoryLimitBytes - workingSet));
    }
  }
  for (const [event, count] of now.memoryEvents) {
    points.put(batch, timeMs, CONTAINER.memoryEvents, count, { 'memory.event': event });
  }
  emitPressure({ points, batch, timeMs }, 'container', now.pressure);
}

export function emitProcess({ points, batch, timeMs }: Out, { now, before, seconds }: Change<ProcessReading>): void {
  const put = (metric: readonly [string, string, Instrument], value: number | undefined, attributes = {}) =>
    points.put(batch, timeMs, metric, value, attributes);
  const { cpu, availableCores } = now;
  if (cpu.kind === 'seconds') {
    for (const mode of ['user', 'system'] as const) {
      put(PROCESS.cpuTime, cpu[mode], { 'cpu.mode': mode });
      const cores = before?.cpu.kind === 'seconds' ? rate(cpu[mode], before.cpu[mode], seconds) : undefined;
      put(PROCESS.cpuUtilization, share(cores, availableCores), { 'cpu.mode': mode });
    }
  } else {
    put(PROCESS.cpuUtilization, share(cpu.cores, availableCores));
  }
  put(PROCESS.memoryUsage, now.residentBytes);
  put(PROCESS.threads, now.threads);
  put(PROCESS.faults, now.majorFaults, { 'system.paging.fault.type': 'major' });
  put(PROCESS.io, now.readBytes, { 'disk.io.direction': 'read' });
  put(PROCESS.io, now.writeBytes, { 'disk.io.direction': 'write' });
}

function emitPressure({ points, batch, timeMs }: Out, of: 'system' | 'container', pressures: Pressures): void {
  for (const [resource, pressure] of Object.entries(pressures)) {
    const metric = gauge(`${of}.${resource}.linux.pressure.10s`, '1');
    points.put(batch, timeMs, metric, pressure.some, { 'system.linux.pressure.stall_type': 'some' });
    points.put(batch, timeMs, metric, pressure.full, { 'system.linux.pressure.stall_type': 'full' });
  }
}

/**
 * Share of the time between two readings that the machine's CPUs spent in each mode; the shares add up to 1. Nothing when
 * no time passed. A mode that seems to run backwards (iowait does, says proc(5)) has spent none.
 */
function cpuShares(before: CpuTimes, now: CpuTimes): readonly (readonly [mode: string, share: number])[] {
  const spent = Object.entries(now).map(([mode, seconds]) => {
    const key = mode as keyof CpuTimes; // The entries of a CpuTimes have its keys; the library's type forgets them.
    return [mode, Math.max(0, seconds - before[key])] as const;
  });
  const total = spent.reduce((sum, [, seconds]) => sum + seconds, 0);
  return total > 0 ? spent.map(([mode, seconds]) => [mode, seconds / total] as const) : [];
}

/** Of what is available, at most all: ticks of 10 ms can show a sliver more than passed. */
function share(cores: number | undefined, availableCores: number | undefined): number | undefined {
  if (cores === undefined || availableCores === undefined || !(availableCores > 0)) return undefined;
  return Math.min(1, cores / availableCores);
}

function rate(now: number | undefined, before: number | undefined, seconds: number): number | undefined {
  const risen = rise(now, before);
  return risen === undefined || !(seconds > 0) ? undefined : risen / seconds;
}

/** Undefined when either is not known, or when the counter began again. */
function rise(now: number | undefined, before: number | undefined): number | undefined {
  return now === undefined || before === undefined || now < before ? undefined : now - before;
}
