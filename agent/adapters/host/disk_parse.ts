/**
 * Parsers for what the kernel says of disks and mounts. Pure: text in, numbers out, in SI units, as in `proc_parse.ts`.
 */

/** The kernel counts in sectors of this size whatever the device's own are. */
const SECTOR_BYTES = 512;
/** Made of other devices, or of memory: what they do is seen on the disks below them. */
const NO_DISK = /^(?:loop|ram|zram|sr|fd|dm-|md|nbd)\d/;
/** File systems on a device are told by their source; these have none, and storage of their own all the same. */
const DEVICELESS = new Set(['overlay', 'zfs', 'btrfs', 'bcachefs', 'virtiofs', '9p']);

/** One disk since boot. */
export interface DiskCounts {
  readonly device: string;
  readonly reads: number;
  readonly writes: number;
  readonly readBytes: number;
  readonly writeBytes: number;
  /** Sums over operations, from asking to answer. */
  readonly readSeconds: number;
  readonly writeSeconds: number;
  /** Time in which at least one operation was under way. */
  readonly busySeconds: number;
}

/** `/proc/diskstats`: whole disks that were ever used. A partition's work is its disk's. */
export function parseDiskstats(text: string): readonly DiskCounts[] | undefined {
  const disks: DiskCounts[] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const [, , device, ...fields] = line.trim().split(/\s+/);
    const [reads, , sectorsRead, readMs, writes, , sectorsWritten, writeMs, , busyMs] = fields.map(Number);
    const counts = [reads, sectorsRead, readMs, writes, sectorsWritten, writeMs, busyMs];
    if (device === undefined || !counts.every((count) => count !== undefined && count >= 0)) return undefined;
    if (NO_DISK.test(device) || reads! + writes! === 0) continue;
    if (disks.some((disk) => isPartition(device, disk.device))) continue;
    disks.push({
      ...{ device, reads: reads!, writes: writes!, busySeconds: busyMs! / 1_000 },
      ...{ readBytes: sectorsRead! * SECTOR_BYTES, writeBytes: sectorsWritten! * SECTOR_BYTES },
      ...{ readSeconds: readMs! / 1_000, writeSeconds: writeMs! / 1_000 },
    });
  }
  return disks;
}

/** `sda1` of `sda`, `nvme0n1p1` of `nvme0n1`: the kernel lists a disk before its partitions. */
function isPartition(name: string, disk: string): boolean {
  return name.startsWith(disk) && /^p?\d+$/.test(name.slice(disk.length)) && name !== disk;
}

export interface Mount {
  /** The same for every mount of one file system. */
  readonly id: string;
  readonly device: string;
  readonly mountPoint: string;
  readonly type: string;
}

/**
 * `/proc/PID/mountinfo`: file systems that can be written and fill up, each once, at the mount nearest to the root. A bind
 * mount shows a file system that is there already; read-only ones (images, snaps) are full by nature; network ones can
 * hang whoever asks them.
 */
export function parseMountinfo(text: string): readonly Mount[] | undefined {
  const found = new Map<string, Mount>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [before, after] = line.split(' - ', 2);
    const [, , id, , point, options] = before!.split(' ');
    const [type, source, superOptions] = (after ?? '').split(' ');
    if (id === undefined || point === undefined || options === undefined || type === undefined) return undefined;
    const isLocal = source?.startsWith('/dev/') === true || DEVICELESS.has(type);
    if (!isLocal || isReadOnly(options) || isReadOnly(superOptions ?? '')) continue;
    const mountPoint = unescapeOctal(point);
    const known = found.get(id);
    if (known !== undefined && known.mountPoint.length <= mountPoint.length) continue;
    found.set(id, { id, device: unescapeOctal(source ?? type), mountPoint, type });
  }
  return [...found.values()];
}

function isReadOnly(options: string): boolean {
  return options.split(',').includes('ro');
}

/** Spaces and the like stand in octal: `/a\040b`. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
