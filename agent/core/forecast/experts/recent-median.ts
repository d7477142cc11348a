import type { Expert } from '../forecaster.ts';

/**
 * The median of the last `window` values, flat. The best flat forecast in absolute error for metrics that sit at one
 * value (a GPU that idles at zero) and are now and then elsewhere: bursts do not move it. Blind to trend and cycle.
 */
export function recentMedian(window: number): Expert {
  return {
    name: `recent_median_${window}`,
    minHistory: window,
    predict(history, horizon) {
      const sorted = history.slice(-window).sort();
      const middle = sorted.length >> 1;
      const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
      return new Float64Array(horizon).fill(median);
    },
  };
}
