import { readdirSync, readFileSync } from 'node:fs';

/** Kernel's USER_HZ: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Cost {
  readonly cpuSeconds: number;
  /** `anonBytes` are its own; the rest of what is resident is code, which other processes of the same Node share. */
  readonly rssBytes: number;
  readonly anonBytes: number;
  readonly processes: number;
}

/** What a process and its children use, from `/proc`. Throws when the process is gone. */
export function costOf(pid: number): Cost {
  const costs = [own(pid), ...childrenOf(pid).flatMap(ifAlive)];
  const sum = (read: (cost: Cost) => number): number => costs.reduce((total, cost) => total + read(cost), 0);
  return {
    cpuSeconds: sum((cost) => cost.cpuSeconds),
    rssBytes: sum((cost) => cost.rssBytes),
    anonBytes: sum((cost) => cost.anonBytes),
    processes: sum((cost) => cost.processes),
  };
}

/** A child that ended between listing and reading: its CPU time is then in that of its parent (cutime, cstime). */
function ifAlive(pid: number): Cost[] {
  try {
    return [costOf(pid)];
  } catch {
    return [];
  }
}

function own(pid: number): Cost {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Fields from the third on, after the name in parentheses; utime, stime, cutime and cstime are 14 to 17.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((total, field) => total + Number(field), 0);
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytesOf = (name: string): number => 1_024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
  return {
    cpuSeconds: ticks / TICKS_PER_SECOND,
    rssBytes: bytesOf('VmRSS'),
    anonBytes: bytesOf('RssAnon'),
    processes: 1,
  };
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const text = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  });
}

export interface CostOver {
  readonly cpuPercentOfCore: number;
  readonly rssMiBMedian: number;
  readonly rssMiBMax: number;
  readonly anonMiBMedian: number;
  readonly processes: number;
}

/** Reads the process every half second while `work` runs. CPU is that of the whole time. */
export async function costWhile(pid: number, work: () => Promise<void>): Promise<CostOver> {
  const before = costOf(pid);
  const startedMs = performance.now();
  const readings: Cost[] = [before];
  let failure: unknown;
  const timer = setInterval(() => {
    try {
      readings.push(costOf(pid));
    } catch (error) {
      failure = error;
    }
  }, 500);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  if (failure !== undefined) throw new Error(`process ${pid} could not be read`, { cause: failure });
  const after = costOf(pid);
  const cpuSeconds = after.cpuSeconds - before.cpuSeconds;
  const rss = readings.map(({ rssBytes }) => rssBytes);
  return {
    cpuPercentOfCore: Number(((100 * cpuSeconds) / ((performance.now() - startedMs) / 1_000)).toFixed(2)),
    rssMiBMedian: mebibytes(median(rss)),
    rssMiBMax: mebibytes(Math.max(...rss)),
    anonMiBMedian: mebibytes(median(readings.map(({ anonBytes }) => anonBytes))),
    processes: after.processes,
  };
}

export const mebibytes = (bytes: number): number => Number((bytes / 1_024 / 1_024).toFixed(1));

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
}
