import type { ExponentialPoint, HistogramPoint, SampleBatch, Series } from '../model.ts';

const NS_PER_MS = 1_000_000;

/** The numeric columns: views of one stretch of memory, made together and handed over together. */
interface Columns {
  readonly startMs: Float64Array;
  readonly startSubMsNs: Int32Array;
  readonly timeMs: Float64Array;
  readonly timeSubMsNs: Int32Array;
  readonly value: Float64Array;
  readonly flags: Uint32Array;
}
const BYTES_PER_ROW = 36;
/** Small batches share memory: an allocation of their own would cost as much as decoding ten points. */
const SLAB_BYTES = 64 * 1024;
const NO_COLUMNS = columnsAt(new ArrayBuffer(0), 0, 0);

/**
 * Fills the columns of a `SampleBatch`, one row a point, without an object per point. Columns double when they are
 * full; `build()` hands them over, so a builder that has built starts again with fresh ones and can be kept.
 *
 * Instants are whole milliseconds plus the nanoseconds within that millisecond. Callers who have milliseconds only
 * (host sampler, scraper, simulator) use the `…Ms` variants, which keep a fraction of a millisecond to the nanosecond.
 */
export class SampleBatchBuilder {
  #expectedSize: number;
  #capacity = 0;
  #size = 0;
  #series: Series[] = [];
  #columns = NO_COLUMNS;
  #histogram: (HistogramPoint | undefined)[] = [];
  #exponential: (ExponentialPoint | undefined)[] = [];
  #valueRest: number[] = [];
  #slab: ArrayBuffer | undefined = undefined;
  #slabUsed = 0;

  constructor(expectedSize = 64) {
    this.#expectedSize = Math.max(1, expectedSize);
  }

  /** Drops any rows and expects about so many next: memory for them is taken at once. */
  begin(expectedSize: number): void {
    this.#expectedSize = Math.max(1, expectedSize);
    this.#size = 0;
    this.#series = [];
    this.#histogram = [];
    if (this.#exponential.length > 0) this.#exponential = [];
    if (this.#valueRest.length > 0) this.#valueRest = [];
  }

  get size(): number {
    return this.#size;
  }

  gauge(series: Series, timeMs: number, timeSubMsNs: number, value: number, flags = 0): void {
    this.#append(series, 0, 0, timeMs, timeSubMsNs, value, flags);
  }

  /** `rest`: what `value` lacks to the integer that it stands for, where that exceeds 2^53. */
  sum(
    series: Series,
    startMs: number,
    startSubMsNs: number,
    timeMs: number,
    timeSubMsNs: number,
    value: number,
    flags = 0,
    rest = 0,
  ): void {
    if (rest !== 0) {
      while (this.#valueRest.length < this.#size) this.#valueRest.push(0);
      this.#valueRest.push(rest);
    }
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

  exponential(
    series: Series,
    startMs: number,
    startSubMsNs: number,
    timeMs: number,
    timeSubMsNs: number,
    point: ExponentialPoint,
    flags = 0,
  ): void {
    while (this.#exponential.length < this.#size) this.#exponential.push(undefined);
    this.#exponential.push(point);
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
      ...(this.#valueRest.length > 0 && { valueRest: this.#valueRest }),
      histogram: this.#histogram,
      ...(this.#exponential.length > 0 && { exponential: this.#exponential }),
      flags: flags.subarray(0, size),
    };
    this.#slab ??= new ArrayBuffer(SLAB_BYTES);
    this.#capacity = 0;
    this.#columns = NO_COLUMNS;
    this.begin(this.#expectedSize);
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
    const grown = this.#take(this.#capacity);
    grown.startMs.set(this.#columns.startMs);
    grown.startSubMsNs.set(this.#columns.startSubMsNs);
    grown.timeMs.set(this.#columns.timeMs);
    grown.timeSubMsNs.set(this.#columns.timeSubMsNs);
    grown.value.set(this.#columns.value);
    grown.flags.set(this.#columns.flags);
    this.#columns = grown;
  }

  #take(capacity: number): Columns {
    // Eight-byte columns come first and last ones are padded, so that every stretch begins on eight bytes.
    const bytes = Math.ceil((capacity * BYTES_PER_ROW) / 8) * 8;
    if (this.#slab === undefined || bytes > SLAB_BYTES / 4) return columnsAt(new ArrayBuffer(bytes), 0, capacity);
    if (this.#slabUsed + bytes > SLAB_BYTES) {
      this.#slab = new ArrayBuffer(SLAB_BYTES);
      this.#slabUsed = 0;
    }
    const columns = columnsAt(this.#slab, this.#slabUsed, capacity);
    this.#slabUsed += bytes;
    return columns;
  }
}

function columnsAt(memory: ArrayBuffer, offset: number, capacity: number): Columns {
  return {
    startMs: new Float64Array(memory, offset, capacity),
    timeMs: new Float64Array(memory, offset + 8 * capacity, capacity),
    value: new Float64Array(memory, offset + 16 * capacity, capacity),
    startSubMsNs: new Int32Array(memory, offset + 24 * capacity, capacity),
    timeSubMsNs: new Int32Array(memory, offset + 28 * capacity, capacity),
    flags: new Uint32Array(memory, offset + 32 * capacity, capacity),
  };
}

function subMsNs(instantMs: number, wholeMs: number): number {
  // At today's epoch a double resolves 0.24 µs, so rounding can reach a full millisecond but never pass it.
  return Math.min(NS_PER_MS - 1, Math.round((instantMs - wholeMs) * NS_PER_MS));
}
