import type { AttributeValue, SampleBatch } from '../../agent/core/model.ts';
import { canonicalAttributes } from '../../agent/core/series/interner.ts';
import { decodeRequest, type WireAnyValue, type WireData, type WireKeyValue, type WirePoint } from './otlp_schema.ts';

/** One point in a form that both decoders can be brought to. */
export interface Row {
  readonly series: string;
  readonly startNs: bigint;
  readonly timeNs: bigint;
  readonly flags: number;
  readonly value?: number;
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
    const histogram = batch.histogram[row];
    const ended = (batch.flags[row]! & 1) !== 0;
    return {
      series: [...identity, canonicalAttributes(resource), canonicalAttributes(attributes)].join('|'),
      startNs: BigInt(batch.startMs[row]!) * 1_000_000n + BigInt(batch.startSubMsNs[row]!),
      timeNs: BigInt(batch.timeMs[row]!) * 1_000_000n + BigInt(batch.timeSubMsNs[row]!),
      flags: batch.flags[row]!,
      ...(histogram === undefined && { value: ended ? 0 : batch.value[row]! }),
      ...(histogram !== undefined && {
        histogram: ended ? {} : { ...histogram, counts: Array.from(histogram.counts) },
      }),
    };
  });
}

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
        reject('exponential_histogram', metric.exponentialHistogram?.dataPoints?.length ?? 0);
        reject('summary', metric.summary?.dataPoints?.length ?? 0);
        const kind = metric.gauge ? 'gauge' : metric.sum ? 'sum' : metric.histogram ? 'histogram' : undefined;
        if (kind === undefined) continue;
        const data: WireData = metric[kind] ?? {};
        const temporality = ['', 'delta', 'cumulative'][kind === 'gauge' ? 0 : (data.aggregationTemporality ?? 0)];
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
  if (kind !== 'histogram') return { ...row, value: ended ? 0 : (point.asDouble ?? Number(point.asInt)) };
  if (ended) return { ...row, histogram: {} };
  const finite = (value: number | undefined) => value !== undefined && Number.isFinite(value);
  const histogram = {
    count: Number(point.count ?? 0),
    bounds: point.explicitBounds ?? [],
    counts: (point.bucketCounts ?? []).map(Number),
    ...(finite(point.sum) && { sum: point.sum }),
    ...(finite(point.min) && { min: point.min }),
    ...(finite(point.max) && { max: point.max }),
  };
  return { ...row, histogram };
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
