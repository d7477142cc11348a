import fc from 'fast-check';
import { concat, double, type Field, fixed64, message, text, varint } from './otlp_writer.ts';

/** Arbitrary metric requests as bytes: valid protobuf, valid or invalid OTLP, fields in any order. */

const unknownField: fc.Arbitrary<Field> = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((value): Field => [200, 0, varint(value)]),
  fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes): Field => [201, 1, bytes]),
  fc.uint8Array({ maxLength: 9 }).map((bytes): Field => [202, 2, bytes]),
  fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes): Field => [203, 5, bytes]),
  fc.nat(300).map(
    (value): Field => [
      204,
      3,
      message([
        [1, 0, varint(value)],
        [2, 3, new Uint8Array(0)],
      ]),
    ],
  ),
);

/** Mostly in the order of the schema, sometimes shuffled, sometimes with fields that we do not know. */
function assembled(fields: fc.Arbitrary<readonly Field[]>): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(fields, fc.array(unknownField, { maxLength: 2 }), fc.constantFrom('plain', 'plain', 'mixed'))
    .chain(([known, unknown, order]) =>
      order === 'plain'
        ? fc.constant(message(known))
        : fc.shuffledSubarray([...known, ...unknown], { minLength: known.length + unknown.length }).map(message),
    );
}

const optional = (field: fc.Arbitrary<Field>): fc.Arbitrary<readonly Field[]> =>
  fc.option(field, { nil: undefined, freq: 6 }).map((present) => (present === undefined ? [] : [present]));
const together = (...parts: readonly fc.Arbitrary<readonly Field[]>[]): fc.Arbitrary<readonly Field[]> =>
  fc.tuple(...parts).map((lists) => lists.flat());
const each = (number: number, items: fc.Arbitrary<readonly Uint8Array[]>): fc.Arbitrary<readonly Field[]> =>
  items.map((payloads) => payloads.map((payload): Field => [number, 2, payload]));

const name = fc.constantFrom('', 'a', 'b', 'http.server.request.duration', 'größe', 'x'.repeat(140));
const anInt64 = fc.oneof(fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), fc.integer().map(BigInt));
const aDouble = fc.oneof(fc.double(), fc.constantFrom(0, -0, Number.NaN, Infinity, -Infinity));

const anyValue: fc.Arbitrary<Uint8Array> = fc.letrec<{ value: Uint8Array; pair: Uint8Array }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constant(new Uint8Array(0)),
    name.map((value) => message([[1, 2, text(value)]])),
    fc.boolean().map((value) => message([[2, 0, varint(value ? 1 : 0)]])),
    anInt64.map((value) => message([[3, 0, varint(value)]])),
    // A NaN is not the same as itself in a canonical text read twice, so plain doubles only.
    fc.double({ noNaN: true }).map((value) => message([[4, 1, double(value)]])),
    fc
      .array(tie('value'), { maxLength: 3 })
      .map((values) => message([[5, 2, message(values.map((v): Field => [1, 2, v]))]])),
    fc
      .array(tie('pair'), { maxLength: 3 })
      .map((values) => message([[6, 2, message(values.map((v): Field => [1, 2, v]))]])),
    fc.uint8Array({ maxLength: 8 }).map((value) => message([[7, 2, value]])),
  ),
  pair: fc.tuple(name, tie('value')).map(([key, value]) =>
    message([
      [1, 2, text(key)],
      [2, 2, value],
    ]),
  ),
})).pair;

const attributes = (number: number) => each(number, fc.array(anyValue, { maxLength: 3 }));

const TIMES = [0n, 1n, 999_999n, 1_000_000n, 1_800_000_000_123_456_789n, 1_800_000_000_123_456_790n, (1n << 64n) - 1n];
/** Starts mostly lie before times, so that most points are valid. */
const time = (number: number) =>
  optional(
    fc
      .oneof(
        { weight: 6, arbitrary: fc.constantFrom(...(number === 2 ? TIMES.slice(0, 4) : TIMES.slice(3))) },
        { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }) },
      )
      .map((ns): Field => [number, 1, fixed64(ns)]),
  );
const flags = (number: number) =>
  fc.constantFrom(0, 0, 0, 1, 2, 3).map((value): Field[] => (value === 0 ? [] : [[number, 0, varint(value)]]));

const numberPoint = assembled(
  together(
    time(2),
    time(3),
    optional(
      fc.oneof(
        aDouble.map((value): Field => [4, 1, double(value)]),
        anInt64.map((value): Field => [6, 1, fixed64(value)]),
      ),
    ),
    attributes(7),
    flags(8),
  ),
);

/** A repeated number, packed or one by one: protobuf allows both. */
const repeated = (number: number, values: fc.Arbitrary<readonly Uint8Array[]>): fc.Arbitrary<readonly Field[]> =>
  fc.tuple(values, fc.boolean()).map(([list, isPacked]) => {
    if (isPacked) return list.length === 0 ? [] : [[number, 2, concat(...list)] as const];
    return list.map((value): Field => [number, 1, value]);
  });

