import type { AttributeValue, HistogramPoint, Series } from '../../core/model.ts';
import type { SampleBatchBuilder } from '../../core/series/batch.ts';
import type { SeriesInterner } from '../../core/series/interner.ts';
import type { Tally } from './counts.ts';
import { HistogramParts } from './histogram_parts.ts';
import { type Label, msOfSeconds } from './line.ts';

export type PointKind = 'gauge' | 'counter' | 'histogram' | 'summary';

/** One series of a target, and what the page under way says of it. */
export interface Entry {
  readonly series: Series;
  readonly kind: PointKind;
  /** Under which a `_created` sample of it is filed. */
  readonly createdKey: string;
  readonly parts: HistogramParts;
  /** Number of the last page that mentions it. */
  page: number;
  value: number | undefined;
  timestampMs: number | undefined;
  /** Has been told to the core; `ended`: and its end too. */
  state: 'new' | 'live' | 'ended';
  startMs: number;
  seenMs: number;
}

interface TableOptions {
  readonly resource: ReadonlyMap<string, AttributeValue>;
  readonly interner: SeriesInterner;
  readonly maxSeries: number;
  readonly tally: Tally;
}

/** A point older than this against our clock, or further ahead, is of another time. */
const OLDEST_MS = 600_000;
const FURTHEST_AHEAD_MS = 60_000;
/** A process start that is computed anew for each page wanders by less. */
const SAME_START_MS = 1_000;
const NO_RECORDED_VALUE = 1;
const NO_HISTOGRAM: HistogramPoint = { count: 0, bounds: [], counts: [] };
const SCOPE = 'performance-optimizer/prometheus';

/**
 * The series of one target from page to page.
 *
 * A page has no start times, and without one the core takes the first point of a counter as its baseline: requests that
 * failed for the first time between two pages would never be counted. What is known of a start, in this order:
 *   `_created` of the series itself;
 *   the time of the page before, where that page was read and did not have the series: it began after that;
 *   the same for every series when `process_start_time_seconds` has moved: the process restarted in between;
 *   nothing, for what the first page has: then only a value that falls shows a reset.
 * Points carry the time at which the scrape began. The values are a little younger, never older, so that an interval that
 * begins after a knob was set has nothing of before in it.
 */
export class SeriesTable {
  readonly #options: TableOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #created = new Map<string, number>();
  #touched: Entry[] = [];
  #page = 0;
  #askedMs = 0;
  /** When the last page that was read to its end was asked for; 0: none was. */
  #pageMs = 0;
  #processStartMs: number | undefined;
  #nextProcessStartMs: number | undefined;

  constructor(options: TableOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** A page begins that was asked for at `askedMs`; whatever one before left unfinished is forgotten. */
  begin(askedMs: number): void {
    this.#page += 1;
    this.#askedMs = askedMs;
    this.#touched = [];
    this.#created.clear();
    this.#nextProcessStartMs = undefined;
  }

  /** The series for what the page under way says next; undefined, and counted, when there is no room. */
  find(kind: PointKind, name: string, base: string, unit: string, labels: readonly Label[]): Entry | undefined {
    const labelsKey = keyOf(labels);
    const key = `${kind}:${unit}:${name}:${labelsKey}`;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = this.#add(key, kind, name, createdKey(base, labelsKey), unit, labels);
      if (entry === undefined) return undefined;
    }
    if (entry.page !== this.#page) {
      entry.page = this.#page;
      entry.value = undefined;
      entry.timestampMs = undefined;
      entry.parts.clear();
      this.#touched.push(entry);
    }
    return entry;
  }

