/**
 * Intuition: silence is a finding too, but only by the metric's own habits: a heartbeat every ten seconds is overdue
 * after a minute, a nightly job is not overdue at noon.
 *
 * Formula: with g the pause between points, mean p ← ewma(g, α = .05) and longest usual pause
 * q ← max(g, q·(1 − 1/1000)); overdue when now − last > max(5·p, k·q), k = 2 for a
 * regular source (q ≤ 3·p) and 6 for one whose pauses vary: its longest so far is a poor bound on the next.
 *
 * Fails: after one long outage q stays high for about a thousand points, and a second outage is noticed later; sources
 * that come and go by design (batch jobs) need a few cycles.
 *
 * Source: adaptive failure detectors; N. Hayashibara et al., The φ accrual failure detector, SRDS 2004, simplified.
 *
 * Example: points every 57 s, longest pause so far 114 s: overdue after 285 s.
 */
import { EWMA_SLOTS, learnEwma } from './ewma.ts';

const ALPHA = 0.05;
const LONGEST_KEEP = 1 - 1 / 1000;
const MEAN_PAUSES = 5;
const LONGEST_PAUSES_REGULAR = 2;
const LONGEST_PAUSES_IRREGULAR = 6;
/** A source is regular while its longest pause is at most this many usual ones. */
const REGULAR_PAUSES = 3;
/** Habits of fewer points are no habits. */
const LEAST_POINTS = 100;

export class MissingData {
  /** Mean pause (value and count), longest usual pause, time of the last point, points seen (to `LEAST_POINTS`). */
  readonly #state = new Float64Array(EWMA_SLOTS + 3);

  static readonly stateBytes = (EWMA_SLOTS + 3) * Float64Array.BYTES_PER_ELEMENT;

  learn(atMs: number): void {
    const points = this.#state[EWMA_SLOTS + 2]!;
    const pauseMs = atMs - this.#state[EWMA_SLOTS + 1]!;
    if (points > 0 && pauseMs >= 0) {
      learnEwma(this.#state, 0, ALPHA, pauseMs);
      this.#state[EWMA_SLOTS] = Math.max(pauseMs, this.#state[EWMA_SLOTS]! * LONGEST_KEEP);
    }
    this.#state[EWMA_SLOTS + 1] = atMs;
    this.#state[EWMA_SLOTS + 2] = Math.min(LEAST_POINTS, points + 1);
  }

  /** Counts the silence anew from `atMs`: it was the watcher who was away, or the clock that stepped. */
  forgive(atMs: number): void {
    this.#state[EWMA_SLOTS + 1] = atMs;
  }

  /** Time of the last point; before the first, so long ago that any point is later. */
  get lastMs(): number {
    return this.#state[EWMA_SLOTS + 2]! > 0 ? this.#state[EWMA_SLOTS + 1]! : Number.NEGATIVE_INFINITY;
  }

  /** Since when the next point has been expected; undefined while it is not overdue. */
  overdueSinceMs(nowMs: number): number | undefined {
    if (this.#state[EWMA_SLOTS + 2]! < LEAST_POINTS) return undefined;
    const lastMs = this.#state[EWMA_SLOTS + 1]!;
    const usualMs = this.#state[0]!;
    const longestMs = this.#state[EWMA_SLOTS]!;
    const pauses = longestMs <= REGULAR_PAUSES * usualMs ? LONGEST_PAUSES_REGULAR : LONGEST_PAUSES_IRREGULAR;
    const patienceMs = Math.max(MEAN_PAUSES * usualMs, pauses * longestMs);
    return nowMs - lastMs > patienceMs ? lastMs : undefined;
  }

  save(): readonly number[] {
    return Array.from(this.#state);
  }

  restore(saved: readonly number[]): void {
    this.#state.set(saved);
  }
}
