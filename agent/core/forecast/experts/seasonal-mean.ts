import type { Expert } from '../forecaster.ts';

/**
 * The mean of the last `cycles` cycles at the same phase: `ŷ(t+h) = mean over q of y(t+h−q·m)`. Averages out the noise
 * that a seasonal naive forecast repeats; lags behind a level that moves.
 */
export function seasonalMean(period: number, cycles: number): Expert {
  return {
    name: `seasonal_mean_${period}`,
    minHistory: period * 2,
    predict(history, horizon) {
      const n = history.length;
      const profile = Float64Array.from({ length: period }, (_, phase) => {
        let sum = 0;
        let count = 0;
        for (let q = 1; q <= cycles && n - q * period + phase >= 0; q++) {
          sum += history[n - q * period + phase]!;
          count++;
        }
        return sum / count;
      });
      return Float64Array.from({ length: horizon }, (_, i) => profile[i % period]!);
    },
  };
}
