import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Decoded, MetricsDecoder } from '../../agent/adapters/otlp/decode.ts';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import { SeriesStore } from '../../agent/core/series/store.ts';
import { oracle, rowsOf } from '../wire/otlp_oracle.ts';
import { requestArb } from '../wire/otlp_requests.ts';
import { encodeRequest } from '../wire/otlp_schema.ts';
import { concat, double, type Field, fixed64, message, text, varint } from '../wire/otlp_writer.ts';

const newDecoder = (maxSeries = 10_000, maxCachedKeys = 20_000) =>
  new MetricsDecoder({ interner: new SeriesInterner({ maxSeries }), maxCachedKeys });

type Success = Extract<Decoded, { ok: true }>;
function decoded(bytes: Uint8Array, decoder = newDecoder()): Success {
  const result = decoder.decode(bytes, 0);
  return result.ok ? result : expect.fail(`${result.message} at ${result.offset}`);
}
const seen = (result: Success) => ({
  rows: rowsOf(result.batch),
  rejected: Object.fromEntries(result.rejections.byReason),
});

const point = (value: number, extra: object = {}) => ({
  ...{ startTimeUnixNano: '1800000000000000001', timeUnixNano: '1800000001000000002', asDouble: value },
  attributes: [{ key: 'route', value: { stringValue: '/a' } }],
  ...extra,
});
const requestOf = (...metrics: object[]) =>
  encodeRequest({
    resourceMetrics: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'svc' } }] },
        scopeMetrics: [{ scope: { name: 'lib', version: '1' }, metrics }],
      },
    ],
  });
const sum = (...dataPoints: object[]) => ({
  ...{ name: 'requests', unit: '1', sum: { dataPoints, aggregationTemporality: 2, isMonotonic: true } },
});

