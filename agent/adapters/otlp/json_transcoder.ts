import { type Field, type Fields, type FieldType, METRICS_REQUEST } from './json_fields.ts';
import { Integer64 } from './json_integer.ts';
import { JsonReader } from './json_reader.ts';
import { ProtoWriter } from './proto_writer.ts';

/** Twice the depth of attribute values (a list is a message of its own), and the message around them. */
const MAX_MESSAGE_DEPTH = 150;

const WIRE_TYPE: Readonly<Record<FieldType, number>> = {
  ...{ bool: 0, int64: 0, uint64: 0, uint32: 0, sint32: 0, temporality: 0 },
  ...{ double: 1, fixed64: 1, sfixed64: 1 },
  ...{ string: 2, bytes: 2, message: 2 },
};
const TEMPORALITIES = [
  'AGGREGATION_TEMPORALITY_UNSPECIFIED',
  'AGGREGATION_TEMPORALITY_DELTA',
  'AGGREGATION_TEMPORALITY_CUMULATIVE',
];
const NON_FINITE: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]);
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;
const QUOTE = 0x22;

/**
 * Writes a metrics request in OTLP/JSON as the same request in protobuf, which the decoder then reads: so there is one
 * set of rules and one cache of series for both. No object is made per point.
 *
 * Rules: keys in lowerCamelCase, unknown ones are skipped; 64-bit integers are numbers or strings, read from their
 * digits; doubles are numbers, or strings for what JSON has no number for; `null` is as if it were not there; bytes are
 * base64 in either alphabet. Enumerations are integers; their names are taken too, because some senders write them.
 */
export class JsonTranscoder {
  readonly #reader = new JsonReader();
  readonly #writer: ProtoWriter;
  readonly #integer = new Integer64();

  constructor(options: { readonly maxBytes: number }) {
    this.#writer = new ProtoWriter(options.maxBytes);
  }

  /**
   * Throws `MalformedError` for what is no such request, `TooLargeError` for what becomes larger than allowed. The bytes
   * are valid until the next call.
   */
  transcode(bytes: Buffer): Buffer {
    const reader = this.#reader;
    this.#writer.reset();
    reader.reset(bytes);
    try {
      if (reader.peek() === undefined) return this.#writer.written;
      this.#message(METRICS_REQUEST, 0);
      if (reader.peek() !== undefined) reader.fail('something follows the request');
      return this.#writer.written;
    } finally {
      reader.reset(Buffer.alloc(0));
    }
  }

