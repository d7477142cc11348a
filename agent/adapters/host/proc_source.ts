import type { ComponentProcess } from '../../core/model.ts';
import { type Cgroup, findCgroup, type Machine, readCgroup, readPressures } from './cgroup.ts';
import { type AskFilesystem, Disks } from './disks.ts';
import { KernelFiles } from './files.ts';
import { parseLoadavg, parseMeminfo, parsePidIo, parsePidStat, parsePidStatus, parseStat } from './proc_parse.ts';
import type { ContainerReading, HostReading, ProcessReading, Reading, ReadingSource } from './reading.ts';

/** Processes can be moved between cgroups; finding one reads a dozen files, so it is done this often. */
const FIND_CGROUP_EVERY_MS = 60_000;

/** Reads `/proc` and the cgroup file systems of Linux. */
export class ProcSource implements ReadingSource {
  readonly #files: KernelFiles;
  readonly #monotonicMs: () => number;
  /** By pid, or `self`; with the start of the process, so that a pid given away is looked up again. */
  readonly #cgroups = new Map<number | 'self', { cgroup: Cgroup | undefined; startTicks: number; foundMs: number }>();

  readonly #disks: Disks;

  constructor(root: string, monotonicMs: () => number, askFilesystem?: AskFilesystem) {
    this.#files = new KernelFiles(root);
    this.#disks = new Disks(this.#files, askFilesystem);
    this.#monotonicMs = monotonicMs;
  }

  get failures(): number {
    return this.#files.counts.failed;
  }

  async close(): Promise<void> {}

  read(targets: readonly ComponentProcess[]): Reading {
    const monotonicMs = this.#monotonicMs();
    const pids = targets.map((target) => target.pid);
    const host = { ...this.#readHost(), disks: this.#disks.read(pids, monotonicMs) };
    const machine: Machine = {
      ...(host.memory !== undefined && { memoryBytes: host.memory.total }),
      ...(host.logicalCpus !== undefined && { cores: host.logicalCpus }),
    };
    const found: { readonly process: ProcessReading; readonly cgroup: Cgroup | undefined }[] = [];
    for (const target of targets) {
      const process = this.#readProcess(target, host.logicalCpus);
      if (process !== undefined)
        found.push({ process, cgroup: this.#cgroup(target.pid, process.startTicks, monotonicMs) });
    }
    this.#forget(new Set(pids));

    const own = this.#cgroup('self', 0, monotonicMs);
    const containers = new Map<string, ContainerReading>();
    for (const cgroup of [own, ...found.map((each) => each.cgroup)]) {
      if (cgroup === undefined || containers.has(cgroup.key)) continue;
      const inIt = found.filter((each) => each.cgroup?.key === cgroup.key).map((each) => each.process.component);
      containers.set(cgroup.key, readCgroup(this.#files, cgroup, [...new Set(inIt)], machine));
    }
    const processes = found.map(({ process, cgroup }) =>
      withinQuota(process, cgroup === undefined ? undefined : containers.get(cgroup.key)?.cpuLimitCores),
    );
    return { monotonicMs, host, containers: [...containers.values()], processes };
  }

  #readHost(): HostReading {
    const stat = this.#files.parsed('proc/stat', parseStat);
    const memory = this.#files.parsed('proc/meminfo', parseMeminfo);
    const load = this.#files.parsed('proc/loadavg', parseLoadavg);
    return {
      ...(stat !== undefined && { cpuTimes: stat.times, logicalCpus: stat.logicalCpus }),
      ...(memory !== undefined && { memory }),
      ...(load !== undefined && { load }),
      pressure: readPressures(this.#files, (resource) => `proc/pressure/${resource}`),
    };
  }

  #readProcess({ component, pid }: ComponentProcess, logicalCpus: number | undefined): ProcessReading | undefined {
    const stat = this.#files.parsed(`proc/${pid}/stat`, parsePidStat);
    if (stat === undefined) return undefined;
    const status = this.#files.parsed(`proc/${pid}/status`, parsePidStatus);
    const io = this.#files.parsed(`proc/${pid}/io`, parsePidIo);
    // The mask of a process that was never pinned can be wider than the machine.
    const cores = Math.min(status?.allowedCpus ?? Number.POSITIVE_INFINITY, logicalCpus ?? Number.POSITIVE_INFINITY);
    return {
      component,
      pid,
      startTicks: stat.startTicks,
      cpu: { kind: 'seconds', user: stat.userSeconds, system: stat.systemSeconds },
      threads: stat.threads,
      majorFaults: stat.majorFaults,
      ...(Number.isFinite(cores) && { availableCores: cores }),
      ...(status?.residentBytes !== undefined && { residentBytes: status.residentBytes }),
      ...io,
    };
  }

  #cgroup(pid: number | 'self', startTicks: number, nowMs: number): Cgroup | undefined {
    const known = this.#cgroups.get(pid);
    if (known?.startTicks === startTicks && nowMs - known.foundMs < FIND_CGROUP_EVERY_MS) return known.cgroup;
    const cgroup = findCgroup(this.#files, pid);
    this.#cgroups.set(pid, { cgroup, startTicks, foundMs: nowMs });
    return cgroup;
  }

  #forget(pids: ReadonlySet<number>): void {
    for (const pid of this.#cgroups.keys()) if (pid !== 'self' && !pids.has(pid)) this.#cgroups.delete(pid);
  }
}

function withinQuota(process: ProcessReading, quotaCores: number | undefined): ProcessReading {
  if (quotaCores === undefined) return process;
  return { ...process, availableCores: Math.min(process.availableCores ?? quotaCores, quotaCores) };
}
