import { figure, percent } from '../figures.ts';
import type { HealthThresholds } from '../health.ts';
import { HOST_COMPONENT } from '../insight/finding.ts';
import type { PerformanceProfile } from '../profile/performance_profile.ts';
import type { StallSignal } from '../signals.ts';
import { SHARED_RESOURCES, type SharedResource } from './usage.ts';

export const BOTTLENECK_KINDS = [
  'utilization',
  'pressure',
  'throttling',
  'queue_growth',
  'starved',
  'overload',
] as const;
export type BottleneckKind = (typeof BOTTLENECK_KINDS)[number];

/** Something that holds a component, or the machine, up now. */
export interface Bottleneck {
  /** `@host`: the machine. */
  readonly component: string;
  readonly kind: BottleneckKind;
  readonly resource?: SharedResource | 'io';
  /** How bad, in (0, 1]; see `bottlenecksOf`. */
  readonly score: number;
  /** One sentence for a human. */
  readonly reason: string;
  /** What it rests on, units last. */
  readonly signals: Readonly<Record<string, number>>;
}

export interface BottleneckRules {
  readonly thresholds: HealthThresholds;
  /** Share of time waited for a resource from which on it counts as short. */
  readonly pressureRatio: number;
}

/** Some throttled periods are the price of a quota; beyond one in twenty requests feel it. */
const THROTTLED_RATIO = 0.05;
const GROWING_TREND = 0.3;
const FEW_WAITING = 2;

const PRESSURES = [
  ['cpuPressure', 'cpu'],
  ['memoryPressure', 'memory'],
  ['ioPressure', 'io'],
] as const satisfies readonly (readonly [StallSignal, SharedResource | 'io'])[];

/**
 * What holds a component up, worst first, each with a score.
 *
 * - `utilization`, use `u` of CPU, memory or GPU at or above its threshold `t`: `(u − t) / (1 − t)`;
 * - `pressure`, share of the last ten seconds in which something waited for CPU, memory or I/O (the kernel's PSI), at or above
 *   `resources.pressure`: that share;
 * - `throttling`, share of scheduling periods in which the CPU quota ran out, at or above 5 %: that share;
 * - `queue_growth`, at least two waiting, more than the mean, and trend `τ ≥ 0.3`: `τ · (1 − mean / now)`;
 * - `starved`, throughput `x` below `thresholds.throughput.minimum` while requests wait: `1 − x / minimum`;
 * - `overload`, throughput `x` above `thresholds.throughput.maximum`: `1 − maximum / x`.
 *
 * Dimensionless, in [0, 1]; 0 is just at its threshold. Grows with what is measured. What was not measured is no bottleneck and no
 * reassurance either. Fails where a cause is outside what is measured (a lock, a slow neighbour over the network): then only
 * the queue shows.
 *
 * Sources: B. Gregg, "Thinking methodically about performance" (the USE method: utilisation, saturation, errors), CACM 56 (2013);
 * the kernel's Documentation/accounting/psi.rst.
 *
 * Example: a CPU 90 % busy with a threshold of 80 %: 0.5.
 *
 * @figure Bottleneck score [0, 1]
 */
export function bottlenecksOf(
  component: string,
  profile: PerformanceProfile,
  { thresholds, pressureRatio }: BottleneckRules,
): readonly Bottleneck[] {
  const who = component === HOST_COMPONENT ? 'the machine' : component;
  const found: Bottleneck[] = [];
  for (const resource of SHARED_RESOURCES) {
    const usage = profile.resources[resource];
    // The machine's GPU is the machine's bottleneck, not that of each component on it.
    if (usage?.utilizationRatio === undefined || (component !== HOST_COMPONENT && usage.scope === 'host')) continue;
    const threshold = thresholds.resourcePercent[resource] / 100;
    const used = usage.utilizationRatio;
    if (used < threshold) continue;
    found.push({
      ...{ component, kind: 'utilization', resource },
      score: threshold >= 1 ? 1 : (used - threshold) / (1 - threshold),
      reason: `${who} uses ${percent(used)} of its ${resource}, above the threshold of ${percent(threshold)}`,
      signals: { utilizationRatio: used, thresholdRatio: threshold },
    });
  }
  for (const [signal, resource] of PRESSURES) {
    const share = profile.stalls?.[signal]?.current;
    if (share === undefined || share < pressureRatio) continue;
    found.push({
      ...{ component, kind: 'pressure', resource, score: Math.min(1, share) },
      reason: `${who} waited for ${resource} in ${percent(share)} of the time`,
      signals: { stalledRatio: share, thresholdRatio: pressureRatio },
    });
  }
  const throttled = profile.stalls?.cpuThrottled?.current;
  if (throttled !== undefined && throttled >= THROTTLED_RATIO) {
    found.push({
      ...{ component, kind: 'throttling', resource: 'cpu', score: Math.min(1, throttled) },
      reason: `${who} ran out of its CPU quota in ${percent(throttled)} of the scheduling periods`,
      signals: { throttledRatio: throttled, thresholdRatio: THROTTLED_RATIO },
    });
  }
  return [...found, ...loadBottlenecks(component, profile, thresholds)].sort((a, b) => b.score - a.score);
}

function loadBottlenecks(
  component: string,
  { metrics }: PerformanceProfile,
  { throughputPerSecond }: HealthThresholds,
): readonly Bottleneck[] {
  const { queueDepth, throughput } = metrics;
  const found: Bottleneck[] = [];
  const trend = queueDepth?.trend;
  if (queueDepth !== undefined && trend !== undefined && trend >= GROWING_TREND) {
    const { current, average } = queueDepth;
    if (current >= FEW_WAITING && current > average) {
      found.push({
        ...{ component, kind: 'queue_growth', score: trend * (1 - average / current) },
        reason: `the queue of ${component} grows: ${figure(current)} wait now, ${figure(average)} on average`,
        signals: { queueDepth: current, queueDepthAverage: average, trend },
      });
    }
  }
  const { minimum, maximum } = throughputPerSecond;
  if (throughput !== undefined && throughput.average < minimum && (queueDepth?.average ?? 0) >= 1) {
    found.push({
      ...{ component, kind: 'starved', score: 1 - throughput.average / minimum },
      reason: `${component} answers ${figure(throughput.average)} requests/s, fewer than the ${figure(minimum)} that are acceptable, while ${figure(queueDepth?.average ?? 0)} wait`,
      signals: { throughputPerSecond: throughput.average, minimumPerSecond: minimum },
    });
  }
  if (throughput !== undefined && throughput.current > maximum) {
    found.push({
      ...{ component, kind: 'overload', score: 1 - maximum / throughput.current },
      reason: `${component} answers ${figure(throughput.current)} requests/s, more than the ${figure(maximum)} that were expected at most`,
      signals: { throughputPerSecond: throughput.current, maximumPerSecond: maximum },
    });
  }
  return found;
}
