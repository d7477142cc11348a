/**
 * Intuition: sick processes often become ragged (or unnaturally still) before their level moves. The mean absolute
 * change from point to point measures that, whatever the level does.
 *
 * Formula: c = |x − x₋₁|,  r = f − s after f ← ewma(c, α = .1),  with s ← ewma(c, .003) of the past. Unit of x.
 *
 * Fails: one big spike counts twice (up and down) and then fades over ten points; blind to smooth drifts.
 *
 * Source: mean successive difference; J. von Neumann et al., The mean square successive difference, 1941.
 *
 * Example: a metric that wobbles by 1 and begins to wobble by 5 says about +3.5 after twenty points.
 */
import { EWMA_SLOTS, ewmaStarted, learnEwma } from './ewma.ts';
import type { View } from './view.ts';

const FAST_ALPHA = 0.1;
const SLOW_ALPHA = 0.003;
const SLOW = EWMA_SLOTS;
const LAST = 2 * EWMA_SLOTS;
const STARTED = LAST + 1;

export const roughnessView: View = {
  channels: [{ name: 'roughness', sides: 'each', role: 'lead', inValueUnit: false }],
  slots: 2 * EWMA_SLOTS + 2,
  measure(state, at, value, _atMs, out, first) {
    if (!ewmaStarted(state, at)) {
      out[first] = Number.NaN;
      return;
    }
    const change = Math.abs(value - state[at + LAST]!);
    out[first] = state[at]! + FAST_ALPHA * (change - state[at]!) - state[at + SLOW]!;
  },
  learn(state, at, value) {
    if (state[at + STARTED]! > 0) {
      const change = Math.abs(value - state[at + LAST]!);
      learnEwma(state, at, FAST_ALPHA, change);
      learnEwma(state, at + SLOW, SLOW_ALPHA, change);
    }
    state[at + LAST] = value;
    state[at + STARTED] = 1;
  },
};
