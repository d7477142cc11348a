import { figure } from '../figures.ts';
import type { CapacityAnswer, CapacityReport } from '../forecast/capacity.ts';
import type { Health, HealthThresholds } from '../health.ts';
import type { Decision } from '../model.ts';
import type { PerformanceProfile } from '../profile/performance_profile.ts';
import type { Bottleneck } from '../resources/bottleneck.ts';
import type { TunerView } from '../tune/view.ts';
import type { Draft } from './recommendation.ts';
import { approvalSteps, knobSteps, limitSteps, modeSteps, replicaSteps } from './steps.ts';

/** What is known of a component when advice is sought. */
export interface Facts {
  readonly component: string;
  readonly profile?: PerformanceProfile;
  readonly tuning?: TunerView;
  readonly health: Health;
  readonly bottlenecks: readonly Bottleneck[];
  readonly capacity?: CapacityReport;
  /** What the machine has, in cores and MiB. */
  readonly machine: { readonly cpu?: number; readonly memory?: number };
}

/** What a strategy recommends or proposes: its change, exactly. Undefined for any other decision. */
export function draftOf(decision: Decision, tuning: TunerView | undefined): Draft | undefined {
  const { kind, component, strategy, proposalId, changes, reason, evidence } = decision;
  if (strategy === undefined || (kind !== 'recommended' && kind !== 'proposed')) return undefined;
  const specs = new Map(tuning?.knobs.map(({ spec }) => [spec.id, spec]));
  const steps = changes.flatMap((change) => knobSteps(component, change, specs.get(change.knob)));
  return {
    key: proposalId === undefined ? `${component} strategy ${strategy}` : `${component} proposal ${proposalId}`,
    source: 'strategy',
    optimization: strategy,
    steps: proposalId === undefined ? steps : [...approvalSteps(proposalId), ...steps],
    signals: evidence?.signals ?? {},
    ...{ component, strategy, changes, reason },
    ...(proposalId !== undefined && { proposalId }),
  };
}

/** Most limits by which a single recommendation raises anything: beyond, the cause is elsewhere. */
const MOST_RAISE = 4;

/**
 * What to do about what is short now, will be short, or is unwell. Only where the change can be said exactly: a limit is raised
 * so far that what is used, or will be, is at its threshold.
 */
export function draftsFor(facts: Facts, thresholds: HealthThresholds): readonly Draft[] {
  const all = [
    ...facts.bottlenecks.flatMap((bottleneck) => fromBottleneck(bottleneck, facts, thresholds) ?? []),
    ...(facts.capacity === undefined ? [] : fromCapacity(facts.capacity, facts, thresholds)),
    ...(fromHealth(facts) ?? []),
  ];
  // What is short already and will be short is one matter, and the present one is said.
  return [...new Map(all.toReversed().map((draft) => [draft.key, draft])).values()].toReversed();
}

function fromBottleneck(
  { kind, resource, reason, signals }: Bottleneck,
  facts: Facts,
  { resourcePercent }: HealthThresholds,
): Draft | undefined {
  const { component, profile } = facts;
  const isShort = kind === 'utilization' || kind === 'throttling' || kind === 'pressure';
  if (isShort && (resource === 'cpu' || resource === 'memory')) {
    const usage = profile?.resources[resource];
    const stalls = profile?.stalls;
    if (usage?.capacity === undefined) return undefined;
    const used = resource === 'cpu' ? (usage.peak / 100) * usage.capacity : usage.peak;
    const stalled =
      resource === 'cpu'
        ? Math.max(stalls?.cpuThrottled?.current ?? 0, stalls?.cpuPressure?.current ?? 0)
        : (stalls?.memoryPressure?.current ?? 0);
    const wanted = used / (1 - Math.min(0.5, stalled)) / (resourcePercent[resource] / 100);
    return raising(resource, usage.capacity, wanted, facts, { source: 'bottleneck', reason, signals });
  }
  if (kind === 'queue_growth' || kind === 'starved') {
    return moreRoomToTune(facts, { key: `${component} queue`, source: 'bottleneck', reason, signals });
  }
  return undefined;
}

