import type { Increment } from '../series/store.ts';
import { Precedence, type Resource, type ResourceMeasure, type ResourceRole, type ResourceScope } from '../signals.ts';
import { type Level, LevelWindow } from './level_window.ts';

/**
 * One resource of one component. `cpu` and `gpu` are percent of what is available, 0 to 100; memory is MiB (2^20 bytes):
 * the units in which the design document allocates (`{ cpu: 50, memory: 512, gpu: 20 }`).
 */
export interface ResourceUsage {
  /** Latest value. */
  readonly usage: number;
  /** Mean over the window's intervals. */
  readonly average: number;
  /** Highest over the window's intervals. */
  readonly peak: number;
  /**
   * Share of what is reserved that is used, in [0, 1]: `min(1, average / reserved)`, which is 1 − relative slack of
   * Rzadca et al., "Autopilot: workload autoscaling at Google", EuroSys 2020. Reserved is what `reserve()` was told, or
   * else the container's own limit; a GPU is always reserved whole. Absent while no reservation is known: the share of
   * a machine that others use too says nothing about waste.
   *
   * @figure Efficiency of CPU, memory and GPU [0, 1]
   */
  readonly efficiency?: number;
  /** Share of what is available, in [0, 1]: `min(1, usage / limit)`, where the limit is the container's or the machine's. */
  readonly utilizationRatio?: number;
  /** What there is: the container's limit or the machine's, in cores or MiB; absent where it is not known. */
  readonly capacity?: number;
  /** Whose use was measured. A GPU is measured for the whole machine. */
  readonly scope: ResourceScope;
}

/** What is known of a limit, in cores or bytes. */
export interface Limits {
  readonly container?: number;
  readonly host?: number;
}

export const BYTES_PER_MIB = 2 ** 20;

/** Use and limits of one resource over the last intervals. */
export class ResourceWindow {
  readonly #resource: Resource;
  readonly #intervalMs: number;
  readonly #size: number;
  readonly #precedence: Precedence;
  #source:
    | { readonly levels: LevelWindow; readonly measure: ResourceMeasure; readonly scope: ResourceScope }
    | undefined;
  readonly #limits = new Map<ResourceScope, { precedence: Precedence; levels: LevelWindow }>();
  #reserved: number | undefined;

  constructor(resource: Resource, intervalMs: number, size: number) {
    this.#resource = resource;
    this.#intervalMs = intervalMs;
    this.#size = size;
    this.#precedence = new Precedence(intervalMs * size);
  }

