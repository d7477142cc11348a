import { GrpcClient, HttpClient } from './clients.ts';
import {
  at,
  buckets,
  CUMULATIVE,
  DELTA,
  exponential,
  gauge,
  histogram,
  type Json,
  over,
  point,
  requestOf,
  sum,
  summary,
} from './payloads.ts';
import { everywhere, type Finding, finding, type Rule, type Target } from './rule.ts';

/** A request, and how many of its points must be rejected. */
type Case = readonly [what: string, metrics: readonly Json[], rejected: number];

/** Sends each case in every way that the target knows, and compares what is rejected. */
async function judge(target: Target, cases: readonly Case[]): Promise<Finding[]> {
  using grpc = target.grpc === undefined ? undefined : new GrpcClient(target.grpc);
  using http = target.http === undefined ? undefined : new HttpClient(target.http);
  const findings: Finding[] = [];
  for (const [what, metrics, rejected] of cases) {
    for (const [where, verdict] of await everywhere({ grpc, http }, requestOf(...metrics))) {
      const holds = verdict.ok && verdict.rejected === rejected;
      findings.push(finding(`${what} (${where})`, holds, verdict.text));
    }
  }
  return findings;
}

const rule = (id: string, text: string, ...cases: readonly Case[]): Rule => ({
  id,
  rule: text,
  check: (target) => judge(target, cases),
});

const value = (temporality: number, offsetNs: number, startNs: number, amount: number): Json =>
  sum(temporality, { startTimeUnixNano: at(startNs), timeUnixNano: at(offsetNs), asInt: String(amount) });
const noTime: Json = { ...over(0, {}), timeUnixNano: '0' };
const spread = (more: Json): Json =>
  over(5, {
    ...{ count: '6', sum: 10.5, scale: 3, zeroCount: '1', zeroThreshold: 0.001 },
    positive: { offset: -4, bucketCounts: ['1', '0', '2'] },
    negative: { offset: 2, bucketCounts: ['2'] },
    ...more,
  });

