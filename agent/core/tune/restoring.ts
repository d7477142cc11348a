import type { Actuator } from '../actuator.ts';
import type { Effect, Rationale, Setting } from '../model.ts';

export type Restored =
  | { readonly state: 'done' }
  | { readonly state: 'under_way'; readonly effects: readonly Effect[] }
  /** The process does not take its values back. */
  | { readonly state: 'given_up' };

export const MAX_RESTORE_ATTEMPTS = 6;
const MAX_PAUSE_MS = 300_000;
const UNDER_WAY: Restored = { state: 'under_way', effects: [] };

/** Brings a process back to its incumbent: at once, and again with growing pauses until it is there. */
export class Restoring {
  readonly #actuator: Actuator;
  readonly #pauseMs: number;
  #attempts = 0;
  #retryAtMs: number;

  constructor(actuator: Actuator, pauseMs: number, nowMs: number) {
    this.#actuator = actuator;
    this.#pauseMs = pauseMs;
    this.#retryAtMs = nowMs;
  }

  step(incumbent: Setting, rationale: Rationale, nowMs: number): Restored {
    const { state } = this.#actuator.state;
    if (state === 'uncertain' || state === 'closed') return UNDER_WAY;
    // On the way to another setting: turn round at once. On the way back already: wait for the answer.
    if (state === 'applying' && this.#attempts > 0) return UNDER_WAY;
    if (state !== 'applying' && this.#actuator.difference(incumbent).length === 0) {
      // Nothing is to be sent: this only acknowledges a failure that has left everything in place.
      if (state === 'failed') this.#actuator.apply(incumbent, rationale, nowMs);
      return { state: 'done' };
    }
    if (nowMs < this.#retryAtMs) return UNDER_WAY;
    if (this.#attempts >= MAX_RESTORE_ATTEMPTS) return { state: 'given_up' };
    this.#retryAtMs = nowMs + Math.min(this.#pauseMs * 2 ** this.#attempts, MAX_PAUSE_MS);
    this.#attempts++;
    return { state: 'under_way', effects: this.#actuator.apply(incumbent, rationale, nowMs, true) };
  }
}
