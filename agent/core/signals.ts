/**
 * What a series means. A standard exporter needs no configuration: the table at the end knows the OpenTelemetry names,
 * and a configuration puts its own rows in front of it.
 *
 * One component often reports the same thing several times (`gen_ai.server.request.duration` and
 * `http.server.request.duration` time the same request). Each row has a rank; of the ranks present for a signal only
 * the lowest counts (`Precedence`), so that nothing is counted twice.
 */
import type { Series } from './model.ts';
import { type Outcome, outcomeOf, attributeText as text } from './outcome.ts';

export const LATENCY_SIGNALS = ['responseTime', 'timeToFirstToken', 'timePerOutputToken', 'queueTime'] as const;
export type LatencySignal = (typeof LATENCY_SIGNALS)[number];
export const LEVEL_SIGNALS = ['queueDepth', 'inFlight', 'cacheUsage'] as const;
export type LevelSignal = (typeof LEVEL_SIGNALS)[number];
export const RESOURCES = ['cpu', 'memory', 'gpu', 'gpuMemory'] as const;
export type Resource = (typeof RESOURCES)[number];
export type ResourceScope = 'process' | 'container' | 'host';
/**
 * `utilization`: ratio of what is available. `usage` and `limit`: CPU cores, or bytes. `time`: CPU seconds, cumulative
 * or delta, whose rate is `usage`.
 */
