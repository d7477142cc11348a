import { nextHash } from './json_fields.ts';
import { MalformedError } from './wire.ts';

/** How deep what is skipped may nest. */
const MAX_SKIPPED_DEPTH = 256;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const ZERO = 0x30;

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= ZERO && byte <= 0x39;

/**
 * A position in JSON text. It is strict (RFC 8259) and makes no objects: strings and numbers are stretches of the bytes,
 * so that 64-bit integers are read from their digits and not by way of a double.
 */
export class JsonReader {
  bytes: Buffer = Buffer.alloc(0);
  pos = 0;
  /** The string or number read last: where its characters are. */
  start = 0;
  end = 0;
  /** Of the string read last. */
  hasEscapes = false;
  hash = 0;
  /** Of the number read last: digits only, a minus at most. */
  isInteger = false;

  reset(bytes: Buffer): void {
    this.bytes = bytes;
    this.pos = 0;
  }

  fail(message: string, at = this.pos): never {
    throw new MalformedError(message, at);
  }

  /** Steps over white space and returns the byte there; `undefined` at the end. */
  peek(): number | undefined {
    const { bytes } = this;
    for (;;) {
      const byte = bytes[this.pos];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
      this.pos += 1;
    }
  }

  expect(byte: number): void {
    if (this.peek() !== byte) this.fail(`expected ${String.fromCharCode(byte)}`);
    this.pos += 1;
  }

  /** Whether `byte` is next; if so it is stepped over. */
  takes(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.pos += 1;
    return true;
  }

  word(text: 'true' | 'false' | 'null'): boolean {
    this.peek();
    for (let i = 0; i < text.length; i++) if (this.bytes[this.pos + i] !== text.charCodeAt(i)) return false;
    this.pos += text.length;
    return true;
  }

  string(): void {
    this.expect(QUOTE);
    const { bytes } = this;
    const start = this.pos;
    let at = start;
    let hash = 0;
    this.hasEscapes = false;
    for (;;) {
      const byte = bytes[at];
      if (byte === QUOTE) break;
      if (byte === undefined) this.fail('a string does not end', start);
      if (byte < 0x20) this.fail('a control character in a string', at);
      if (byte === BACKSLASH) {
        this.hasEscapes = true;
        at += 1;
      }
      hash = nextHash(hash, byte);
      at += 1;
    }
    this.start = start;
    this.end = at;
    this.hash = hash;
    this.pos = at + 1;
  }

  /** The characters of the string read last. */
  text(): string {
    if (!this.hasEscapes) return this.bytes.toString('utf8', this.start, this.end);
    try {
      const text: unknown = JSON.parse(this.bytes.toString('utf8', this.start - 1, this.end + 1));
      return String(text);
    } catch {
      return this.fail('a wrong escape in a string', this.start);
    }
  }

  /** A number, bare or (`"12"`) as a string. */
  number(): void {
    const isQuoted = this.takes(QUOTE);
    this.#number();
    if (isQuoted) {
      if (this.bytes[this.pos] !== QUOTE) this.fail('expected a number');
      this.pos += 1;
    }
  }

  /** Steps over any value. */
  skip(depth = 0): void {
    const byte = this.peek();
    if (byte === QUOTE) {
      this.string();
      if (this.hasEscapes) this.text();
    } else if (byte === 0x7b || byte === 0x5b) {
      if (depth >= MAX_SKIPPED_DEPTH) this.fail(`values nest deeper than ${MAX_SKIPPED_DEPTH}`);
      this.pos += 1;
      const close = byte + 2;
      if (this.takes(close)) return;
      do {
        if (byte === 0x7b) {
          this.string();
          this.expect(0x3a);
        }
        this.skip(depth + 1);
      } while (this.takes(0x2c));
      this.expect(close);
    } else if (byte === MINUS || isDigit(byte)) this.#number();
    else if (!this.word('null') && !this.word('true') && !this.word('false')) this.fail('expected a value');
  }

  #number(): void {
    this.peek();
    const { bytes } = this;
    const start = this.pos;
    let at = start;
    if (bytes[at] === MINUS) at += 1;
    if (bytes[at] === ZERO) at += 1;
    else at = this.#digits(at);
    this.isInteger = true;
    if (bytes[at] === 0x2e) {
      this.isInteger = false;
      at = this.#digits(at + 1);
    }
    if (bytes[at] === 0x65 || bytes[at] === 0x45) {
      this.isInteger = false;
      at += 1;
      if (bytes[at] === MINUS || bytes[at] === 0x2b) at += 1;
      at = this.#digits(at);
    }
    this.start = start;
    this.end = at;
    this.pos = at;
  }

  /** Where a run of at least one digit ends. */
  #digits(from: number): number {
    let at = from;
    while (isDigit(this.bytes[at])) at += 1;
    if (at === from) this.fail('expected a number', from);
    return at;
  }
}
