/** What one GPU, or one slice of a partitioned one, says of itself at one moment. Absent: it does not say. */
export interface GpuDevice {
  /** Stays the same over restarts: the vendor's UUID, or the PCI address. */
  readonly id: string;
  readonly name?: string;
  readonly vendor: 'NVIDIA' | 'AMD';
  /** The GPU that this is a slice (MIG instance) of. */
  readonly parentId?: string;
  /** Share of time in which some kernel ran. */
  readonly utilizationRatio?: number;
  /** Share of time in which memory was read or written; says nothing about how much of it is used. */
  readonly memoryControllerRatio?: number;
  readonly memoryUsedBytes?: number;
  readonly memoryTotalBytes?: number;
  readonly powerWatts?: number;
  readonly temperatureCelsius?: number;
  readonly clockHertz?: number;
  /** Why clocks are lower than asked for, of `THROTTLE_REASONS`; empty: they are not. */
  readonly throttledBy?: readonly ThrottleReason[];
  /** Memory errors since the driver was loaded that ECC could not correct. */
  readonly uncorrectedErrors?: number;
  readonly processes?: readonly GpuProcess[];
}

export interface GpuProcess {
  /** As the driver numbers it: in the machine's namespace, or, with recent drivers, in the agent's. */
  readonly pid: number;
  readonly memoryBytes?: number;
}

/** Bits of NVML's clocks event reasons. Idle and clocks that somebody set on purpose (0x1, 0x2, 0x100) are no throttling. */
export const THROTTLE_REASONS = {
  sw_power_cap: 0x4,
  hw_slowdown: 0x8,
  sync_boost: 0x10,
  sw_thermal_slowdown: 0x20,
  hw_thermal_slowdown: 0x40,
  hw_power_brake_slowdown: 0x80,
} as const;
export type ThrottleReason = keyof typeof THROTTLE_REASONS;

export function throttleReasons(bits: number): readonly ThrottleReason[] {
  const names = Object.keys(THROTTLE_REASONS) as ThrottleReason[]; // Its own keys; the library's type forgets them.
  return names.filter((name) => (bits & THROTTLE_REASONS[name]) !== 0);
}

/**
 * `absent`: there is nothing of this kind here (no library, no driver, no device). `failed`: there is, and it did not
 * answer. `failures` counts single values that could not be read while the rest could.
 */
export type Answer =
  | { readonly state: 'read'; readonly devices: readonly GpuDevice[]; readonly failures: number }
  | { readonly state: 'absent'; readonly reason: string }
  | { readonly state: 'failed'; readonly reason: string; readonly hung?: boolean };

export type SourceName = 'nvml' | 'nvidia-smi' | 'amd';

/** One way to read GPUs. It starts what it needs at the first `read`, and again after `close`. */
export interface GpuSource {
  readonly name: SourceName;
  /** Cheap: whether there is anything here that would make a `read` worthwhile. */
  isLikely(): boolean;
  /** Never rejects, and always settles: whatever hangs is given up. */
  read(): Promise<Answer>;
  /** May take as long as what hangs. */
  close(): Promise<void>;
}
