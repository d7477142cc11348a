import type { HistogramPoint } from '../../core/model.ts';

const NO_COUNTS: readonly number[] = [];

/**
 * Collects the lines of one histogram, in any order, and makes a point of them.
 *
 * On a page the bucket `le = b` counts everything up to and including `b`; in a point each bucket counts its own:
 * `counts[i] = cumulative[i] − cumulative[i − 1]`, and the one of `le = +Inf` is the last. Upper bounds are inclusive in
 * both. `_count` is believed only where there are no buckets (a summary): a server that is counting while it writes can
 * let it differ from them by a request or two.
 */
export class HistogramParts {
  readonly #buckets: { bound: number; cumulative: number }[] = [];
  /** Those of the point before: equal bounds are to be the same array. */
  #bounds: readonly number[] = [];
  #sum: number | undefined;
  #count: number | undefined;

  clear(): void {
    this.#buckets.length = 0;
    this.#sum = undefined;
    this.#count = undefined;
  }

  /** Returns false when there is a bucket of that bound already. */
  bucket(bound: number, cumulative: number): boolean {
    const last = this.#buckets.at(-1);
    // Pages have their buckets in order; only one that does not is searched.
    if (last !== undefined && bound <= last.bound && this.#buckets.some((known) => known.bound === bound)) return false;
    this.#buckets.push({ bound, cumulative });
    return true;
  }

  /** Returns false when there is a sum already. */
  sum(value: number): boolean {
    if (this.#sum !== undefined) return false;
    this.#sum = value;
    return true;
  }

  /** Returns false when there is a count already. */
  count(value: number): boolean {
    if (this.#count !== undefined) return false;
    this.#count = value;
    return true;
  }

  /** Undefined when the parts do not make a histogram. */
  point(): HistogramPoint | undefined {
    const sum = this.#sum === undefined || Number.isNaN(this.#sum) ? {} : { sum: this.#sum };
    if (this.#buckets.length === 0) {
      if (!isCount(this.#count)) return undefined;
      return { count: this.#count, bounds: NO_COUNTS, counts: NO_COUNTS, ...sum };
    }
    const buckets = this.#buckets.toSorted((a, b) => a.bound - b.bound);
    const counts: number[] = [];
    let before = 0;
    for (const { cumulative } of buckets) {
      if (!(isCount(cumulative) && cumulative >= before)) return undefined;
      counts.push(cumulative - before);
      before = cumulative;
    }
    if (buckets.at(-1)?.bound !== Number.POSITIVE_INFINITY) return undefined;
    // One bucket that holds everything says nothing about where.
    if (buckets.length === 1) return { count: before, bounds: NO_COUNTS, counts: NO_COUNTS, ...sum };
    return { count: before, bounds: this.#intern(buckets), counts, ...sum };
  }

  #intern(buckets: readonly { readonly bound: number }[]): readonly number[] {
    const length = buckets.length - 1;
    const known = this.#bounds;
    if (known.length !== length || !known.every((bound, i) => bound === buckets[i]!.bound)) {
      this.#bounds = buckets.slice(0, length).map(({ bound }) => bound);
    }
    return this.#bounds;
  }
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value) && value >= 0;
}
