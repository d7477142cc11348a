import { OTLPMetricExporter as GrpcExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { OTLPMetricExporter as JsonExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as ProtobufExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  AggregationType,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { Distribution } from '../../agent/core/series/distribution.ts';
import { type Increment, SeriesStore } from '../../agent/core/series/store.ts';
import { type MemorySink, type Rig, startReceiver } from './otlp_rig.ts';

type Transport = 'grpc' | 'http/protobuf' | 'http/json';

/** A process instrumented with the official SDK and exporter. */
function instrumented(
  rig: Rig,
  temporality: AggregationTemporality,
  compression: 'gzip' | 'none',
  transport: Transport = 'grpc',
) {
  const settings = {
    url: transport === 'grpc' ? `http://${rig.address}` : `http://${rig.httpAddress}/v1/metrics`,
    temporalityPreference: temporality,
    // The enumeration of compressions is not exported by the exporter package; these are its values.
    ...({ compression } as object),
  };
  const Exporter = { grpc: GrpcExporter, 'http/protobuf': ProtobufExporter, 'http/json': JsonExporter }[transport];
  const exporter = new Exporter(settings);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ 'service.name': 'shop', 'process.pid': 42 }),
    readers: [reader],
    views: [
      {
        instrumentName: 'spread',
        aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM, options: { recordMinMax: true } },
      },
    ],
  });
  const meter = provider.getMeter('lib', '1.2');
  return {
    requests: meter.createCounter('requests', { unit: '{request}' }),
    active: meter.createUpDownCounter('active'),
    load: meter.createGauge('load'),
    duration: meter.createHistogram('duration', { unit: 's', advice: { explicitBucketBoundaries: [0.1, 0.5, 1] } }),
    spread: meter.createHistogram('spread', { unit: 's' }),
    flush: () => {
      nextMillisecond();
      return provider.forceFlush();
    },
    [Symbol.asyncDispose]: () => provider.shutdown(),
  };
}

/** This SDK's times are whole milliseconds; within one, a start equals its time and means "not known". */
function nextMillisecond(): void {
  const now = Date.now();
  while (Date.now() === now);
}

function incrementsOf(sink: MemorySink): Increment[] {
  const store = new SeriesStore({ maxSeries: 100 });
  return sink.batches.flatMap((batch) =>
    Array.from({ length: batch.size }, (_, row) => store.normalise(batch, row)).filter((each) => each !== undefined),
  );
}

const TEMPORALITIES = [
  ['cumulative', AggregationTemporality.CUMULATIVE],
  ['delta', AggregationTemporality.DELTA],
] as const;
const CASES = (['grpc', 'http/protobuf', 'http/json'] as const).flatMap((transport) =>
  TEMPORALITIES.flatMap(([name, temporality]) =>
    (['none', 'gzip'] as const).map((compression) => ({ transport, name, temporality, compression })),
  ),
);

describe('the official exporter', () => {
  it.each(CASES)('over $transport, $name, compression $compression: everything recorded arrives once', async (how) => {
    const { transport, name, temporality, compression } = how;
    await using rig = await startReceiver();
    await using app = instrumented(rig, temporality, compression, transport);
    for (const round of [1, 2, 3]) {
      app.requests.add(10 * round, { route: '/a' });
      app.requests.add(1, { route: '/b' });
      app.active.add(round === 2 ? -2 : 3);
      app.load.record(round / 10);
      for (const seconds of [0.05, 0.3, 2]) app.duration.record(seconds);
      for (const seconds of [0.001 * round, 0.3, 100 ** round]) app.spread.record(seconds);
      await app.flush();
    }
    const increments = incrementsOf(rig.sink);
    const of = (metric: string) => increments.filter(({ series }) => series.name === metric);
    const requests = of('requests').map((each) => (each.kind === 'sum' ? each.delta : Number.NaN));
    expect(requests.reduce((a, b) => a + b, 0)).toBe(63);
    expect(requests.toSorted((a, b) => a - b)).toEqual([1, 1, 1, 10, 20, 30]);
    expect(of('active').map((each) => each.kind === 'gauge' && each.value)).toEqual([3, 1, 4]);
    expect(of('load').map((each) => each.kind === 'gauge' && each.value)).toEqual([0.1, 0.2, 0.3]);
    const durations = of('duration');
    expect(durations.map((each) => each.kind === 'histogram' && each.count)).toEqual([3, 3, 3]);
    expect(durations.at(-1)).toMatchObject({ bounds: [0.1, 0.5, 1], counts: [1, 1, 0, 1] });
    expect(durations.at(-1)?.kind === 'histogram' && durations.at(-1)).toHaveProperty('sum', expect.closeTo(2.35, 9));

    const spread = new Distribution();
    for (const each of of('spread')) {
      if (each.kind !== 'histogram') expect.fail('no histogram');
      expect(each.count).toBe(3);
      spread.addHistogram(each.bounds, each.counts, each.count, each.sum);
    }
    expect([spread.count, spread.sum]).toEqual([9, expect.closeTo(1_010_100.906, 6)]);
    // The fifth of nine is one of the three 0.3.
    expect(spread.quantile(0.5)! / 0.3).toBeGreaterThan(0.8);
    expect(spread.quantile(0.5)! / 0.3).toBeLessThan(1.25);

    const series = durations[0]?.series;
    expect(series).toMatchObject({ unit: 's', kind: 'histogram', temporality: name, scope: 'lib@1.2' });
    expect(series?.resource.get('service.name')).toBe('shop');
    expect(series?.resource.get('process.pid')).toBe(42);
    expect(new Set(increments.map((each) => each.series)).size).toBe(6);
    expect(rig.receiver.counters.refused.undecodable).toBe(0);
  });
});

describe('a process that starts again', () => {
  it('counts from zero and is seen to', async () => {
    await using rig = await startReceiver();
    for (const amount of [7, 5]) {
      await using app = instrumented(rig, AggregationTemporality.CUMULATIVE, 'none');
      app.requests.add(amount);
      await app.flush();
      app.requests.add(1);
      await app.flush();
    }
    const deltas = incrementsOf(rig.sink).map((each) => (each.kind === 'sum' ? each.delta : Number.NaN));
    expect(deltas.reduce((a, b) => a + b, 0)).toBe(14);
  });
});
