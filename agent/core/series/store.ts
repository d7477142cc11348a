import type { HistogramPoint, SampleBatch, Series } from '../model.ts';
import { ExponentialGrids } from './exponential_grid.ts';
import { gainedHistogram, hasHistogram, histogramFell, isHistogram, wholeHistogram } from './histogram_series.ts';
import {
  compareStartToEnd,
  compareStartToStart,
  compareTimeToEnd,
  endOfMs,
  hasKnownStart,
  hasStart,
  isInstant,
  restOf,
  SeriesState,
  startOfMs,
  startsAfterItsTime,
  timeOfMs,
} from './state.ts';

/**
 * What happened in one series over `(startMs, endMs]`, whatever its temporality was.
 *
 * `gauge` is a level at `endMs` (`startMs = endMs`): gauges, and non-monotonic sums as their current level. `sum` and
 * `histogram` are amounts within the interval. An interval can reach far back: the first cumulative point of a process
 * that has run for hours is one increment over those hours. Whoever fills a window must leave out increments whose
 * `startMs` lies before it.
 *
 * Exponential histograms arrive as histograms with explicit bounds, and summaries as histograms without buckets: their
 * counts and sums add up, their quantiles do not.
 */
export type Increment = GaugeIncrement | SumIncrement | HistogramIncrement;

interface Interval {
  readonly series: Series;
  readonly startMs: number;
  readonly endMs: number;
}
export interface GaugeIncrement extends Interval {
  readonly kind: 'gauge';
  readonly value: number;
}
export interface SumIncrement extends Interval {
  readonly kind: 'sum';
  readonly delta: number;
}
/** `min` and `max` are those of this interval, and absent where they cannot be told from a cumulative stream. */
export interface HistogramIncrement extends Interval, HistogramPoint {
  readonly kind: 'histogram';
}

/** Points by what became of them, where that is not simply "an increment". */
export interface SeriesStoreCounts {
  /** Increments given out. */
  increments: number;
  /** Cumulative points that set a starting level and add nothing: their start is not known. */
  baselines: number;
  resets: number;
  /** Delta intervals missing between two points. */
  gaps: number;
  /** Same series and time as the point before: a repeated delivery. */
  duplicates: number;
  /** Older than what the series has reached. */
  outOfOrder: number;
  /** Intervals that cover time already counted: two writers of one series, or a sender whose start wanders. */
  overlaps: number;
  /** Flag bit 0: the sender says that the series ended. */
  noRecordedValue: number;
  /** Points of a sender's own overflow series (`otel.metric.overflow`), which mix many series. */
  overflowSeries: number;
  /** Not a number, a start after its time, a decreasing delta, or no temporality. */
  invalid: number;
  /** Refused because `maxSeries` was reached. */
  seriesLimit: number;
  /** Series forgotten by `evictIdle`. */
  evicted: number;
}

const NO_RECORDED_VALUE = 1;

/**
 * Turns points into increments by the rules of the OTLP data model, with one small state per series.
 *
 * Counted never twice: a cumulative stream adds the difference to what was seen before; a repeated, older or overlapping
 * interval adds nothing. Times are compared to the nanosecond. A process restart shows as a new start or as a value that
 * fell, and then everything since the restart is new.
 *
 * A series whose points are all refused (a clock that was once far ahead) is not kept alive by them, so `evictIdle`
 * gives it a fresh start.
 */
export class SeriesStore {
  readonly counts: SeriesStoreCounts = {
    increments: 0,
    baselines: 0,
    resets: 0,
    gaps: 0,
    duplicates: 0,
    outOfOrder: 0,
    overlaps: 0,
    noRecordedValue: 0,
    overflowSeries: 0,
    invalid: 0,
    seriesLimit: 0,
    evicted: 0,
  };
  readonly #maxSeries: number;
  readonly #states = new Map<Series, SeriesState>();
  readonly #grids = new ExponentialGrids();

  constructor(options: { readonly maxSeries: number }) {
    this.#maxSeries = options.maxSeries;
  }

