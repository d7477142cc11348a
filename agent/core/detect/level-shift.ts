/**
 * Intuition: when a metric moves to a new level and stays, the alert has been given and the new level is the new normal.
 * Waiting for a slow mean to follow costs hundreds of points of dull or noisy judgement; so once the shift is certain,
 * the means are moved at once.
 *
 * Formula: f ← ewma(x, α = .05). A run counts points with |f − m| > 2·d on the same side of m, where m and d are the
 * slow level and the usual distance from it. After 100 in a row the shift is confirmed at f. Both follow the shift Δ
 * at α = .003 meanwhile, so a run lasts (½ − d/Δ) / .003 points at most: 100 is what a shift of five distances reaches, and
 * with 300 none was ever confirmed.
 *
 * Fails: a slow daily swing with a short memory could pass for a shift; with d learned over about as many points a swing
 * widens d and stays below 2·d. Shifts shorter than 100 points, or smaller than five distances, are left to the slow mean.
 *
 * Source: run rules of control charts, Western Electric, Statistical Quality Control Handbook, 1956.
 *
 * Example: level 100, usual distance 3; from some moment all values are near 130. After 100 points the level is 130.
 */
import { EWMA_SLOTS, learnEwma } from './ewma.ts';

const ALPHA = 0.05;
const FAR_DISTANCES = 2;
export const CONFIRM_POINTS = 100;

export class LevelShift {
  /** Fast mean, then the length of the run: positive above the level, negative below. */
  readonly #state = new Float64Array(EWMA_SLOTS + 1);

  static readonly stateBytes = (EWMA_SLOTS + 1) * Float64Array.BYTES_PER_ELEMENT;

  /** Returns the new level when this value confirms a shift. */
  learn(value: number, level: number, usualDistance: number): number | undefined {
    learnEwma(this.#state, 0, ALPHA, value);
    const fast = this.#state[0]!;
    const run = this.#state[EWMA_SLOTS]!;
    const offset = fast - level;
    if (!(Math.abs(offset) > FAR_DISTANCES * usualDistance)) {
      this.#state[EWMA_SLOTS] = 0;
      return undefined;
    }
    const side = Math.sign(offset);
    const longer = Math.sign(run) === side ? run + side : side;
    this.#state[EWMA_SLOTS] = longer;
    if (Math.abs(longer) < CONFIRM_POINTS) return undefined;
    this.#state[EWMA_SLOTS] = 0;
    return fast;
  }

  save(): readonly number[] {
    return Array.from(this.#state);
  }

  restore(saved: readonly number[]): void {
    this.#state.set(saved);
  }
}
