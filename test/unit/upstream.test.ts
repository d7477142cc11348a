import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { partialSuccessOf, partialSuccessOfJson, retryDelayMs } from '../../agent/adapters/upstream/answer.ts';
import { retryAfterMs } from '../../agent/adapters/upstream/http_transport.ts';
import { MemoryQueue } from '../../agent/adapters/upstream/memory_queue.ts';
import { TELEMETRY_SIGNALS } from '../../agent/adapters/upstream/raw_sink.ts';
import { jsonToProtobuf } from '../../agent/adapters/upstream/transcode.ts';
import { isLoop, withHop } from '../../agent/adapters/upstream/via.ts';
import { backoffMs } from '../../agent/core/backoff.ts';
import { partialSuccess, retryDetails } from '../wire/upstream_answers.ts';

const retry = { initialMs: 1_000, maxMs: 30_000 };

describe('backoff', () => {
  it('doubles from the initial wait to the longest, each within half of itself', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 100].map((failures) => backoffMs(failures, undefined, retry, 0.5))).toEqual([
      1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
    ]);
    expect(backoffMs(3, undefined, retry, 0)).toBe(2_000);
    expect(backoffMs(3, undefined, retry, 0.999)).toBeCloseTo(6_000, -1);
  });

  it('never comes back before it was asked to, and not after a quarter of an hour and a tenth', () => {
    const any = fc.record({
      failures: fc.integer({ min: 1, max: 1_000 }),
      asked: fc.double({ min: 0, max: 1e9, noNaN: true }),
      random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    });
    fc.assert(
      fc.property(any, ({ failures, asked, random }) => {
        const waitMs = backoffMs(failures, asked, retry, random);
        expect(waitMs).toBeGreaterThanOrEqual(Math.min(asked, 900_000));
        expect(waitMs).toBeLessThanOrEqual(990_001);
      }),
    );
  });

  it('reads Retry-After as seconds or as a date', () => {
    const nowMs = Date.parse('2026-11-23T12:00:00Z');
    expect(retryAfterMs('120', nowMs)).toBe(120_000);
    expect(retryAfterMs('Mon, 23 Nov 2026 12:00:30 GMT', nowMs)).toBe(30_000);
    expect(retryAfterMs('Mon, 23 Nov 2026 11:00:00 GMT', nowMs)).toBe(0);
    for (const not of [undefined, '', 'soon', '-5e99x']) expect(retryAfterMs(not, nowMs)).toBeUndefined();
  });
});