  get size(): number {
    return this.#states.size;
  }

  /** What row `row` of the batch adds; `undefined` when it adds nothing, and then `counts` says why. */
  normalise(batch: SampleBatch, row: number): Increment | undefined {
    const series = batch.series[row]!;
    if ((batch.flags[row]! & NO_RECORDED_VALUE) !== 0) {
      // The state stays: should the series go on, what was counted must not be counted again.
      this.counts.noRecordedValue += 1;
      return undefined;
    }
    if (!isValid(batch, row, series)) {
      this.counts.invalid += 1;
      return undefined;
    }
    let state = this.#states.get(series);
    const isNew = state === undefined;
    if (state === undefined) {
      if (series.attributes.get('otel.metric.overflow') === true) {
        this.counts.overflowSeries += 1;
        return undefined;
      }
      if (this.#states.size >= this.#maxSeries) {
        this.counts.seriesLimit += 1;
        return undefined;
      }
      state = new SeriesState();
      this.#states.set(series, state);
    }
    const increment = this.#increment(batch, row, series, state, isNew);
    if (increment !== undefined) this.counts.increments += 1;
    return increment;
  }

  /** Forgets series that have not advanced for `idleMs` of the agent's time. Returns how many. Call it regularly. */
  evictIdle(nowMs: number, idleMs: number): number {
    let evicted = 0;
    for (const [series, state] of this.#states) {
      if (state.touched) {
        state.touched = false;
        state.seenMs = nowMs;
      } else if (nowMs - state.seenMs >= idleMs) {
        this.#states.delete(series);
        evicted += 1;
      }
    }
    this.counts.evicted += evicted;
    return evicted;
  }

