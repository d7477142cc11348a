import type { HistogramIncrement } from '../series/store.ts';
import { DurationMinutes, LevelMinutes, RateMinutes, type Subject } from './minutes.ts';
import type { Rollup } from './rollup.ts';
import type { HistorySignal } from './signal.ts';

/**
 * The open minutes of one component's signals: what its profile took in, once more and coarser. The profile has chosen
 * among sources already, so what comes here counts.
 */
export class ComponentHistory {
  readonly #component: string;
  readonly #durations = new Map<HistorySignal, DurationMinutes>();
  readonly #levels = new Map<HistorySignal, LevelMinutes>();
  readonly #rates = new Map<HistorySignal, RateMinutes>();
  #late = 0;

  constructor(component: string) {
    this.#component = component;
  }

  /** Points that came too late for their minute. */
  get late(): number {
    return this.#late;
  }

  durations(signal: HistorySignal, increment: HistogramIncrement, msPerUnit: number, nowMs: number): void {
    this.#count(this.#of(this.#durations, signal, DurationMinutes).add(increment, msPerUnit, nowMs));
  }

  /** Of a server that has only counters, which come one after the other: so many requests more, so much time more. */
  durationTotal(signal: HistorySignal, count: number, totalMs: number, endMs: number, nowMs: number): void {
    this.#count(this.#of(this.#durations, signal, DurationMinutes).addTotal(count, totalMs, endMs, nowMs));
  }

  level(signal: HistorySignal, value: number, atMs: number, nowMs: number): void {
    this.#count(this.#of(this.#levels, signal, LevelMinutes).add(value, atMs, nowMs));
  }

  events(signal: HistorySignal, events: number, startMs: number, endMs: number, nowMs: number): void {
    this.#count(this.#of(this.#rates, signal, RateMinutes).add(events, startMs, endMs, nowMs));
  }

  /** A better source has come: what the one before it said of the open minutes no longer counts. */
  clear(signal: HistorySignal): void {
    for (const kind of [this.#durations, this.#levels, this.#rates]) kind.get(signal)?.clear();
  }

  /** Minutes that changed since this was last called, whole. */
  take(nowMs: number): readonly Rollup[] {
    return [this.#durations, this.#levels, this.#rates].flatMap((kind) =>
      [...kind.values()].flatMap((minutes) => minutes.take(nowMs)),
    );
  }

  #of<M>(kind: Map<HistorySignal, M>, signal: HistorySignal, Minutes: new (subject: Subject) => M): M {
    let minutes = kind.get(signal);
    if (minutes === undefined) {
      minutes = new Minutes({ component: this.#component, signal });
      kind.set(signal, minutes);
    }
    return minutes;
  }

  #count(isInTime: boolean): void {
    if (!isInTime) this.#late += 1;
  }
}
