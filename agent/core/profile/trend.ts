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
 * All values equal: 0, no pair rises or falls. O(n²), meant for about 100 values.
 *
 * H. B. Mann, "Nonparametric tests against trend", Econometrica 13 (1945); M. G. Kendall, "Rank Correlation Methods".
 *
 * Example: `kendallTau([1, 2, 4, 3])` has 5 rising pairs and 1 falling: τ = 4/6.
 *
 * @figure Trend [−1, 1]
 */
export function kendallTau(values: readonly number[]): number | undefined {
  const n = values.length;
  if (n < 4) return undefined;
  let s = 0;
  let ties = 0;
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      const rise = values[j]! - values[i]!;
      if (rise > 0) s++;
      else if (rise < 0) s--;
      else ties++;
    }
  }
  const pairs = (n * (n - 1)) / 2;
  // √((P−T)·P) rounds; the quotient of a strictly monotonic sequence with ties could otherwise exceed 1 by an ulp.
  return ties === pairs ? 0 : Math.max(-1, Math.min(1, s / Math.sqrt((pairs - ties) * pairs)));
}