export type ResourceMeasure = 'utilization' | 'usage' | 'limit' | 'time';

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
/** Monotonic counter of finished requests. */
export interface RequestsRole extends RoleBase {
  readonly signal: 'requests';
  readonly outcome: Outcome;
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
export type SignalRole = LatencyRole | RequestsRole | LevelRole | TokensRole | ResourceRole;

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
    | { readonly signal: 'requests'; readonly outcome?: OutcomeRule }
    | { readonly signal: LevelSignal; readonly scale?: number }
    | { readonly signal: 'tokens'; readonly direction: 'input' | 'output'; readonly scale?: number }
    | {
        readonly signal: 'resource';
        readonly resource: Resource;
        readonly scope: ResourceScope;
        readonly measure: ResourceMeasure;
        readonly scale?: number;
      }
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

/** A counter of requests counts only where no histogram of their durations does: it ranks after all of them. */
export function requestsRank(role: LatencyRole | RequestsRole): number {
  return role.signal === 'requests' ? role.rank + 1_000 : role.rank;
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
      if (series.kind !== 'histogram' || scale === undefined) return undefined;
      const outcome = applyRule(mapping.outcome ?? 'standard', series);
      return { ...base, signal: mapping.signal, msPerUnit: scale, outcome };
    }
    case 'requests':
      return isCounter
        ? { ...base, signal: 'requests', outcome: applyRule(mapping.outcome ?? 'standard', series) }
        : undefined;
    case 'queueDepth':
    case 'inFlight':
    case 'cacheUsage':
      return isLevel
        ? { ...base, signal: mapping.signal, scale: (mapping.scale ?? 1) * ratioScale(series) }
        : undefined;
    case 'tokens':
      return isCounter || series.kind === 'histogram'
        ? { ...base, signal: 'tokens', direction: mapping.direction, scale: mapping.scale ?? 1 }
        : undefined;
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

function deviceOf(series: Series): string {
  const { attributes } = series;
  return text(attributes.get('cpu.logical_number') ?? attributes.get('cpu') ?? attributes.get('hw.id'));
}

function holds(mapping: SignalMapping, series: Series): boolean {
  if (mapping.where === undefined) return true;
  return Object.entries(mapping.where).every(([key, values]) => values.includes(text(series.attributes.get(key))));
}

function globPattern(glob: string): RegExp {
  const escaped = glob.split('*').map((literal) => literal.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${escaped.join('.*')}$`);
}

/** CPU modes in which a CPU does something; the hostmetrics receiver says `state`, the conventions `cpu.mode`. */
const BUSY_MODES = ['', 'user', 'nice', 'system', 'kernel', 'interrupt', 'softirq', 'steal'];
const busy = { 'cpu.mode': BUSY_MODES, state: BUSY_MODES };
const used = { 'system.memory.state': ['', 'used'], state: ['', 'used'] };
const anyPoint = {};

function latency(rank: number, metric: string, signal: LatencySignal, unit: string): SignalMapping {
  return { rank, metric, signal, unit };
}
function resource(
  rank: number,
  metric: string,
  resource: Resource,
  scope: ResourceScope,
  measure: ResourceMeasure,
  where: Readonly<Record<string, readonly string[]>>,
): SignalMapping {
  return { rank, metric, signal: 'resource', resource, scope, measure, where };
}

/**
 * OpenTelemetry semantic conventions. Ranks: the model server's own view (10) before HTTP (20), RPC (30) and what the
 * process sees as a client (40); for resources the process (10) before its container (20) before the machine (30), and
 * a finished utilisation before a time that must be turned into one (+1).
 */
export const DEFAULT_MAPPINGS: readonly SignalMapping[] = [
  latency(10, 'gen_ai.server.request.duration', 'responseTime', 's'),
  latency(20, 'http.server.request.duration', 'responseTime', 's'),
  latency(21, 'http.server.duration', 'responseTime', 'ms'),
  latency(30, 'rpc.server.call.duration', 'responseTime', 's'),
  latency(31, 'rpc.server.duration', 'responseTime', 'ms'),
  latency(40, 'gen_ai.client.operation.duration', 'responseTime', 's'),
  latency(10, 'gen_ai.server.time_to_first_token', 'timeToFirstToken', 's'),
  latency(10, 'gen_ai.server.time_per_output_token', 'timePerOutputToken', 's'),
  { rank: 20, metric: 'http.server.active_requests', signal: 'inFlight' },
  {
    ...{ rank: 40, metric: 'gen_ai.client.token.usage', signal: 'tokens', direction: 'output' },
    where: { 'gen_ai.token.type': ['output', 'completion'] },
  },
  {
    ...{ rank: 40, metric: 'gen_ai.client.token.usage', signal: 'tokens', direction: 'input' },
    where: { 'gen_ai.token.type': ['input'] },
  },

  resource(10, 'process.cpu.utilization', 'cpu', 'process', 'utilization', busy),
  resource(11, 'process.cpu.time', 'cpu', 'process', 'time', busy),
  resource(20, 'container.cpu.usage', 'cpu', 'container', 'usage', busy),
  resource(21, 'container.cpu.time', 'cpu', 'container', 'time', busy),
  resource(20, 'container.cpu.limit', 'cpu', 'container', 'limit', anyPoint),
  resource(21, 'k8s.container.cpu.limit', 'cpu', 'container', 'limit', anyPoint),
  resource(30, 'system.cpu.utilization', 'cpu', 'host', 'utilization', busy),
  resource(30, 'system.cpu.logical.count', 'cpu', 'host', 'limit', anyPoint),

  resource(10, 'process.memory.usage', 'memory', 'process', 'usage', anyPoint),
  resource(20, 'container.memory.working_set', 'memory', 'container', 'usage', anyPoint),
  resource(21, 'container.memory.usage', 'memory', 'container', 'usage', anyPoint),
  resource(20, 'container.memory.limit', 'memory', 'container', 'limit', anyPoint),
  resource(21, 'k8s.container.memory.limit', 'memory', 'container', 'limit', anyPoint),
  resource(30, 'system.memory.usage', 'memory', 'host', 'usage', used),
  resource(30, 'system.memory.limit', 'memory', 'host', 'limit', anyPoint),

  resource(30, 'hw.gpu.utilization', 'gpu', 'host', 'utilization', { 'hw.gpu.task': ['', 'general'] }),
  resource(30, 'hw.gpu.memory.usage', 'gpuMemory', 'host', 'usage', anyPoint),
  resource(30, 'hw.gpu.memory.limit', 'gpuMemory', 'host', 'limit', anyPoint),
];