describe('what an upstream answers', () => {
  it('reads back the delays and rejections that a receiver writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e9 }), fc.string({ maxLength: 100 }), (n, message) => {
        expect(retryDelayMs(retryDetails(14, message, n))).toBe(n);
        expect(partialSuccessOf(partialSuccess(n, message))).toEqual({ rejected: n, message });
        const body = JSON.stringify({ partialSuccess: { rejectedSpans: String(n), errorMessage: message } });
        expect(partialSuccessOfJson(Buffer.from(body))).toEqual({ rejected: n, message });
      }),
    );
  });

  it('takes whatever else it is sent for nothing said, and never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(partialSuccessOf(bytes).rejected).toBeGreaterThanOrEqual(0);
        expect(partialSuccessOfJson(bytes).rejected).toBe(0);
        expect(retryDelayMs(bytes) ?? 0).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

describe('via', () => {
  it('finds its own id in any chain that it was added to, and no other', () => {
    const id = fc.uuid();
    fc.assert(
      fc.property(fc.uniqueArray(id, { minLength: 2, maxLength: 7 }), ([own = '', ...others]) => {
        const chain = others.reduce(withHop, '');
        expect(isLoop(chain, own)).toBe(false);
        expect(isLoop(withHop(chain, own), own)).toBe(true);
        expect(isLoop(others.reduce(withHop, own), own)).toBe(true);
      }),
    );
  });

  it('ends chains that are too long, and passes on nothing that a header may not hold', () => {
    expect(isLoop(Array(8).fill('a').join(','), 'b')).toBe(true);
    expect(isLoop('x'.repeat(600), 'b')).toBe(true);
    expect(withHop('a\r\nset-cookie: b', 'me')).toBe('aset-cookieb,me');
  });
});

describe('the queue in memory', () => {
  it('keeps the order and its limit, and every request is delivered, dropped and counted, or still there', async () => {
    const step = fc.oneof(
      fc.record({ put: fc.constantFrom(...TELEMETRY_SIGNALS), size: fc.integer({ min: 0, max: 500 }) }),
      fc.record({ send: fc.constantFrom(...TELEMETRY_SIGNALS) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 200 }), async (steps) => {
        let dropped = 0;
        const queue = new MemoryQueue(4_000, { dropped: (_signal, requests) => (dropped += requests) });
        const sent: number[] = [];
        let put = 0;
        for (const one of steps) {
          if ('put' in one) {
            put += 1;
            queue.put({ signal: one.put, encoding: 'protobuf', via: '', atMs: put, body: new Uint8Array(one.size) });
          } else {
            const [entry] = queue.peek(one.send);
            if (entry === undefined) continue;
            queue.remove(entry);
            sent.push(entry.atMs);
          }
          const levels = TELEMETRY_SIGNALS.map((signal) => queue.level(signal));
          expect(levels.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(4_000);
          expect(levels.reduce((sum, { requests }) => sum + requests, 0) + sent.length + dropped).toBe(put);
        }
        expect(new Set(sent).size).toBe(sent.length);
        for (const signal of TELEMETRY_SIGNALS) {
          let last = 0;
          for (let [entry] = queue.peek(signal); entry !== undefined; [entry] = queue.peek(signal)) {
            expect(entry.atMs).toBeGreaterThan(last);
            last = entry.atMs;
            queue.remove(entry);
          }
        }
        await queue.close();
      }),
    );
  });
});

/** Parts of OTLP's published schema, read by a general codec: the oracle for what JSON becomes. */
const SCHEMA = `
syntax = "proto3";
message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; string schema_url = 3; }
message Resource { repeated KeyValue attributes = 1; uint32 dropped_attributes_count = 2; }
message ScopeSpans { repeated Span spans = 2; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9;
  repeated Event events = 11; Status status = 15; fixed32 flags = 16;
}
message Event { fixed64 time_unix_nano = 1; string name = 2; }
message Status { string message = 2; int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
    ArrayValue array_value = 5; KeyValueList kvlist_value = 6; bytes bytes_value = 7;
  }
}
message ArrayValue { repeated AnyValue values = 1; }
message KeyValueList { repeated KeyValue values = 1; }
message Metrics { repeated ResourceMetrics resource_metrics = 1; }
message ResourceMetrics { repeated ScopeMetrics scope_metrics = 2; }
message ScopeMetrics { repeated Metric metrics = 2; }
message Metric { string name = 1; oneof data { Gauge gauge = 5; Histogram histogram = 9; Exponential exponential_histogram = 10; } }
message Gauge { repeated Point data_points = 1; }
message Point { fixed64 time_unix_nano = 3; oneof value { double as_double = 4; sfixed64 as_int = 6; } }
message Histogram { repeated HistogramPoint data_points = 1; int32 aggregation_temporality = 2; }
message HistogramPoint { fixed64 count = 4; optional double sum = 5; repeated fixed64 bucket_counts = 6; repeated double explicit_bounds = 7; }
message Exponential { repeated ExponentialPoint data_points = 1; }
message ExponentialPoint { sint32 scale = 6; Buckets positive = 8; }
message Buckets { sint32 offset = 1; repeated uint64 bucket_counts = 2; }
message Logs { repeated ResourceLogs resource_logs = 1; }
message ResourceLogs { repeated ScopeLogs scope_logs = 2; }
message ScopeLogs { repeated LogRecord log_records = 2; }
message LogRecord {
  fixed64 time_unix_nano = 1; int32 severity_number = 2; string severity_text = 3; AnyValue body = 5;
  repeated KeyValue attributes = 6; bytes trace_id = 9; fixed64 observed_time_unix_nano = 11;
}
`;
const { root } = protobuf.parse(SCHEMA);
const decoded = (type: string, bytes: Uint8Array | undefined) =>
  root.lookupType(type).toObject(root.lookupType(type).decode(bytes ?? new Uint8Array(0)), {
    longs: String,
    bytes: String,
    oneofs: false,
  });

describe('JSON to protobuf', () => {
  const asJson = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

  it('writes what a general codec reads back, digits of large numbers included', () => {
    const any: fc.Arbitrary<object> = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.record({ stringValue: fc.string() }),
        fc.record({ boolValue: fc.boolean() }),
        fc.record({ intValue: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String) }),
        fc.record({ doubleValue: fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0) }),
        fc.record({ bytesValue: fc.uint8Array({ minLength: 1 }).map((b) => Buffer.from(b).toString('base64')) }),
        fc.record({ arrayValue: fc.record({ values: fc.array(tie('value'), { minLength: 1, maxLength: 3 }) }) }),
        fc.record({
          kvlistValue: fc.record({
            values: fc.array(fc.record({ key: fc.string({ minLength: 1 }), value: tie('value') }), {
              minLength: 1,
              maxLength: 3,
            }),
          }),
        }),
      ),
    })).value as fc.Arbitrary<object>;
    const nanos = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(String);
    const record = fc.record({ timeUnixNano: nanos, severityNumber: fc.integer({ min: 1, max: 24 }), body: any });
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 5 }), (logRecords) => {
        const request = { resourceLogs: [{ scopeLogs: [{ logRecords }] }] };
        expect(decoded('Logs', jsonToProtobuf('logs', asJson(request)))).toEqual(request);
      }),
    );
  });

  it('writes traces: ids from hex, times given as numbers without loss, unknown names left out', () => {
    const json = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},
      "scopeSpans":[{"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","name":"s","kind":2,
      "startTimeUnixNano":1700000000123456789,"endTimeUnixNano":"18446744073709551615","flags":257,"later":{"a":1},
      "parentSpanId":null,"events":[{"name":"e","timeUnixNano":"1"}],"status":{"code":2,"message":"m"}}]}]}]}`;
    expect(decoded('ExportTraceServiceRequest', jsonToProtobuf('traces', asJson(json)))).toEqual({
      resourceSpans: [
        {
          resource: { attributes: [{ key: 'service.name', value: { stringValue: 'a' } }] },
          scopeSpans: [
            {
              spans: [
                {
                  traceId: Buffer.from('5B8EFFF798038103D269B633813FC60C', 'hex').toString('base64'),
                  spanId: Buffer.from('EEE19B7EC3C1B174', 'hex').toString('base64'),
                  name: 's',
                  kind: 2,
                  startTimeUnixNano: '1700000000123456789',
                  endTimeUnixNano: '18446744073709551615',
                  flags: 257,
                  events: [{ name: 'e', timeUnixNano: '1' }],
                  status: { code: 2, message: 'm' },
                },
              ],
            },
          ],
        },
      ],
    });
  });

  it('writes metrics: a zero that is there, packed lists, signed offsets, infinities', () => {
    const metrics = [
      {
        name: 'g',
        gauge: {
          dataPoints: [
            { timeUnixNano: '5', asInt: '0' },
            { timeUnixNano: '6', asDouble: 'NaN' },
          ],
        },
      },
      {
        name: 'h',
        histogram: {
          aggregationTemporality: 2,
          dataPoints: [{ count: 3, sum: 0, bucketCounts: ['1', 2], explicitBounds: [0.5, '-Infinity'] }],
        },
      },
      {
        name: 'e',
        exponentialHistogram: {
          dataPoints: [{ scale: -3, positive: { offset: -7, bucketCounts: [1, '9007199254740993'] } }],
        },
      },
    ];
    const bytes = jsonToProtobuf('metrics', asJson({ resourceMetrics: [{ scopeMetrics: [{ metrics }] }] }));
    expect(decoded('Metrics', bytes)).toEqual({
      resourceMetrics: [
        {
          scopeMetrics: [
            {
              metrics: [
                {
                  name: 'g',
                  gauge: {
                    dataPoints: [
                      { timeUnixNano: '5', asInt: '0' },
                      { timeUnixNano: '6', asDouble: Number.NaN },
                    ],
                  },
                },
                {
                  name: 'h',
                  histogram: {
                    aggregationTemporality: 2,
                    dataPoints: [{ count: '3', sum: 0, bucketCounts: ['1', '2'], explicitBounds: [0.5, -Infinity] }],
                  },
                },
                {
                  name: 'e',
                  exponentialHistogram: {
                    dataPoints: [{ scale: -3, positive: { offset: -7, bucketCounts: ['1', '9007199254740993'] } }],
                  },
                },
              ],
            },
          ],
        },
      ],
    });
  });

  it('refuses what is no OTLP request, however it is malformed', () => {
    const deep = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":${'{"arrayValue":{"values":['.repeat(5_000)}${']}}'.repeat(5_000)}}]}]}]}`;
    const bad = ['', '[]', 'null', '7', '{"resourceLogs":{}}', '{"resourceLogs":[1]}', deep];
    for (const json of bad) expect(jsonToProtobuf('logs', asJson(json))).toBeUndefined();
    const record = (fields: string): string => `{"resourceLogs":[{"scopeLogs":[{"logRecords":[${fields}]}]}]}`;
    for (const fields of ['{"traceId":"xyz"}', '{"timeUnixNano":1.5}', '{"timeUnixNano":"x"}', '{"severityText":5}']) {
      expect(jsonToProtobuf('logs', asJson(record(fields)))).toBeUndefined();
    }
    fc.assert(
      fc.property(fc.json(), (json) => {
        for (const signal of TELEMETRY_SIGNALS) {
          const bytes = jsonToProtobuf(signal, asJson(json));
          expect(bytes === undefined || bytes.length === 0).toBe(true);
        }
      }),
    );
  });
});
