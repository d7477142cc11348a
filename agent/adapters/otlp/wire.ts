/** Bytes that are no protobuf message. Thrown inside the decoder only; callers get it as a value. */
export class MalformedError extends Error {
  /** Where in the request, in bytes. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.name = 'MalformedError';
    this.offset = offset;
  }
}

/** How deep groups and attribute values may nest. */
export const MAX_DEPTH = 64;

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_GROUP = 3;
const WIRE_END_GROUP = 4;
const WIRE_FIXED32 = 5;

/**
 * A position in protobuf bytes. Every method takes the `end` of the message being read and fails rather than pass it,
 * so a wrong length never reaches into the neighbour.
 *
 * A tag is returned whole (`field << 3 | wireType`), so that a known field of the wrong wire type is skipped like an
 * unknown one.
 */
export class Wire {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  pos = 0;

  reset(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.pos = 0;
  }

  tag(end: number): number {
    const at = this.pos;
    const first = this.bytes[at]!;
    let tag: number;
    if (at < end && first < 0x80) {
      this.pos = at + 1;
      tag = first;
    } else {
      tag = this.varint(end);
      if (tag > 0xffffffff) throw new MalformedError('field number over 29 bits', at);
    }
    if (tag < 8) throw new MalformedError('field number 0', at);
    return tag;
  }

  /** A length, and with it the position where that many bytes end. `pos` stands at their first. */
  lengthEnd(end: number): number {
    const at = this.pos;
    const first = this.bytes[at]!;
    let length: number;
    if (at < end && first < 0x80) {
      this.pos = at + 1;
      length = first;
    } else {
      length = this.varint(end);
    }
    const stop = this.pos + length;
    if (stop > end) throw new MalformedError(`length ${length} reaches beyond its message`, at);
    return stop;
  }

  /** As a number: exact below 2^53, rounded above. */
  varint(end: number): number {
    // Two and three bytes, the usual lengths, without the pair of halves.
    const at = this.pos;
    if (at + 3 <= end) {
      const first = this.bytes[at]!;
      const second = this.bytes[at + 1]!;
      if (second < 0x80 && first >= 0x80) {
        this.pos = at + 2;
        return (first & 0x7f) | (second << 7);
      }
      const third = this.bytes[at + 2]!;
      if (third < 0x80 && first >= 0x80) {
        this.pos = at + 3;
        return (first & 0x7f) | ((second & 0x7f) << 7) | (third << 14);
      }
    }
    const [low, high] = this.varint64(end);
    return high * 0x1_0000_0000 + low;
  }

  /** The two unsigned 32-bit halves. */
  varint64(end: number): readonly [low: number, high: number] {
    const at = this.pos;
    let low = 0;
    let high = 0;
    for (let i = 0; i < 10; i++) {
      if (this.pos >= end) throw new MalformedError('a number is cut off', at);
      const byte = this.bytes[this.pos]!;
      this.pos += 1;
      const bits = byte & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i === 4) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else high |= bits << (7 * i - 32);
      if (byte < 0x80) return [low >>> 0, high >>> 0];
    }
    throw new MalformedError('a number of more than 10 bytes', at);
  }

  double(end: number): number {
    return this.view.getFloat64(this.fixed64(end), true);
  }

  /** Steps over eight bytes and returns where they are. */
  fixed64(end: number): number {
    const at = this.pos;
    if (at + 8 > end) throw new MalformedError('eight bytes are cut off', at);
    this.pos = at + 8;
    return at;
  }

  skip(tag: number, end: number, depth = 0): void {
    switch (tag & 7) {
      case WIRE_VARINT:
        this.varint64(end);
        return;
      case WIRE_FIXED64:
        this.fixed64(end);
        return;
      case WIRE_BYTES:
        this.pos = this.lengthEnd(end);
        return;
      case WIRE_FIXED32:
        if (this.pos + 4 > end) throw new MalformedError('four bytes are cut off', this.pos);
        this.pos += 4;
        return;
      case WIRE_GROUP:
        this.#skipGroup(tag, end, depth);
        return;
      default:
        throw new MalformedError(`wire type ${tag & 7} out of place`, this.pos);
    }
  }

  #skipGroup(start: number, end: number, depth: number): void {
    if (depth >= MAX_DEPTH) throw new MalformedError(`groups nest deeper than ${MAX_DEPTH}`, this.pos);
    while (this.pos < end) {
      const tag = this.tag(end);
      if ((tag & 7) === WIRE_END_GROUP) {
        if (tag >>> 3 !== start >>> 3) throw new MalformedError('a group ends that did not begin', this.pos);
        return;
      }
      this.skip(tag, end, depth + 1);
    }
    throw new MalformedError('a group does not end', this.pos);
  }
}
