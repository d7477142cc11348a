import { Distribution } from '../series/distribution.ts';
import type { HistogramIncrement } from '../series/store.ts';
import { IntervalRing } from './interval_ring.ts';
import { kendallTau } from './trend.ts';

/** The design document's response time figures, in milliseconds, of requests that succeeded. */
export interface LatencyMetrics {
  /** Mean over the latest interval with requests: Σ duration / Σ requests. */
  readonly current: number;
  /** Mean over the whole window: Σ duration / Σ requests. */
  readonly average: number;
  /**
   * 95th percentile of all requests in the window, from merged histograms (not a mean of percentiles). Absent where only
   * sums and counts are known: summaries, and servers that have counters alone.
   */
  readonly p95?: number;
  /** 99th percentile of all requests in the window; absent when `p95` is. */
  readonly p99?: number;
  /** Kendall's τ of the interval means with time, in [−1, 1]; absent below four intervals with requests. */
  readonly trend?: number;
  /** Requests in the window that the figures rest on. */
  readonly count: number;
}

interface Slot {
  /** Shares of increments that came with a sum, so fractional. */
  requests: number;
  sumMs: number;
  /** Whole increments, by the interval in which they end: a distribution cannot be shared out without loss. */
  readonly times: Distribution;
}

/**
 * Durations over the last intervals. Sums and counts of an increment are spread evenly over the intervals it covers, so
 * that an exporter slower than `intervalMs` still gives every interval its mean.
 */
export class LatencyWindow {
  readonly #ring: IntervalRing<Slot>;
  readonly #merged = new Distribution();
  #mergedAt = Number.NaN;

  constructor(intervalMs: number, size: number) {
    const make = () => ({ requests: 0, sumMs: 0, times: new Distribution() });
    this.#ring = new IntervalRing(intervalMs, size, make, (slot) => {
      slot.requests = 0;
      slot.sumMs = 0;
      slot.times.reset();
    });
  }

  /** Returns false when the increment is older than the window. */
  add(increment: HistogramIncrement, msPerUnit: number, nowMs: number): boolean {
    const { bounds, counts, count, sum, startMs, endMs } = increment;
    if (count === 0) return true;
    const last = this.#ring.spread(startMs, endMs, nowMs, (slot, share) => {
      // Without a sum it has no mean: it counts for the percentiles only.
      if (sum === undefined) return;
      slot.requests += count * share;
      slot.sumMs += sum * msPerUnit * share;
    });
    if (last === undefined) return false;
    last.times.addHistogram(bounds, counts, count, sum, msPerUnit, increment.min, increment.max);
    this.#mergedAt = Number.NaN;
    return true;
  }

  /** All durations in the window, in milliseconds. Belongs to this object: valid until the next call. */
  distribution(nowMs: number): Distribution {
    const number = this.#ring.numberAt(nowMs);
    if (this.#mergedAt !== number) {
      this.#merged.reset();
      for (const slot of this.#ring.window(nowMs)) if (slot.times.count > 0) this.#merged.merge(slot.times);
      this.#mergedAt = number;
    }
    return this.#merged;
  }

  /** Of the intervals numbered `first` to `last`: mean and 95th percentile, as far as they were measured. */
  over(first: number, last: number): { readonly meanMs?: number; readonly p95Ms?: number } {
    let requests = 0;
    let sumMs = 0;
    const filled: Distribution[] = [];
    for (const slot of this.#ring.range(first, last)) {
      requests += slot.requests;
      sumMs += slot.sumMs;
      if (slot.times.count > 0) filled.push(slot.times);
    }
    const [only] = filled;
    let times = only;
    if (filled.length > 1) {
      times = new Distribution();
      for (const part of filled) times.merge(part);
    }
    const p95Ms = times?.quantile(0.95);
    return { ...(requests > 0 && { meanMs: sumMs / requests }), ...(p95Ms !== undefined && { p95Ms }) };
  }

  get reportMs(): number {
    return this.#ring.reportMs;
  }

  metrics(nowMs: number): LatencyMetrics | undefined {
    const all = this.distribution(nowMs);
    const average = all.mean();
    const p95 = all.quantile(0.95);
    const p99 = all.quantile(0.99);
    const means = this.#ring
      .window(nowMs)
      .filter((slot) => slot.requests > 0)
      .map((s) => s.sumMs / s.requests);
    const current = means.at(-1);
    if (average === undefined || current === undefined) return undefined;
    const trend = kendallTau(means);
    return {
      ...{ current, average, count: all.count },
      ...(p95 !== undefined && { p95 }),
      ...(p99 !== undefined && { p99 }),
      ...(trend !== undefined && { trend }),
    };
  }

  clear(): void {
    this.#ring.clear();
    this.#mergedAt = Number.NaN;
  }
}
