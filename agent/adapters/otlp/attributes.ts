import type { AttributeValue } from '../../core/model.ts';
import { MAX_DEPTH, MalformedError, type Wire } from './wire.ts';

// common.proto: KeyValue { key = 1, value = 2 }, AnyValue { string = 1, bool = 2, int = 3, double = 4, array = 5,
// kvlist = 6, bytes = 7 }, ArrayValue { values = 1 }, KeyValueList { values = 1 }.
const TAG_1_BYTES = 10;
const TAG_2_BYTES = 18;

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

export function readString(wire: Wire, end: number): string {
  const stop = wire.lengthEnd(end);
  const text = utf8.decode(wire.bytes.subarray(wire.pos, stop));
  wire.pos = stop;
  return text;
}

/** Reads the KeyValue message up to `end` into `attributes`. A key that comes twice has its last value. */
export function readKeyValue(wire: Wire, end: number, attributes: Map<string, AttributeValue>, depth = 0): void {
  let key = '';
  let value: AttributeValue = null;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === TAG_1_BYTES) key = readString(wire, end);
    else if (tag === TAG_2_BYTES) value = readAnyValue(wire, wire.lengthEnd(end), depth);
    else wire.skip(tag, end);
  }
  attributes.set(key, value);
}

/**
 * Every kind of attribute value: nothing is `null`; an integer is a number where that is exact, else a bigint; bytes
 * are base64 text (as in OTLP/JSON); a key-value list is an array of `[key, value]` in the order of its keys.
 */
function readAnyValue(wire: Wire, end: number, depth: number): AttributeValue {
  if (depth > MAX_DEPTH) throw new MalformedError(`attribute values nest deeper than ${MAX_DEPTH}`, wire.pos);
  let value: AttributeValue = null;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    switch (tag) {
      case TAG_1_BYTES:
        value = readString(wire, end);
        break;
      case 16: {
        const [low, high] = wire.varint64(end);
        value = low !== 0 || high !== 0;
        break;
      }
      case 24: {
        const [low, high] = wire.varint64(end);
        const whole = (high | 0) * 0x1_0000_0000 + low;
        value = Number.isSafeInteger(whole) ? whole : (BigInt(high | 0) << 32n) | BigInt(low);
        break;
      }
      case 33:
        value = wire.double(end);
        break;
      case 42:
        value = readArray(wire, wire.lengthEnd(end), depth + 1);
        break;
      case 50:
        value = readKeyValueList(wire, wire.lengthEnd(end), depth + 1);
        break;
      case 58: {
        const stop = wire.lengthEnd(end);
        value = Buffer.from(wire.bytes.subarray(wire.pos, stop)).toString('base64');
        wire.pos = stop;
        break;
      }
      default:
        wire.skip(tag, end);
    }
  }
  return value;
}

function readArray(wire: Wire, end: number, depth: number): AttributeValue {
  const values: AttributeValue[] = [];
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === TAG_1_BYTES) values.push(readAnyValue(wire, wire.lengthEnd(end), depth));
    else wire.skip(tag, end);
  }
  return values;
}

function readKeyValueList(wire: Wire, end: number, depth: number): AttributeValue {
  const values = new Map<string, AttributeValue>();
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === TAG_1_BYTES) readKeyValue(wire, wire.lengthEnd(end), values, depth);
    else wire.skip(tag, end);
  }
  return [...values].sort(([a], [b]) => (a < b ? -1 : 1));
}
