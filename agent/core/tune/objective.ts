import type { EngineSettings } from '../settings.ts';
import type { Measurement } from './window.ts';

/**
 * What "better" means: one number a window, lower is better, in log units so that 10 % faster counts the same at 5 ms and at 5 s.
 *
 *   y = w₁ ln(mean ms) + w₂ ln(p95 ms) − w₃ ln(requests/s) + w₄ (−ln(1 − errorRatio)) − w₅ ln(reward)
 *
 * Latencies are those of successful requests: a process that sheds load fast must not look fast, so lost requests enter through the
 * error term alone (weight 10: losing 1 % of the requests costs as much as 10 % of latency). Absent signals drop out; two windows
 * are comparable only when the same signals were present, which `signals` tells.
 * References do not appear: `ln(m / ref)` differs from `ln m` by a constant that cancels in every comparison.
 */
export interface Objective {
  readonly y: number;
  /** The signals that went into `y`, in a fixed order. */
  readonly signals: string;
}

export type ObjectiveWeights = EngineSettings['objective'];

export function objectiveOf(measurement: Measurement, weights: ObjectiveWeights): Objective | undefined {
  const { latencyMsMean, latencyMsP95, requestsPerSecond, errorRatio, rewardMean } = measurement;
  const rewardWeight = weights.reward ?? 0;
  const parts: string[] = [];
  let y = 0;
  if (weights.responseTimeMean > 0 && latencyMsMean !== undefined && latencyMsMean > 0) {
    parts.push('responseTimeMean');
    y += weights.responseTimeMean * Math.log(latencyMsMean);
  }
  if (weights.responseTimeP95 > 0 && latencyMsP95 !== undefined && latencyMsP95 > 0) {
    parts.push('responseTimeP95');
    y += weights.responseTimeP95 * Math.log(latencyMsP95);
  }
  if (rewardWeight > 0 && rewardMean !== undefined && rewardMean > 0) {
    parts.push('reward');
    y -= rewardWeight * Math.log(rewardMean);
  }
  // With no latency at all (a batch job), throughput is what there is to improve.
  const throughputWeight = parts.length === 0 ? Math.max(weights.throughput, 1) : weights.throughput;
  if (throughputWeight > 0 && requestsPerSecond !== undefined && requestsPerSecond > 0) {
    parts.push('throughput');
    y -= throughputWeight * Math.log(requestsPerSecond);
  }
  if (parts.length === 0) return undefined;
  if (weights.errorRate > 0 && errorRatio !== undefined) {
    parts.push('errorRate');
    // Half a request short of "all failed" keeps the logarithm finite.
    const served = Math.max(1 - errorRatio, 0.5 / (measurement.requests + 1));
    y -= weights.errorRate * Math.log(served);
  }
  return { y, signals: parts.join('+') };
}
