import type { AttributeValue, SampleBatch } from '../../agent/core/model.ts';
import { canonicalAttributes } from '../../agent/core/series/interner.ts';
import {
  decodeRequest,
  type WireAnyValue,
  type WireBuckets,
  type WireData,
  type WireKeyValue,
  type WirePoint,
} from './otlp_schema.ts';

/** One point in a form that both decoders can be brought to. */
export interface Row {
  readonly series: string;
  readonly startNs: bigint;
  readonly timeNs: bigint;
  readonly flags: number;
  readonly value?: number;
  readonly valueRest?: number;
  readonly histogram?: object;
}
export interface Rows {
  readonly rows: Row[];
  readonly rejected: Record<string, number>;
}

/** What a batch says, row by row. */
export function rowsOf(batch: SampleBatch): Row[] {
  return Array.from({ length: batch.size }, (_, row) => {
    const { name, unit, kind, temporality, monotonic, scope, resource, attributes } = batch.series[row]!;
    const identity = [name, unit, kind, temporality ?? '', monotonic, scope];
    const histogram = batch.histogram[row] ?? batch.exponential?.[row];
    const rest = batch.valueRest?.[row] ?? 0;
    const ended = (batch.flags[row]! & 1) !== 0;
    return {
      series: [...identity, canonicalAttributes(resource), canonicalAttributes(attributes)].join('|'),
      startNs: BigInt(batch.startMs[row]!) * 1_000_000n + BigInt(batch.startSubMsNs[row]!),
      timeNs: BigInt(batch.timeMs[row]!) * 1_000_000n + BigInt(batch.timeSubMsNs[row]!),
      flags: batch.flags[row]!,
      ...(histogram === undefined && { value: ended ? 0 : batch.value[row]! }),
      ...(rest !== 0 && !ended && { valueRest: rest }),
      ...(histogram !== undefined && { histogram: ended ? {} : { ...histogram } }),
    };
  });
}

const KINDS = [
  ['gauge', 'gauge'],
  ['sum', 'sum'],
  ['histogram', 'histogram'],
  ['exponentialHistogram', 'exponential_histogram'],
  ['summary', 'summary'],
] as const;

/** The rules of OTLP.md applied, slowly and plainly, to what a general codec decoded. */
export function oracle(bytes: Uint8Array): Rows {
  const rows: Row[] = [];
  const rejected: Record<string, number> = {};
  const reject = (reason: string, points: number) => {
    if (points > 0) rejected[reason] = (rejected[reason] ?? 0) + points;
  };
  for (const { resource, scopeMetrics } of decodeRequest(bytes).resourceMetrics ?? []) {
    for (const { scope, metrics } of scopeMetrics ?? []) {
      const version = scope?.version ? `@${scope.version}` : '';
      const scopeAttributes = attributesOf(scope?.attributes);
      const scopeText =
        (scope?.name ?? '') + version + (scopeAttributes.size > 0 ? `{${canonicalAttributes(scopeAttributes)}}` : '');
      for (const metric of metrics ?? []) {
        const found = KINDS.find(([field]) => metric[field] !== undefined);
        if (found === undefined) continue;
        const [field, kind] = found;
        const data: WireData = metric[field] ?? {};
        const said = kind === 'summary' ? 2 : (data.aggregationTemporality ?? 0);
        const temporality = ['', 'delta', 'cumulative'][kind === 'gauge' ? 0 : said];
        if (kind !== 'gauge' && (temporality === undefined || temporality === '')) {
          reject('no_temporality', data.dataPoints?.length ?? 0);
          continue;
        }
        const monotonic = kind === 'sum' && metric.sum?.isMonotonic === true;
        const identity = [metric.name ?? '', metric.unit ?? '', kind, temporality, monotonic, scopeText];
        const resourceText = canonicalAttributes(attributesOf(resource?.attributes));
        for (const point of data.dataPoints ?? []) {
          const reason = problem(kind, point);
          if (reason !== undefined) reject(reason, 1);
          else rows.push(rowOf(kind, point, [...identity, resourceText].join('|')));
        }
      }
    }
  }
  return { rows, rejected };
}

