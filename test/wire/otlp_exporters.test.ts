import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { type Increment, SeriesStore } from '../../agent/core/series/store.ts';
import { type MemorySink, type Rig, startReceiver } from './otlp_rig.ts';

/** A process instrumented with the official SDK and exporter. */
function instrumented(rig: Rig, temporality: AggregationTemporality, compression: 'gzip' | 'none') {
  const exporter = new OTLPMetricExporter({
    url: `http://${rig.address}`,
    temporalityPreference: temporality,
    // The enumeration of compressions is not exported by the exporter package; these are its values.
    ...({ compression } as object),
  });
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ 'service.name': 'shop', 'process.pid': 42 }),
    readers: [reader],
  });
  const meter = provider.getMeter('lib', '1.2');
  return {
    requests: meter.createCounter('requests', { unit: '{request}' }),
    active: meter.createUpDownCounter('active'),
    load: meter.createGauge('load'),
    duration: meter.createHistogram('duration', { unit: 's', advice: { explicitBucketBoundaries: [0.1, 0.5, 1] } }),
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

const ENCODINGS = [
  ['cumulative', AggregationTemporality.CUMULATIVE, 'none'],
  ['cumulative', AggregationTemporality.CUMULATIVE, 'gzip'],
  ['delta', AggregationTemporality.DELTA, 'none'],
  ['delta', AggregationTemporality.DELTA, 'gzip'],
] as const;

describe.each(ENCODINGS)('the official exporter, %s', (name, temporality, compression) => {
  it(`with ${compression} compression: everything recorded arrives once`, async () => {
    await using rig = await startReceiver();
    await using app = instrumented(rig, temporality, compression);
    for (const round of [1, 2, 3]) {
      app.requests.add(10 * round, { route: '/a' });
      app.requests.add(1, { route: '/b' });
      app.active.add(round === 2 ? -2 : 3);
      app.load.record(round / 10);
      for (const seconds of [0.05, 0.3, 2]) app.duration.record(seconds);
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

    const series = durations[0]?.series;
    expect(series).toMatchObject({ unit: 's', kind: 'histogram', temporality: name, scope: 'lib@1.2' });
    expect(series?.resource.get('service.name')).toBe('shop');
    expect(series?.resource.get('process.pid')).toBe(42);
    expect(new Set(increments.map((each) => each.series)).size).toBe(5);
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
