import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MetricsDecoder } from '../../agent/adapters/otlp/decode.ts';
import { JsonTranscoder } from '../../agent/adapters/otlp/json_transcoder.ts';
import { TooLargeError } from '../../agent/adapters/otlp/proto_writer.ts';
import { MalformedError } from '../../agent/adapters/otlp/wire.ts';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import { rowsOf } from '../wire/otlp_oracle.ts';
import { requestArb } from '../wire/otlp_requests.ts';
import { decodeRequest, encodeRequest } from '../wire/otlp_schema.ts';

const transcoder = new JsonTranscoder({ maxBytes: 1024 * 1024 });
const transcode = (text: string) => Buffer.from(transcoder.transcode(Buffer.from(text)));

function read(bytes: Uint8Array) {
  const decoder = new MetricsDecoder({ interner: new SeriesInterner({ maxSeries: 1_000 }), maxCachedKeys: 1_000 });
  const decoded = decoder.decode(bytes, 0);
  if (!decoded.ok) expect.fail(decoded.message);
  return { rows: rowsOf(decoded.batch), rejected: Object.fromEntries(decoded.rejections.byReason) };
}

const requestOf = (metric: string): string =>
  `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m",${metric}}]}]}]}`;
const gaugeOf = (point: string): string => requestOf(`"gauge":{"dataPoints":[{"timeUnixNano":"1",${point}}]}`);

