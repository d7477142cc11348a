import type { ExponentialBuckets, ExponentialPoint } from '../../core/model.ts';
import { Instant } from './instant.ts';
import { finite, MAX_BUCKETS, readCount } from './packed.ts';
import type { RejectionReason } from './rejections.ts';
import { Span } from './span.ts';
import type { Wire } from './wire.ts';

const NO_RECORDED_VALUE = 1;
const ABSENT = -1;
/** Numbers of buckets are 32-bit integers; the last one of a point must be one too. */
const MAX_INDEX = 2 ** 31 - 1;
const NO_BUCKETS: ExponentialBuckets = { offset: 0, counts: [] };

/** `Buckets { offset = 1, bucket_counts = 2 }`, which may come in pieces. */
class BucketFields {
  #offset = 0;
  #counts: number[] = [];
  isTooLong = false;

  clear(): void {
    this.#offset = 0;
    if (this.#counts.length > 0) this.#counts = [];
    this.isTooLong = false;
  }

  read(wire: Wire, end: number): void {
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag === 8) this.#offset = signed(wire, end);
      else if (tag === 16) this.#push(wire.varint(end));
      else if (tag === 18) {
        const stop = wire.lengthEnd(end);
        while (wire.pos < stop) this.#push(wire.varint(stop));
      } else wire.skip(tag, end);
    }
  }

  take(): ExponentialBuckets | undefined {
    if (this.#counts.length === 0) return NO_BUCKETS;
    if (this.#offset + this.#counts.length - 1 > MAX_INDEX) return undefined;
    return { offset: this.#offset, counts: this.#counts };
  }

  #push(count: number): void {
    // A byte may be a bucket: without a limit a request would grow eightfold in memory.
    if (this.#counts.length < MAX_BUCKETS) this.#counts.push(count);
    else this.isTooLong = true;
  }
}

/**
 * `ExponentialHistogramDataPoint { attributes = 1, start_time = 2, time = 3, count = 4, sum = 5, scale = 6,
 * zero_count = 7, positive = 8, negative = 9, flags = 10, min = 12, max = 13, zero_threshold = 14 }`. Exemplars are
 * already counted and skipped. One object is filled again and again; `take` makes the only object that stays.
 */
export class ExponentialFields {
  static readonly ATTRIBUTES_TAG = 10;

  readonly start = new Instant();
  readonly time = new Instant();
  readonly attributes = new Span();
  flags = 0;
  readonly #positive = new BucketFields();
  readonly #negative = new BucketFields();
  #count = 0;
  #zeroCount = 0;
  #zeroThreshold = 0;
  #scale = 0;
  #sum: number | undefined = undefined;
  #min: number | undefined = undefined;
  #max: number | undefined = undefined;

  read(wire: Wire, end: number): void {
    const view = wire.view;
    this.#clear(wire);
    let startAt = ABSENT;
    let timeAt = ABSENT;
    while (wire.pos < end) {
      const at = wire.pos;
      const tag = wire.tag(end);
      switch (tag) {
        case ExponentialFields.ATTRIBUTES_TAG:
          wire.pos = wire.lengthEnd(end);
          this.attributes.add(wire, at, wire.pos);
          break;
        case 17:
          startAt = wire.fixed64(end);
          break;
        case 25:
          timeAt = wire.fixed64(end);
          break;
        case 33:
          this.#count = readCount(view, wire.fixed64(end));
          break;
        case 41:
          this.#sum = finite(wire.double(end));
          break;
        case 48:
          this.#scale = signed(wire, end);
          break;
        case 57:
          this.#zeroCount = readCount(view, wire.fixed64(end));
          break;
        case 66:
          this.#positive.read(wire, wire.lengthEnd(end));
          break;
        case 74:
          this.#negative.read(wire, wire.lengthEnd(end));
          break;
        case 80:
          this.flags = wire.varint(end);
          break;
        case 97:
          this.#min = finite(wire.double(end));
          break;
        case 105:
          this.#max = finite(wire.double(end));
          break;
        case 113:
          this.#zeroThreshold = wire.double(end);
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
    this.#clear(wire);
  }

  /** The point, or why it must be refused. */
  take(): ExponentialPoint | RejectionReason {
    if (this.time.isZero) return 'no_time';
    if (this.start.isAfter(this.time)) return 'start_after_time';
    // With no recorded value every other field is to be ignored.
    if ((this.flags & NO_RECORDED_VALUE) !== 0) {
      return { count: 0, scale: 0, zeroCount: 0, zeroThreshold: 0, positive: NO_BUCKETS, negative: NO_BUCKETS };
    }
    if (this.#positive.isTooLong || this.#negative.isTooLong) return 'too_many_buckets';
    if (!(this.#zeroThreshold >= 0 && this.#zeroThreshold < Infinity)) return 'exponential_shape';
    const positive = this.#positive.take();
    const negative = this.#negative.take();
    if (positive === undefined || negative === undefined) return 'exponential_shape';
    const sum = this.#sum;
    const min = this.#min;
    const max = this.#max;
    return {
      count: this.#count,
      scale: this.#scale,
      zeroCount: this.#zeroCount,
      zeroThreshold: this.#zeroThreshold,
      positive,
      negative,
      ...(sum !== undefined && { sum }),
      ...(min !== undefined && { min }),
      ...(max !== undefined && { max }),
    };
  }

  #clear(wire: Wire): void {
    this.attributes.clear(wire);
    this.#positive.clear();
    this.#negative.clear();
    this.flags = 0;
    this.#count = 0;
    this.#zeroCount = 0;
    this.#zeroThreshold = 0;
    this.#scale = 0;
    this.#sum = undefined;
    this.#min = undefined;
    this.#max = undefined;
  }
}

/** `sint32`: the sign is the lowest bit. */
function signed(wire: Wire, end: number): number {
  const [low] = wire.varint64(end);
  return (low >>> 1) ^ -(low & 1);
}
