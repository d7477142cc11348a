import { lagOneCorrelation, medianInPlace, twoSidedP } from './statistics.ts';

export interface MonotoneTrend {
  /** Kendall's τ against time, −1 to 1: share of pairs that rise minus share that fall. */
  readonly tau: number;
  /** Two-sided, for the effective number of observations. */
  readonly p: number;
  readonly samples: number;
  /** Theil–Sen: the median of all pairwise slopes, in value units per step. */
  readonly slope: number;
}

/**
 * Is there a trend, whatever its shape? Counts rising against falling pairs; outliers count once each.
 *
 *     S = Σ_{i<j} sign(x_j − x_i);  τ = S / (n(n−1)/2);  z = (S ∓ 1) / √(n(n−1)(2n+5)/18 · n/n*)
 *
 * Neighbours that resemble each other make S look surer than it is: the variance is raised by `n/n* = (1+ρ)/(1−ρ)`, ρ
 * the lag-one autocorrelation left after removing the slope (Yue & Wang 2004). O(n²): give it at most a few hundred
 * values. Gaps are left out. Undefined on fewer than eight values.
 */
export function mannKendall(values: ArrayLike<number>): MonotoneTrend | undefined {
  const at: number[] = [];
  for (let i = 0; i < values.length; i++) if (Number.isFinite(values[i]!)) at.push(i);
  const n = at.length;
  if (n < 8) return undefined;
  let s = 0;
  const slopes = new Float64Array((n * (n - 1)) / 2);
  let k = 0;
  for (let j = 1; j < n; j++) {
    for (let i = 0; i < j; i++) {
      const rise = values[at[j]!]! - values[at[i]!]!;
      s += Math.sign(rise);
      slopes[k++] = rise / (at[j]! - at[i]!);
    }
  }
  const slope = medianInPlace(slopes);
  const rho = Math.max(0, lagOneCorrelation(at.map((i) => values[i]! - slope * i)));
  const inflation = (1 + rho) / (1 - Math.min(rho, 0.98));
  const variance = ((n * (n - 1) * (2 * n + 5)) / 18) * inflation;
  const z = s === 0 ? 0 : (s - Math.sign(s)) / Math.sqrt(variance);
  return { tau: s / k, p: twoSidedP(z), samples: n / inflation, slope };
}
