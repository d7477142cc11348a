/** Figures of a latency sample. */
export interface LatencySummary {
  readonly count: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

/** Quantiles are the sample's own (nearest rank); NaN of an empty sample. */
export function summarise(latenciesMs: Float64Array): LatencySummary {
  const sorted = latenciesMs.toSorted();
  const quantile = (q: number): number => sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
  const sum = sorted.reduce((total, value) => total + value, 0);
  return {
    count: sorted.length,
    meanMs: sum / sorted.length,
    p50Ms: quantile(0.5),
    p95Ms: quantile(0.95),
    p99Ms: quantile(0.99),
  };
}

/**
 * What the agent is told to minimise in `agent.yaml`, computed here on its own: half the log of the mean and half that of the
 * p95 response time, and ten times −log(1 − share of errors). A difference of −0.1 is about 10 % better.
 */
export function logObjective({ meanMs, p95Ms, count }: LatencySummary, errors: number): number {
  return 0.5 * Math.log(meanMs) + 0.5 * Math.log(p95Ms) - 10 * Math.log(count / (count + errors));
}

export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Mean of independent values with its 95 % Student t interval. The number of values is fixed in advance here, so no
 * sequential correction is needed; and it is another method than the agent's own, which makes it a check of it.
 */
export function studentInterval(values: readonly number[]): Interval {
  const n = values.length;
  const estimate = values.reduce((sum, value) => sum + value, 0) / n;
  const variance = values.reduce((sum, value) => sum + (value - estimate) ** 2, 0) / (n - 1);
  const radius = studentQuantile975(n - 1) * Math.sqrt(variance / n);
  return { estimate, low: estimate - radius, high: estimate + radius };
}

/** 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom. */
const T_975 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

function studentQuantile975(degreesOfFreedom: number): number {
  if (degreesOfFreedom < 1) throw new RangeError('an interval needs two values at least');
  // Beyond the table: the normal quantile with its first correction, (z³ + z) / 4ν. Off by less than 0.001.
  return T_975[degreesOfFreedom - 1] ?? 1.96 + (1.96 ** 3 + 1.96) / (4 * degreesOfFreedom);
}
