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
 * The centre of a few differences between pairs, with a 95 % interval at least: Hodges and Lehmann's estimate (the median of the means of
 * all pairs of values) and the interval that inverts Wilcoxon's signed-rank test. Exact for any symmetric distribution,
 * which is what a coin for the order of each pair gives; from twelve values on, one wild value (a neighbour on the machine) moves it
 * little, where a mean with its Student interval would follow. It is another method than the agent's own, which makes it a check of it.
 *
 * The number of values is fixed in advance. Fewer than six cannot exclude anything at 95 %.
 * Source: Hodges & Lehmann 1963; Hollander, Wolfe & Chicken, "Nonparametric Statistical Methods", section 3.3.
 */
export function signedRankInterval(values: readonly number[]): Interval {
  const n = values.length;
  const excluded = criticalRankSum(n);
  if (excluded < 0) throw new RangeError(`an interval needs six values at least, not ${n}`);
  const means = values.flatMap((value, i) => values.slice(i).map((other) => (value + other) / 2)).sort((a, b) => a - b);
  const middle = means.length / 2;
  const estimate = (means[Math.ceil(middle) - 1]! + means[Math.floor(middle)]!) / 2;
  return { estimate, low: means[excluded]!, high: means[means.length - 1 - excluded]! };
}

/** The largest rank sum that has a chance of at most 2.5 %, with sums as small or smaller; -1 where there is none. */
export function criticalRankSum(n: number): number {
  // ways[w]: how many of the 2^n ways to sign the ranks 1 to n make the positive ones sum to w.
  let ways = [1];
  for (let rank = 1; rank <= n; rank++) {
    const next = new Array<number>(ways.length + rank).fill(0);
    ways.forEach((count, sum) => {
      next[sum]! += count;
      next[sum + rank]! += count;
    });
    ways = next;
  }
  let tail = 0;
  let sum = 0;
  for (; tail + ways[sum]! <= 0.025 * 2 ** n; sum++) tail += ways[sum]!;
  return sum - 1;
}
