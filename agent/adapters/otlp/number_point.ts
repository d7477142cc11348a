import { Instant } from './instant.ts';
import type { RejectionReason } from './rejections.ts';
import { Span } from './span.ts';
import type { Wire } from './wire.ts';

const NO_RECORDED_VALUE = 1;
const ABSENT = -1;

/**
 * `NumberDataPoint { start_time = 2, time = 3, as_double = 4, as_int = 6, attributes = 7, flags = 8 }`; exemplars are
 * already counted in the value and skipped. One object is filled again and again.
 */
export class NumberPoint {
  static readonly ATTRIBUTES_TAG = 58;

  readonly start = new Instant();
  readonly time = new Instant();
  readonly attributes = new Span();
  value = 0;
  /** What `value` lacks to the integer that was sent, beyond 2^53. */
  rest = 0;
  flags = 0;
  #hasValue = false;

  read(wire: Wire, end: number): void {
    const view = wire.view;
    const attributes = this.attributes;
    attributes.clear(wire);
    let startAt = ABSENT;
    let timeAt = ABSENT;
    this.#hasValue = false;
    this.value = 0;
    this.rest = 0;
    this.flags = 0;
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
        case 33:
          this.value = view.getFloat64(wire.fixed64(end), true);
          this.rest = 0;
          this.#hasValue = true;
          break;
        case 49: {
          // One rounding at most: exact up to 2^53, the nearest double above.
          const intAt = wire.fixed64(end);
          this.value = view.getInt32(intAt + 4, true) * 0x1_0000_0000 + view.getUint32(intAt, true);
          this.rest = Number.isSafeInteger(this.value) ? 0 : Number(view.getBigInt64(intAt, true) - BigInt(this.value));
          this.#hasValue = true;
          break;
        }
        case NumberPoint.ATTRIBUTES_TAG:
          wire.pos = wire.lengthEnd(end);
          attributes.add(wire, at, wire.pos);
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

  /** Why the point must be refused, if it must. A gauge's start means nothing. */
  problem(isGauge: boolean): RejectionReason | undefined {
    if (this.time.isZero) return 'no_time';
    if (!isGauge && this.start.isAfter(this.time)) return 'start_after_time';
    if (!this.#hasValue && (this.flags & NO_RECORDED_VALUE) === 0) return 'no_value';
    return undefined;
  }
}
