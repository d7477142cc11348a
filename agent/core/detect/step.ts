/**
 * Intuition: the distance from where the metric was a moment ago: the first to see a spike or a step, and over within
 * a few points. Seen twice, in the metric's unit and as a ratio, because a fall from 3 to 1.5 requests is small in
 * units of a busy hour, but a halving at any hour.
 *
 * Formula: r₁ = x − m, m ← ewma(x, α = .3);  r₂ = l(x) − n, n ← ewma(l(x), .3), l(x) = sign(x)·log(1 + |x|).
 * r₁ has the unit of x, r₂ none.
 *
 * Fails: on noise it fires on every outlier that means nothing, so both channels only support others; blind to what
 * takes more than about ten points; r₂ tells ratios only well above 1 in the metric's unit.
 *
 * Source: first differences, smoothed; log1p as in variance-stabilising transforms (G. E. P. Box and D. R. Cox, 1964).
 *
 * Example: after a hundred values of 10, a value of 15 gives 5 and log(16/11) = .37.
 */
import { EWMA_SLOTS, ewmaStarted, learnEwma } from './ewma.ts';
import type { View } from './view.ts';

const ALPHA = 0.3;

export const stepView: View = {
  channels: [
    { name: 'step', sides: 'both', role: 'support', inValueUnit: true },
    { name: 'step ratio', sides: 'both', role: 'support', inValueUnit: false },
  ],
  // Level and its count, level of the logarithms (as many).
  slots: EWMA_SLOTS + 1,
  measure(state, at, value, _atMs, out, first) {
    const started = ewmaStarted(state, at);
    out[first] = started ? value - state[at]! : Number.NaN;
    out[first + 1] = started ? signedLog(value) - state[at + EWMA_SLOTS]! : Number.NaN;
  },
  learn(state, at, value) {
    const share = Math.max(1 / (state[at + 1]! + 1), ALPHA);
    state[at + EWMA_SLOTS]! += share * (signedLog(value) - state[at + EWMA_SLOTS]!);
    learnEwma(state, at, ALPHA, value);
  },
};

function signedLog(value: number): number {
  return value < 0 ? -Math.log1p(-value) : Math.log1p(value);
}
