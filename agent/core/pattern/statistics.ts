/** Tail probabilities and robust summaries that the recognisers share. */

/** `P(|Z| ≥ |z|)` for a standard normal Z (relative error below 1.2e-7). */
export function twoSidedP(z: number): number {
  return erfc(Math.abs(z) / Math.SQRT2);
}

/** Complementary error function (Numerical Recipes' Chebyshev fit, relative error below 1.2e-7 everywhere). */
export function erfc(x: number): number {
  const z = Math.abs(x);
  const t = 1 / (1 + 0.5 * z);
  const poly = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
    0.17087277,
  ];
  let sum = 0;
  for (let i = poly.length - 1; i >= 0; i--) sum = sum * t + poly[i]!;
  const tail = t * Math.exp(-z * z + sum);
  return x >= 0 ? tail : 2 - tail;
}

/** `ln Γ(x)` for x > 0 (Lanczos, relative error below 2e-10). */
export function logGamma(x: number): number {
  const c = [
    76.18009172947146, -86.50532032941678, 24.01409824083091, -1.231739572450155, 0.001208650973866179,
    -0.000005395239384953,
  ];
  const t = x + 5.5;
  let sum = 1.00000000019;
  for (const [j, v] of c.entries()) sum += v / (x + 1 + j);
  return -(t - (x + 0.5) * Math.log(t)) + Math.log((2.506628274631 * sum) / x);
}

/** `P(F ≥ f)` with `d1` and `d2` degrees of freedom, by the incomplete beta function. */
export function fTail(f: number, d1: number, d2: number): number {
  if (!(f > 0)) return 1;
  return incompleteBeta(d2 / (d2 + d1 * f), d2 / 2, d1 / 2);
}

/** `P(X ≥ k)` for a Poisson count of the given mean. */
export function poissonTail(k: number, mean: number): number {
  let term = Math.exp(-mean);
  let below = 0;
  for (let i = 0; i < k; i++) {
    below += term;
    term *= mean / (i + 1);
  }
  return Math.max(0, 1 - below);
}

/** Regularised incomplete beta `I_x(a, b)` by its continued fraction (Lentz). */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // The fraction converges fast only on this side; the other follows by symmetry.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
  const tiny = 1e-30;
  let c = 1;
  let d = 1 / notZero(1 - ((a + b) * x) / (a + 1), tiny);
  let h = d;
  for (let m = 1; m <= 200; m++) {
    for (const numerator of [
      (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
      (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
    ]) {
      d = 1 / notZero(1 + numerator * d, tiny);
      c = notZero(1 + numerator / c, tiny);
      h *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-12) break;
  }
  return front * h;
}

export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const n = sorted.length;
  return n === 0 ? Number.NaN : (sorted[(n - 1) >> 1]! + sorted[n >> 1]!) / 2;
}

/**
 * Median of numbers that may be put in another order (C. A. R. Hoare's selection): of the 65,000 slopes of a window it
 * takes a seventh of the time of sorting them.
 */
export function medianInPlace(values: Float64Array): number {
  const n = values.length;
  if (n === 0) return Number.NaN;
  const upper = selectInPlace(values, n >> 1);
  if (n % 2 === 1) return upper;
  // What lies below the place of the upper one is not in order, but the lower one is its greatest.
  let lower = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < n >> 1; i++) if (values[i]! > lower) lower = values[i]!;
  return (lower + upper) / 2;
}

/** The `k`-th smallest, after which everything before its place is no greater, and everything behind it no smaller. */
function selectInPlace(values: Float64Array, k: number): number {
  let left = 0;
  let right = values.length - 1;
  while (left < right) {
    const pivot = values[(left + right) >> 1]!;
    let i = left;
    let j = right;
    while (i <= j) {
      while (values[i]! < pivot) i++;
      while (values[j]! > pivot) j--;
      if (i > j) break;
      const swapped = values[i]!;
      values[i++] = values[j]!;
      values[j--] = swapped;
    }
    if (k <= j) right = j;
    else if (k >= i) left = i;
    else break;
  }
  return values[k]!;
}

/** Median absolute deviation times 1.4826: the standard deviation of a normal sample, blind to outliers. */
export function robustSpread(values: ArrayLike<number>): number {
  const centre = median(values);
  return 1.4826 * median(Float64Array.from(values, (v) => Math.abs(v - centre)));
}

/** Lag-one autocorrelation, 0 for constants. */
export function lagOneCorrelation(x: ArrayLike<number>): number {
  let mean = 0;
  for (let i = 0; i < x.length; i++) mean += x[i]! / x.length;
  let product = 0;
  let square = 0;
  for (let i = 0; i < x.length; i++) {
    square += (x[i]! - mean) ** 2;
    if (i > 0) product += (x[i]! - mean) * (x[i - 1]! - mean);
  }
  return square === 0 ? 0 : product / square;
}

/** `n (1−ρ)/(1+ρ)`: how many independent values carry as much as these. ρ is held to 0 … 0.98. */
export function effectiveCount(n: number, rho: number): number {
  const r = Math.min(0.98, Math.max(0, rho));
  return (n * (1 - r)) / (1 + r);
}

function notZero(v: number, tiny: number): number {
  return Math.abs(v) < tiny ? tiny : v;
}
