/**
 * Intuition: short-range dynamics (ringing, saw teeth, drifts) are predictable from the last few values by a linear
 * rule that learns as it goes; what that rule cannot predict is news.
 *
 * Formula: with u the last 6 values less a slow mean m (ewma, α = .01): r = x − m − w·u,
 * w ← w + μ·r·u / (|u|² + r²), μ = .05. Dividing frees the step from the metric's unit; r² in the divisor bounds it by
 * μ/2, so that a spike out of a flat line cannot throw the weights. r has the unit of x.
 *
 * Fails: a large outlier passes through the 6 lags and surprises up to seven times; on white noise it only repeats
 * x − m.
 *
 * Source: normalised least mean squares; B. Widrow and S. D. Stearns, Adaptive Signal Processing, 1985.
 *
 * Example: on 1, −1, 1, −1, … it learns to expect the flip; a repeated 1 then says 2.
 */
import { EWMA_SLOTS, learnEwma } from './ewma.ts';
import type { View } from './view.ts';

const ORDER = 6;
const STEP = 0.05;
const LEVEL_ALPHA = 0.01;
const WEIGHTS = EWMA_SLOTS;
const LAGS = WEIGHTS + ORDER;

export const linearPredictionView: View = {
  channels: [{ name: 'linear prediction', sides: 'both', role: 'lead', inValueUnit: true }],
  // Level (whose count says how many lags are filled), weights, last values (newest first).
  slots: EWMA_SLOTS + 2 * ORDER,
  measure(state, at, value, _atMs, out, first) {
    out[first] = state[at + 1]! < ORDER ? Number.NaN : value - predict(state, at);
  },
  learn(state, at, value) {
    const level = state[at]!;
    if (state[at + 1]! >= ORDER) {
      let power = 0;
      for (let i = 0; i < ORDER; i++) power += (state[at + LAGS + i]! - level) ** 2;
      const error = value - predict(state, at);
      if (power > 0) {
        const gain = (STEP * error) / (power + error * error);
        for (let i = 0; i < ORDER; i++) state[at + WEIGHTS + i]! += gain * (state[at + LAGS + i]! - level);
      }
    }
    learnEwma(state, at, LEVEL_ALPHA, value);
    state.copyWithin(at + LAGS + 1, at + LAGS, at + LAGS + ORDER - 1);
    state[at + LAGS] = value;
  },
};

function predict(state: Float64Array, at: number): number {
  const level = state[at]!;
  let sum = level;
  for (let i = 0; i < ORDER; i++) sum += state[at + WEIGHTS + i]! * (state[at + LAGS + i]! - level);
  return sum;
}
