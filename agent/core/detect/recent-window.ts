/**
 * Intuition: over the last few values the median ignores a single spike and the minimum ignores a single rise, so their
 * distance from a slower level tells a short but sustained change from one odd value. The minimum of six rises only
 * when all six did, and falls at once.
 *
 * Formula: r = stat(x and the k − 1 values before) − m,  m ← ewma(x, α);  median of k = 7 with α = .01, minimum of
 * k = 6 with α = .005. Unit of x.
 *
 * Fails: up to k − 1 points late (k/2 for the median); the median is blind to a spike of fewer than four points.
 *
 * Source: running order statistics, J. W. Tukey, Exploratory Data Analysis, 1977.
 *
 * Example: minimum of 6 over 10, 10, 10, 90, 10, 10 is 10: no surprise. Over six values of 90, after long 10s, it says
 * about 78.
 */
import { EWMA_SLOTS, learnEwma } from './ewma.ts';
import type { View } from './view.ts';

export type WindowStatistic = 'median' | 'minimum';

export function recentWindowView(statistic: WindowStatistic, size: number, alpha: number): View {
  const kept = size - 1;
  const held = EWMA_SLOTS;
  const ring = EWMA_SLOTS + 1;
  const sorted = new Float64Array(size);
  return {
    channels: [
      // The median of symmetric noise is symmetric; a minimum falls faster than it rises.
      {
        name: `${statistic} of ${size}`,
        sides: statistic === 'median' ? 'both' : 'each',
        role: 'lead',
        inValueUnit: false,
      },
    ],
    // Level, number of values held (then position in laps), the last k − 1 values.
    slots: EWMA_SLOTS + 1 + kept,
    measure(state, at, value, _atMs, out, first) {
      if (state[at + held]! < kept) {
        out[first] = Number.NaN;
        return;
      }
      let picked = value;
      if (statistic === 'minimum') {
        for (let i = 0; i < kept; i++) picked = Math.min(picked, state[at + ring + i]!);
      } else {
        for (let i = 0; i < kept; i++) sorted[i] = state[at + ring + i]!;
        sorted[kept] = value;
        picked = medianInPlace(sorted);
      }
      out[first] = picked - state[at]!;
    },
    learn(state, at, value) {
      learnEwma(state, at, alpha, value);
      const count = state[at + held]!;
      state[at + ring + (count % kept)] = value;
      // Counts in laps once full, so that the number stays small and exact forever.
      state[at + held] = count + 1 >= 2 * kept ? kept : count + 1;
    },
  };
}

/** Insertion sort: the fastest way for seven numbers. */
function medianInPlace(values: Float64Array): number {
  for (let i = 1; i < values.length; i++) {
    const value = values[i]!;
    let j = i - 1;
    while (j >= 0 && values[j]! > value) {
      values[j + 1] = values[j]!;
      j--;
    }
    values[j + 1] = value;
  }
  return values[(values.length - 1) >> 1]!;
}