/** JSON as senders write it: doubles that JSON has no number for as strings, 64 bits as strings or bare digits. */
function toJson(message: object, bare: boolean): string {
  const written = JSON.stringify(message, (_key, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : Object.is(value, -0) ? '-0' : value,
  );
  if (!bare) return written;
  return written.replace(/("(?:startTimeUnixNano|timeUnixNano|asInt|intValue|count|zeroCount)":)"(-?\d+)"/g, '$1$2');
}

describe('JSON', () => {
  it('reads the same as protobuf, with 64-bit numbers as strings or as digits', () => {
    fc.assert(
      fc.property(requestArb, fc.boolean(), (bytes, bare) => {
        const request = decodeRequest(bytes);
        const expected = read(encodeRequest(request));
        expect(read(transcode(toJson(request, bare)))).toEqual(expected);
      }),
      { numRuns: 400 },
    );
  });

  it('loses nothing of a 64-bit integer', () => {
    for (const digits of ['9223372036854775807', '-9223372036854775808', '9007199254740993', '-1', '0', '-0']) {
      for (const text of [`"asInt":"${digits}"`, `"asInt":${digits}`]) {
        const point = decodeRequest(transcode(gaugeOf(text))).resourceMetrics?.[0]?.scopeMetrics?.[0]?.metrics?.[0];
        expect(point?.gauge?.dataPoints?.[0]?.asInt).toBe(String(BigInt(digits)));
      }
    }
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        const text = requestOf(`"gauge":{"dataPoints":[{"timeUnixNano":${value}}]}`);
        const metric = decodeRequest(transcode(text)).resourceMetrics?.[0]?.scopeMetrics?.[0]?.metrics?.[0];
        expect(metric?.gauge?.dataPoints?.[0]?.timeUnixNano ?? '0').toBe(String(value));
      }),
    );
  });

  it('takes NaN and infinities as strings, numbers as strings, exponents, null, escapes and unknown fields', () => {
    const numberIn = (point: string) => read(transcode(gaugeOf(point))).rows[0]?.value;
    expect(numberIn('"asDouble":"NaN"')).toBeNaN();
    expect(numberIn('"asDouble":"-Infinity"')).toBe(-Infinity);
    expect(numberIn('"asDouble":"1.5e3"')).toBe(1_500);
    expect(numberIn('"asInt":1e3')).toBe(1_000);
    expect(numberIn('"asDouble":null,"asInt":5.0')).toBe(5);
    expect(numberIn('"as\\u0049nt":"4"')).toBe(4);
    expect(numberIn('"asInt":1,"new":{"x":[1,{"y":null},"\\n\\ud83d"],"z":-0.1e+5},"as_int":7,"flags":0')).toBe(1);
    const named = requestOf(
      '"unit":"gr\\u00f6\\"\\ud83d\\ude00","gauge":{"dataPoints":[{"timeUnixNano":1,"asInt":1}]}',
    );
    expect(read(transcode(named)).rows[0]?.series).toContain('grö"😀');
  });

  it('takes enumerations as integers, and by name', () => {
    for (const written of ['2', '"AGGREGATION_TEMPORALITY_CUMULATIVE"', '"2"']) {
      const text = requestOf(
        `"sum":{"aggregationTemporality":${written},"isMonotonic":true,"dataPoints":[{"timeUnixNano":1,"asInt":1}]}`,
      );
      expect(read(transcode(text)).rows[0]?.series).toContain('|cumulative|true|');
    }
  });

  it('takes nothing at all, an empty envelope and white space', () => {
    for (const text of ['', ' \n', '{}', ' { } ', '{"resourceMetrics":[]}', '{"resourceMetrics":[{},null]}'])
      expect(read(transcode(text)).rows).toEqual([]);
  });

  it('says where text is malformed', () => {
    const cases: [string, RegExp][] = [
      ['[]', /expected {/],
      ['{} {}', /follows/],
      ['{"resourceMetrics":{}}', /expected \[/],
      ['{"resourceMetrics":[{}', /expected \]/],
      ['{"resourceMetrics":[', /expected {/],
      ['{"a":"\u0001"}', /control character/],
      ['{"a":"', /does not end/],
      ['{"a":"\\x"}', /escape/],
      ['{"a":01}', /expected }/],
      ['{"a":1.}', /expected a number/],
      ['{"a":nul}', /expected a value/],
      ['{"a":1,}', /expected "/],
      [`{"a":${'['.repeat(100_000)}`, /deeper than/],
      [gaugeOf('"asInt":"9223372036854775808"'), /integer of 64 bits/],
      [gaugeOf('"asInt":1.5'), /integer of 64 bits/],
      [gaugeOf('"asInt":"x"'), /expected a number/],
      [gaugeOf('"asDouble":"nan"'), /expected a number/],
      [gaugeOf('"asDouble":{}'), /expected a number/],
      [gaugeOf('"flags":4294967296'), /32 bits/],
      [requestOf('"gauge":{"dataPoints":[{"timeUnixNano":-1}]}'), /not negative/],
      [requestOf('"sum":{"isMonotonic":1}'), /true or false/],
      [gaugeOf('"attributes":[{"key":"k","value":{"bytesValue":"***"}}]'), /base64/],
      [gaugeOf(`"attributes":[{"key":"k","value":${'{"arrayValue":{"values":['.repeat(5_000)}`), /deeper than/],
    ];
    for (const [text, why] of cases) expect(() => transcode(text), text.slice(0, 80)).toThrow(why);
    expect(read(transcode(gaugeOf('"asInt":1'))).rows).toHaveLength(1);
  });

  it('stops at its limit, and is fit for use afterwards', () => {
    const tight = new JsonTranscoder({ maxBytes: 70_000 });
    const wide = requestOf(`"histogram":{"dataPoints":[{"bucketCounts":[${new Array(20_000).fill(0).join()}]}]}`);
    expect(() => tight.transcode(Buffer.from(wide))).toThrow(TooLargeError);
    expect(tight.transcode(Buffer.from(gaugeOf('"asInt":1'))).length).toBeGreaterThan(0);
  });

  it('survives thousands of mutated requests', () => {
    let refused = 0;
    fc.assert(
      fc.property(
        requestArb,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        (bytes, changes, cut) => {
          let text = Buffer.from(toJson(decodeRequest(bytes), true));
          for (const [position, value] of changes) text[position % text.length] = value;
          if (cut) text = text.subarray(0, changes[0]![0] % text.length);
          try {
            // What comes out is protobuf that the decoder can read, or attribute values nest too deep.
            read(Buffer.from(transcoder.transcode(text)));
          } catch (error) {
            if (!(error instanceof MalformedError)) throw error;
            expect(error.offset).toBeLessThanOrEqual(text.length);
            refused += 1;
          }
        },
      ),
      { numRuns: 2_000, seed: 4318 },
    );
    expect(refused).toBeGreaterThan(100);
  });
});
