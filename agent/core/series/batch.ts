import type { HistogramPoint, SampleBatch, Series } from '../model.ts';

const NS_PER_MS = 1_000_000;

/** The numeric columns: made together, grown together, handed over together. */
interface Columns {
  readonly startMs: Float64Array;
  readonly startSubMsNs: Int32Array;
  readonly timeMs: Float64Array;
  readonly timeSubMsNs: Int32Array;
  readonly value: Float64Array;
  readonly flags: Uint32Array;
}

/**
 * Fills the columns of a `SampleBatch`, one row a point, without an object per point. Columns double when they are
 * full; `build()` hands them over, so a builder that has built starts again with fresh ones.
 *
 * Instants are whole milliseconds plus the nanoseconds within that millisecond. Callers who have milliseconds only
 * (host sampler, scraper, simulator) use the `…Ms` variants, which keep a fraction of a millisecond to the nanosecond.
 */
export class SampleBatchBuilder {
  readonly #expectedSize: number;
  #capacity = 0;
  #size = 0;
  #series: Series[] = [];
  #columns = columnsOf(0);
  #histogram: (HistogramPoint | undefined)[] = [];

  constructor(expectedSize = 64) {
    this.#expectedSize = Math.max(1, expectedSize);
  }

  get size(): number {
    return this.#size;
  }

  gauge(series: Series, timeMs: number, timeSubMsNs: number, value: number, flags = 0): void {
    this.#append(series, 0, 0, timeMs, timeSubMsNs, value, flags);
  }

  sum(
    series: Series,
    startMs: number,
    startSubMsNs: number,
    timeMs: number,
    timeSubMsNs: number,
    value: number,
    flags = 0,
  ): void {
    this.#append(series, startMs, startSubMsNs, timeMs, timeSubMsNs, value, flags);
  }

  histogram(
    series: Series,
    startMs: number,
    startSubMsNs: number,
    timeMs: number,
    timeSubMsNs: number,
    point: HistogramPoint,
    flags = 0,
  ): void {
    // Filled up rather than left with holes: a far index in an empty array would turn it into a slow dictionary.
    while (this.#histogram.length < this.#size) this.#histogram.push(undefined);
    this.#histogram.push(point);
    this.#append(series, startMs, startSubMsNs, timeMs, timeSubMsNs, 0, flags);
  }

  gaugeAtMs(series: Series, timeMs: number, value: number): void {
    const wholeMs = Math.floor(timeMs);
    this.gauge(series, wholeMs, subMsNs(timeMs, wholeMs), value);
  }

  /** `startMs = 0`: the start is not known. */
  sumOverMs(series: Series, startMs: number, timeMs: number, value: number): void {
    const wholeStartMs = Math.floor(startMs);
    const wholeMs = Math.floor(timeMs);
    this.sum(series, wholeStartMs, subMsNs(startMs, wholeStartMs), wholeMs, subMsNs(timeMs, wholeMs), value);
  }

  histogramOverMs(series: Series, startMs: number, timeMs: number, point: HistogramPoint): void {
    const wholeStartMs = Math.floor(startMs);
    const wholeMs = Math.floor(timeMs);
    this.histogram(series, wholeStartMs, subMsNs(startMs, wholeStartMs), wholeMs, subMsNs(timeMs, wholeMs), point);
  }

  /** The rows so far. The columns now belong to the batch; the builder starts empty. */
  build(): SampleBatch {
    const size = this.#size;
    const { startMs, startSubMsNs, timeMs, timeSubMsNs, value, flags } = this.#columns;
    const batch: SampleBatch = {
      size,
      series: this.#series,
      startMs: startMs.subarray(0, size),
      startSubMsNs: startSubMsNs.subarray(0, size),
      timeMs: timeMs.subarray(0, size),
      timeSubMsNs: timeSubMsNs.subarray(0, size),
      value: value.subarray(0, size),
      histogram: this.#histogram,
      flags: flags.subarray(0, size),
    };
    this.#size = 0;
    this.#series = [];
    this.#histogram = [];
    this.#capacity = 0;
    this.#columns = columnsOf(0);
    return batch;
  }

  #append(
    series: Series,
    startMs: number,
    startSubMsNs: number,
    timeMs: number,
    timeSubMsNs: number,
    value: number,
    flags: number,
  ): void {
    const row = this.#size;
    if (row === this.#capacity) this.#grow();
    const columns = this.#columns;
    this.#series.push(series);
    columns.startMs[row] = startMs;
    columns.startSubMsNs[row] = startSubMsNs;
    columns.timeMs[row] = timeMs;
    columns.timeSubMsNs[row] = timeSubMsNs;
    columns.value[row] = value;
    columns.flags[row] = flags;
    this.#size = row + 1;
  }

  #grow(): void {
    this.#capacity = Math.max(this.#expectedSize, this.#capacity * 2);
    const grown = columnsOf(this.#capacity);
    grown.startMs.set(this.#columns.startMs);
    grown.startSubMsNs.set(this.#columns.startSubMsNs);
    grown.timeMs.set(this.#columns.timeMs);
    grown.timeSubMsNs.set(this.#columns.timeSubMsNs);
    grown.value.set(this.#columns.value);
    grown.flags.set(this.#columns.flags);
    this.#columns = grown;
  }
}

function columnsOf(capacity: number): Columns {
  return {
    startMs: new Float64Array(capacity),
    startSubMsNs: new Int32Array(capacity),
    timeMs: new Float64Array(capacity),
    timeSubMsNs: new Int32Array(capacity),
    value: new Float64Array(capacity),
    flags: new Uint32Array(capacity),
  };
}

function subMsNs(instantMs: number, wholeMs: number): number {
  // At today's epoch a double resolves 0.24 µs, so rounding can reach a full millisecond but never pass it.
  return Math.min(NS_PER_MS - 1, Math.round((instantMs - wholeMs) * NS_PER_MS));
}
