/**
 * Intuition: the size of swings around a local level, compared over a day-like and an hour-like memory. It sees a
 * change of character that lasts (an oscillation sets in, a noisy metric falls silent) where `roughness` sees raggedness
 * from one point to the next.
 *
 * Formula: d = |x − m|, m ← ewma(x, α = .1);  r = f − s after f ← ewma(d, .03), with s ← ewma(d, .001) of the past.
 * Unit of x.
 *
 * Fails: slow (some thirty points); one enormous value lifts f for a hundred points.
 *
 * Source: exponentially weighted moving variance charts; J. F. MacGregor and T. J. Harris, Journal of Quality
 * Technology 1993, with absolute instead of squared deviations for sturdiness.
 *
 * Example: swings of 2 that become swings of 6 say about +2.5 after thirty points.
 */
import { EWMA_SLOTS, ewmaStarted, learnEwma } from './ewma.ts';
import type { View } from './view.ts';

const LEVEL_ALPHA = 0.1;
const FAST_ALPHA = 0.03;
const SLOW_ALPHA = 0.001;
const FAST = EWMA_SLOTS;
const SLOW = 2 * EWMA_SLOTS;
/** A level of fewer values makes distances of no meaning. */
const LEAST_VALUES = 10;

export const volatilityView: View = {
  channels: [{ name: 'volatility', sides: 'each', role: 'lead', inValueUnit: false }],
  // Level, fast and slow mean distance.
  slots: 3 * EWMA_SLOTS,
  measure(state, at, value, _atMs, out, first) {
    if (state[at + 1]! < LEAST_VALUES) {
      out[first] = Number.NaN;
      return;
    }
    const distance = Math.abs(value - state[at]!);
    out[first] = state[at + FAST]! + FAST_ALPHA * (distance - state[at + FAST]!) - state[at + SLOW]!;
  },
  learn(state, at, value) {
    if (ewmaStarted(state, at)) {
      const distance = Math.abs(value - state[at]!);
      learnEwma(state, at + FAST, FAST_ALPHA, distance);
      learnEwma(state, at + SLOW, SLOW_ALPHA, distance);
    }
    learnEwma(state, at, LEVEL_ALPHA, value);
  },
};
