import type { Gauge, Histogram } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import type { ResourceAllocation } from './component.ts';
import { ALLOCATIONS, BOUNDS_S } from './request-meter.ts';

/** The durations of one component's requests, sent to an agent by the OpenTelemetry SDK. Loaded only where that is wanted. */
export class RequestExport {
  readonly #provider: MeterProvider;
  readonly #durations: Histogram;
  readonly #allocations: { readonly [resource in keyof ResourceAllocation]: Gauge };

  constructor(component: string, endpoint: string, intervalMs: number) {
    const exporter = new OTLPMetricExporter({
      url: endpoint,
      temporalityPreference: AggregationTemporality.DELTA,
    });
    this.#provider = new MeterProvider({
      resource: resourceFromAttributes({ 'service.name': component, 'process.pid': process.pid }),
      readers: [
        new PeriodicExportingMetricReader({
          exporter,
          exportIntervalMillis: intervalMs,
          exportTimeoutMillis: Math.min(intervalMs, 10_000),
        }),
      ],
    });
    const meter = this.#provider.getMeter('performance-optimizer');
    this.#durations = meter.createHistogram('gen_ai.server.request.duration', {
      unit: 's',
      advice: { explicitBucketBoundaries: [...BOUNDS_S] },
    });
    const gauge = ([name, unit]: readonly [string, string]) => meter.createGauge(name, { unit });
    const { cpu, memory, gpu } = ALLOCATIONS;
    this.#allocations = { cpu: gauge(cpu), memory: gauge(memory), gpu: gauge(gpu) };
  }

  record(durationMs: number, outcome: 'ok' | 'error', { cpu, memory, gpu }: ResourceAllocation): void {
    this.#allocations.cpu.record(cpu);
    this.#allocations.memory.record(memory);
    this.#allocations.gpu.record(gpu);
    this.#durations.record(durationMs / 1_000, outcome === 'ok' ? {} : { 'error.type': '_OTHER' });
  }

  /** Resolves when the agent has taken everything, or has not answered in time. */
  async flush(): Promise<void> {
    await this.#provider.forceFlush().catch(() => undefined);
  }

  async stop(): Promise<void> {
    await this.#provider.shutdown().catch(() => undefined);
  }
}