  /** Points refused because there are too many parts. */
  get droppedParts(): number {
    let dropped = this.#source?.levels.droppedParts ?? 0;
    for (const limit of this.#limits.values()) dropped += limit.levels.droppedParts;
    return dropped;
  }

  /** What an allocation or a component's own limit sets aside, in the unit of `usage`; undefined: not known. */
  reserve(amount: number | undefined): void {
    this.#reserved = amount !== undefined && amount > 0 ? amount : undefined;
  }

  /** Returns false when the increment is older than the window. */
  add(role: ResourceRole, increment: Increment, nowMs: number): boolean {
    const value = measured(role, increment);
    if (value === undefined) return true;
    if (role.measure === 'limit') return this.#addLimit(role, increment, value, nowMs);
    if (role.measure === 'reserved') {
      const isBytes = this.#resource === 'memory' || this.#resource === 'gpuMemory';
      this.reserve(isBytes ? value / BYTES_PER_MIB : value * 100);
      return true;
    }
    const offer = this.#precedence.offer(role.rank, nowMs);
    if (offer === 'skip') return true;
    if (offer === 'replaced' || this.#source === undefined) {
      const combine = role.measure === 'utilization' ? 'device_mean' : 'sum';
      const levels = new LevelWindow(this.#intervalMs, this.#size, combine);
      this.#source = { levels, measure: role.measure, scope: role.scope };
    }
    return this.#source.levels.set(increment.series, value, role.device, increment.endMs, nowMs);
  }

  /** Limits in cores or bytes, as far as they were reported for this window's owner. */
  limits(nowMs: number): Limits {
    const container = this.#limits.get('container')?.levels.current(nowMs);
    const host = this.#limits.get('host')?.levels.current(nowMs);
    return { ...(container !== undefined && { container }), ...(host !== undefined && { host }) };
  }

  /** When the latest use in the window was measured. */
  measuredAtMs(nowMs: number): number | undefined {
    return this.#source?.levels.metrics(nowMs)?.measuredAtMs;
  }

  /** `host`: the machine's limits, used where the component's own telemetry names none. */
  metrics(nowMs: number, host: Limits): ResourceUsage | undefined {
    const level = this.#source?.levels.metrics(nowMs);
    const scale = this.#scale(nowMs, host);
    if (this.#source === undefined || level === undefined || scale === undefined) return undefined;
    const { container } = this.limits(nowMs);
    const { measure, scope } = this.#source;
    const { perUnit, limit } = scale;
    if (this.#resource === 'memory' || this.#resource === 'gpuMemory') {
      return usageOf(level, perUnit, scope, limit, this.#reserved ?? mebibytes(container));
    }
    // Of what is available to it: a container's own limit makes that a reservation, and so does a whole GPU.
    const isReserved = container !== undefined || (measure === 'utilization' && this.#resource === 'gpu');
    return usageOf(level, perUnit, scope, limit, this.#reserved ?? (isReserved ? 100 : undefined));
  }

  /** Mean use over the intervals numbered `first` to `last`, and where it ends: percent or MiB, as in `metrics`. */
  over(
    first: number,
    last: number,
    nowMs: number,
    host: Limits,
  ): { readonly value: number; readonly limit?: number } | undefined {
    const level = this.#source?.levels.over(first, last);
    const scale = this.#scale(nowMs, host);
    if (level === undefined || scale === undefined) return undefined;
    const { perUnit, limit } = scale;
    return { value: level * perUnit, ...(limit !== undefined && { limit }) };
  }

  /** How often the slowest sender reports; 0 while that is not known. */
  get reportMs(): number {
    return this.#source?.levels.reportMs ?? 0;
  }

  /** Percent or MiB per unit of the source, and the limit in percent or MiB; undefined where that cannot be told. */
  #scale(nowMs: number, host: Limits): { readonly perUnit: number; readonly limit?: number } | undefined {
    const own = this.limits(nowMs);
    const limit = own.container ?? own.host ?? host.host;
    const isRatio = this.#source?.measure === 'utilization';
    if (this.#resource === 'memory' || this.#resource === 'gpuMemory') {
      // A memory ratio without bytes cannot be given in MiB unless the limit is known.
      const bytesPerUnit = isRatio ? limit : 1;
      if (bytesPerUnit === undefined) return undefined;
      const mib = mebibytes(limit);
      return { perUnit: bytesPerUnit / BYTES_PER_MIB, ...(mib !== undefined && { limit: mib }) };
    }
    if (isRatio) return { perUnit: 100, limit: 100 };
    return limit === undefined || limit <= 0 ? undefined : { perUnit: 100 / limit, limit: 100 };
  }

  #addLimit(role: ResourceRole, increment: Increment, value: number, nowMs: number): boolean {
    let limit = this.#limits.get(role.scope);
    if (limit === undefined) {
      const levels = new LevelWindow(this.#intervalMs, this.#size, 'sum');
      limit = { precedence: new Precedence(this.#intervalMs * this.#size), levels };
      this.#limits.set(role.scope, limit);
    }
    const offer = limit.precedence.offer(role.rank, nowMs);
    if (offer === 'skip') return true;
    if (offer === 'replaced') limit.levels.clear();
    return limit.levels.set(increment.series, value, role.device, increment.endMs, nowMs);
  }
}

function usageOf(
  level: Level,
  perUnit: number,
  scope: ResourceScope,
  limit: number | undefined,
  reserved: number | undefined,
): ResourceUsage {
  const usage = level.current * perUnit;
  const average = level.average * perUnit;
  return {
    usage,
    average,
    peak: level.peak * perUnit,
    scope,
    ...(reserved !== undefined && { efficiency: Math.min(1, average / reserved) }),
    ...(limit !== undefined && limit > 0 && { utilizationRatio: Math.min(1, usage / limit) }),
  };
}

function mebibytes(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / BYTES_PER_MIB;
}

/** In the unit of the role's measure; CPU time becomes cores: seconds of CPU per second. */
function measured(role: ResourceRole, increment: Increment): number | undefined {
  if (increment.kind === 'gauge') return role.measure === 'time' ? undefined : increment.value * role.scale;
  if (increment.kind !== 'sum' || role.measure !== 'time' || increment.endMs <= increment.startMs) return undefined;
  return (increment.delta * role.scale) / ((increment.endMs - increment.startMs) / 1_000);
}
