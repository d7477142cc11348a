/** Accuracy of point and interval forecasts, as the M4 competition defines it (Makridakis et al. 2020). */

/** Symmetric mean absolute percentage error, in percent, 0 to 200. A step where both are zero counts as no error. */
export function smape(actual: ArrayLike<number>, forecast: ArrayLike<number>): number {
  return mean(actual.length, (i) => {
    const size = Math.abs(actual[i]!) + Math.abs(forecast[i]!);
    return size === 0 ? 0 : (200 * Math.abs(actual[i]! - forecast[i]!)) / size;
  });
}

/** Mean absolute scaled error: against the in-sample error of repeating the value `period` steps ago. */
export function mase(
  actual: ArrayLike<number>,
  forecast: ArrayLike<number>,
  train: ArrayLike<number>,
  period: number,
): number {
  return mean(actual.length, (i) => Math.abs(actual[i]! - forecast[i]!)) / seasonalScale(train, period);
}

export function seasonalScale(train: ArrayLike<number>, period: number): number {
  return mean(train.length - period, (i) => Math.abs(train[i + period]! - train[i]!));
}

/** Overall weighted average: both errors, averaged over all series first, relative to Naive2's. */
export function owa(smapeMean: number, maseMean: number, naive2: { smape: number; mase: number }): number {
  return (smapeMean / naive2.smape + maseMean / naive2.mase) / 2;
}

export interface Bounds {
  readonly low: number;
  readonly high: number;
}

/** Mean scaled interval score of a `1 − alpha` interval: its width, and `2/alpha` times what it missed by, scaled. */
export function msis(
  actual: ArrayLike<number>,
  bounds: readonly Bounds[],
  train: ArrayLike<number>,
  period: number,
  alpha: number,
): number {
  const score = mean(actual.length, (i) => {
    const { low, high } = bounds[i]!;
    const missed = Math.max(0, low - actual[i]!) + Math.max(0, actual[i]! - high);
    return high - low + (2 / alpha) * missed;
  });
  return score / seasonalScale(train, period);
}

/** Share of the actual values inside their bounds, edges included. */
export function coverage(actual: ArrayLike<number>, bounds: readonly Bounds[]): number {
  return mean(actual.length, (i) => (actual[i]! >= bounds[i]!.low && actual[i]! <= bounds[i]!.high ? 1 : 0));
}

export function mean(count: number, at: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += at(i);
  return sum / count;
}

/** Mean and sample standard deviation. */
export function spread(values: readonly number[]): { mean: number; sd: number } {
  const m = mean(values.length, (i) => values[i]!);
  const variance = values.length < 2 ? 0 : values.reduce((s, v) => s + (v - m) ** 2, 0) / (values.length - 1);
  return { mean: m, sd: Math.sqrt(variance) };
}
