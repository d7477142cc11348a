import type { PerformanceProfile } from './profile/performance_profile.ts';

/** The design document's performance thresholds; resource limits in percent. */
export interface HealthThresholds {
  readonly responseTimeMs: {
    readonly excellent: number;
    readonly good: number;
    readonly acceptable: number;
    readonly poor: number;
  };
  readonly throughputPerSecond: { readonly minimum: number; readonly target: number; readonly maximum: number };
  readonly resourcePercent: { readonly cpu: number; readonly memory: number; readonly gpu: number };
  /** Largest share of failed requests that is acceptable. */
  readonly errorRatio: number;
}

export const DEFAULT_HEALTH_THRESHOLDS: HealthThresholds = {
  responseTimeMs: { excellent: 10, good: 50, acceptable: 200, poor: 1_000 },
  throughputPerSecond: { minimum: 10, target: 100, maximum: 1_000 },
  resourcePercent: { cpu: 80, memory: 85, gpu: 90 },
  errorRatio: 0.02,
};

export const HEALTH_PARTS = ['responseTime', 'reliability', 'cpu', 'memory', 'gpu'] as const;
export type HealthPart = (typeof HEALTH_PARTS)[number];

export type Health =
  | {
      readonly status: 'healthy' | 'degraded' | 'unhealthy';
      /** In [0, 1]. */
      readonly score: number;
      /** The part that the score is that of. */
      readonly worst: HealthPart;
      /** Every part that was measured. */
      readonly parts: { readonly [part in HealthPart]?: number };
    }
  /** Nothing was measured: neither good nor bad, so there is no score. */
  | { readonly status: 'unknown' };

/** At the edges of the bands a part scores this much: acceptable is still healthy, poor is not. */
const SCORE = { excellent: 1, good: 0.95, acceptable: 0.8, poor: 0.4 };
const HEALTHY_FROM = 0.8;
const DEGRADED_FROM = 0.5;

/**
 * Health of a component: the score of its weakest part. A mean would let an idle CPU make up for failing requests.
 *
 *     score = min over measured parts; healthy ≥ 0.8 > degraded ≥ 0.5 > unhealthy
 *
 * - `responseTime`, from p95 in ms: 1 up to `excellent`, 0.95 at `good`, 0.8 at `acceptable`, 0.4 at `poor`, 0 from ten
 *   times `poor`; between these linear in log(ms), because twice as slow is the same step everywhere.
 * - `reliability`: `1 − 0.2 · e / limit` up to the limit on the error ratio `e` (0.8 there), then falling linearly to 0
 *   at five times the limit.
 * - `cpu`, `memory`, `gpu`, from use ÷ available: 1 up to half the threshold, falling linearly to 0.8 at the threshold
 *   and on to 0.4 at 100 %. Busy is no failure in itself, so a resource alone makes a component unhealthy only when full.
 *
 * Dimensionless, in [0, 1], and never better when a part is worse. Throughput is not part of it: little traffic is not
 * bad health. Fails when the thresholds do not fit the service: an LLM's answers take seconds, so set them.
 *
 * Example: p95 of 200 ms, no errors, CPU at 40 % of 80: min(0.8, 1, 1) = 0.8, healthy.
 *
 * @figure Health score and status [0, 1]
 */
export function healthOf(profile: PerformanceProfile, thresholds: HealthThresholds): Health {
  const { metrics, resources } = profile;
  const { cpu, memory, gpu } = resources;
  const p95 = metrics.responseTime?.p95;
  const measured: readonly (readonly [HealthPart, number | undefined])[] = [
    ['responseTime', p95 === undefined ? undefined : responseTimeScore(p95, thresholds)],
    ['reliability', metrics.errorRate === undefined ? undefined : reliabilityScore(metrics.errorRate, thresholds)],
    ['cpu', resourceScore(cpu?.utilizationRatio, thresholds.resourcePercent.cpu)],
    ['memory', resourceScore(memory?.utilizationRatio, thresholds.resourcePercent.memory)],
    ['gpu', resourceScore(gpu?.utilizationRatio, thresholds.resourcePercent.gpu)],
  ];
  const parts: { [part in HealthPart]?: number } = {};
  let worst: HealthPart | undefined;
  for (const [part, score] of measured) {
    if (score === undefined) continue;
    parts[part] = score;
    if (worst === undefined || score < parts[worst]!) worst = part;
  }
  if (worst === undefined) return { status: 'unknown' };
  const score = parts[worst]!;
  return { status: statusAt(score), score, worst, parts };
}

export function statusAt(score: number): 'healthy' | 'degraded' | 'unhealthy' {
  return score >= HEALTHY_FROM ? 'healthy' : score >= DEGRADED_FROM ? 'degraded' : 'unhealthy';
}

export function responseTimeScore(ms: number, { responseTimeMs }: HealthThresholds): number {
  const { excellent, good, acceptable, poor } = responseTimeMs;
  return interpolate(Math.log(Math.max(ms, Number.MIN_VALUE)), [
    [Math.log(excellent), SCORE.excellent],
    [Math.log(good), SCORE.good],
    [Math.log(acceptable), SCORE.acceptable],
    [Math.log(poor), SCORE.poor],
    [Math.log(poor * 10), 0],
  ]);
}

function reliabilityScore(errorRatio: number, { errorRatio: limit }: HealthThresholds): number {
  return interpolate(errorRatio, [
    [0, 1],
    [limit, SCORE.acceptable],
    [limit * 5, 0],
  ]);
}

function resourceScore(ratio: number | undefined, percent: number): number | undefined {
  if (ratio === undefined) return undefined;
  const threshold = percent / 100;
  return interpolate(ratio, [
    [threshold / 2, 1],
    [threshold, SCORE.acceptable],
    [1, SCORE.poor],
  ]);
}

/** Piecewise linear through points of rising x; flat outside. */
export function interpolate(x: number, points: readonly (readonly [x: number, y: number])[]): number {
  let [beforeX, beforeY] = points[0]!;
  for (const [atX, atY] of points) {
    if (x <= atX) return atX === beforeX ? atY : beforeY + ((atY - beforeY) * (x - beforeX)) / (atX - beforeX);
    [beforeX, beforeY] = [atX, atY];
  }
  return beforeY;
}
