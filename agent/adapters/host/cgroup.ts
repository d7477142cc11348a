import {
  type CgroupMount,
  cgroupFolder,
  containerIdOf,
  effectiveLimit,
  parseBytes,
  parseCgroupMounts,
  parseCpuMax,
  parseFlatKeyed,
  parseProcCgroup,
  quotaCores,
} from './cgroup_parse.ts';
import type { KernelFiles } from './files.ts';
import { parsePressure } from './proc_parse.ts';
import type { ContainerReading, Pressures } from './reading.ts';

/** Where one controller's files of a cgroup are. */
interface Place {
  readonly version: 1 | 2;
  readonly folder: string;
  /** The folder and those above it up to the mount point: a limit of any of them holds. */
  readonly lineage: readonly string[];
}

/** A process's cgroup, per controller: on hybrid machines they live in different hierarchies. */
export interface Cgroup {
  readonly key: string;
  readonly containerId?: string;
  readonly cpu?: Place;
  /** v1 may count CPU time in a hierarchy of its own. */
  readonly cpuacct?: Place;
  readonly memory?: Place;
  /** Pressure exists in v2 only, also where v1 holds the controllers. */
  readonly pressure?: Place;
}

/** What the machine has, for telling limits from "no limit". */
export interface Machine {
  readonly memoryBytes?: number;
  readonly cores?: number;
}

/**
 * Finds the cgroups of a process (`self` or a pid). Undefined when it is in none that says anything: no cgroups at all,
 * or only in the root ones, which are the machine itself.
 *
 * A path outside the agent's own cgroup namespace (sidecars in one pod have one each) cannot be found in the agent's
 * mounts; then the process's own mounts are tried through `/proc/PID/root`, which the kernel allows to the same user.
 */
export function findCgroup(files: KernelFiles, pid: number | 'self'): Cgroup | undefined {
  const lines = parseProcCgroup(files.text(`proc/${pid}/cgroup`) ?? '');
  if (lines.length === 0) return undefined;
  const views = [{ mounts: mountsOf(files, 'self'), prefix: '' }];
  if (pid !== 'self') views.push({ mounts: mountsOf(files, pid), prefix: `proc/${pid}/root` });

  const placeOf = (controller: string): Place | undefined => {
    // Listed in a v1 line, a controller lives there; else in v2, if anywhere.
    const line = lines.find((l) => l.controllers.includes(controller)) ?? lines.find((l) => l.controllers.length === 0);
    if (line === undefined) return undefined;
    const version = line.controllers.length === 0 ? 2 : 1;
    for (const { mounts, prefix } of views) {
      for (const mount of mounts) {
        if (mount.version !== version || (version === 1 && !mount.controllers.includes(controller))) continue;
        const folder = cgroupFolder(mount, line.path);
        if (folder === undefined) continue;
        const place = { version, folder: prefix + folder, lineage: lineage(mount, folder, prefix) } as const;
        if (!isWholeMachine(files, place, line.path)) return place;
      }
    }
    return undefined;
  };

  const cpu = placeOf('cpu');
  const cpuacct = placeOf('cpuacct');
  const memory = placeOf('memory');
  const pressure = placeOf('');
  if (cpu === undefined && memory === undefined) return undefined;
  const containerId = lines.map((line) => containerIdOf(line.path)).find((id) => id !== undefined);
  return {
    key: `${cpu?.folder ?? ''} ${memory?.folder ?? ''}`,
    ...(containerId !== undefined && { containerId }),
    ...(cpu !== undefined && { cpu }),
    ...(cpuacct !== undefined && { cpuacct }),
    ...(memory !== undefined && { memory }),
    ...(pressure?.version === 2 && { pressure }),
  };
}

/** Reads everything that the cgroup's files say now. */
export function readCgroup(
  files: KernelFiles,
  cgroup: Cgroup,
  components: readonly string[],
  machine: Machine,
): ContainerReading {
  return {
    key: cgroup.key,
    components,
    ...(cgroup.containerId !== undefined && { containerId: cgroup.containerId }),
    ...readCpu(files, cgroup, machine),
    ...readMemory(files, cgroup.memory, machine),
    pressure:
      cgroup.pressure === undefined
        ? {}
        : readPressures(files, (name) => `${cgroup.pressure?.folder}/${name}.pressure`),
  };
}

/** Pressure of CPU, memory and I/O, each from its own file. */
export function readPressures(files: KernelFiles, path: (resource: string) => string): Pressures {
  // Present but switched off (`psi=0`, `cgroup.pressure` 0) reads as "operation not supported": absent.
  const cpu = files.parsed(path('cpu'), parsePressure);
  const memory = files.parsed(path('memory'), parsePressure);
  const io = files.parsed(path('io'), parsePressure);
  return {
    ...(cpu !== undefined && { cpu }),
    ...(memory !== undefined && { memory }),
    ...(io !== undefined && { io }),
  };
}

