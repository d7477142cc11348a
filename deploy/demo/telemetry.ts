import { type Attributes, type Histogram, metrics } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';

/**
 * Bucket bounds from 0.5 ms to 10 s, each 1.2 times the one before. The semantic conventions' own start at 5 ms, which
 * is this server's median; with these a p95 read between two bounds is off by less than 10 %.
 */
const DURATION_BOUNDS_S = Array.from({ length: 55 }, (_, i) => Number((0.0005 * 1.2 ** i).toPrecision(3)));
const BATCH_BOUNDS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];

export interface Telemetry {
  /** One answered request, as the HTTP semantic conventions have it. */
  answered(durationMs: number, status: number, errorType: string | undefined): void;
  launched(batchSize: number): void;
  stop(): Promise<void>;
}

/**
 * Metrics by the official SDK over OTLP/gRPC, as any instrumented server has them: nothing in here knows the agent.
 *
 * @param gauges read at each export.
 */
export function startTelemetry(
  service: string,
  endpoint: string,
  exportIntervalMs: number,
  gauges: { readonly queued: () => number; readonly inFlight: () => number },
): Telemetry {
  const provider = new MeterProvider({
    resource: resourceFromAttributes({
      'service.name': service,
      'service.instance.id': `${service}-${process.pid}`,
      'process.pid': process.pid,
    }),
    readers: [
      new PeriodicExportingMetricReader({
        exporter: new OTLPMetricExporter({ url: endpoint }),
        exportIntervalMillis: exportIntervalMs,
        exportTimeoutMillis: exportIntervalMs,
      }),
    ],
  });
  metrics.setGlobalMeterProvider(provider);
  const meter = provider.getMeter('vad-server');

  const duration: Histogram = meter.createHistogram('http.server.request.duration', {
    description: 'Duration of HTTP server requests.',
    unit: 's',
    advice: { explicitBucketBoundaries: DURATION_BOUNDS_S },
  });
  const batchSize = meter.createHistogram('vad.batch.size', {
    description: 'Clips in one run of the model.',
    unit: '{clip}',
    advice: { explicitBucketBoundaries: BATCH_BOUNDS },
  });
  meter
    .createObservableGauge('vad.queue.length', { description: 'Requests waiting for a model run.', unit: '{request}' })
    .addCallback((result) => result.observe(gauges.queued()));
  meter
    .createObservableGauge('vad.runs.active', { description: 'Model runs in flight.', unit: '{run}' })
    .addCallback((result) => result.observe(gauges.inFlight()));

  // The same few combinations a thousand times a second: made once.
  const attributes = new Map<string, Attributes>();
  const attributesOf = (status: number, errorType: string | undefined): Attributes => {
    const key = `${status} ${errorType}`;
    let found = attributes.get(key);
    if (found === undefined) {
      found = {
        'http.request.method': 'POST',
        'http.route': '/v1/vad',
        'http.response.status_code': status,
        'url.scheme': 'http',
        ...(errorType === undefined ? {} : { 'error.type': errorType }),
      };
      attributes.set(key, found);
    }
    return found;
  };

  return {
    answered: (durationMs, status, errorType) => duration.record(durationMs / 1_000, attributesOf(status, errorType)),
    launched: (size) => batchSize.record(size),
    stop: () => provider.shutdown(),
  };
}
