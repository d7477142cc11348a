import type { Wire } from './wire.ts';

/**
 * The bytes of one field within a message: a view into the request where they lie together, as they nearly always do,
 * and a copy where a sender scattered them. Joining the pieces is what protobuf prescribes: the encodings of two parts
 * of a message, one after the other, are an encoding of the whole.
 */
export class Span {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  start = 0;
  end = 0;

  clear(wire: Wire): void {
    this.bytes = wire.bytes;
    this.view = wire.view;
    this.start = 0;
    this.end = 0;
  }

  add(wire: Wire, start: number, end: number): void {
    if (this.start === this.end) {
      this.start = start;
      this.end = end;
    } else if (this.end === start && this.bytes === wire.bytes) {
      this.end = end;
    } else if (start < end) {
      const own = this.end - this.start;
      const joined = new Uint8Array(own + end - start);
      joined.set(this.bytes.subarray(this.start, this.end));
      joined.set(wire.bytes.subarray(start, end), own);
      this.bytes = joined;
      this.view = new DataView(joined.buffer);
      this.start = 0;
      this.end = joined.length;
    }
  }
}
