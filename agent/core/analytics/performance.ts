import { type HealthThresholds, interpolate, responseTimeScore } from '../health.ts';
import type { PerformanceProfile } from '../profile/performance_profile.ts';

const WEIGHT = { responseTime: 0.5, reliability: 0.3, throughput: 0.2 };
/** What throughput is worth at `thresholds.throughput.minimum`: acceptable, as at the edge of the response time's band. */
const AT_MINIMUM = 0.8;

/**
 * How well a component does what it is for: the weighted geometric mean of three parts.
 *
 *     score = Π part_k ^ (w_k / Σ w)      [0, 1]
 *
 * - response time (w = 0.5): the score of the health's band for p95, or for the average where there are no percentiles;
 * - reliability (w = 0.3): the window's share of requests that succeeded;
 * - throughput (w = 0.2): 0 at none, 0.8 at `thresholds.throughput.minimum`, 1 from `target` on, linear between.
 *
 * Parts that were not measured drop out, and their weights with them. Geometric, so that a part at 0 makes the whole 0:
 * fast failures are no performance. Falls when response times rise, rises with reliability and throughput. Absent where
 * no part was measured. Fails when the thresholds do not fit the service: set them.
 *
 * Example: p95 at `acceptable` (0.8), all requests succeed (1), throughput at `target` (1): 0.8^0.5 = 0.894.
 *
 * @figure Performance score [0, 1]
 */
export function performanceScore({ metrics }: PerformanceProfile, thresholds: HealthThresholds): number | undefined {
  const { responseTime, reliability, throughput } = metrics;
  const ms = responseTime?.p95 ?? responseTime?.average;
  const { minimum, target } = thresholds.throughputPerSecond;
  const parts: readonly (readonly [weight: number, score: number | undefined])[] = [
    [WEIGHT.responseTime, ms === undefined ? undefined : responseTimeScore(ms, thresholds)],
    [WEIGHT.reliability, reliability?.average],
    [WEIGHT.throughput, throughput && throughputScore(throughput.average, minimum, target)],
  ];
  let logs = 0;
  let weights = 0;
  for (const [weight, score] of parts) {
    if (score === undefined) continue;
    logs += weight * Math.log(score);
    weights += weight;
  }
  return weights === 0 ? undefined : Math.min(1, Math.exp(logs / weights));
}

function throughputScore(perSecond: number, minimum: number, target: number): number {
  if (perSecond >= target) return 1;
  return interpolate(perSecond, [
    [0, 0],
    [minimum, AT_MINIMUM],
    [target, 1],
  ]);
}
