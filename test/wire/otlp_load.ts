import { encodeRequest } from './otlp_schema.ts';

/**
 * Metric requests as a busy service sends them: per ten points 5 sums, 4 gauges and 1 histogram of 15 buckets, each with
 * four attributes, resource of six. The same series come again in every request, with new times and values.
 */
export function requests(pointsPerRequest: number, howMany: number): Uint8Array[] {
  return Array.from({ length: howMany }, (_, round) => encodeRequest(request(pointsPerRequest, round)));
}

/** The same in JSON. */
export function jsonRequests(pointsPerRequest: number, howMany: number): Uint8Array[] {
  return Array.from({ length: howMany }, (_, round) => Buffer.from(JSON.stringify(request(pointsPerRequest, round))));
}

const START_NS = 1_800_000_000_000_000_000n;
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });

function request(points: number, round: number): object {
  const startTimeUnixNano = String(START_NS);
  const timeUnixNano = String(START_NS + BigInt(round + 1) * 10_000_000_000n + 123_456n);
  const number = (index: number) => ({
    startTimeUnixNano,
    timeUnixNano,
    ...(index % 2 === 0 ? { asInt: String(1_000 * round + index) } : { asDouble: round + index / 7 }),
    attributes: attributes(index),
  });
  const histogram = (index: number) => ({
    startTimeUnixNano,
    timeUnixNano,
    count: String(100 * (round + 1)),
    sum: 12.5 * (round + 1),
    min: 0.001,
    max: 9.5,
    explicitBounds: BOUNDS,
    bucketCounts: [...BOUNDS, 0].map((_, bucket) => String((round + 1) * ((bucket * 7) % 11))),
    attributes: attributes(index),
  });
  const sums = Math.ceil(points * 0.5);
  const histograms = Math.floor(points * 0.1);
  const gauges = points - sums - histograms;
  const many = <T>(count: number, make: (index: number) => T) =>
    Array.from({ length: count }, (_, index) => make(index));
  return {
    resourceMetrics: [
      {
        resource: {
          attributes: [
            text('service.name', 'inference-server'),
            text('service.instance.id', '627cc493-f310-47de-96bd-71410b7dec09'),
            text('service.version', '2.4.1'),
            text('host.name', 'node-17.eu-west.example'),
            text('telemetry.sdk.language', 'python'),
            text('telemetry.sdk.name', 'opentelemetry'),
          ],
        },
        scopeMetrics: [
          {
            scope: { name: 'opentelemetry.instrumentation.fastapi', version: '0.60b1' },
            metrics: [
              {
                ...{ name: 'http.server.request.count', description: 'Requests served.', unit: '{request}' },
                sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: many(sums, number) },
              },
              {
                ...{ name: 'http.server.active_requests', description: 'Requests in work.', unit: '{request}' },
                gauge: { dataPoints: many(gauges, number) },
              },
              {
                ...{ name: 'http.server.request.duration', description: 'Duration of requests.', unit: 's' },
                histogram: { aggregationTemporality: 2, dataPoints: many(histograms, histogram) },
              },
            ],
          },
        ],
      },
    ],
  };
}

function attributes(index: number): object[] {
  return [
    text('http.request.method', ['GET', 'POST', 'PUT'][index % 3]!),
    text('http.route', `/v1/models/${index}/infer`),
    { key: 'http.response.status_code', value: { intValue: 200 + (index % 5) } },
    text('network.protocol.version', '1.1'),
  ];
}
