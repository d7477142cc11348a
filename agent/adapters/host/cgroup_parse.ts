/**
 * Parsers for cgroup files, v1 and v2. Pure: text in, numbers out, in SI units; what a file does not say is absent.
 */

/** One line of `/proc/PID/cgroup`: the v2 hierarchy has no controllers. */
export interface CgroupLine {
  readonly controllers: readonly string[];
  /** As seen from the reader's own cgroup namespace; begins with `/..` when it lies outside. */
  readonly path: string;
}

export function parseProcCgroup(text: string): readonly CgroupLine[] {
  const lines: CgroupLine[] = [];
  for (const line of text.split('\n')) {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (match === null) continue;
    lines.push({ controllers: match[1] === '' ? [] : match[1]!.split(','), path: match[2]! });
  }
  return lines;
}

/** A mounted cgroup hierarchy. */
export interface CgroupMount {
  readonly version: 1 | 2;
  /** v1 only. */
  readonly controllers: readonly string[];
  /** Path within the hierarchy that the mount shows: `/` unless it is a bind mount of a container's own part. */
  readonly root: string;
  readonly mountPoint: string;
}

/** `/proc/PID/mountinfo`: `36 35 98:0 /root /mount/point opts [optional…] - fstype source superopts`. */
export function parseCgroupMounts(text: string): readonly CgroupMount[] {
  const mounts: CgroupMount[] = [];
  for (const line of text.split('\n')) {
    const [before, after] = line.split(' - ', 2);
    const [fstype, , superOptions] = after?.split(' ') ?? [];
    const [, , , root, mountPoint] = before?.split(' ') ?? [];
    if (root === undefined || mountPoint === undefined) continue;
    const place = { root: unescapeOctal(root), mountPoint: unescapeOctal(mountPoint) };
    if (fstype === 'cgroup2') mounts.push({ version: 2, controllers: [], ...place });
    if (fstype === 'cgroup') mounts.push({ version: 1, controllers: superOptions?.split(',') ?? [], ...place });
  }
  return mounts;
}

/** The folder that a cgroup has in a mount; undefined when the mount does not show it. */
export function cgroupFolder(mount: CgroupMount, path: string): string | undefined {
  if (path === mount.root) return mount.mountPoint;
  const prefix = mount.root === '/' ? '/' : `${mount.root}/`;
  if (!path.startsWith(prefix) || path.startsWith('/..')) return undefined;
  return `${mount.mountPoint}/${path.slice(prefix.length)}`;
}

/** Lines `key 123`: `cpu.stat`, `memory.stat`, `memory.events`, `memory.oom_control`. */
export function parseFlatKeyed(text: string): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const match of text.matchAll(/^(\S+) (\d{1,20})$/gm)) values.set(match[1]!, Number(match[2]));
  return values;
}

/** v2 `cpu.max`: `200000 100000` is two cores; `max 100000` is no limit. */
export function parseCpuMax(text: string): number | undefined {
  const [quota, period] = text.trim().split(' ').map(Number);
  return quotaCores(quota, period);
}

/** v1 `cpu.cfs_quota_us` and `cpu.cfs_period_us`, or the two numbers of `cpu.max`, as cores; −1 is no limit. */
export function quotaCores(quotaUs: number | undefined, periodUs: number | undefined): number | undefined {
  if (quotaUs === undefined || periodUs === undefined || !(quotaUs > 0) || !(periodUs > 0)) return undefined;
  const cores = quotaUs / periodUs;
  return Number.isFinite(cores) ? cores : undefined;
}

/** A file with one number of bytes, or `max`. Kernel counters have 64 bits, at most 20 digits. */
export function parseBytes(text: string): number | undefined {
  const trimmed = text.trim();
  return /^\d{1,20}$/.test(trimmed) ? Number(trimmed) : undefined;
}

/**
 * A limit as it works. "No limit" comes in many forms: `max`, 2^63 rounded down to a page (v1), 1.8e19. A limit at or
 * above what the machine has limits nothing, so all of them are absent.
 */
export function effectiveLimit(limit: number | undefined, available: number | undefined): number | undefined {
  if (limit === undefined || !(limit > 0) || !Number.isFinite(limit)) return undefined;
  return available !== undefined && limit >= available ? undefined : limit;
}

/** The container's id, where the path of its cgroup holds one (Docker, containerd, CRI-O, podman): 64 hex digits. */
export function containerIdOf(path: string): string | undefined {
  return /(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?:\/|$)/.exec(path)?.[1];
}

/** mountinfo writes blank, tab, newline and backslash as `\040`, `\011`, `\012`, `\134`. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
