/**
 * Parsers for files under `/proc`. Pure: text in, numbers out, in SI units. What a file does not say is absent.
 * A text that is not what its name promises gives `undefined`, which the reader counts.
 */

/**
 * Clock ticks per second in everything that `/proc` shows to programs. A constant of the kernel's interface (USER_HZ) on
 * all architectures that Node runs on, whatever the kernel's own HZ is.
 */
const TICKS_PER_SECOND = 100;
const BYTES_PER_KB = 1_024;

/** CPU time since boot, summed over CPUs, in seconds. */
export interface CpuTimes {
  readonly user: number;
  readonly nice: number;
  readonly system: number;
  readonly idle: number;
  readonly iowait: number;
  readonly interrupt: number;
  readonly steal: number;
}

/** `/proc/stat`: total CPU times and the number of CPUs online. */
export function parseStat(text: string): { readonly times: CpuTimes; readonly logicalCpus: number } | undefined {
  let times: CpuTimes | undefined;
  let logicalCpus = 0;
  for (const line of text.split('\n')) {
    if (!line.startsWith('cpu')) continue;
    const [name, ...fields] = line.trim().split(/\s+/);
    if (name !== 'cpu') {
      logicalCpus += 1;
      continue;
    }
    const seconds = fields.map((field) => Number(field) / TICKS_PER_SECOND);
    if (seconds.length < 4 || !seconds.every(isCount)) return undefined;
    const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = seconds;
    times = { user, nice, system, idle, iowait, interrupt: irq + softirq, steal };
  }
  return times === undefined ? undefined : { times, logicalCpus: Math.max(1, logicalCpus) };
}

/** Bytes. */
export interface MemoryInfo {
  readonly total: number;
  readonly free: number;
  readonly buffers: number;
  /** Page cache and reclaimable slab. */
  readonly cached: number;
  /** What can be had without swapping; absent before Linux 3.14. */
  readonly available?: number;
}

/** `/proc/meminfo`. */
export function parseMeminfo(text: string): MemoryInfo | undefined {
  const bytes = kilobytes(text);
  const total = bytes.get('MemTotal');
  const free = bytes.get('MemFree');
  if (total === undefined || free === undefined || total <= 0) return undefined;
  const cached = (bytes.get('Cached') ?? 0) + (bytes.get('SReclaimable') ?? 0);
  const available = bytes.get('MemAvailable');
  const base = { total, free, buffers: bytes.get('Buffers') ?? 0, cached };
  return available === undefined ? base : { ...base, available };
}

/** `/proc/loadavg`: runnable and uninterruptible threads, averaged over 1, 5 and 15 minutes. */
export function parseLoadavg(text: string): readonly [number, number, number] | undefined {
  const [one, five, fifteen] = text.split(' ', 3).map(Number);
  return isNumber(one) && isNumber(five) && isNumber(fifteen) ? [one, five, fifteen] : undefined;
}

/** Share of the last ten seconds, in [0, 1], in which some or all tasks waited for the resource. */
export interface Pressure {
  readonly some: number;
  /** Absent where the kernel does not tell (CPU before Linux 5.13). */
  readonly full?: number;
}

/** `/proc/pressure/*` and `*.pressure` of a cgroup. */
export function parsePressure(text: string): Pressure | undefined {
  const avg10 = (kind: string) => {
    const percent = new RegExp(`^${kind} avg10=([0-9.]+)`, 'm').exec(text)?.[1];
    return percent === undefined ? undefined : Number(percent) / 100;
  };
  const some = avg10('some');
  const full = avg10('full');
  if (!isNumber(some)) return undefined;
  return isNumber(full) ? { some, full } : { some };
}

export interface ProcessStat {
  readonly userSeconds: number;
  readonly systemSeconds: number;
  readonly majorFaults: number;
  readonly threads: number;
  /** Clock ticks after boot: with the pid, the identity of a process. */
  readonly startTicks: number;
}

/** `/proc/PID/stat`. The command in parentheses may itself hold spaces and parentheses: fields count from the last one. */
export function parsePidStat(text: string): ProcessStat | undefined {
  const end = text.lastIndexOf(')');
  if (end < 0) return undefined;
  // Field 3 of proc(5), the state, is the first of these.
  const fields = text.slice(end + 2).split(' ');
  const field = (number: number) => Number(fields[number - 3]);
  const stat = {
    majorFaults: field(12),
    userSeconds: field(14) / TICKS_PER_SECOND,
    systemSeconds: field(15) / TICKS_PER_SECOND,
    threads: field(20),
    startTicks: field(22),
  };
  return Object.values(stat).every(isCount) ? stat : undefined;
}

export interface ProcessStatus {
  /** Absent for kernel threads and zombies. */
  readonly residentBytes?: number;
  /** CPUs that the process may run on. */
  readonly allowedCpus?: number;
}

/** `/proc/PID/status`. */
export function parsePidStatus(text: string): ProcessStatus | undefined {
  if (!text.startsWith('Name:')) return undefined;
  const residentBytes = kilobytes(text).get('VmRSS');
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(text)?.[1];
  const allowedCpus = list === undefined ? 0 : countCpuList(list);
  return {
    ...(residentBytes !== undefined && { residentBytes }),
    ...(allowedCpus > 0 && { allowedCpus }),
  };
}

export interface ProcessIo {
  readonly readBytes: number;
  readonly writeBytes: number;
}

/** `/proc/PID/io`: what was really fetched from and sent to storage. */
export function parsePidIo(text: string): ProcessIo | undefined {
  const readBytes = Number(/^read_bytes: (\d{1,20})$/m.exec(text)?.[1]);
  const writeBytes = Number(/^write_bytes: (\d{1,20})$/m.exec(text)?.[1]);
  return isNumber(readBytes) && isNumber(writeBytes) ? { readBytes, writeBytes } : undefined;
}

/** `0-3,8` has five; 0 for a text that is no list. */
export function countCpuList(list: string): number {
  let count = 0;
  for (const range of list.trim().split(',')) {
    const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(range);
    if (match === null) return 0;
    const first = Number(match[1]);
    count += Math.max(0, Number(match[2] ?? first) - first + 1);
  }
  return count;
}

/** Lines `Name:   123 kB`, in bytes. */
function kilobytes(text: string): Map<string, number> {
  const bytes = new Map<string, number>();
  for (const match of text.matchAll(/^(\w+):\s+(\d{1,20}) kB$/gm))
    bytes.set(match[1]!, Number(match[2]) * BYTES_PER_KB);
  return bytes;
}

function isCount(value: number): boolean {
  return value >= 0 && Number.isFinite(value);
}

function isNumber(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value);
}
