import type { HistogramPoint } from '../../core/model.ts';
import type { ByteCache } from './byte_cache.ts';
import { Instant } from './instant.ts';
import { readBounds } from './metric_cache.ts';
import { finite, MAX_BUCKETS, packedEnd, readCount, restOfCount } from './packed.ts';
import type { RejectionReason } from './rejections.ts';
import { Span } from './span.ts';
import type { Wire } from './wire.ts';

const NO_RECORDED_VALUE = 1;
const ABSENT = -1;
const NO_BOUNDS: readonly number[] = [];

/** A point as it goes into the batch; extremes and sum are there only if the sender gave them. */
class ExplicitPoint implements HistogramPoint {
  readonly count: number;
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum?: number;
  readonly min?: number;
  readonly max?: number;
  readonly rests?: readonly number[];

  constructor(
    count: number,
    bounds: readonly number[],
    counts: readonly number[],
    sum: number | undefined,
    min: number | undefined,
    max: number | undefined,
    rests?: readonly number[],
  ) {
    this.count = count;
    this.bounds = bounds;
    this.counts = counts;
    if (sum !== undefined) this.sum = sum;
    if (min !== undefined) this.min = min;
    if (max !== undefined) this.max = max;
    if (rests !== undefined) this.rests = rests;
  }
}

/**
 * `HistogramDataPoint { start_time = 2, time = 3, count = 4, sum = 5, bucket_counts = 6, explicit_bounds = 7,
 * attributes = 9, flags = 10, min = 11, max = 12 }`. Exemplars are already counted and skipped. One object is filled
 * again and again; `take` makes the only object that stays. Bounds are the same array for the same bytes.
 */
export class HistogramFields {
  static readonly ATTRIBUTES_TAG = 74;

  readonly start = new Instant();
  readonly time = new Instant();
  readonly attributes = new Span();
  flags = 0;
  readonly #boundBytes = new Span();
  #count = 0;
  #countRest = 0;
  #counts: number[] = [];
  /** Sparse, and nearly always empty: what buckets beyond 2^53 lack. */
  #rests: number[] = [];
  #isTooLong = false;
  #sum: number | undefined = undefined;
  #min: number | undefined = undefined;
  #max: number | undefined = undefined;

  read(wire: Wire, end: number): void {
    const view = wire.view;
    this.attributes.clear(wire);
    this.#boundBytes.clear(wire);
    let startAt = ABSENT;
    let timeAt = ABSENT;
    this.flags = 0;
    this.#count = 0;
    this.#countRest = 0;
    this.#counts = [];
    if (this.#rests.length > 0) this.#rests = [];
    this.#isTooLong = false;
    this.#sum = undefined;
    this.#min = undefined;
    this.#max = undefined;
    while (wire.pos < end) {
      const at = wire.pos;
      const tag = wire.tag(end);
      switch (tag) {
        case 17:
          startAt = wire.fixed64(end);
          break;
        case 25:
          timeAt = wire.fixed64(end);
          break;
        case 33: {
          const countAt = wire.fixed64(end);
          this.#count = readCount(view, countAt);
          this.#countRest = restOfCount(view, countAt, this.#count);
          break;
        }
        case 41:
          this.#sum = finite(wire.double(end));
          break;
        case 49:
          this.#push(view, wire.fixed64(end));
          break;
        case 50: {
          const stop = packedEnd(wire, end);
          for (; wire.pos < stop; wire.pos += 8) this.#push(view, wire.pos);
          break;
        }
        case 57: {
          const boundAt = wire.fixed64(end);
          this.#boundBytes.add(wire, boundAt, wire.pos);
          break;
        }
        case 58: {
          const stop = packedEnd(wire, end);
          this.#boundBytes.add(wire, wire.pos, stop);
          wire.pos = stop;
          break;
        }
        case HistogramFields.ATTRIBUTES_TAG:
          wire.pos = wire.lengthEnd(end);
          this.attributes.add(wire, at, wire.pos);
          break;
        case 80:
          this.flags = wire.varint(end);
          break;
        case 89:
          this.#min = finite(wire.double(end));
          break;
        case 97:
          this.#max = finite(wire.double(end));
          break;
        default:
          wire.skip(tag, end);
      }
    }
    if (startAt === ABSENT) this.start.clear();
    else this.start.read(view, startAt);
    if (timeAt === ABSENT) this.time.clear();
    else this.time.read(view, timeAt);
  }

  release(wire: Wire): void {
    this.attributes.clear(wire);
    this.#boundBytes.clear(wire);
  }

  /** The point, or why it must be refused. */
  take(known: ByteCache<readonly number[] | undefined>): HistogramPoint | RejectionReason {
    if (this.time.isZero) return 'no_time';
    if (this.start.isAfter(this.time)) return 'start_after_time';
    const { bytes, view, start, end } = this.#boundBytes;
    // With no recorded value every other field is to be ignored.
    if ((this.flags & NO_RECORDED_VALUE) !== 0)
      return new ExplicitPoint(0, NO_BOUNDS, [], undefined, undefined, undefined);
    if (this.#isTooLong) return 'too_many_buckets';
    const boundCount = (end - start) / 8;
    const isShaped = this.#counts.length === boundCount + 1 || (this.#counts.length === 0 && boundCount === 0);
    if (!isShaped) return 'histogram_shape';
    let bounds: readonly number[] | undefined = NO_BOUNDS;
    if (boundCount > 0) {
      const entry =
        known.find(view, start, end, undefined) ??
        known.add(bytes, view, start, end, undefined, readBounds(this.#boundBytes));
      bounds = entry.value;
    }
    if (bounds === undefined) return 'histogram_bounds';
    return new ExplicitPoint(this.#count, bounds, this.#counts, this.#sum, this.#min, this.#max, this.#takeRests());
  }

  #push(view: DataView, at: number): void {
    if (this.#counts.length === MAX_BUCKETS) {
      this.#isTooLong = true;
      return;
    }
    const count = readCount(view, at);
    if (count > Number.MAX_SAFE_INTEGER) {
      while (this.#rests.length < this.#counts.length) this.#rests.push(0);
      this.#rests.push(restOfCount(view, at, count));
    }
    this.#counts.push(count);
  }

  #takeRests(): readonly number[] | undefined {
    return this.#countRest === 0 && this.#rests.length === 0 ? undefined : [this.#countRest, ...this.#rests];
  }
}