/** The rules of the data model that show in what a receiver answers. */
export const MODEL_RULES: readonly Rule[] = [
  rule(
    'M1',
    'Identity leaves out description, int or double, bucket bounds and scale: none of them makes a point invalid',
    [
      'another description',
      [
        { ...gauge(point(10)), description: 'once' },
        { ...gauge(point(11)), description: 'twice' },
      ],
      0,
    ],
    ['int, then double', [gauge({ timeUnixNano: at(12), asInt: '1' }), gauge(point(13))], 0],
    ['other bounds', [histogram(DELTA, over(14, buckets([1, 1], [1])), over(15, buckets([1, 1, 1], [1, 2])))], 0],
  ),
  rule(
    'M2',
    'time = 0 is rejected; UNSPECIFIED temporality is rejected; a number point without value is invalid',
    ['a gauge at time 0, and a good one', [gauge({ asDouble: 1 }, point(20))], 1],
    ['a sum at time 0', [sum(DELTA, { ...noTime, asInt: '1' })], 1],
    ['a histogram at time 0', [histogram(DELTA, { ...noTime, ...buckets([1], []) })], 1],
    ['an exponential histogram at time 0', [exponential(DELTA, { ...noTime, count: '1', zeroCount: '1' })], 1],
    ['a summary at time 0', [summary({ ...noTime, count: '1' })], 1],
    ['a sum of no temporality', [sum(0, over(21, { asInt: '1' }), over(22, { asInt: '1' }))], 2],
    ['a histogram of no temporality', [histogram(0, over(23, buckets([1], [])))], 1],
    ['an exponential histogram of no temporality', [exponential(0, spread({}))], 1],
    ['a gauge without value', [gauge({ timeUnixNano: at(24) }, point(25))], 1],
  ),
  rule(
    'M3',
    'Cumulative: a true reset, an unknown start (start = time, or none) and a value that falls are all taken',
    ['the first', [value(CUMULATIVE, 100, 1, 10)], 0],
    ['a new start', [value(CUMULATIVE, 300, 200, 4)], 0],
    ['start = time', [value(CUMULATIVE, 400, 400, 4)], 0],
    ['no start', [sum(CUMULATIVE, { timeUnixNano: at(500), asInt: '9' })], 0],
    ['a fall', [value(CUMULATIVE, 600, 400, 1)], 0],
  ),
  rule(
    'M4',
    'Delta: a gap, an overlap and an older point are no errors of the sender, who has nothing to send again',
    ['the first', [value(DELTA, 100, 1, 10)], 0],
    ['a gap', [value(DELTA, 300, 200, 4)], 0],
    ['an overlap', [value(DELTA, 400, 250, 4)], 0],
    ['older', [value(DELTA, 50, 10, 4)], 0],
  ),
  rule(
    'M5',
    'Flag bit 0 (no recorded value): taken, other fields ignored',
    ['a gauge', [gauge({ timeUnixNano: at(30), flags: 1 })], 0],
    ['a sum', [sum(CUMULATIVE, over(31, { flags: 1 }))], 0],
    [
      'a histogram of no shape',
      [histogram(DELTA, over(32, { flags: 1, bucketCounts: ['1'], explicitBounds: [1] }))],
      0,
    ],
    ['an exponential histogram', [exponential(DELTA, over(33, { flags: 1 }))], 0],
    ['a summary', [summary(over(34, { flags: 1 }))], 0],
  ),
  rule(
    'M6',
    'Explicit histogram: counts = bounds + 1 or both empty; bounds strictly increase; sum, min, max are optional',
    ['with all fields', [histogram(DELTA, over(40, { ...buckets([1, 2, 3], [1, 2]), sum: 9, min: 0.5, max: 3 }))], 0],
    ['without sum, min, max', [histogram(CUMULATIVE, over(41, buckets([1, 2, 3], [1, 2])))], 0],
    ['without buckets', [histogram(DELTA, over(42, { count: '3', sum: 4 }))], 0],
    ['one count too few', [histogram(DELTA, over(43, buckets([1, 2], [1, 2])))], 1],
    ['bounds and no counts', [histogram(DELTA, over(44, buckets([], [1, 2])))], 1],
    ['equal bounds', [histogram(DELTA, over(45, buckets([1, 2, 3], [1, 1])))], 1],
    ['falling bounds', [histogram(DELTA, over(46, buckets([1, 2, 3], [2, 1])), over(47, buckets([1], [])))], 1],
  ),
  rule(
    'M7',
    'Exponential histogram: any scale and zero threshold, both temporalities, changing from point to point',
    ['delta', [exponential(DELTA, spread({}))], 0],
    [
      'cumulative',
      [exponential(CUMULATIVE, spread({}), { ...spread({ scale: 1, zeroThreshold: 1 }), timeUnixNano: at(60) })],
      0,
    ],
    ['extreme scales', [exponential(DELTA, spread({ scale: 20 }), spread({ scale: -11 }))], 0],
    ['only zeros', [exponential(DELTA, over(61, { count: '2', zeroCount: '2' }))], 0],
  ),
  rule(
    'M8',
    'Summary: taken, with quantiles or without',
    [
      'with quantiles',
      [summary(over(70, { count: '5', sum: 2.5, quantileValues: [{ quantile: 0.5, value: 0.4 }] }))],
      0,
    ],
    ['without', [summary(over(71, { count: '5', sum: 2.5 }))], 0],
  ),
  rule(
    'M9',
    'Nanosecond times beyond 2^53 are compared without losing a nanosecond; integers of 64 bits are taken',
    ['start one nanosecond before time', [value(DELTA, 81, 80, 1)], 0],
    ['start one nanosecond after time', [value(DELTA, 80, 81, 1)], 1],
    ['the largest integer', [sum(CUMULATIVE, over(82, { asInt: '9223372036854775807' }))], 0],
    ['the largest count', [histogram(CUMULATIVE, over(83, { count: '18446744073709551615' }))], 0],
  ),
  rule(
    'M10',
    'Exemplars are taken with their point; an overflow series (otel.metric.overflow) is no error',
    ['an exemplar', [gauge({ ...point(90), exemplars: [{ timeUnixNano: at(90), asDouble: 1 }] })], 0],
    [
      'overflow',
      [gauge({ ...point(91), attributes: [{ key: 'otel.metric.overflow', value: { boolValue: true } }] })],
      0,
    ],
  ),
];