describe('the decoder', () => {
  it('reads the same as a general codec with the rules applied, warm or cold', () => {
    const warm = newDecoder();
    const tight = newDecoder(10_000, 3);
    fc.assert(
      fc.property(requestArb, (bytes) => {
        const expected = oracle(bytes);
        for (const decoder of [newDecoder(), warm, warm, tight])
          expect(seen(decoded(bytes, decoder))).toEqual(expected);
      }),
      { numRuns: 400 },
    );
  });

  it('reads the same in parts of any size, and begins anew after one that was dropped half read', () => {
    const decoder = newDecoder();
    fc.assert(
      fc.property(requestArb, fc.integer({ min: 1, max: 5 }), fc.nat(3), (bytes, size, before) => {
        decoder.begin(bytes, 0);
        for (let i = 0; i < before; i++) if (decoder.advance(size) !== undefined) break;
        decoder.begin(bytes, 0);
        let result = decoder.advance(size);
        while (result === undefined) result = decoder.advance(size);
        expect(result.ok && seen(result)).toEqual(oracle(bytes));
      }),
      { numRuns: 200 },
    );
  });

  it('succeeds on nothing at all', () => {
    expect(decoded(new Uint8Array(0)).batch.size).toBe(0);
    expect(decoded(encodeRequest({ resourceMetrics: [{}] })).batch.size).toBe(0);
  });

  it('keeps nanoseconds that a double would lose', () => {
    const { batch } = decoded(requestOf(sum(point(1))));
    expect([batch.startMs[0], batch.startSubMsNs[0]]).toEqual([1_800_000_000_000, 1]);
    expect([batch.timeMs[0], batch.timeSubMsNs[0]]).toEqual([1_800_000_001_000, 2]);
  });

  it('reads integers exactly up to 2^53, negative ones too', () => {
    for (const value of [0, -1, 2 ** 53, -(2 ** 53), 2 ** 32, -(2 ** 31)]) {
      const { batch } = decoded(requestOf({ name: 'g', gauge: { dataPoints: [{ timeUnixNano: 1, asInt: value }] } }));
      expect(batch.value[0]).toBe(value);
    }
  });

  it('gives the same series object for the same identity, in later requests and other attribute orders', () => {
    const decoder = newDecoder();
    const attributes = [
      { key: 'a', value: { intValue: 1 } },
      { key: 'b', value: { intValue: 2 } },
    ];
    const first = decoded(requestOf(sum(point(1, { attributes }))), decoder).batch.series[0];
    const again = decoded(requestOf(sum(point(2, { attributes }))), decoder).batch.series[0];
    const turned = decoded(requestOf(sum(point(3, { attributes: attributes.toReversed() }))), decoder).batch.series[0];
    const described = { ...sum(point(4, { attributes })), description: 'no part of the identity' };
    expect([again, turned, decoded(requestOf(described), decoder).batch.series[0]]).toEqual([first, first, first]);
    expect(again).toBe(first);
    expect(turned).toBe(first);
  });

  it('gives the same array for the same bounds', () => {
    const decoder = newDecoder();
    const histogram = {
      name: 'h',
      histogram: {
        aggregationTemporality: 1,
        dataPoints: [{ timeUnixNano: 1, count: 3, bucketCounts: [1, 1, 1], explicitBounds: [1, 2] }],
      },
    };
    const one = decoded(requestOf(histogram), decoder).batch.histogram[0];
    const two = decoded(requestOf(histogram), decoder).batch.histogram[0];
    expect(two?.bounds).toBe(one?.bounds);
    expect(one).toMatchObject({ count: 3, bounds: [1, 2], counts: [1, 1, 1] });
  });

  it('keeps nothing of the request that it has read: its memory may be used for the next', () => {
    const decoder = newDecoder();
    const memory = Buffer.alloc(1_000);
    const route = (stringValue: string) => [{ key: 'route', value: { stringValue } }];
    const read = (attributes: object[]) => {
      const bytes = requestOf(sum(point(1, { attributes })));
      memory.set(bytes);
      return decoded(memory.subarray(0, bytes.length), decoder).batch.series[0]?.attributes.get('route');
    };
    expect([read(route('/a')), read(route('/b')), read(route('/c'))]).toEqual(['/a', '/b', '/c']);
  });

  it('finds series by their bytes whatever order they come in', () => {
    const decoder = newDecoder();
    const points = Array.from({ length: 50 }, (_, i) =>
      point(i, { attributes: [{ key: 'i', value: { intValue: i } }] }),
    );
    const first = decoded(requestOf(sum(...points)), decoder);
    const byValue = new Map(first.batch.series.map((series, row) => [first.batch.value[row], series]));
    for (const order of [points.toReversed(), [...points.slice(7), ...points.slice(0, 7)], points]) {
      const { batch } = decoded(requestOf(sum(...order)), decoder);
      for (const [row, series] of batch.series.entries()) expect(series).toBe(byValue.get(batch.value[row]));
    }
  });

  it('refuses points one by one and says why; their siblings are taken', () => {
    const { batch, rejections } = decoded(
      requestOf(
        sum(point(1), point(2, { timeUnixNano: 0 }), point(3, { startTimeUnixNano: '1900000000000000000' })),
        { name: 'u', sum: { dataPoints: [point(4)] } },
        { name: 'g', gauge: { dataPoints: [{ timeUnixNano: 1 }, { timeUnixNano: 1, flags: 1 }] } },
        { name: 'e', exponentialHistogram: { dataPoints: [{ timeUnixNano: 1 }, { timeUnixNano: 1 }] } },
        {
          ...{ name: 'e' },
          exponentialHistogram: { aggregationTemporality: 1, dataPoints: [{ timeUnixNano: 1, zeroThreshold: -1 }] },
        },
        { name: 's', summary: { dataPoints: [{ count: 1 }] } },
      ),
    );
    expect(batch.size).toBe(2);
    expect(Object.fromEntries(rejections.byReason)).toEqual({
      ...{ no_time: 2, start_after_time: 1, no_temporality: 3, no_value: 1, exponential_shape: 1 },
    });
    expect(rejections.total).toBe(8);
    expect(rejections.describe()).toContain('2 points: time_unix_nano is 0');
  });

  it('reads exponential histograms and summaries', () => {
    const { batch } = decoded(
      requestOf(
        {
          ...{ name: 'e', unit: 's' },
          exponentialHistogram: {
            aggregationTemporality: 2,
            dataPoints: [
              {
                ...{ startTimeUnixNano: 1, timeUnixNano: 2, count: 7, sum: 9, min: -1, max: 8, scale: -2 },
                ...{ zeroCount: 1, zeroThreshold: 0.5 },
                positive: { offset: -3, bucketCounts: [1, 2, 3] },
                negative: { offset: 4, bucketCounts: [5] },
              },
            ],
          },
        },
        {
          name: 's',
          summary: {
            dataPoints: [{ timeUnixNano: 2, count: 3, sum: 1.5, quantileValues: [{ quantile: 1, value: 2 }] }],
          },
        },
      ),
    );
    expect(batch.series.map(({ kind, temporality }) => [kind, temporality])).toEqual([
      ['exponential_histogram', 'cumulative'],
      ['summary', 'cumulative'],
    ]);
    expect(batch.exponential?.[0]).toEqual({
      ...{ count: 7, sum: 9, min: -1, max: 8, scale: -2, zeroCount: 1, zeroThreshold: 0.5 },
      positive: { offset: -3, counts: [1, 2, 3] },
      negative: { offset: 4, counts: [5] },
    });
    expect(batch.histogram[1]).toEqual({ count: 3, sum: 1.5, bounds: [], counts: [] });
  });

  it('refuses points of more buckets than memory should go to', () => {
    const bucketCounts = new Array<number>(16_385).fill(0);
    const { batch, rejections } = decoded(
      requestOf(
        {
          ...{ name: 'e' },
          exponentialHistogram: {
            ...{ aggregationTemporality: 1, dataPoints: [{ timeUnixNano: 1, positive: { bucketCounts } }] },
          },
        },
        {
          ...{ name: 'h' },
          histogram: {
            aggregationTemporality: 1,
            dataPoints: [{ timeUnixNano: 1, bucketCounts, explicitBounds: bucketCounts.slice(1) }],
          },
        },
      ),
    );
    expect(batch.size).toBe(0);
    expect(rejections.byReason.get('too_many_buckets')).toBe(2);
  });

  it('keeps integers beyond 2^53, so that their differences stay exact', () => {
    const big = 2n ** 60n;
    const [first, second] = [0, 1].map((i) => ({
      startTimeUnixNano: 1,
      timeUnixNano: 2 + i,
      asInt: String(big + BigInt(i)),
    }));
    const counted = (i: number) => ({
      ...{ startTimeUnixNano: 1, timeUnixNano: 2 + i, count: String(big + BigInt(i)) },
      ...{ bucketCounts: [String(big - 5n), 5 + i], explicitBounds: [1] },
    });
    const { batch } = decoded(
      requestOf(sum(first!, second!), {
        name: 'h',
        histogram: { aggregationTemporality: 2, dataPoints: [counted(0), counted(1)] },
      }),
    );
    const store = new SeriesStore({ maxSeries: 2 });
    const seen = [0, 1, 2, 3].map((row) => store.normalise(batch, row));
    expect(seen[1]).toMatchObject({ kind: 'sum', delta: 1 });
    expect(seen[3]).toMatchObject({ kind: 'histogram', count: 1, counts: [0, 1] });
  });

  it('refuses what is beyond the limit of series, and takes the series it has', () => {
    const decoder = newDecoder(1);
    decoded(requestOf(sum(point(1))), decoder);
    const { batch, rejections } = decoded(requestOf(sum(point(2, { attributes: [] }), point(3))), decoder);
    expect(Array.from(batch.value)).toEqual([3]);
    expect(rejections.byReason.get('series_limit')).toBe(1);
  });

  it('frees idle series, so that others get in', () => {
    const decoder = newDecoder(2);
    const used = requestOf(sum(point(1)));
    const idle = requestOf(sum(point(1, { attributes: [] })));
    const late = requestOf({ ...sum(point(1)), name: 'late' });
    decoder.decode(idle, 0);
    decoder.decode(used, 0);
    const before = decoder.decode(used, 5_000);
    decoder.begin(used, 6_000);
    expect(decoder.evictIdle(6_000, 2_000)).toBe(0);
    decoder.advance(10);
    expect(decoder.evictIdle(6_000, 2_000)).toBe(1);
    const after = decoder.decode(used, 6_000);
    expect(before.ok && after.ok && after.batch.series[0] === before.batch.series[0]).toBe(true);
    expect(decoded(late, decoder).batch.size).toBe(1);
  });

  it('merges a resource that comes in pieces, after the metrics, as protobuf says', () => {
    const pair = (key: string): Field => [
      1,
      2,
      message([
        [1, 2, text(key)],
        [2, 2, message([[3, 0, varint(7)]])],
      ]),
    ];
    const gauge = message([
      [
        1,
        2,
        message([
          [3, 1, fixed64(1n)],
          [4, 1, double(1)],
        ]),
      ],
    ]);
    const metrics = message([
      [
        2,
        2,
        message([
          [5, 2, gauge],
          [1, 2, text('m')],
        ]),
      ],
    ]);
    const bytes = message([
      [
        1,
        2,
        message([
          [1, 2, message([pair('a')])],
          [2, 2, metrics],
          [1, 2, message([pair('b')])],
        ]),
      ],
    ]);
    const series = decoded(bytes).batch.series[0];
    expect([...(series?.resource ?? [])]).toEqual([
      ['a', 7],
      ['b', 7],
    ]);
    expect(series?.name).toBe('m');
  });

  it('says at which byte a message is malformed', () => {
    const good = requestOf(sum(point(1)));
    const cases: [Uint8Array, string][] = [
      [good.subarray(0, good.length - 1), 'reaches beyond'],
      [Uint8Array.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 'more than 10 bytes'],
      [Uint8Array.from([0x0a, 0x80]), 'cut off'],
      [Uint8Array.from([0x02, 0x00]), 'field number 0'],
      [Uint8Array.from([0x0f]), 'wire type 7'],
      [Uint8Array.from([0x0c]), 'wire type 4'],
      [Uint8Array.from([0x0b, 0x14]), 'did not begin'],
      [new Uint8Array(1_000).fill(0x0b), 'deeper than 64'],
      [text('{"resourceMetrics":[]}'), ''],
    ];
    for (const [bytes, why] of cases) {
      const result = newDecoder().decode(bytes, 0);
      if (result.ok) expect.fail(`took ${bytes}`);
      expect(result.message).toContain(why);
      expect(result.offset).toBeLessThanOrEqual(bytes.length);
    }
  });

  it('refuses attribute values that nest without end', () => {
    let value = message([[1, 2, text('x')]]);
    for (let i = 0; i < 2_000; i++) value = message([[5, 2, message([[1, 2, value]])]]);
    const bytes = requestOf(sum(point(1)));
    const attribute = message([
      [7, 2, message([[2, 2, value]])],
      [3, 1, fixed64(1n)],
      [4, 1, double(1)],
    ]);
    const nested = message([
      [1, 2, message([[2, 2, message([[2, 2, message([[5, 2, message([[1, 2, attribute]])]])]])]])],
    ]);
    const decoder = newDecoder();
    expect(decoder.decode(nested, 0)).toMatchObject({ ok: false });
    expect(decoded(bytes, decoder).batch.size).toBe(1);
  });

  it('survives thousands of mutated requests, and reads a good one as before afterwards', () => {
    const decoder = newDecoder(500, 1_000);
    const good = requestOf(sum(point(1), point(2, { attributes: [] })));
    const expected = seen(decoded(good, decoder));
    let refused = 0;
    fc.assert(
      fc.property(
        requestArb,
        fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'cut', 'insert')), {
          minLength: 1,
          maxLength: 4,
        }),
        (bytes, mutations) => {
          let mutated = concat(bytes.length > 0 ? bytes : good);
          for (const [position, value, how] of mutations) {
            const at = position % (mutated.length + 1);
            if (how === 'set' && at < mutated.length) mutated[at] = value;
            if (how === 'cut') mutated = mutated.slice(0, at);
            if (how === 'insert') mutated = concat(mutated.subarray(0, at), Uint8Array.of(value), mutated.subarray(at));
          }
          const result = decoder.decode(mutated, 0);
          if (!result.ok) {
            refused += 1;
            expect(result.offset).toBeLessThanOrEqual(mutated.length);
            return;
          }
          // What is taken is taken whole: a row for every point that is not a rejection.
          expect(result.batch.series.length).toBe(result.batch.size);
          expect(rowsOf(result.batch).length).toBe(result.batch.size);
        },
      ),
      { numRuns: 3_000, seed: 20261123 },
    );
    expect(refused).toBeGreaterThan(100);
    expect(seen(decoded(good, decoder))).toEqual(expected);
  });
});
