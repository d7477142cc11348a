/**
 * Intuition: an exponentially weighted mean is the cheapest memory of a level; it forgets over about 1/α points.
 *
 * Formula: m ← m + a·(x − m) with a = max(1/n, α): the first 1/α values are averaged rather than believed.
 * Unit of x.
 *
 * Fails: on seasonal metrics a small α sees every day's peak as far, and a large α follows slow failures unnoticed.
 *
 * Source: S. W. Roberts, Control chart tests based on geometric moving averages, Technometrics 1959.
 *
 * Example: α = .1 after a hundred values of 10: mean 10; then 15 makes it 10.5.
 */

/** The mean at `at`, and at `at + 1` the number of values learned while that is at most 1/α (0: none yet). */
export const EWMA_SLOTS = 2;

export function learnEwma(state: Float64Array, at: number, alpha: number, value: number): void {
  const seen = state[at + 1]! + 1;
  const share = 1 / seen;
  if (share >= alpha) {
    state[at + 1] = seen;
    state[at]! += share * (value - state[at]!);
  } else state[at]! += alpha * (value - state[at]!);
}

export function ewmaStarted(state: Float64Array, at: number): boolean {
  return state[at + 1]! > 0;
}
