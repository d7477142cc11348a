import { IntervalRing } from '../profile/interval_ring.ts';
import { Distribution } from '../series/distribution.ts';
import type { HistogramIncrement } from '../series/store.ts';
import { MINUTE_MS, type Rollup, rollupOf } from './rollup.ts';
import { LogSketch } from './sketch.ts';

/** Telemetry may be this late: exporters send every 10 to 60 seconds. What is later than that is counted, and not kept. */
const OPEN_MINUTES = 4;
/** Rates are told apart this finely: as short as exporters' intervals get. */
const RATE_MS = 5_000;
const RATES_PER_MINUTE = MINUTE_MS / RATE_MS;

/** Whose minutes they are. */
export type Subject = Pick<Rollup, 'component' | 'signal'>;

/** The latest minutes of one signal. `take` gives out, whole, those that changed since it was last called. */
export interface Minutes {
  take(nowMs: number): readonly Rollup[];
  /** Forgets what is still open: it came from a source that no longer counts. */
  clear(): void;
}

interface DurationSlot {
  startMs: number;
  isChanged: boolean;
  readonly values: Distribution;
  /** Of servers that have only counters. */
  totalMs: number;
  totalCount: number;
}

/** Durations in milliseconds, each increment within the minute in which it ends. */
export class DurationMinutes implements Minutes {
  readonly #subject: Subject;
  readonly #ring: IntervalRing<DurationSlot>;

  constructor(subject: Subject) {
    this.#subject = subject;
    const make = () => ({ startMs: 0, isChanged: false, values: new Distribution(), totalMs: 0, totalCount: 0 });
    this.#ring = new IntervalRing<DurationSlot>(MINUTE_MS, OPEN_MINUTES, make, (slot) => {
      slot.values.reset();
      slot.totalMs = 0;
      slot.totalCount = 0;
    });
  }

  /** Returns false when it is too late. */
  add(increment: HistogramIncrement, msPerUnit: number, nowMs: number): boolean {
    const { bounds, counts, count, sum, endMs, min, max } = increment;
    const slot = this.#slot(endMs, nowMs);
    slot?.values.addHistogram(bounds, counts, count, sum, msPerUnit, min, max);
    return slot !== undefined;
  }

  /** Of a server that has only counters, which come one after the other: so many requests more, so much time more. */
  addTotal(count: number, totalMs: number, endMs: number, nowMs: number): boolean {
    const slot = this.#slot(endMs, nowMs);
    if (slot === undefined) return false;
    slot.totalCount += count;
    slot.totalMs += totalMs;
    return true;
  }

  take(nowMs: number): readonly Rollup[] {
    return [...this.#ring.window(nowMs)].flatMap((slot) => {
      const { values, startMs, isChanged, totalMs, totalCount } = slot;
      slot.isChanged = false;
      const mean = values.mean() ?? (totalCount > 0 ? totalMs / totalCount : undefined);
      if (!isChanged || mean === undefined) return [];
      const count = values.count > 0 ? values.count : totalCount;
      const base = { ...this.#subject, startMs, stepMs: MINUTE_MS, count, sum: mean * count };
      const [min, max] = values.range;
      return [rollupOf(base, min, max, min <= max ? LogSketch.of(values) : undefined)];
    });
  }

  clear(): void {
    this.#ring.clear();
  }

  #slot(endMs: number, nowMs: number): DurationSlot | undefined {
    // What ends exactly on a border belongs to the minute before it; what is ahead of our clock has happened by now.
    const number = Math.ceil(Math.min(endMs, nowMs) / MINUTE_MS) - 1;
    const slot = this.#ring.slot(number, nowMs);
    if (slot === undefined) return undefined;
    slot.startMs = number * MINUTE_MS;
    slot.isChanged = true;
    return slot;
  }
}

interface LevelSlot {
  startMs: number;
  isChanged: boolean;
  count: number;
  sum: number;
  min: number;
  max: number;
  sketch: LogSketch;
}

/** Samples of something that stands at a level. */
export class LevelMinutes implements Minutes {
  readonly #subject: Subject;
  readonly #ring: IntervalRing<LevelSlot>;