  #increment(
    batch: SampleBatch,
    row: number,
    series: Series,
    state: SeriesState,
    isNew: boolean,
  ): Increment | undefined {
    const isLevel = series.kind === 'gauge' || (series.kind === 'sum' && !series.monotonic);
    if (series.temporality === 'delta') return this.#delta(batch, row, series, state, isNew, isLevel);
    if (isLevel) return this.#level(batch, row, series, state, isNew);
    return this.#cumulative(batch, row, series, state, isNew);
  }

  /** A gauge or a non-monotonic cumulative sum: the newest value counts. */
  #level(batch: SampleBatch, row: number, series: Series, state: SeriesState, isNew: boolean): Increment | undefined {
    const sinceEnd = isNew ? 1 : compareTimeToEnd(batch, row, state);
    if (sinceEnd <= 0) return this.#late(sinceEnd);
    state.advance(batch, row);
    return { kind: 'gauge', series, startMs: endOfMs(state), endMs: endOfMs(state), value: batch.value[row]! };
  }

  /** Monotonic sums and histograms that count from their start. */
  #cumulative(
    batch: SampleBatch,
    row: number,
    series: Series,
    state: SeriesState,
    isNew: boolean,
  ): Increment | undefined {
    const startsAtItsTime = isInstant(batch, row);
    const startKnown = hasStart(batch, row);
    if (isNew) {
      state.restart(batch, row);
      if (!startKnown || startsAtItsTime) {
        this.counts.baselines += 1;
        return undefined;
      }
      return this.#whole(batch, row, series, state, startOfMs(batch, row));
    }

    const sinceEnd = compareTimeToEnd(batch, row, state);
    if (startKnown && compareStartToStart(batch, row, state) > 0 && compareStartToEnd(batch, row, state) >= 0) {
      // A true reset: a stream that began after everything counted so far. One of unknown start may begin right at the
      // end of the old one; any other point lies later than its start, hence later than the end.
      this.counts.resets += 1;
      state.restart(batch, row);
      if (startsAtItsTime) {
        this.counts.baselines += 1;
        return undefined;
      }
      return this.#whole(batch, row, series, state, startOfMs(batch, row));
    }
    if (startKnown && hasKnownStart(state) && compareStartToStart(batch, row, state) < 0) {
      // An older stream. Were it let in, two processes that share an identity would count each other's whole history.
      this.counts.outOfOrder += 1;
      return undefined;
    }
    if (sinceEnd <= 0) return this.#late(sinceEnd);
    // A start within time already counted: one writer whose start wanders (boot times do, by a second) or two writers.
    if (startKnown && hasKnownStart(state) && compareStartToStart(batch, row, state) > 0) this.counts.overlaps += 1;
    return this.#difference(batch, row, series, state);
  }

  #difference(batch: SampleBatch, row: number, series: Series, state: SeriesState): Increment | undefined {
    const startMs = endOfMs(state);
    const isSum = series.kind === 'sum';
    const value = batch.value[row]!;
    const rest = restOf(batch, row);
    const delta = value - state.value + (rest - state.valueRest);
    if (isSum ? delta < 0 : histogramFell(batch, row, state)) {
      // A counter that fell started again from zero after the last point, so all of it is new.
      this.counts.resets += 1;
      state.restart(batch, row);
      return this.#whole(batch, row, series, state, startMs);
    }
    state.advance(batch, row);
    const endMs = endOfMs(state);
    if (isSum) {
      state.value = value;
      state.valueRest = rest;
      return { kind: 'sum', series, startMs, endMs, delta };
    }
    const gained = gainedHistogram(batch, row, state, this.#grids);
    if (gained === undefined) {
      // Nothing says how much of it is new.
      this.counts.resets += 1;
      this.counts.baselines += 1;
      return undefined;
    }
    return { kind: 'histogram', series, startMs, endMs, ...gained };
  }

  #delta(
    batch: SampleBatch,
    row: number,
    series: Series,
    state: SeriesState,
    isNew: boolean,
    isLevel: boolean,
  ): Increment | undefined {
    let startMs = hasStart(batch, row) ? startOfMs(batch, row) : isNew ? timeOfMs(batch, row) : endOfMs(state);
    let isGap = false;
    if (!isNew) {
      const sinceEnd = compareTimeToEnd(batch, row, state);
      if (sinceEnd <= 0) return this.#late(sinceEnd);
      if (hasStart(batch, row)) {
        const gap = compareStartToEnd(batch, row, state);
        if (gap < 0) {
          this.counts.overlaps += 1;
          return undefined;
        }
        isGap = gap > 0;
        if (isGap) this.counts.gaps += 1;
      }
    }
    state.advance(batch, row);
    if (isLevel) {
      // After a gap the level before it is worthless: the stream starts again from zero.
      state.value = isGap ? batch.value[row]! : state.value + batch.value[row]!;
      startMs = endOfMs(state);
      return { kind: 'gauge', series, startMs, endMs: startMs, value: state.value };
    }
    return this.#whole(batch, row, series, state, startMs);
  }

  /** Everything in the point is new, from `startMs` on. */
  #whole(batch: SampleBatch, row: number, series: Series, state: SeriesState, startMs: number): Increment | undefined {
    const endMs = timeOfMs(batch, row);
    if (series.kind === 'sum') return { kind: 'sum', series, startMs, endMs, delta: batch.value[row]! };
    const point = wholeHistogram(batch, row, state, this.#grids);
    return point === undefined ? undefined : { kind: 'histogram', series, startMs, endMs, ...point };
  }

  #late(sinceEnd: number): undefined {
    if (sinceEnd === 0) this.counts.duplicates += 1;
    else this.counts.outOfOrder += 1;
    return undefined;
  }
}

function isValid(batch: SampleBatch, row: number, series: Series): boolean {
  if (timeOfMs(batch, row) <= 0) return false;
  if (series.kind === 'gauge') return Number.isFinite(batch.value[row]);
  if (series.temporality === undefined || (hasStart(batch, row) && startsAfterItsTime(batch, row))) return false;
  if (isHistogram(series)) return hasHistogram(batch, row, series);
  const value = batch.value[row]!;
  return Number.isFinite(value) && (value >= 0 || !series.monotonic);
}
