import type { Expert } from '../forecaster.ts';

/**
 * The next cycle repeats the last one: `ŷ(t+h) = y(t+h−m·⌈h/m⌉)`. With `period` 1 it is the naive forecast, "as now".
 * Fails under trend and when the last cycle was unusual; hard to beat otherwise, hence the baseline of every score.
 */
export function seasonalNaive(period: number): Expert {
  return {
    name: `seasonal_naive_${period}`,
    minHistory: period,
    predict(history, horizon) {
      const start = history.length - period;
      return Float64Array.from({ length: horizon }, (_, i) => history[start + (i % period)]!);
    },
  };
}
