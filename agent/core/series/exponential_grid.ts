import type { ExponentialBuckets, ExponentialPoint, HistogramPoint } from '../model.ts';
import { exponentialBound } from './exponential.ts';

/** Ranges begin and end at multiples of this, so that a new extreme value seldom means new bounds. */
const ALIGNMENT = 16;
/** Grids remembered; beyond, all are forgotten and made again as they are needed. */
const MAX_GRIDS = 1_024;

interface Range {
  /** First bucket, and the one after the last. */
  readonly first: number;
  readonly end: number;
}
const NO_RANGE: Range = { first: 0, end: 0 };

/**
 * Exponential buckets as explicit bounds, which is what windows and profiles add up.
 *
 * From below: open below, negative buckets (largest number first), those near zero, positive buckets, open above. An
 * exponential bucket of negative values includes its lower end and an explicit one its upper: a value that lies exactly
 * on a bound may count one bucket off, on that bound itself.
 */
export class ExponentialGrid {
  readonly bounds: readonly number[];
  readonly scale: number;
  readonly zeroThreshold: number;
  readonly positive: Range;
  readonly negative: Range;
  readonly #positiveAt: number[] = [];
  readonly #negativeAt: number[] = [];
  readonly #zeroAt: number;

  constructor(scale: number, zeroThreshold: number, positive: Range, negative: Range) {
    this.scale = scale;
    this.zeroThreshold = zeroThreshold;
    this.positive = positive;
    this.negative = negative;
    const bounds: number[] = [];
    /** Index of the bucket that ends at `bound`. Bounds beyond what doubles hold fall together, and so do their buckets. */
    const endAt = (bound: number): number => {
      if (bounds.length === 0 || bound > bounds.at(-1)!) bounds.push(bound);
      return bounds.length - 1;
    };
    if (negative.end > negative.first) {
      endAt(-exponentialBound(negative.end, scale));
      for (let index = negative.end - 1; index >= negative.first; index--) {
        this.#negativeAt[index - negative.first] = endAt(-exponentialBound(index, scale));
      }
      if (zeroThreshold > 0) endAt(-zeroThreshold);
    }
    this.#zeroAt = endAt(zeroThreshold);
    if (positive.end > positive.first) {
      endAt(exponentialBound(positive.first, scale));
      for (let index = positive.first; index < positive.end; index++) {
        this.#positiveAt[index - positive.first] = endAt(exponentialBound(index + 1, scale));
      }
    }
    this.bounds = bounds;
  }

  holds(point: ExponentialPoint): boolean {
    return (
      point.scale === this.scale &&
      point.zeroThreshold === this.zeroThreshold &&
      isWithin(point.positive, this.positive) &&
      isWithin(point.negative, this.negative)
    );
  }

  explicit(point: ExponentialPoint): HistogramPoint {
    const counts = new Array<number>(this.bounds.length + 1).fill(0);
    spread(point.negative, this.negative, this.#negativeAt, counts);
    counts[this.#zeroAt]! += point.zeroCount;
    spread(point.positive, this.positive, this.#positiveAt, counts);
    const { count, sum, min, max } = point;
    return {
      ...{ count, bounds: this.bounds, counts },
      ...(sum !== undefined && { sum }),
      ...(min !== undefined && { min }),
      ...(max !== undefined && { max }),
    };
  }
}

/** Grids shared by all series that need the same one: equal bounds are then the same array. */
export class ExponentialGrids {
  readonly #grids = new Map<string, ExponentialGrid>();

  /** A grid that holds the point: `last`, if that does. The point must be reduced, so its grid is small. */
  gridFor(point: ExponentialPoint, last: ExponentialGrid | undefined): ExponentialGrid {
    if (last?.holds(point) === true) return last;
    const { scale, zeroThreshold } = point;
    const positive = rangeOf(point.positive);
    const negative = rangeOf(point.negative);
    const key = [scale, zeroThreshold, positive.first, positive.end, negative.first, negative.end].join();
    const known = this.#grids.get(key);
    if (known !== undefined) return known;
    const grid = new ExponentialGrid(scale, zeroThreshold, positive, negative);
    if (this.#grids.size >= MAX_GRIDS) this.#grids.clear();
    this.#grids.set(key, grid);
    return grid;
  }
}

function rangeOf({ offset, counts }: ExponentialBuckets): Range {
  if (counts.length === 0) return NO_RANGE;
  return {
    first: Math.floor(offset / ALIGNMENT) * ALIGNMENT,
    end: Math.ceil((offset + counts.length) / ALIGNMENT) * ALIGNMENT,
  };
}

function isWithin({ offset, counts }: ExponentialBuckets, range: Range): boolean {
  return counts.length === 0 || (offset >= range.first && offset + counts.length <= range.end);
}

function spread({ offset, counts }: ExponentialBuckets, range: Range, at: readonly number[], into: number[]): void {
  const shift = offset - range.first;
  for (let i = 0; i < counts.length; i++) into[at[i + shift]!]! += counts[i]!;
}
