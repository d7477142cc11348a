/**
 * What a series means. A standard exporter needs no configuration: the tables in `mappings/` know the OpenTelemetry
 * names and those of the usual AI servers, and a configuration puts its own rows in front of them.
 *
 * One component often reports the same thing several times (`gen_ai.server.request.duration` and
 * `http.server.request.duration` time the same request). Each row has a rank; of the ranks present for a signal only
 * the lowest counts (`Precedence`), so that nothing is counted twice.
 */
import { globPattern } from './glob.ts';
import { AI_SERVER_MAPPINGS } from './mappings/ai_servers.ts';
import { OPENTELEMETRY_MAPPINGS } from './mappings/opentelemetry.ts';
import type { Series } from './model.ts';
import { type Outcome, outcomeOf, attributeText as text } from './outcome.ts';
import { isHistogram } from './series/histogram_series.ts';

export const LATENCY_SIGNALS = ['responseTime', 'timeToFirstToken', 'timePerOutputToken', 'queueTime'] as const;
export type LatencySignal = (typeof LATENCY_SIGNALS)[number];
/** Shares of time: something waited for the resource (the kernel's pressure), or a quota of CPU time had run out. */
export const STALL_SIGNALS = ['cpuPressure', 'memoryPressure', 'ioPressure', 'cpuThrottled'] as const;
export type StallSignal = (typeof STALL_SIGNALS)[number];
/** Of several disks or file systems the worst counts: that the others have room helps nobody who writes to this one. */
export const DISK_SIGNALS = ['diskUsed', 'inodesUsed', 'diskBusy', 'diskWait'] as const;
export type DiskSignal = (typeof DISK_SIGNALS)[number];
export const LEVEL_SIGNALS = ['queueDepth', 'inFlight', 'cacheUsage', ...STALL_SIGNALS, ...DISK_SIGNALS] as const;
export type LevelSignal = (typeof LEVEL_SIGNALS)[number];
export const RESOURCES = ['cpu', 'memory', 'gpu', 'gpuMemory'] as const;
export type Resource = (typeof RESOURCES)[number];
export type ResourceScope = 'process' | 'container' | 'host';
/**
 * `utilization`: ratio of what is available. `usage` and `limit`: CPU cores, or bytes. `time`: CPU seconds, cumulative
 * or delta, whose rate is `usage`. `reserved`: what is set aside for the component, a ratio of what there is or bytes.
 */
export type ResourceMeasure = 'utilization' | 'usage' | 'limit' | 'time' | 'reserved';

interface RoleBase {
  /** The metric's name, for explanations. */
  readonly source: string;
  /** Lower wins. */
  readonly rank: number;
}
/** Histogram of durations. `responseTime` counts finished requests as well. */
export interface LatencyRole extends RoleBase {
  readonly signal: LatencySignal;
  readonly msPerUnit: number;
  readonly outcome: Outcome;
}
/**
 * Monotonic counter of time spent, such as Triton's microseconds. Divided by what a counter of the same rank says that it
 * was spent on (`times: 'total'`: requests, or output tokens for `timePerOutputToken`) it is their mean.
 */
export interface TotalTimeRole extends RoleBase {
  readonly signal: 'totalTime';
  readonly of: LatencySignal;
  readonly msPerUnit: number;
}
/**
 * Which metric of the same rank tells how long the things took that a counter counts. `histogram`: then the counter is
 * believed for the number of requests, because it tells outcomes and the histogram does not. `total`: a `totalTime`.
 */
export type TimedBy = 'histogram' | 'total';
/** Monotonic counter of finished requests. */
export interface RequestsRole extends RoleBase {
  readonly signal: 'requests';
  readonly outcome: Outcome;
  readonly times?: TimedBy;
}
/** Something that stands at a level: gauge or up-down counter. `value · scale` is a count, or a ratio for caches. */
export interface LevelRole extends RoleBase {
  readonly signal: LevelSignal;
  readonly scale: number;
}
/** Monotonic counter of tokens, or a histogram whose sum is tokens. */
export interface TokensRole extends RoleBase {
  readonly signal: 'tokens';
  readonly direction: 'input' | 'output';
  readonly scale: number;
  readonly times?: 'total';
}
/** `value · scale` is in the unit of `measure`. */
export interface ResourceRole extends RoleBase {
  readonly signal: 'resource';
  readonly resource: Resource;
  readonly scope: ResourceScope;
  readonly measure: ResourceMeasure;
  readonly scale: number;
  /** CPU or GPU that the point speaks of, empty when it speaks of all. Values add up; utilisations of several devices average. */
  readonly device: string;
}
/** Histogram of a reward: what the process itself says its work was worth, more being better. Its mean counts. */
export interface RewardRole extends RoleBase {
  readonly signal: 'reward';
}
export type SignalRole =
  | LatencyRole
  | TotalTimeRole
  | RequestsRole
  | LevelRole
  | TokensRole
  | ResourceRole
  | RewardRole;
