/** What was to be written is larger than allowed. */
export class TooLargeError extends Error {
  override name = 'TooLargeError';
}

const INITIAL_BYTES = 64 * 1024;
/** Kept between requests; what is larger is given back. */
const MAX_KEPT_BYTES = 2 * 1024 * 1024;

/** Protobuf bytes, written front to back into memory that is used again. */
export class ProtoWriter {
  readonly #maxBytes: number;
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #pos = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** What was written so far. Valid until the next `reset`. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.#pos);
  }

  reset(): void {
    if (this.#bytes.length > MAX_KEPT_BYTES) this.#bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
    this.#pos = 0;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#pos++] = value;
  }

  /** A 64-bit number by its unsigned halves. */
  varint64(low: number, high: number): void {
    this.#reserve(10);
    let rest = low >>> 0;
    let more = high >>> 0;
    while (more > 0 || rest > 0x7f) {
      this.#bytes[this.#pos++] = (rest & 0x7f) | 0x80;
      rest = ((rest >>> 7) | (more << 25)) >>> 0;
      more >>>= 7;
    }
    this.#bytes[this.#pos++] = rest;
  }

  fixed64(low: number, high: number): void {
    this.#reserve(8);
    this.#pos = this.#bytes.writeInt32LE(low | 0, this.#pos);
    this.#pos = this.#bytes.writeInt32LE(high | 0, this.#pos);
  }

  double(value: number): void {
    this.#reserve(8);
    this.#pos = this.#bytes.writeDoubleLE(value, this.#pos);
  }

  raw(source: Buffer, start: number, end: number): void {
    this.#reserve(end - start);
    // Short runs are faster by hand than by a call into native code.
    if (end - start < 24) for (let at = start; at < end; at++) this.#bytes[this.#pos++] = source[at]!;
    else this.#pos += source.copy(this.#bytes, this.#pos, start, end);
  }

  /** Begins something with a length in front; `end` wants what this returns. */
  begin(): number {
    this.byte(0);
    return this.#pos;
  }

  /** Writes the length in front, moving the content if it takes more than the one byte that was kept free. */
  end(start: number): void {
    const length = this.#pos - start;
    if (length < 0x80) {
      this.#bytes[start - 1] = length;
      return;
    }
    const size = length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : length < 0x1000_0000 ? 4 : 5;
    this.#reserve(size - 1);
    this.#bytes.copyWithin(start + size - 1, start, this.#pos);
    this.#pos = start - 1;
    this.varint64(length, 0);
    this.#pos += length;
  }

  #reserve(bytes: number): void {
    const needed = this.#pos + bytes;
    if (needed <= this.#bytes.length) return;
    if (needed > this.#maxBytes + 16) throw new TooLargeError(`more than ${this.#maxBytes} bytes`);
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(2 * this.#bytes.length, this.#maxBytes + 16)));
    this.#bytes.copy(grown, 0, 0, this.#pos);
    this.#bytes = grown;
  }
}