const BOUNDS = [[], [1], [1, 2, 5], [0.005, 0.01, 0.1], [-1, 0, 1], [1, 1], [2, 1], [1, Infinity], [Number.NaN]];
const histogramPoint = fc.constantFrom(...BOUNDS).chain((bounds) =>
  assembled(
    together(
      time(2),
      time(3),
      optional(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((value): Field => [4, 1, fixed64(value)])),
      optional(aDouble.map((value): Field => [5, 1, double(value)])),
      repeated(
        6,
        fc
          .oneof({ weight: 5, arbitrary: fc.constant(bounds.length + 1) }, { weight: 1, arbitrary: fc.nat(5) })
          .chain((length) => fc.array(fc.nat(1_000), { minLength: length, maxLength: length }))
          .map((counts) => counts.map((count) => fixed64(BigInt(count)))),
      ),
      repeated(7, fc.constant(bounds.map(double))),
      attributes(9),
      flags(10),
      optional(aDouble.map((value): Field => [11, 1, double(value)])),
      optional(aDouble.map((value): Field => [12, 1, double(value)])),
    ),
  ),
);

const zigzag = (value: number): Uint8Array => varint((value << 1) ^ (value >> 31));
const count64 = fc.oneof({ weight: 5, arbitrary: fc.bigInt({ min: 0n, max: 1_000n }) }, fc.constant((1n << 53n) + 1n));
const buckets = assembled(
  together(
    optional(
      fc.constantFrom(0, 1, -1, 300, -300, 2 ** 31 - 1, -(2 ** 31)).map((value): Field => [1, 0, zigzag(value)]),
    ),
    fc
      .tuple(fc.array(count64.map(varint), { maxLength: 5 }), fc.boolean())
      .map(([list, isPacked]): Field[] =>
        isPacked && list.length > 0 ? [[2, 2, concat(...list)]] : list.map((value): Field => [2, 0, value]),
      ),
  ),
);
const exponentialPoint = assembled(
  together(
    attributes(1),
    time(2),
    time(3),
    optional(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((value): Field => [4, 1, fixed64(value)])),
    optional(aDouble.map((value): Field => [5, 1, double(value)])),
    optional(fc.constantFrom(0, 3, 20, -10, 2 ** 31 - 1, -(2 ** 31)).map((value): Field => [6, 0, zigzag(value)])),
    optional(fc.nat().map((value): Field => [7, 1, fixed64(BigInt(value))])),
    optional(buckets.map((payload): Field => [8, 2, payload])),
    optional(buckets.map((payload): Field => [9, 2, payload])),
    flags(10),
    optional(aDouble.map((value): Field => [12, 1, double(value)])),
    optional(aDouble.map((value): Field => [13, 1, double(value)])),
    optional(fc.constantFrom(0, 0, 0.001, 1, -1, Number.NaN, Infinity).map((value): Field => [14, 1, double(value)])),
  ),
);
const summaryPoint = assembled(
  together(
    time(2),
    time(3),
    optional(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((value): Field => [4, 1, fixed64(value)])),
    optional(aDouble.map((value): Field => [5, 1, double(value)])),
    each(
      6,
      fc.array(
        aDouble.map((value) =>
          message([
            [1, 1, double(0.5)],
            [2, 1, double(value)],
          ]),
        ),
        { maxLength: 2 },
      ),
    ),
    attributes(7),
    flags(8),
  ),
);

const data = (point: fc.Arbitrary<Uint8Array>) =>
  assembled(
    together(
      each(1, fc.array(point, { maxLength: 4 })),
      fc.constantFrom(0, 1, 2, 2, 1, 7).map((value): Field[] => (value === 0 ? [] : [[2, 0, varint(value)]])),
      fc.boolean().map((value): Field[] => (value ? [[3, 0, varint(1)]] : [])),
    ),
  );
// A gauge has no temporality; fields 2 and 3 are unknown to it.
const metric = assembled(
  together(
    optional(name.map((value): Field => [1, 2, text(value)])),
    optional(name.map((value): Field => [2, 2, text(value)])),
    optional(name.map((value): Field => [3, 2, text(value)])),
    optional(
      fc.oneof(
        data(numberPoint).map((payload): Field => [5, 2, payload]),
        data(numberPoint).map((payload): Field => [7, 2, payload]),
        data(histogramPoint).map((payload): Field => [9, 2, payload]),
        data(exponentialPoint).map((payload): Field => [10, 2, payload]),
        data(summaryPoint).map((payload): Field => [11, 2, payload]),
      ),
    ),
  ),
);
const scope = assembled(
  together(
    optional(name.map((value): Field => [1, 2, text(value)])),
    optional(name.map((value): Field => [2, 2, text(value)])),
    attributes(3),
  ),
);
const scopeMetrics = assembled(
  together(optional(scope.map((payload): Field => [1, 2, payload])), each(2, fc.array(metric, { maxLength: 3 }))),
);
const resource = assembled(together(attributes(1)));
const resourceMetrics = assembled(
  together(
    optional(resource.map((payload): Field => [1, 2, payload])),
    each(2, fc.array(scopeMetrics, { maxLength: 2 })),
  ),
);

export const requestArb: fc.Arbitrary<Uint8Array> = assembled(each(1, fc.array(resourceMetrics, { maxLength: 2 })));
