/**
 * From readings to points, under the names of the OpenTelemetry semantic conventions (`system.*`, `container.*`,
 * `process.*`). Names that these lack are marked; pressure is named as proposed in semantic-conventions pull request 3528.
 *
 * Rates and utilisations need two readings: the first emits none.
 */
import type { SampleBatchBuilder } from '../../core/series/batch.ts';
import type { Instrument, Points } from '../../core/series/points.ts';
import type { CpuTimes } from './proc_parse.ts';
import type { ContainerReading, HostReading, Pressures, ProcessReading } from './reading.ts';

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

export function emitHost({ points, batch, timeMs }: Out, { now, before }: Change<HostReading>): void {
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