function problem(kind: string, point: WirePoint): string | undefined {
  const start = BigInt(point.startTimeUnixNano ?? 0);
  const time = BigInt(point.timeUnixNano ?? 0);
  if (time === 0n) return 'no_time';
  if (kind !== 'gauge' && start > time) return 'start_after_time';
  if (((point.flags ?? 0) & 1) !== 0) return undefined;
  if (kind === 'summary') return undefined;
  if (kind === 'exponential_histogram') {
    const threshold = point.zeroThreshold ?? 0;
    const fits = ({ offset = 0, bucketCounts = [] }: WireBuckets = {}) => offset + bucketCounts.length - 1 < 2 ** 31;
    const isShaped = threshold >= 0 && threshold < Infinity && fits(point.positive) && fits(point.negative);
    return isShaped ? undefined : 'exponential_shape';
  }
  if (kind !== 'histogram') return point.asDouble === undefined && point.asInt === undefined ? 'no_value' : undefined;
  const bounds = point.explicitBounds ?? [];
  const counts = point.bucketCounts ?? [];
  if (counts.length !== bounds.length + 1 && !(counts.length === 0 && bounds.length === 0)) return 'histogram_shape';
  const rising = bounds.every((bound, i) => Number.isFinite(bound) && (i === 0 || bound > bounds[i - 1]!));
  return rising ? undefined : 'histogram_bounds';
}

function rowOf(kind: string, point: WirePoint, identity: string): Row {
  const ended = ((point.flags ?? 0) & 1) !== 0;
  const row = {
    series: `${identity}|${canonicalAttributes(attributesOf(point.attributes))}`,
    startNs: kind === 'gauge' ? 0n : BigInt(point.startTimeUnixNano ?? 0),
    timeNs: BigInt(point.timeUnixNano ?? 0),
    flags: point.flags ?? 0,
  };
  if (kind === 'gauge' || kind === 'sum') {
    const value = ended ? 0 : (point.asDouble ?? Number(point.asInt));
    const rest = ended || kind === 'gauge' || point.asDouble !== undefined ? 0 : restOf(point.asInt);
    return { ...row, value, ...(rest !== 0 && { valueRest: rest }) };
  }
  if (ended) return { ...row, histogram: {} };
  const finite = (value: number | undefined) => value !== undefined && Number.isFinite(value);
  const count = Number(point.count ?? 0);
  if (kind === 'summary') {
    const sum = point.sum ?? 0;
    const rest = restOf(point.count);
    return {
      ...row,
      histogram: {
        ...{ count, bounds: [], counts: [] },
        ...(finite(sum) && { sum }),
        ...(rest !== 0 && { rests: [rest] }),
      },
    };
  }
  const extremes = {
    ...(finite(point.sum) && { sum: point.sum }),
    ...(finite(point.min) && { min: point.min }),
    ...(finite(point.max) && { max: point.max }),
  };
  if (kind === 'exponential_histogram') {
    const { scale = 0, zeroCount = '0', zeroThreshold = 0, positive, negative } = point;
    const bucketsOf = ({ offset = 0, bucketCounts = [] }: WireBuckets = {}) => ({
      offset: bucketCounts.length === 0 ? 0 : offset,
      counts: bucketCounts.map(Number),
    });
    const buckets = { positive: bucketsOf(positive), negative: bucketsOf(negative) };
    return {
      ...row,
      histogram: { count, scale, zeroCount: Number(zeroCount), zeroThreshold, ...buckets, ...extremes },
    };
  }
  const rests = [restOf(point.count), ...(point.bucketCounts ?? []).map(restOf)];
  const histogram = {
    count,
    bounds: point.explicitBounds ?? [],
    counts: (point.bucketCounts ?? []).map(Number),
    ...(rests.some((rest) => rest !== 0) && {
      rests: rests.slice(0, 1 + rests.slice(1).findLastIndex((r) => r !== 0) + 1),
    }),
    ...(finite(point.sum) && { sum: point.sum }),
    ...(finite(point.min) && { min: point.min }),
    ...(finite(point.max) && { max: point.max }),
  };
  return { ...row, histogram };
}

/** What a double lacks to an integer. */
function restOf(integer: string | undefined): number {
  return Number(BigInt(integer ?? 0) - BigInt(Number(integer ?? 0)));
}

function attributesOf(list: readonly WireKeyValue[] = []): Map<string, AttributeValue> {
  return new Map(list.map(({ key, value }) => [key ?? '', anyValueOf(value)]));
}

function anyValueOf(value: WireAnyValue = {}): AttributeValue {
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.boolValue !== undefined) return value.boolValue;
  if (value.doubleValue !== undefined) return value.doubleValue;
  if (value.bytesValue !== undefined) return value.bytesValue;
  if (value.intValue !== undefined) {
    return Number.isSafeInteger(Number(value.intValue)) ? Number(value.intValue) : BigInt(value.intValue);
  }
  if (value.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(anyValueOf);
  if (value.kvlistValue !== undefined)
    return [...attributesOf(value.kvlistValue.values)].sort(([a], [b]) => (a < b ? -1 : 1));
  return null;
}