function readCpu(files: KernelFiles, { cpu, cpuacct }: Cgroup, machine: Machine): Partial<ContainerReading> {
  if (cpu === undefined) return {};
  const stat = parseFlatKeyed(files.text(`${cpu.folder}/cpu.stat`) ?? '');
  const limits = cpu.lineage.map((folder) =>
    cpu.version === 2
      ? files.optional(`${folder}/cpu.max`, parseCpuMax)
      : quotaCores(
          files.optional(`${folder}/cpu.cfs_quota_us`, Number),
          files.optional(`${folder}/cpu.cfs_period_us`, Number),
        ),
  );
  const cpuLimitCores = effectiveLimit(least(limits), machine.cores);
  const nanoseconds =
    cpuacct?.version === 1 ? files.optional(`${cpuacct.folder}/cpuacct.usage`, parseBytes) : undefined;
  const cpuSeconds = cpu.version === 2 ? scaled(stat.get('usage_usec'), 1e-6) : scaled(nanoseconds, 1e-9);
  const throttledSeconds =
    cpu.version === 2 ? scaled(stat.get('throttled_usec'), 1e-6) : scaled(stat.get('throttled_time'), 1e-9);
  const periods = stat.get('nr_periods');
  const throttledPeriods = stat.get('nr_throttled');
  return {
    ...(cpuSeconds !== undefined && { cpuSeconds }),
    ...(throttledSeconds !== undefined && { throttledSeconds }),
    ...(periods !== undefined && { periods }),
    ...(throttledPeriods !== undefined && { throttledPeriods }),
    ...(cpuLimitCores !== undefined && { cpuLimitCores }),
  };
}

function readMemory(
  files: KernelFiles,
  place: Place | undefined,
  machine: Machine,
): Partial<ContainerReading> & Pick<ContainerReading, 'memoryEvents'> {
  if (place === undefined) return { memoryEvents: new Map() };
  const { folder, lineage: folders, version } = place;
  const stat = parseFlatKeyed(files.text(`${folder}/memory.stat`) ?? '');
  const bytes = (name: string) => files.optional(`${folder}/${name}`, parseBytes);
  const above = (name: string) => least(folders.map((each) => files.optional(`${each}/${name}`, parseBytes)));
  const memoryBytes = bytes(version === 2 ? 'memory.current' : 'memory.usage_in_bytes');
  const limit =
    version === 2
      ? above('memory.max')
      : least([bytes('memory.limit_in_bytes'), stat.get('hierarchical_memory_limit')]);
  const memoryLimitBytes = effectiveLimit(limit, machine.memoryBytes);
  const memoryHighBytes = version === 2 ? effectiveLimit(above('memory.high'), machine.memoryBytes) : undefined;
  const inactiveFileBytes = stat.get(version === 2 ? 'inactive_file' : 'total_inactive_file');
  const anonymousBytes = stat.get(version === 2 ? 'anon' : 'total_rss');
  return {
    ...(memoryBytes !== undefined && { memoryBytes }),
    ...(memoryLimitBytes !== undefined && { memoryLimitBytes }),
    ...(memoryHighBytes !== undefined && { memoryHighBytes }),
    ...(inactiveFileBytes !== undefined && { inactiveFileBytes }),
    ...(anonymousBytes !== undefined && { anonymousBytes }),
    memoryEvents: version === 2 ? eventsV2(files, folder) : eventsV1(files, folder),
  };
}

const EVENTS = ['high', 'max', 'oom', 'oom_kill'];

function eventsV2(files: KernelFiles, folder: string): ReadonlyMap<string, number> {
  const all = parseFlatKeyed(files.text(`${folder}/memory.events`) ?? '');
  return new Map([...all].filter(([name]) => EVENTS.includes(name)));
}

function eventsV1(files: KernelFiles, folder: string): ReadonlyMap<string, number> {
  const events = new Map<string, number>();
  const kills = parseFlatKeyed(files.text(`${folder}/memory.oom_control`) ?? '').get('oom_kill');
  if (kills !== undefined) events.set('oom_kill', kills);
  const hits = files.optional(`${folder}/memory.failcnt`, parseBytes);
  if (hits !== undefined) events.set('max', hits);
  return events;
}

/**
 * The root of a hierarchy is the machine, not a container; but a container with a cgroup namespace of its own sees
 * itself as `/` too. v2 tells them apart: only the true root has no `cgroup.events`. v1 does not; there a root counts as
 * a container when it has a quota, or a memory limit below the 2^62 that stand for none.
 */
function isWholeMachine(files: KernelFiles, { version, folder, lineage: folders }: Place, path: string): boolean {
  if (path !== '/' || folders.length > 1) return false;
  if (version === 2) return files.text(`${folder}/cgroup.events`) === undefined;
  const limit = files.optional(`${folder}/memory.limit_in_bytes`, parseBytes) ?? Number.POSITIVE_INFINITY;
  const quota = files.optional(`${folder}/cpu.cfs_quota_us`, Number) ?? -1;
  return limit >= 2 ** 62 && !(quota > 0);
}

function mountsOf(files: KernelFiles, pid: number | 'self'): readonly CgroupMount[] {
  return parseCgroupMounts(files.text(`proc/${pid}/mountinfo`) ?? '');
}

function lineage(mount: CgroupMount, folder: string, prefix: string): readonly string[] {
  const folders = [prefix + folder];
  for (let path = folder; path.length > mount.mountPoint.length; ) {
    path = path.slice(0, path.lastIndexOf('/'));
    folders.push(prefix + path);
  }
  return folders;
}

function least(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function scaled(value: number | undefined, factor: number): number | undefined {
  return value === undefined ? undefined : value * factor;
}
