/** Requests as plain objects, in the names of OTLP/JSON. */

/** 2027: after 2^53 nanoseconds, so that a double would lose some. */
export const NOW_NS = 1_800_000_000_000_000_000n;
/** A time as 64-bit fields are written in JSON: a string. */
export const at = (offsetNs: number | bigint): string => String(NOW_NS + BigInt(offsetNs));

export type Json = Readonly<Record<string, unknown>>;

export function requestOf(...metrics: readonly Json[]): Json {
  return {
    resourceMetrics: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'conformance' } }] },
        scopeMetrics: [{ scope: { name: 'conformance', version: '1' }, metrics }],
      },
    ],
  };
}

export const gauge = (...dataPoints: readonly Json[]): Json => ({ name: 'level', unit: '1', gauge: { dataPoints } });
export const sum = (aggregationTemporality: number, ...dataPoints: readonly Json[]): Json => ({
  ...{ name: 'requests', unit: '{request}' },
  sum: { aggregationTemporality, isMonotonic: true, dataPoints },
});
export const histogram = (aggregationTemporality: number, ...dataPoints: readonly Json[]): Json => ({
  ...{ name: 'duration', unit: 's', histogram: { aggregationTemporality, dataPoints } },
});
export const exponential = (aggregationTemporality: number, ...dataPoints: readonly Json[]): Json => ({
  ...{ name: 'spread', unit: 's', exponentialHistogram: { aggregationTemporality, dataPoints } },
});
export const summary = (...dataPoints: readonly Json[]): Json => ({ name: 'old', unit: 's', summary: { dataPoints } });

export const DELTA = 1;
export const CUMULATIVE = 2;

/** A point over the second before `NOW_NS + offset`. */
export const over = (offsetNs: number, more: Json): Json => ({
  startTimeUnixNano: at(offsetNs - 1_000_000_000),
  timeUnixNano: at(offsetNs),
  ...more,
});

export const point = (offsetNs: number, asDouble = 1): Json => ({ timeUnixNano: at(offsetNs), asDouble });
export const buckets = (bucketCounts: readonly (number | string)[], explicitBounds: readonly number[]): Json => ({
  count: String(bucketCounts.reduce<number>((total, each) => total + Number(each), 0)),
  bucketCounts: bucketCounts.map(String),
  explicitBounds,
});
