import type { ComponentProcess } from '../../core/model.ts';
import type { DiskCounts } from './disk_parse.ts';
import type { CpuTimes, MemoryInfo, Pressure } from './proc_parse.ts';

/** What was read at one moment, as counted by the system: rates are made of two of these. Absent: not known. */
export interface Reading {
  /** Of a clock that never jumps, for differences. */
  readonly monotonicMs: number;
  readonly host: HostReading;
  readonly containers: readonly ContainerReading[];
  readonly processes: readonly ProcessReading[];
}

export interface Pressures {
  readonly cpu?: Pressure;
  readonly memory?: Pressure;
  readonly io?: Pressure;
}

export interface HostReading {
  readonly cpuTimes?: CpuTimes;
  readonly logicalCpus?: number;
  readonly memory?: MemoryInfo;
  readonly load?: readonly [number, number, number];
  readonly pressure: Pressures;
  readonly disks?: DisksReading;
}

export interface DisksReading {
  readonly disks: readonly DiskCounts[];
  readonly filesystems: readonly FilesystemReading[];
}

export interface FilesystemReading {
  readonly device: string;
  readonly mountPoint: string;
  readonly type: string;
  /** `free`: for everybody; what is neither used nor free is kept for the superuser. */
  readonly bytes: { readonly total: number; readonly free: number; readonly used: number };
  /** Absent where the file system has no fixed number of them. */
  readonly inodes?: { readonly total: number; readonly free: number };
}

export interface ContainerReading {
  /** The same container at the next reading: the folders of its cgroups. */
  readonly key: string;
  readonly containerId?: string;
  /** Components whose processes live in it; none: it is only the agent's own. */
  readonly components: readonly string[];
  readonly cpuSeconds?: number;
  readonly throttledSeconds?: number;
  /** Scheduling periods with a quota, and those of them in which it ran out. */
  readonly periods?: number;
  readonly throttledPeriods?: number;
  readonly cpuLimitCores?: number;
  readonly memoryBytes?: number;
  readonly inactiveFileBytes?: number;
  readonly anonymousBytes?: number;
  readonly memoryLimitBytes?: number;
  /** Above this the kernel slows the container down and takes memory back. */
  readonly memoryHighBytes?: number;
  /** Times that something happened, by the names of `memory.events`: `oom_kill`, `oom`, `max`, `high`. */
  readonly memoryEvents: ReadonlyMap<string, number>;
  readonly pressure: Pressures;
}

export interface ProcessReading {
  readonly component: string;
  readonly pid: number;
  /** Differs when the pid was given to another process. */
  readonly startTicks: number;
  readonly cpu:
    | { readonly kind: 'seconds'; readonly user: number; readonly system: number }
    /** Platforms that only tell a finished figure. */
    | { readonly kind: 'cores'; readonly cores: number };
  /** Cores that it can use: the least of the machine's, its affinity's and its container's quota. */
  readonly availableCores?: number;
  readonly residentBytes?: number;
  readonly threads?: number;
  readonly majorFaults?: number;
  readonly readBytes?: number;
  readonly writeBytes?: number;
}

/** Where readings come from: `/proc`, or what there is instead. */
export interface ReadingSource {
  read(targets: readonly ComponentProcess[]): Reading | Promise<Reading>;
  /** Files, or commands, that failed so far. */
  readonly failures: number;
  close(): Promise<void>;
}
