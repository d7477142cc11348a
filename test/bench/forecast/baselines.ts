/** The next values repeat the last `period` ones. */
export function seasonalNaive(train: ArrayLike<number>, period: number, horizon: number): number[] {
  return Array.from({ length: horizon }, (_, h) => train[train.length - period + (h % period)]!);
}

/**
 * The M4 competition's benchmark: naive on values seasonally adjusted by classical multiplicative decomposition, where
 * the autocorrelation at `period` is significant at 90 % (Bartlett's formula); plain naive where it is not.
 */
export function naive2(train: ArrayLike<number>, period: number, horizon: number): number[] {
  const n = train.length;
  const index = isSeasonal(train, period) ? seasonalIndices(train, period) : new Array<number>(period).fill(1);
  const last = train[n - 1]! / index[(n - 1) % period]!;
  return Array.from({ length: horizon }, (_, h) => last * index[(n + h) % period]!);
}

export function isSeasonal(x: ArrayLike<number>, period: number): boolean {
  const n = x.length;
  // Ratios to a mean need positive values; M4 has no others.
  if (n < 3 * period || Array.prototype.some.call(x, (v) => v <= 0)) return false;
  let mean = 0;
  for (let i = 0; i < n; i++) mean += x[i]! / n;
  let variance = 0;
  for (let i = 0; i < n; i++) variance += (x[i]! - mean) ** 2;
  if (variance === 0) return false;
  const correlation = (lag: number) => {
    let sum = 0;
    for (let i = lag; i < n; i++) sum += (x[i]! - mean) * (x[i - lag]! - mean);
    return sum / variance;
  };
  let squares = 1;
  for (let lag = 1; lag < period; lag++) squares += 2 * correlation(lag) ** 2;
  return Math.abs(correlation(period)) > 1.645 * Math.sqrt(squares / n);
}

/** Ratios to the centred moving average (of even `period`), averaged by phase, scaled to a mean of 1. */
export function seasonalIndices(x: ArrayLike<number>, period: number): number[] {
  const half = period / 2;
  const sum = new Array<number>(period).fill(0);
  const count = new Array<number>(period).fill(0);
  for (let t = half; t < x.length - half; t++) {
    let centre = 0.5 * (x[t - half]! + x[t + half]!);
    for (let i = t - half + 1; i < t + half; i++) centre += x[i]!;
    sum[t % period]! += x[t]! / (centre / period);
    count[t % period]!++;
  }
  const raw = sum.map((s, j) => s / count[j]!);
  const mean = raw.reduce((a, b) => a + b, 0) / period;
  return raw.map((v) => v / mean);
}