function fromCapacity({ metrics, load }: CapacityReport, facts: Facts, thresholds: HealthThresholds): readonly Draft[] {
  const drafts = metrics.flatMap((answer) => fromForecast(answer, facts, thresholds) ?? []);
  if (load?.expectedPeakPerSecond === undefined || load.headRoomRatio === undefined || load.headRoomRatio >= 0) {
    return drafts;
  }
  const replicas = Math.ceil(load.expectedPeakPerSecond / load.throughputPerSecond);
  if (!(replicas >= 2 && replicas <= 100)) return drafts;
  const { component } = facts;
  return [
    ...drafts,
    {
      ...{ key: `${component} replicas`, component, source: 'forecast', optimization: 'More instances' },
      reason: `up to ${figure(load.expectedPeakPerSecond)} requests/s are expected, and ${figure(load.throughputPerSecond)} are what one instance can answer within its latency limit: ${replicas} for each of today's`,
      steps: replicaSteps(replicas),
      signals: { expectedPeakPerSecond: load.expectedPeakPerSecond, throughputPerSecond: load.throughputPerSecond },
    },
  ];
}

function fromForecast(
  { metric, worst, limit, breach }: CapacityAnswer,
  facts: Facts,
  { resourcePercent }: HealthThresholds,
): Draft | undefined {
  const resource = metric === 'cpuPercent' ? 'cpu' : metric === 'memoryMiB' ? 'memory' : undefined;
  // Until even the lucky path ends at the limit, "it may fill up" is noise.
  if (resource === undefined || worst === undefined || breach?.latestMs === undefined || limit === undefined) {
    return undefined;
  }
  const capacity = facts.profile?.resources[resource]?.capacity;
  if (capacity === undefined) return undefined;
  const used = resource === 'cpu' ? (worst.median / 100) * capacity : worst.median;
  const wanted = used / (resourcePercent[resource] / 100);
  const hours = breach.latestMs / 3_600_000;
  return raising(resource, capacity, wanted, facts, {
    source: 'forecast',
    reason: `${metric} of ${facts.component} is forecast to reach its limit of ${figure(limit.value)} within ${figure(hours)} h`,
    signals: { forecast: worst.median, limit: limit.value, hoursToLimit: hours },
  });
}

/** A container's limit raised to what is wanted, where it is the container's and not the machine that ends it. */
function raising(
  resource: 'cpu' | 'memory',
  capacity: number,
  wanted: number,
  { component, machine }: Facts,
  why: Pick<Draft, 'source' | 'reason' | 'signals'>,
): Draft | undefined {
  const total = machine[resource];
  const isContainers = total === undefined || capacity < total * 0.999;
  const amount = Math.min(wanted, capacity * MOST_RAISE, total ?? Number.POSITIVE_INFINITY);
  if (!isContainers || !(amount > capacity)) return undefined;
  const unit = resource === 'cpu' ? 'cores' : 'MiB';
  const effect = amount < wanted ? 'is as far as it should go at once' : 'would bring it to its threshold';
  return {
    ...{ key: `${component} limit ${resource}`, component, ...why },
    optimization: resource === 'cpu' ? 'Raise the CPU limit' : 'Raise the memory limit',
    reason: `${why.reason}; its limit is ${figure(capacity)} ${unit}, and ${figure(amount)} ${effect}`,
    steps: limitSteps(resource, amount),
  };
}

/** Where knobs could help and the tuner may not move them, it should be let. */
function moreRoomToTune(
  { component, tuning }: Facts,
  why: Pick<Draft, 'key' | 'source' | 'reason' | 'signals'>,
): Draft | undefined {
  const held = tuning?.knobs.filter(({ mode, spec }) => mode === 'observe' && spec.applyClass !== 'restart') ?? [];
  if (held.length === 0 || tuning?.connected !== true) return undefined;
  const names = held.map(({ spec }) => spec.id).join(', ');
  return {
    ...{ ...why, component, optimization: 'Let the tuner look' },
    reason: `${why.reason}; ${names} might help, and the tuner may only observe`,
    steps: modeSteps(component, 'approve'),
  };
}

function fromHealth(facts: Facts): readonly Draft[] | undefined {
  const { component, health } = facts;
  if (health.status === 'unknown' || health.status === 'healthy') return undefined;
  const reason = `${component} is ${health.status}: its ${health.worst} scores ${figure(health.score)}`;
  const signals = { healthScore: health.score };
  const draft = moreRoomToTune(facts, { key: `${component} queue`, source: 'health', reason, signals });
  return draft && [draft];
}
