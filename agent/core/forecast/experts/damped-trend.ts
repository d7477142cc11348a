import type { Expert } from '../forecaster.ts';

export interface DampedTrendGains {
  readonly level: number;
  /** 0: no trend at all, plain exponential smoothing. */
  readonly trend: number;
  /** Share of the trend that survives each step ahead. */
  readonly damping: number;
}

/**
 * Level and damped trend by exponential smoothing (Gardner & McKenzie 1985):
 *
 *     e = y − (l + φb);  l += φb + α e;  b = φb + β e;   ŷ(t+h) = l + (φ + … + φʰ) b
 *
 * Follows what grows steadily (memory, queues) and lets the growth die out, because most growth does. Blind to cycles.
 */
export function dampedTrend({ level: alpha, trend: beta, damping }: DampedTrendGains): Expert {
  return {
    name: beta === 0 ? `smoothing_${alpha}` : `damped_trend_${alpha}`,
    minHistory: 4,
    predict(history, horizon) {
      let level = history[0]!;
      let slope = 0;
      for (const value of history) {
        const error = value - level - damping * slope;
        level += damping * slope + alpha * error;
        slope = damping * slope + beta * error;
      }
      let ahead = 0;
      let share = 1;
      return Float64Array.from({ length: horizon }, () => {
        share *= damping;
        ahead += share * slope;
        return level + ahead;
      });
    },
  };
}
