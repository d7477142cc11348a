import type { ObjectiveWeights } from './objective.ts';
import type { Measurement } from './window.ts';

export const OBJECTIVES = ['responseTimeMean', 'responseTimeP95', 'throughput', 'errorRate'] as const;
export type ObjectiveName = (typeof OBJECTIVES)[number];

/** A window's objectives apart, in log units, lower is better; what was not measured is absent. Same terms as in `objective.ts`. */
export type ObjectiveValues = { readonly [name in ObjectiveName]?: number };

export function objectivesOf(measurement: Measurement): ObjectiveValues {
  const { latencyMsMean, latencyMsP95, requestsPerSecond, errorRatio, requests } = measurement;
  return {
    ...(latencyMsMean !== undefined && latencyMsMean > 0 && { responseTimeMean: Math.log(latencyMsMean) }),
    ...(latencyMsP95 !== undefined && latencyMsP95 > 0 && { responseTimeP95: Math.log(latencyMsP95) }),
    ...(requestsPerSecond !== undefined && requestsPerSecond > 0 && { throughput: -Math.log(requestsPerSecond) }),
    ...(errorRatio !== undefined && { errorRate: -Math.log(Math.max(1 - errorRatio, 0.5 / (requests + 1))) }),
  };
}

/** Those that count. */
export function weighed(weights: ObjectiveWeights): readonly ObjectiveName[] {
  return OBJECTIVES.filter((name) => weights[name] > 0);
}
