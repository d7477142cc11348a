import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { type Mount, parseDiskstats, parseMountinfo } from './disk_parse.ts';
import type { KernelFiles } from './files.ts';
import type { DisksReading, FilesystemReading } from './reading.ts';

/** Mounts come and go rarely; a table of them can have thousands of lines. */
const FIND_MOUNTS_EVERY_MS = 60_000;
/** Machines with more (storage servers) are watched at the first ones. */
const MAX_FILESYSTEMS = 16;
const MAX_DISKS = 32;

/** What `statfs` answers, in blocks and inodes. */
export interface Statfs {
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
}

/** How full a file system is; throws where it cannot be told. */
export type AskFilesystem = (path: string) => Statfs;

interface Watched extends Mount {
  /** Where to ask. */
  readonly path: string;
}

/**
 * Disks of the machine, and the file systems that the agent and the AI processes write to: those in its own mount table
 * and in theirs, each file system once. The answers of local ones come from memory, in microseconds.
 */
export class Disks {
  readonly #files: KernelFiles;
  readonly #ask: AskFilesystem;
  #watched: readonly Watched[] = [];
  #foundMs = Number.NEGATIVE_INFINITY;
  #pids = '';

  constructor(files: KernelFiles, ask: AskFilesystem = statfsSync) {
    this.#files = files;
    this.#ask = ask;
  }

  read(pids: readonly number[], monotonicMs: number): DisksReading {
    const key = pids.join();
    if (monotonicMs - this.#foundMs >= FIND_MOUNTS_EVERY_MS || key !== this.#pids) {
      this.#watched = this.#find(pids);
      this.#foundMs = monotonicMs;
      this.#pids = key;
    }
    const disks = this.#files.parsed('proc/diskstats', parseDiskstats) ?? [];
    return { disks: disks.slice(0, MAX_DISKS), filesystems: this.#watched.flatMap((each) => this.#filesystem(each)) };
  }

  #find(pids: readonly number[]): readonly Watched[] {
    const found = new Map<string, Watched>();
    // The agent's own first: what both see is asked where nobody's leave is needed.
    for (const pid of ['self', ...pids]) {
      const prefix = pid === 'self' ? '/' : `/proc/${pid}/root`;
      for (const mount of this.#files.parsed(`proc/${pid}/mountinfo`, parseMountinfo) ?? []) {
        if (!found.has(mount.id)) found.set(mount.id, { ...mount, path: join(prefix, mount.mountPoint) });
      }
    }
    return [...found.values()].slice(0, MAX_FILESYSTEMS);
  }

  #filesystem({ path, device, mountPoint, type }: Watched): readonly FilesystemReading[] {
    try {
      const { bsize, blocks, bfree, bavail, files, ffree } = this.#ask(path);
      if (!(blocks > 0)) return [];
      const bytes = { total: blocks * bsize, free: bavail * bsize, used: (blocks - bfree) * bsize };
      // Some (btrfs, overlay on it) make inodes as they need them and say 0.
      const inodes = files > 0 ? { inodes: { total: files, free: ffree } } : {};
      return [{ device, mountPoint, type, bytes, ...inodes }];
    } catch {
      // Unmounted since, or not ours to see.
      return [];
    }
  }
}