  #message(fields: Fields, depth: number): void {
    const reader = this.#reader;
    if (depth > MAX_MESSAGE_DEPTH) reader.fail(`values nest deeper than ${MAX_MESSAGE_DEPTH}`);
    reader.expect(OPEN_OBJECT);
    if (reader.takes(CLOSE_OBJECT)) return;
    do {
      const field = this.#key(fields);
      reader.expect(COLON);
      if (field === undefined) reader.skip();
      else if (!reader.word('null')) {
        if (field.isRepeated) this.#list(field, depth);
        else this.#single(field, depth);
      }
    } while (reader.takes(COMMA));
    reader.expect(CLOSE_OBJECT);
  }

  #key(fields: Fields): Field | undefined {
    const reader = this.#reader;
    reader.string();
    const { bytes, start, end, hasEscapes, hash } = reader;
    if (hasEscapes) {
      const name = Buffer.from(reader.text());
      for (const field of fields.values()) if (field.name.equals(name)) return field;
      return undefined;
    }
    const field = fields.get(hash);
    if (field === undefined || field.name.length !== end - start) return undefined;
    for (let i = 0; i < field.name.length; i++) if (field.name[i] !== bytes[start + i]) return undefined;
    return field;
  }

  #single(field: Field, depth: number): void {
    const writer = this.#writer;
    writer.byte((field.number << 3) | WIRE_TYPE[field.type]);
    if (field.fields === undefined) this.#scalar(field.type);
    else {
      const start = writer.begin();
      this.#message(field.fields(), depth + 1);
      writer.end(start);
    }
  }

  #list(field: Field, depth: number): void {
    const reader = this.#reader;
    const writer = this.#writer;
    reader.expect(OPEN_LIST);
    if (reader.takes(CLOSE_LIST)) return;
    if (field.fields === undefined) {
      // Numbers, packed.
      writer.byte((field.number << 3) | 2);
      const start = writer.begin();
      do this.#scalar(field.type);
      while (reader.takes(COMMA));
      writer.end(start);
    } else {
      const fields = field.fields();
      do {
        writer.byte((field.number << 3) | 2);
        const start = writer.begin();
        if (!reader.word('null')) this.#message(fields, depth + 1);
        writer.end(start);
      } while (reader.takes(COMMA));
    }
    reader.expect(CLOSE_LIST);
  }

  #scalar(type: FieldType): void {
    const writer = this.#writer;
    switch (type) {
      case 'string':
        this.#string();
        return;
      case 'bytes':
        this.#base64();
        return;
      case 'bool':
        writer.byte(this.#bool() ? 1 : 0);
        return;
      case 'double':
        writer.double(this.#double());
        return;
      case 'fixed64':
      case 'sfixed64':
        this.#readInteger(type === 'sfixed64');
        writer.fixed64(this.#integer.low, this.#integer.high);
        return;
      case 'int64':
      case 'uint64':
        this.#readInteger(type === 'int64');
        writer.varint64(this.#integer.low, this.#integer.high);
        return;
      case 'uint32':
        this.#readInteger(false);
        if (this.#integer.high !== 0) this.#reader.fail('expected an integer of 32 bits', this.#reader.start);
        writer.varint64(this.#integer.low, 0);
        return;
      case 'sint32': {
        this.#readInteger(true);
        const { low, high } = this.#integer;
        const value = low | 0;
        if (high !== (value < 0 ? 0xffff_ffff : 0)) {
          this.#reader.fail('expected an integer of 32 bits', this.#reader.start);
        }
        writer.varint64(((value << 1) ^ (value >> 31)) >>> 0, 0);
        return;
      }
      case 'temporality':
        writer.varint64(this.#temporality(), 0);
        return;
      case 'message':
        throw new Error('a message is no scalar');
    }
  }

  #string(): void {
    const reader = this.#reader;
    const writer = this.#writer;
    reader.string();
    const start = writer.begin();
    if (reader.hasEscapes) {
      const text = Buffer.from(reader.text());
      writer.raw(text, 0, text.length);
    } else writer.raw(reader.bytes, reader.start, reader.end);
    writer.end(start);
  }

  #base64(): void {
    this.#reader.string();
    const text = this.#reader.text();
    if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) this.#reader.fail('expected base64', this.#reader.start);
    const decoded = Buffer.from(text, 'base64');
    const start = this.#writer.begin();
    this.#writer.raw(decoded, 0, decoded.length);
    this.#writer.end(start);
  }

  #bool(): boolean {
    if (this.#reader.word('true')) return true;
    return this.#reader.word('false') ? false : this.#reader.fail('expected true or false');
  }

  #double(): number {
    const reader = this.#reader;
    if (reader.peek() === QUOTE) {
      const at = reader.pos;
      reader.string();
      const special = NON_FINITE.get(reader.text());
      if (special !== undefined) return special;
      reader.pos = at;
    }
    reader.number();
    return Number(reader.bytes.toString('latin1', reader.start, reader.end));
  }

  #readInteger(isSigned: boolean): void {
    const reader = this.#reader;
    reader.number();
    if (reader.isInteger) {
      if (this.#integer.read(reader.bytes, reader.start, reader.end, isSigned)) return;
    } else {
      // `1e3` and `5.0` are integers to protobuf's JSON, too; written so, none can be beyond 2^53.
      const value = Number(reader.bytes.toString('latin1', reader.start, reader.end));
      const text = Buffer.from(String(value));
      const isWhole = Number.isSafeInteger(value) && this.#integer.read(text, 0, text.length, isSigned);
      if (isWhole) return;
    }
    reader.fail(`expected an integer of 64 bits${isSigned ? '' : ' that is not negative'}`, reader.start);
  }

  #temporality(): number {
    const reader = this.#reader;
    if (reader.peek() === QUOTE) {
      const at = reader.pos;
      reader.string();
      const named = TEMPORALITIES.indexOf(reader.text());
      if (named >= 0) return named;
      reader.pos = at;
    }
    this.#readInteger(true);
    return this.#integer.low;
  }
}
