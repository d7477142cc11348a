import type { HistogramPoint } from '../../core/model.ts';
import { Instant } from './instant.ts';
import { finite, readCount, restOfCount } from './packed.ts';
import type { RejectionReason } from './rejections.ts';
import { Span } from './span.ts';
import type { Wire } from './wire.ts';

const NO_RECORDED_VALUE = 1;
const ABSENT = -1;
const NONE: readonly number[] = [];

/**
 * `SummaryDataPoint { start_time = 2, time = 3, count = 4, sum = 5, quantile_values = 6, attributes = 7, flags = 8 }`.
 * What can be added up is taken, as a histogram without buckets: quantiles of two summaries have no common quantile.
 */
export class SummaryFields {
  static readonly ATTRIBUTES_TAG = 58;

  readonly start = new Instant();
  readonly time = new Instant();
  readonly attributes = new Span();
  flags = 0;
  #count = 0;
  #rest = 0;
  #sum: number | undefined = 0;

  read(wire: Wire, end: number): void {
    const view = wire.view;
    this.attributes.clear(wire);
    let startAt = ABSENT;
    let timeAt = ABSENT;
    this.flags = 0;
    this.#count = 0;
    this.#rest = 0;
    // The field has no presence: an absent sum is 0.
    this.#sum = 0;
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
          this.#rest = restOfCount(view, countAt, this.#count);
          break;
        }
        case 41:
          this.#sum = finite(wire.double(end));
          break;
        case SummaryFields.ATTRIBUTES_TAG:
          wire.pos = wire.lengthEnd(end);
          this.attributes.add(wire, at, wire.pos);
          break;
        case 64:
          this.flags = wire.varint(end);
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
  }

  take(): HistogramPoint | RejectionReason {
    if (this.time.isZero) return 'no_time';
    if (this.start.isAfter(this.time)) return 'start_after_time';
    if ((this.flags & NO_RECORDED_VALUE) !== 0) return { count: 0, bounds: NONE, counts: NONE };
    return {
      ...{ count: this.#count, bounds: NONE, counts: NONE },
      ...(this.#sum !== undefined && { sum: this.#sum }),
      ...(this.#rest !== 0 && { rests: [this.#rest] }),
    };
  }
}
