/**
 * Trend of a short sequence: Kendall's rank correlation with time (the Mann–Kendall statistic, normalised).
 *
 * Intuition: of all pairs of intervals, the share that rises minus the share that falls. Only the order of values
 * counts, so one outlier moves it little and no distribution is assumed.
 *
 *     S = Σ_{i<j} sign(x_j − x_i)        τ_b = S / √((P − T) · P)
 *
 * with `P = n(n−1)/2` pairs and `T` pairs of equal values. Dimensionless, in [−1, 1]: 1 = every later value is higher.
 * Values repeated by an exporter slower than the interval are ties; τ_b does not take them for flatness.
 *
 * Fails: autocorrelated noise gives a large |τ| without any lasting trend, and a full season inside the window gives
 * one near 0. Fewer than four values: no trend, because even four rising ones come about by chance once in 24 times.
 * All values equal: 0, no pair rises or falls. O(n log n): pairs that fall are what a merge sort has to turn round.
 *
 * H. B. Mann, "Nonparametric tests against trend", Econometrica 13 (1945); M. G. Kendall, "Rank Correlation Methods"; W. R. Knight,
 * "A computer method for calculating Kendall's tau with ungrouped data", JASA 61 (1966).
 *
 * Example: `kendallTau([1, 2, 4, 3])` has 5 rising pairs and 1 falling: τ = 4/6.
 *
 * @figure Trend [−1, 1]
 */
export function kendallTau(values: readonly number[]): number | undefined {
  const n = values.length;
  if (n < 4) return undefined;
  const { sorted, falls } = sortCounting(values);
  const ties = tiedPairs(sorted);
  const pairs = (n * (n - 1)) / 2;
  const s = pairs - ties - 2 * falls;
  // √((P−T)·P) rounds; the quotient of a strictly monotonic sequence with ties could otherwise exceed 1 by an ulp.
  return ties === pairs ? 0 : Math.max(-1, Math.min(1, s / Math.sqrt((pairs - ties) * pairs)));
}

/** `falls`: pairs of which the later value was the lower. */
function sortCounting(values: readonly number[]): { readonly sorted: readonly number[]; readonly falls: number } {
  const n = values.length;
  let falls = 0;
  let [runs, merged] = [values.slice(), values.slice()];
  for (let width = 1; width < n; width *= 2) {
    for (let from = 0; from < n; from += 2 * width) {
      falls += mergeRuns(runs, merged, from, Math.min(from + width, n), Math.min(from + 2 * width, n));
    }
    [runs, merged] = [merged, runs];
  }
  return { sorted: runs, falls };
}

/** Of two sorted runs one; by how many places in all those of the second went before those of the first. */
function mergeRuns(runs: readonly number[], merged: number[], from: number, middle: number, to: number): number {
  let falls = 0;
  let [first, second] = [from, middle];
  for (let at = from; at < to; at++) {
    if (first < middle && (second >= to || runs[first]! <= runs[second]!)) merged[at] = runs[first++]!;
    else {
      merged[at] = runs[second++]!;
      falls += middle - first;
    }
  }
  return falls;
}

function tiedPairs(sorted: readonly number[]): number {
  let ties = 0;
  let equal = 0;
  for (let i = 1; i < sorted.length; i++) {
    equal = sorted[i] === sorted[i - 1] ? equal + 1 : 0;
    ties += equal;
  }
  return ties;
}