  constructor(subject: Subject) {
    this.#subject = subject;
    this.#ring = new IntervalRing(MINUTE_MS, OPEN_MINUTES, emptyLevels, (slot) => Object.assign(slot, emptyLevels()));
  }

  /** Returns false when it is too late. */
  add(value: number, atMs: number, nowMs: number): boolean {
    const number = Math.floor(Math.min(atMs, nowMs) / MINUTE_MS);
    const slot = this.#ring.slot(number, nowMs);
    if (slot === undefined) return false;
    slot.startMs = number * MINUTE_MS;
    slot.isChanged = true;
    slot.count += 1;
    slot.sum += value;
    slot.min = Math.min(slot.min, value);
    slot.max = Math.max(slot.max, value);
    slot.sketch.add(value);
    return true;
  }

  take(nowMs: number): readonly Rollup[] {
    return [...this.#ring.window(nowMs)].flatMap((slot) => {
      const { startMs, isChanged, count, sum, min, max, sketch } = slot;
      slot.isChanged = false;
      if (!isChanged) return [];
      // Given out: what is added later must not change it.
      return [rollupOf({ ...this.#subject, startMs, stepMs: MINUTE_MS, count, sum }, min, max, sketch.copy())];
    });
  }

  clear(): void {
    this.#ring.clear();
  }
}

interface RateSlot {
  startMs: number;
  isChanged: boolean;
  events: number;
  fromMs: number;
  toMs: number;
}

/**
 * Events per second. Several series count the same seconds and their events add up, so a rate is known only once all of
 * them have spoken: it is worked out anew from five-second slots each time that its minute is given out.
 */
export class RateMinutes implements Minutes {
  readonly #subject: Subject;
  readonly #ring: IntervalRing<RateSlot>;

  constructor(subject: Subject) {
    this.#subject = subject;
    const size = OPEN_MINUTES * RATES_PER_MINUTE;
    this.#ring = new IntervalRing(RATE_MS, size, emptyRate, (slot) => Object.assign(slot, emptyRate()));
  }

  /** Spread evenly over the time it covers. Returns false when all of it is too late. */
  add(events: number, startMs: number, endMs: number, nowMs: number): boolean {
    const last = this.#ring.spread(startMs, endMs, nowMs, (slot, share, fromMs, toMs) => {
      slot.startMs = Math.floor(fromMs / RATE_MS) * RATE_MS;
      slot.isChanged = true;
      slot.events += events * share;
      slot.fromMs = Math.min(slot.fromMs, fromMs);
      slot.toMs = Math.max(slot.toMs, toMs);
    });
    return last !== undefined;
  }

  take(nowMs: number): readonly Rollup[] {
    const minutes = Map.groupBy(this.#ring.window(nowMs), (slot) => Math.floor(slot.startMs / MINUTE_MS));
    // The oldest minute has begun to lose its slots: what was given out of it stands.
    const oldest = this.#ring.numberAt(nowMs) - this.#ring.size + 1;
    return [...minutes].flatMap(([minute, slots]) => {
      const isChanged = slots.some((slot) => slot.isChanged);
      for (const slot of slots) slot.isChanged = false;
      if (!isChanged || minute * RATES_PER_MINUTE < oldest) return [];
      let [seconds, events, min, max] = [0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      const sketch = new LogSketch();
      for (const slot of slots) {
        const covered = (slot.toMs - slot.fromMs) / 1_000;
        if (!(covered > 0)) continue;
        const rate = slot.events / covered;
        seconds += covered;
        events += slot.events;
        min = Math.min(min, rate);
        max = Math.max(max, rate);
        sketch.add(rate, covered);
      }
      if (seconds <= 0) return [];
      const base = { ...this.#subject, startMs: minute * MINUTE_MS, stepMs: MINUTE_MS, count: seconds, sum: events };
      return [rollupOf(base, min, max, sketch)];
    });
  }

  clear(): void {
    this.#ring.clear();
  }
}

function emptyLevels(): LevelSlot {
  const [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  return { startMs: 0, isChanged: false, count: 0, sum: 0, min, max, sketch: new LogSketch() };
}

function emptyRate(): RateSlot {
  const [fromMs, toMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  return { startMs: 0, isChanged: false, events: 0, fromMs, toMs };
}