  /** A `_created` sample: Unix seconds. */
  created(base: string, labels: readonly Label[], seconds: number): void {
    if (!(seconds > 0 && Number.isFinite(seconds)) || this.#created.size >= this.#options.maxSeries) return;
    this.#created.set(createdKey(base, keyOf(labels)), msOfSeconds(seconds));
  }

  /** The page's `process_start_time_seconds`. */
  processStart(seconds: number): void {
    if (seconds > 0 && Number.isFinite(seconds)) this.#nextProcessStartMs = msOfSeconds(seconds);
  }

  /** The page has been read to its end: writes a point for every series on it, and an end for those no longer there. */
  write(batch: SampleBatchBuilder): void {
    const askedMs = this.#askedMs;
    this.#noticeRestart();
    for (const entry of this.#touched) this.#writeEntry(batch, entry, askedMs);
    for (const entry of this.#entries.values()) {
      if (entry.state === 'live' && entry.page !== this.#page) this.#writeEnd(batch, entry, askedMs);
    }
    this.#pageMs = askedMs;
  }

  /** The target has stopped answering. */
  writeEnds(batch: SampleBatchBuilder, nowMs: number): void {
    for (const entry of this.#entries.values()) if (entry.state === 'live') this.#writeEnd(batch, entry, nowMs);
  }

  /** Forgets what no page has had for `idleMs`. */
  evictIdle(nowMs: number, idleMs: number): void {
    this.#evict((entry) => nowMs - entry.seenMs > idleMs);
  }

  #add(
    key: string,
    kind: PointKind,
    name: string,
    createdKey: string,
    unit: string,
    labels: readonly Label[],
  ): Entry | undefined {
    const { interner, maxSeries, resource, tally } = this.#options;
    if (this.#entries.size >= maxSeries) this.#evict((entry) => entry.state === 'ended');
    const identity = { name, unit, monotonic: kind === 'counter', scope: SCOPE, resource, attributes: new Map(labels) };
    const series =
      this.#entries.size >= maxSeries
        ? undefined
        : interner.intern(
            kind === 'gauge'
              ? { ...identity, kind }
              : { ...identity, kind: kind === 'counter' ? 'sum' : kind, temporality: 'cumulative' },
            this.#askedMs,
          );
    if (series === undefined) {
      tally.dropped.series_limit += 1;
      return undefined;
    }
    const entry: Entry = {
      ...{ series, kind, createdKey, parts: new HistogramParts(), page: 0, value: undefined, timestampMs: undefined },
      ...{ state: 'new', startMs: 0, seenMs: this.#askedMs },
    };
    this.#entries.set(key, entry);
    return entry;
  }

  /** What a restarted process says began after the last page of the one before. */
  #noticeRestart(): void {
    const next = this.#nextProcessStartMs;
    const before = this.#processStartMs;
    this.#processStartMs = next;
    if (next === undefined || before === undefined || Math.abs(next - before) <= SAME_START_MS) return;
    const startMs = Math.max(next, this.#pageMs);
    for (const entry of this.#entries.values()) entry.startMs = startMs;
  }

  #writeEntry(batch: SampleBatchBuilder, entry: Entry, askedMs: number): void {
    const { tally, interner } = this.#options;
    interner.touch(entry.series, askedMs);
    entry.seenMs = askedMs;
    const timeMs = entry.timestampMs ?? askedMs;
    if (timeMs < askedMs - OLDEST_MS || timeMs > askedMs + FURTHEST_AHEAD_MS) {
      tally.dropped.timestamp += 1;
      return;
    }
    if (entry.state === 'new') entry.startMs = this.#pageMs;
    const startMs = Math.min(this.#created.get(entry.createdKey) ?? entry.startMs, timeMs);
    if (entry.kind === 'histogram' || entry.kind === 'summary') {
      const point = entry.parts.point();
      if (point === undefined) {
        tally.dropped.bad_histogram += 1;
        return;
      }
      batch.histogramOverMs(entry.series, startMs, timeMs, point);
    } else {
      // Left out on the page's account already: a series whose only value was no number.
      if (entry.value === undefined) return;
      if (entry.kind === 'gauge') batch.gaugeAtMs(entry.series, timeMs, entry.value);
      else batch.sumOverMs(entry.series, startMs, timeMs, entry.value);
    }
    entry.state = 'live';
  }

  #writeEnd(batch: SampleBatchBuilder, entry: Entry, nowMs: number): void {
    const timeMs = Math.floor(nowMs);
    const { series, kind } = entry;
    if (kind === 'gauge') batch.gauge(series, timeMs, 0, 0, NO_RECORDED_VALUE);
    else if (kind === 'counter') batch.sum(series, 0, 0, timeMs, 0, 0, NO_RECORDED_VALUE);
    else batch.histogram(series, 0, 0, timeMs, 0, NO_HISTOGRAM, NO_RECORDED_VALUE);
    entry.state = 'ended';
    this.#options.tally.ended += 1;
  }

  #evict(isGone: (entry: Entry) => boolean): void {
    for (const [key, entry] of this.#entries) {
      if (entry.page !== this.#page && isGone(entry)) this.#entries.delete(key);
    }
  }
}

/** The same text for the same labels in any order; no label value can be mistaken for the next name. */
function keyOf(labels: readonly Label[]): string {
  if (labels.length === 0) return '';
  const sorted = labels.length === 1 ? labels : labels.toSorted(([a], [b]) => (a < b ? -1 : 1));
  let key = '';
  for (const [name, value] of sorted) key += `${name}=${value.length}:${value}`;
  return key;
}

function createdKey(base: string, labelsKey: string): string {
  return `${base}:${labelsKey}`;
}