/** What the tuner measures a setting by: response times, and how many requests finished how. */
export type TunedRole = (LatencyRole & { readonly signal: 'responseTime' }) | TotalTimeRole | RequestsRole;

/**
 * Instrumentation scope of the agent's own host sampler. It and the process's SDK may report the same use of the same
 * process under the same names; the agent's own wins by half a rank, because all components are then measured alike.
 */
export const HOST_SAMPLER_SCOPE = 'performance-optimizer/host';

/**
 * Which requests failed. `standard`: by the attributes of the semantic conventions, see `outcomeOf`. A fixed outcome
 * where the metric counts only one kind; or the values of one attribute that mean an error.
 */
export type OutcomeRule =
  | 'standard'
  | Outcome
  | { readonly attribute: string; readonly errorValues: readonly string[] };

interface MappingBase {
  /** Metric name, exact or with `*` for any run of characters. */
  readonly metric: string;
  /** The row applies only to points whose attribute has one of these values; `''` stands for "attribute absent". */
  readonly where?: Readonly<Record<string, readonly string[]>>;
  readonly rank: number;
}
/** One row of the table: what a configuration can add or override. Earlier rows win over later ones. */
export type SignalMapping = MappingBase &
  (
    | {
        readonly signal: LatencySignal /** UCUM, when the series names none. */;
        readonly unit: string;
        readonly outcome?: OutcomeRule;
      }
    | { readonly signal: 'totalTime'; readonly of: LatencySignal; readonly unit: string }
    | { readonly signal: 'requests'; readonly outcome?: OutcomeRule; readonly times?: TimedBy }
    | { readonly signal: LevelSignal; readonly scale?: number }
    | {
        readonly signal: 'tokens';
        readonly direction: 'input' | 'output';
        readonly scale?: number;
        readonly times?: 'total';
      }
    | {
        readonly signal: 'resource';
        readonly resource: Resource;
        readonly scope: ResourceScope;
        readonly measure: ResourceMeasure;
        readonly scale?: number;
      }
    | { readonly signal: 'reward' }
    /** Says of a metric that it means nothing, to switch a default off. */
    | { readonly signal: 'ignore' }
  );

/** Finds the meaning of a series, once per series object. */
export class SignalMapper {
  readonly #exact = new Map<string, SignalMapping[]>();
  readonly #patterns: { readonly pattern: RegExp; readonly mapping: SignalMapping; readonly order: number }[] = [];
  readonly #order = new Map<SignalMapping, number>();
  /** `null`: looked up, means nothing. */
  readonly #roles = new WeakMap<Series, SignalRole | null>();

  /** Rows in order of preference: a configuration's own before `DEFAULT_MAPPINGS`. */
  constructor(mappings: readonly SignalMapping[]) {
    for (const [order, mapping] of mappings.entries()) {
      this.#order.set(mapping, order);
      if (mapping.metric.includes('*')) {
        this.#patterns.push({ pattern: globPattern(mapping.metric), mapping, order });
        continue;
      }
      const rows = this.#exact.get(mapping.metric);
      if (rows === undefined) this.#exact.set(mapping.metric, [mapping]);
      else rows.push(mapping);
    }
  }

  roleOf(series: Series): SignalRole | undefined {
    const known = this.#roles.get(series);
    if (known !== undefined) return known ?? undefined;
    const role = this.#find(series);
    this.#roles.set(series, role ?? null);
    return role;
  }

  /** The component that a series belongs to: its `service.name`. Host and agent-wide series belong to none. */
  componentOf(series: Series): string | undefined {
    const name = series.resource.get('service.name');
    return typeof name === 'string' && name !== '' ? name : undefined;
  }

