import type { Expert } from '../forecaster.ts';

export interface SmoothingGains {
  readonly level: number;
  readonly short: number;
  readonly long: number;
  /** Share of the last error that persists into the next step. */
  readonly carry: number;
}

/**
 * Additive exponential smoothing with two cycles and a first-order autoregression of the remaining error (Taylor 2003,
 * "Short-term electricity demand forecasting using double seasonal exponential smoothing"):
 *
 *     e = y − (l + s₁ + s₂);  l += α e;  s₁ += γ₁ e;  s₂ += γ₂ e;   ŷ(t+h) = l + s₁ + s₂ + φʰ e'
 *
 * where `e'` is what is left of the error after the updates. The states start from the means of the first two long
 * cycles. There is no trend on purpose: over two days a trend learned from noise costs more than it gives.
 */
export function doubleSeasonalSmoothing(shortPeriod: number, longPeriod: number, gains: SmoothingGains): Expert {
  return {
    name: 'double_seasonal_smoothing',
    minHistory: 2 * longPeriod,
    predict(history, horizon) {
      const n = history.length;
      const head = Math.min(n, 2 * longPeriod);
      let level = 0;
      for (let t = 0; t < head; t++) level += history[t]! / head;
      const short = meanByPhase(history, head, shortPeriod, (t) => history[t]! - level);
      const long = meanByPhase(history, head, longPeriod, (t) => history[t]! - level - short[t % shortPeriod]!);
      let left = 0;
      for (let t = 0; t < n; t++) {
        const i = t % shortPeriod;
        const j = t % longPeriod;
        const error = history[t]! - (level + short[i]! + long[j]!);
        level += gains.level * error;
        short[i]! += gains.short * error;
        long[j]! += gains.long * error;
        left = error * (1 - gains.level - gains.short - gains.long);
      }
      let carried = left;
      return Float64Array.from({ length: horizon }, (_, h) => {
        carried *= gains.carry;
        return level + short[(n + h) % shortPeriod]! + long[(n + h) % longPeriod]! + carried;
      });
    },
  };
}

function meanByPhase(
  history: Float64Array,
  end: number,
  period: number,
  value: (t: number) => number,
): Float64Array<ArrayBuffer> {
  const sum = new Float64Array(period);
  const count = new Float64Array(period);
  for (let t = 0; t < Math.min(end, history.length); t++) {
    sum[t % period]! += value(t);
    count[t % period]!++;
  }
  return sum.map((s, i) => s / Math.max(1, count[i]!));
}
