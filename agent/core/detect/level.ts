/**
 * Intuition: the distance from the slow level of the last few hundred points sees jumps, and keeps seeing them until
 * the level has followed. In units of the usual distance it also compares quiet and busy spells of one series.
 *
 * Formula: r₁ = x − m,  r₂ = (x − m) / d,  m ← ewma(x, α = .003),  d ← ewma(|x − m|, .003). r₁ has the unit of x, r₂
 * has none.
 *
 * Fails: on seasonal metrics every peak is far (the tail sketch learns that this is usual, at the price of a dull
 * ear); d grows with an anomaly, so r₂ shrinks while it lasts.
 *
 * Source: S. W. Roberts 1959 (see ewma.ts); mean absolute deviation as scale, R. C. Geary, Biometrika 1935.
 *
 * Example: mean 100 and usual distance 4: a value of 112 gives 12 and 3.
 */
import { EWMA_SLOTS, ewmaStarted, learnEwma } from './ewma.ts';
import type { View } from './view.ts';

const ALPHA = 0.003;
/** A ratio to a distance learned from fewer values says nothing. */
const LEAST_VALUES = 5;

export const levelView: View = {
  channels: [
    { name: 'level', sides: 'both', role: 'lead', inValueUnit: true },
    { name: 'level in deviations', sides: 'both', role: 'support', inValueUnit: false },
  ],
  slots: 2 * EWMA_SLOTS,
  measure(state, at, value, _atMs, out, first) {
    const distance = state[at + EWMA_SLOTS]!;
    out[first] = ewmaStarted(state, at) ? value - state[at]! : Number.NaN;
    out[first + 1] = state[at + 1]! >= LEAST_VALUES && distance > 0 ? (value - state[at]!) / distance : Number.NaN;
  },
  learn(state, at, value) {
    if (ewmaStarted(state, at)) learnEwma(state, at + EWMA_SLOTS, ALPHA, Math.abs(value - state[at]!));
    learnEwma(state, at, ALPHA, value);
  },
  rebaseline(state, at, level) {
    state[at] = level;
  },
};

/** Where a state laid out with this view at `at` keeps the level, and the usual distance from it. */
export function levelOf(state: Float64Array, at: number): { readonly level: number; readonly usualDistance: number } {
  return { level: state[at]!, usualDistance: state[at + EWMA_SLOTS]! };
}
