/** How a JSON value becomes a protobuf field. */
export type FieldType =
  | 'string'
  | 'bytes'
  | 'bool'
  | 'double'
  | 'fixed64'
  | 'sfixed64'
  | 'int64'
  | 'uint64'
  | 'uint32'
  | 'sint32'
  | 'temporality'
  | 'message';

export interface Field {
  readonly name: Buffer;
  readonly number: number;
  readonly type: FieldType;
  readonly isRepeated: boolean;
  /** Of a message: its fields. */
  readonly fields?: () => Fields;
}

/** The fields of a message, found by the name's hash, which the reader has computed while it looked for the name's end. */
export type Fields = ReadonlyMap<number, Field>;

/** Multiply and add over the bytes; collisions within one message would show at start. */
export function nextHash(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + byte) | 0;
}

type Row = readonly [
  name: string,
  number: number,
  type: FieldType,
  fields?: (() => Fields) | undefined,
  isRepeated?: boolean,
];

function message(...rows: readonly Row[]): Fields {
  const fields = new Map<number, Field>();
  for (const [name, number, type, of, isRepeated = false] of rows) {
    const bytes = Buffer.from(name);
    const hash = bytes.reduce(nextHash, 0);
    if (fields.has(hash)) throw new Error(`the hash of ${name} is that of a sibling`);
    fields.set(hash, { name: bytes, number, type, isRepeated, ...(of !== undefined && { fields: of }) });
  }
  return fields;
}

const many = (name: string, number: number, of: () => Fields): Row => [name, number, 'message', of, true];
const one = (name: string, number: number, of: () => Fields): Row => [name, number, 'message', of];
const list = (name: string, number: number, type: FieldType): Row => [name, number, type, undefined, true];

// The parts of OTLP that the decoder reads, by their names in JSON. What is not here is skipped, as it would be there.

const ANY_VALUE: Fields = message(
  ['stringValue', 1, 'string'],
  ['boolValue', 2, 'bool'],
  ['intValue', 3, 'int64'],
  ['doubleValue', 4, 'double'],
  one('arrayValue', 5, () => ARRAY_VALUE),
  one('kvlistValue', 6, () => KEY_VALUE_LIST),
  ['bytesValue', 7, 'bytes'],
);
const ARRAY_VALUE: Fields = message(many('values', 1, () => ANY_VALUE));
const KEY_VALUE: Fields = message(
  ['key', 1, 'string'],
  one('value', 2, () => ANY_VALUE),
);
const KEY_VALUE_LIST: Fields = message(many('values', 1, () => KEY_VALUE));

const NUMBER_POINT: Fields = message(
  ['startTimeUnixNano', 2, 'fixed64'],
  ['timeUnixNano', 3, 'fixed64'],
  ['asDouble', 4, 'double'],
  ['asInt', 6, 'sfixed64'],
  many('attributes', 7, () => KEY_VALUE),
  ['flags', 8, 'uint32'],
);
const HISTOGRAM_POINT: Fields = message(
  ['startTimeUnixNano', 2, 'fixed64'],
  ['timeUnixNano', 3, 'fixed64'],
  ['count', 4, 'fixed64'],
  ['sum', 5, 'double'],
  list('bucketCounts', 6, 'fixed64'),
  list('explicitBounds', 7, 'double'),
  many('attributes', 9, () => KEY_VALUE),
  ['flags', 10, 'uint32'],
  ['min', 11, 'double'],
  ['max', 12, 'double'],
);
const BUCKETS: Fields = message(['offset', 1, 'sint32'], list('bucketCounts', 2, 'uint64'));
const EXPONENTIAL_POINT: Fields = message(
  many('attributes', 1, () => KEY_VALUE),
  ['startTimeUnixNano', 2, 'fixed64'],
  ['timeUnixNano', 3, 'fixed64'],
  ['count', 4, 'fixed64'],
  ['sum', 5, 'double'],
  ['scale', 6, 'sint32'],
  ['zeroCount', 7, 'fixed64'],
  one('positive', 8, () => BUCKETS),
  one('negative', 9, () => BUCKETS),
  ['flags', 10, 'uint32'],
  ['min', 12, 'double'],
  ['max', 13, 'double'],
  ['zeroThreshold', 14, 'double'],
);
const SUMMARY_POINT: Fields = message(
  ['startTimeUnixNano', 2, 'fixed64'],
  ['timeUnixNano', 3, 'fixed64'],
  ['count', 4, 'fixed64'],
  ['sum', 5, 'double'],
  many('attributes', 7, () => KEY_VALUE),
  ['flags', 8, 'uint32'],
);

const data = (point: Fields): Fields =>
  message(
    many('dataPoints', 1, () => point),
    ['aggregationTemporality', 2, 'temporality'],
    ['isMonotonic', 3, 'bool'],
  );
const NUMBERS = data(NUMBER_POINT);
const HISTOGRAMS = data(HISTOGRAM_POINT);
const EXPONENTIALS = data(EXPONENTIAL_POINT);
const SUMMARIES = data(SUMMARY_POINT);
const METRIC: Fields = message(
  ['name', 1, 'string'],
  ['unit', 3, 'string'],
  one('gauge', 5, () => NUMBERS),
  one('sum', 7, () => NUMBERS),
  one('histogram', 9, () => HISTOGRAMS),
  one('exponentialHistogram', 10, () => EXPONENTIALS),
  one('summary', 11, () => SUMMARIES),
);
const SCOPE: Fields = message(
  ['name', 1, 'string'],
  ['version', 2, 'string'],
  many('attributes', 3, () => KEY_VALUE),
);
const SCOPE_METRICS: Fields = message(
  one('scope', 1, () => SCOPE),
  many('metrics', 2, () => METRIC),
);
const RESOURCE: Fields = message(many('attributes', 1, () => KEY_VALUE));
const RESOURCE_METRICS: Fields = message(
  one('resource', 1, () => RESOURCE),
  many('scopeMetrics', 2, () => SCOPE_METRICS),
);

/** `ExportMetricsServiceRequest`. */
export const METRICS_REQUEST: Fields = message(many('resourceMetrics', 1, () => RESOURCE_METRICS));
