import { randomUUID } from 'node:crypto';
import { type Histogram, type Meter, type Observable, ValueType } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { type OwnMetric, ownMetrics, STEP_DURATION } from '../readings/own_metrics.ts';
import type { Readings } from '../readings/readings.ts';
import { exporterNotices } from './notices.ts';
import type { TelemetryOptions } from './telemetry.ts';

export interface Export {
  recordStep(durationMs: number): void;
  /** Sends what there is and stops. */
  shutdown(): Promise<void>;
}

/** Begins to export. In a file of its own, so that the SDK is loaded only where an endpoint is set. */
export function startExport(endpoint: string, options: TelemetryOptions): Export {
  const provider = meterProvider(endpoint, options);
  const steps = instruments(provider.getMeter('performance-optimizer'), options.readings);
  return {
    recordStep: (durationMs) => steps.record(durationMs / 1000),
    shutdown: () => provider.shutdown(),
  };
}

function meterProvider(endpoint: string, { intervalMs, serviceVersion, log }: TelemetryOptions): MeterProvider {
  return new MeterProvider({
    resource: resourceFromAttributes({
      'service.name': 'performance-optimizer',
      'service.version': serviceVersion,
      'service.instance.id': randomUUID(),
      'process.pid': process.pid,
    }),
    readers: [
      new PeriodicExportingMetricReader({
        exporter: exporterNotices(new OTLPMetricExporter({ url: endpoint }), log),
        exportIntervalMillis: intervalMs,
        exportTimeoutMillis: Math.min(intervalMs, 10_000),
      }),
    ],
  });
}

/** Registers every instrument; returns the one that is recorded as things happen. */
function instruments(meter: Meter, readings: () => Readings): Histogram {
  const observables = new Map(ownMetrics(readings()).map((metric) => [metric.name, observable(meter, metric)]));
  meter.addBatchObservableCallback(
    (result) => {
      for (const { name, points } of ownMetrics(readings())) {
        const instrument = observables.get(name);
        if (instrument === undefined) continue;
        for (const { value, attributes } of points) result.observe(instrument, value, attributes);
      }
    },
    [...observables.values()],
  );
  const { name, unit, description, bounds } = STEP_DURATION;
  return meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: [...bounds] } });
}

function observable(meter: Meter, { name, kind, unit, description }: OwnMetric): Observable {
  const isWhole = unit === 'By' || unit.startsWith('{');
  const options = { unit, description, valueType: isWhole ? ValueType.INT : ValueType.DOUBLE };
  switch (kind) {
    case 'counter':
      return meter.createObservableCounter(name, options);
    case 'updowncounter':
      return meter.createObservableUpDownCounter(name, options);
    case 'gauge':
      return meter.createObservableGauge(name, options);
  }
}