  #find(series: Series): SignalRole | undefined {
    // An overflow series mixes whatever exceeded the sender's cardinality limit: its attributes mean nothing.
    if (series.attributes.get('otel.metric.overflow') === true) return undefined;
    const mapping = this.#match(series);
    return mapping === undefined ? undefined : roleFor(mapping, series);
  }

  #match(series: Series): SignalMapping | undefined {
    const exact = this.#exact.get(series.name)?.find((row) => holds(row, series));
    const pattern = this.#patterns.find((row) => row.pattern.test(series.name) && holds(row.mapping, series));
    if (exact === undefined || pattern === undefined) return exact ?? pattern?.mapping;
    return this.#order.get(exact)! < pattern.order ? exact : pattern.mapping;
  }
}

/**
 * Of several sources of one signal, the lowest rank seen lately. `replaced` says that a better source has just
 * appeared: what was accumulated from the one before must be dropped, because it counts the same things again.
 */
export class Precedence {
  #rank = Number.POSITIVE_INFINITY;
  #activeMs = Number.NEGATIVE_INFINITY;
  readonly #patienceMs: number;

  /** A source that counts nothing for `patienceMs` gives way to the next best. */
  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /**
   * `isActive`: something was counted. A source that reports nothing but zeros (a metric used once, while warming up,
   * and exported ever since) does not hold its place against one that counts.
   */
  offer(rank: number, nowMs: number, isActive = true): 'use' | 'replaced' | 'skip' {
    const isFirst = this.#rank === Number.POSITIVE_INFINITY;
    const isStale = nowMs - this.#activeMs > this.#patienceMs;
    if (rank !== this.#rank && !isFirst && (!isActive || (rank > this.#rank && !isStale))) return 'skip';
    const isReplaced = rank !== this.#rank && !isFirst;
    this.#rank = rank;
    if (isActive) this.#activeMs = nowMs;
    return isReplaced ? 'replaced' : 'use';
  }
}

/** Counters count only where no histogram of durations does, which tells more: they rank after all of them. */
const AFTER_HISTOGRAMS = 1_000;

/** Of the sources that a setting can be measured by. Metrics of one rank belong together and are taken together. */
export function tunedRank(role: TunedRole): number {
  const isBesideHistogram = role.signal === 'requests' && role.times === 'histogram';
  return role.signal === 'responseTime' || isBesideHistogram ? role.rank : role.rank + AFTER_HISTOGRAMS;
}

/** Of the sources that count finished requests: a counter that knows outcomes before the histogram beside it. */
export function requestsRank(role: LatencyRole | RequestsRole): number {
  if (role.signal !== 'requests') return role.rank;
  return role.times === 'histogram' ? role.rank - 0.25 : role.rank + AFTER_HISTOGRAMS;
}

export function isTuned(role: SignalRole): role is TunedRole {
  if (role.signal === 'totalTime') return role.of === 'responseTime';
  return role.signal === 'responseTime' || role.signal === 'requests';
}

/** UCUM first, then what exporters write instead. */
const MS_PER_UNIT: ReadonlyMap<string, number> = new Map(
  Object.entries({
    ...{ d: 86_400_000, h: 3_600_000, min: 60_000, s: 1_000, ms: 1, us: 1e-3, ns: 1e-6 },
    ...{ seconds: 1_000, milliseconds: 1, microseconds: 1e-3, µs: 1e-3, nanoseconds: 1e-6 },
  }),
);
const BYTES_PER_UNIT: ReadonlyMap<string, number> = new Map(
  Object.entries({ kBy: 1e3, MBy: 1e6, GBy: 1e9, KiBy: 2 ** 10, MiBy: 2 ** 20, GiBy: 2 ** 30 }),
);

/** Milliseconds per unit of a UCUM time unit; undefined for anything else. */
export function msPerUnit(unit: string): number | undefined {
  return MS_PER_UNIT.get(unit);
}

/** Bytes per unit of a UCUM unit of information; undefined for anything else. */
export function bytesPerUnit(unit: string): number | undefined {
  return unit === 'By' ? 1 : BYTES_PER_UNIT.get(unit);
}

function roleFor(mapping: SignalMapping, series: Series): SignalRole | undefined {
  const rank = series.scope === HOST_SAMPLER_SCOPE ? mapping.rank - 0.5 : mapping.rank;
  const base = { source: series.name, rank };
  const isLevel = series.kind === 'gauge' || (series.kind === 'sum' && !series.monotonic);
  const isCounter = series.kind === 'sum' && series.monotonic;
  switch (mapping.signal) {
    case 'ignore':
      return undefined;
    case 'responseTime':
    case 'timeToFirstToken':
    case 'timePerOutputToken':
    case 'queueTime': {
      const scale = msPerUnit(series.unit) ?? msPerUnit(mapping.unit);
      if (!isHistogram(series) || scale === undefined) return undefined;
      const outcome = applyRule(mapping.outcome ?? 'standard', series);
      return { ...base, signal: mapping.signal, msPerUnit: scale, outcome };
    }
    case 'totalTime': {
      const scale = msPerUnit(series.unit) ?? msPerUnit(mapping.unit);
      return isCounter && scale !== undefined
        ? { ...base, signal: 'totalTime', of: mapping.of, msPerUnit: scale }
        : undefined;
    }
    case 'requests': {
      if (!isCounter) return undefined;
      const outcome = applyRule(mapping.outcome ?? 'standard', series);
      return { ...base, signal: 'requests', outcome, ...(mapping.times !== undefined && { times: mapping.times }) };
    }
    case 'queueDepth':
    case 'inFlight':
    case 'cacheUsage':
    case 'cpuPressure':
    case 'memoryPressure':
    case 'ioPressure':
    case 'cpuThrottled':
    case 'diskUsed':
    case 'inodesUsed':
    case 'diskBusy':
    case 'diskWait':
      return isLevel
        ? { ...base, signal: mapping.signal, scale: (mapping.scale ?? 1) * ratioScale(series) }
        : undefined;
    case 'reward':
      return isHistogram(series) ? { ...base, signal: 'reward' } : undefined;
    case 'tokens':
      if (!isCounter && !isHistogram(series)) return undefined;
      return {
        ...{ ...base, signal: 'tokens', direction: mapping.direction, scale: mapping.scale ?? 1 },
        ...(mapping.times !== undefined && { times: mapping.times }),
      };
    case 'resource': {
      if (mapping.measure === 'time' ? !isCounter : !isLevel) return undefined;
      const seconds = mapping.measure === 'time' ? (msPerUnit(series.unit) ?? 1_000) / 1_000 : 1;
      const scale = (mapping.scale ?? 1) * seconds * ratioScale(series) * byteScale(series);
      const { resource, scope, measure } = mapping;
      return { ...base, signal: 'resource', resource, scope, measure, scale, device: deviceOf(series) };
    }
  }
}

function applyRule(rule: OutcomeRule, series: Series): Outcome {
  if (rule === 'standard') return outcomeOf(series.attributes);
  if (typeof rule === 'string') return rule;
  return rule.errorValues.includes(text(series.attributes.get(rule.attribute))) ? 'error' : 'ok';
}

function ratioScale(series: Series): number {
  return series.unit === '%' ? 0.01 : 1;
}

function byteScale(series: Series): number {
  return BYTES_PER_UNIT.get(series.unit) ?? 1;
}

/** OpenTelemetry names first; then DCGM's, where the parts of one GPU under MIG are devices of their own, and Triton's. */
const DEVICE_ATTRIBUTES = ['cpu.logical_number', 'cpu', 'hw.id', 'UUID', 'gpu_uuid', 'gpu'] as const;

function deviceOf({ attributes }: Series): string {
  const name = DEVICE_ATTRIBUTES.find((candidate) => attributes.has(candidate));
  if (name === undefined) return '';
  const part = text(attributes.get('GPU_I_ID'));
  return part === '' ? text(attributes.get(name)) : `${text(attributes.get(name))}/${part}`;
}

function holds(mapping: SignalMapping, series: Series): boolean {
  if (mapping.where === undefined) return true;
  return Object.entries(mapping.where).every(([key, values]) => values.includes(text(series.attributes.get(key))));
}

/** What is known without any configuration: the OpenTelemetry names, then those of AI servers that serve Prometheus pages. */
export const DEFAULT_MAPPINGS: readonly SignalMapping[] = [...OPENTELEMETRY_MAPPINGS, ...AI_SERVER_MAPPINGS];
