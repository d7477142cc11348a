import { MESSAGES, type OtlpField, ROOTS } from './otlp_fields.ts';
import type { TelemetrySignal } from './raw_sink.ts';

/**
 * An OTLP request from its JSON to protobuf: for a process that speaks JSON and an upstream that speaks gRPC, which has no
 * JSON. Everything else goes on as it came.
 *
 * What is present is written, also where it is a default, because presence matters in a `oneof`. Names that OTLP does not
 * have are left out, as its specification wants. 64-bit integers keep every digit, written as text or as a number.
 */

/** AnyValue nests as deep as a sender likes; beyond this it is an attack on the stack. */
const MAX_DEPTH = 100;
const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

/** `undefined` where it is no JSON of an OTLP request. */
export function jsonToProtobuf(signal: TelemetrySignal, json: Uint8Array): Uint8Array | undefined {
  try {
    const text = Buffer.from(json.buffer, json.byteOffset, json.length).toString();
    return message(ROOTS[signal], JSON.parse(text, keepDigits), 0);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** The third argument of a reviver holds the number as it was written (ECMAScript 2026; in Node.js since 22). */
function keepDigits(...[, value, context]: readonly unknown[]): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source: unknown = typeof context === 'object' && context !== null ? Reflect.get(context, 'source') : undefined;
  return typeof source === 'string' && /^-?\d+$/.test(source) ? BigInt(source) : value;
}

function message(type: string, value: unknown, depth: number): Uint8Array {
  const fields = MESSAGES.get(type);
  if (fields === undefined) throw new Error(`no OTLP message ${type}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError(`${type} is no object`);
  if (depth > MAX_DEPTH) throw new RangeError('nested too deeply');
  const parts: Uint8Array[] = [];
  for (const [name, given] of Object.entries(value)) {
    const of = fields.get(name);
    if (of === undefined || given === null || given === undefined) continue;
    if (of.isList) parts.push(...list(of, given, depth));
    else parts.push(...single(of, given, depth));
  }
  return Buffer.concat(parts);
}

function list(of: OtlpField, given: unknown, depth: number): Uint8Array[] {
  if (!Array.isArray(given)) throw new TypeError('a list is expected');
  const { number, kind } = of;
  if (kind === 'string' || MESSAGES.has(kind)) return given.flatMap((each) => single(of, each, depth));
  const packed = Buffer.concat(given.map((each) => scalar(kind, each).bytes));
  return packed.length === 0 ? [] : [tag(number, LENGTH), varint(BigInt(packed.length)), packed];
}

function single({ number, kind }: OtlpField, given: unknown, depth: number): Uint8Array[] {
  if (MESSAGES.has(kind)) {
    const nested = message(kind, given, depth + 1);
    return [tag(number, LENGTH), varint(BigInt(nested.length)), nested];
  }
  const { wire, bytes } = scalar(kind, given);
  if (wire === LENGTH) return [tag(number, LENGTH), varint(BigInt(bytes.length)), bytes];
  return [tag(number, wire), bytes];
}

function scalar(kind: string, given: unknown): { wire: number; bytes: Uint8Array } {
  switch (kind) {
    case 'string':
      return { wire: LENGTH, bytes: Buffer.from(textOf(given)) };
    case 'bytes':
      return { wire: LENGTH, bytes: Buffer.from(textOf(given), 'base64') };
    case 'id':
      return { wire: LENGTH, bytes: hex(textOf(given)) };
    case 'bool':
      if (typeof given !== 'boolean') throw new TypeError('true or false is expected');
      return { wire: VARINT, bytes: Buffer.of(given ? 1 : 0) };
    case 'double': {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(numberOf(given));
      return { wire: FIXED64, bytes };
    }
    case 'fixed64':
    case 'sfixed64': {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt.asUintN(64, integerOf(given)));
      return { wire: FIXED64, bytes };
    }
    case 'fixed32': {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(Number(BigInt.asUintN(32, integerOf(given))));
      return { wire: FIXED32, bytes };
    }
    case 'sint32': {
      const value = BigInt.asIntN(32, integerOf(given));
      return { wire: VARINT, bytes: varint(value < 0n ? -2n * value - 1n : 2n * value) };
    }
    case 'enum':
    case 'int64':
    case 'uint32':
    case 'uint64':
      return { wire: VARINT, bytes: varint(BigInt.asUintN(64, integerOf(given))) };
    default:
      throw new Error(`no OTLP kind ${kind}`);
  }
}

function textOf(given: unknown): string {
  if (typeof given !== 'string') throw new TypeError('text is expected');
  return given;
}

function hex(text: string): Buffer {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) throw new TypeError('hexadecimal digits are expected');
  return Buffer.from(text, 'hex');
}

/** Also the texts `NaN`, `Infinity` and `-Infinity`, as proto3's JSON has them. */
function numberOf(given: unknown): number {
  if (typeof given === 'number') return given;
  if (typeof given === 'bigint') return Number(given);
  const number = given === 'NaN' ? Number.NaN : Number(textOf(given));
  if (Number.isNaN(number) && given !== 'NaN') throw new TypeError('a number is expected');
  return number;
}

function integerOf(given: unknown): bigint {
  if (typeof given === 'bigint') return given;
  // A fraction, or text that is no integer, throws.
  return BigInt(typeof given === 'number' ? given : textOf(given));
}

function tag(number: number, wire: number): Uint8Array {
  return varint(BigInt(number * 8 + wire));
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}
