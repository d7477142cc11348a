import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createEngine } from '../../agent/core/engine.ts';
import { DurationMinutes, LevelMinutes, RateMinutes } from '../../agent/core/history/minutes.ts';
import { HOUR_MS, MINUTE_MS, merged, type Rollup } from '../../agent/core/history/rollup.ts';
import { LogSketch } from '../../agent/core/history/sketch.ts';
import type { Series } from '../../agent/core/model.ts';
import { SampleBatchBuilder } from '../../agent/core/series/batch.ts';
import { Distribution } from '../../agent/core/series/distribution.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';

/** A whole hour. */
const T0 = 1_800_000_000_000;
const OF = { component: 'embedder', signal: 'responseTime' } as const;
const RATE = { component: 'embedder', signal: 'throughput' } as const;
const BOUNDS = [1, 2, 5, 10, 20, 50, 100];

const positive = fc.double({ min: 1e-6, max: 1e9, noNaN: true });
const values = fc.array(positive, { minLength: 1, maxLength: 200 });

function sketchOf(all: readonly number[]): LogSketch {
  const sketch = new LogSketch();
  for (const value of all) sketch.add(value);
  return sketch;
}

test('a sketch of parts is the sketch of the whole, and survives being written', () => {
  fc.assert(
    fc.property(values, values, (a, b) => {
      const sum = sketchOf(a);
      sum.merge(sketchOf(b));
      expect(LogSketch.decode(sum.encode()).buckets()).toEqual(sketchOf([...a, ...b]).buckets());
    }),
  );
});

test('a quantile of a sketch is within a bucket of the true one', () => {
  fc.assert(
    fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (all, q) => {
      const sorted = all.toSorted((a, b) => a - b);
      const truth = sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]!;
      const read = sketchOf(all).quantile(q, sorted[0], sorted.at(-1))!;
      expect(read / truth).toBeGreaterThan(0.91);
      expect(read / truth).toBeLessThan(1.1);
    }),
  );
});

test('a sketch holds what has no logarithm, and refuses bytes that are none', () => {
  const sketch = sketchOf([0, -5, Number.MIN_VALUE, 1e300]);
  expect(sketch.buckets()).toEqual([
    [-240, 3],
    [321, 1],
  ]);
  expect(sketch.quantile(0.5, -5, 1e300)).toBeLessThanOrEqual(1e-9);
  expect(new LogSketch().quantile(0.5)).toBeUndefined();
  expect(() => LogSketch.decode(new Uint8Array(7))).toThrow(/7 bytes/);
  expect(() => LogSketch.decode(Uint8Array.of(0xff, 0x7f, 0, 0, 0, 0))).toThrow(/no bucket 32767/);
});

test('a sketch of a histogram has its mass and about its quantiles', () => {
  const distribution = new Distribution();
  distribution.addHistogram(BOUNDS, [0, 10, 30, 40, 15, 4, 1, 0], 100, 900);
  const sketch = LogSketch.of(distribution);
  expect(sketch.buckets().reduce((total, [, weight]) => total + weight, 0)).toBeCloseTo(100);
  for (const q of [0.1, 0.5, 0.95]) {
    expect(sketch.quantile(q)! / distribution.quantile(q)!).toBeCloseTo(1, 1);
  }
});

test('durations go into the minute in which they end, whole each time that it changed', () => {
  const minutes = new DurationMinutes(OF);
  const point = (count: number, sum: number) => ({ bounds: BOUNDS, counts: [0, 0, 0, count, 0, 0, 0, 0], count, sum });
  const series = seriesOf('x', 'histogram', 's');
  const add = (endMs: number, count: number, sumS: number, nowMs: number) =>
    minutes.add({ kind: 'histogram', series, startMs: endMs - 5_000, endMs, ...point(count, sumS) }, 1_000, nowMs);
  expect(add(T0 + 10_000, 4, 0.032, T0 + 10_500)).toBe(true);
  expect(minutes.take(T0 + 11_000)).toMatchObject([{ ...OF, startMs: T0, stepMs: MINUTE_MS, count: 4, sum: 32 }]);
  expect(minutes.take(T0 + 12_000)).toEqual([]);
  // Late, and on the border: the end belongs to the minute before it.
  add(T0 + 60_000, 2, 0.02, T0 + 150_000);
  expect(minutes.take(T0 + 151_000)).toMatchObject([{ startMs: T0, count: 6, sum: 52 }]);
  expect(add(T0 + 30_000, 2, 0.02, T0 + 300_000)).toBe(false);
});

test('the mean of two counters is kept without a sketch', () => {
  const minutes = new DurationMinutes(OF);
  minutes.addTotal(0, 8_000, T0 + 5_000, T0 + 6_000);
  minutes.addTotal(40, 0, T0 + 5_000, T0 + 6_000);
  const [row] = minutes.take(T0 + 7_000);
  expect(row).toEqual({ ...OF, startMs: T0, stepMs: MINUTE_MS, count: 40, sum: 8_000 });
});

test('levels count once a sample', () => {
  const minutes = new LevelMinutes({ component: 'embedder', signal: 'queueDepth' });
  for (const [i, value] of [3, 9, 6].entries()) minutes.add(value, T0 + 5_000 * i, T0 + 5_000 * i);
  const [row] = minutes.take(T0 + 20_000);
  expect(row).toMatchObject({ count: 3, sum: 18, min: 3, max: 9 });
  minutes.add(100, T0 + 21_000, T0 + 21_000);
  expect(row?.sketch?.buckets()).toHaveLength(3);
});

test('rates of several series add up before they are rates', () => {
  const minutes = new RateMinutes(RATE);
  // Two routes over the same ten seconds; then one of them alone, twice as fast.
  for (const events of [100, 50]) minutes.add(events, T0, T0 + 10_000, T0 + 10_000);
  minutes.add(300, T0 + 10_000, T0 + 20_000, T0 + 20_000);
  const [row] = minutes.take(T0 + 21_000);
  expect(row).toMatchObject({ startMs: T0, count: 20, sum: 450, min: 15, max: 30 });
});

test('an increment over a border is shared out between the minutes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 60_000 }), (events, lengthMs) => {
      const minutes = new RateMinutes(RATE);
      const endMs = T0 + 70_000;
      minutes.add(events, endMs - lengthMs, endMs, endMs);
      const rows = minutes.take(endMs + 1_000);
      expect(rows.reduce((sum, row) => sum + row.sum, 0)).toBeCloseTo(events, 3);
      expect(rows.reduce((sum, row) => sum + row.count, 0)).toBeCloseTo(lengthMs / 1_000, 3);
    }),
  );
});

test('an hour is its minutes together', () => {
  const row = (minute: number, count: number, value: number): Rollup => ({
    ...{ ...OF, startMs: T0 + minute * MINUTE_MS, stepMs: MINUTE_MS, count, sum: count * value },
    ...{ min: value, max: value, sketch: sketchOf(new Array(count).fill(value)) },
  });
  const hour = merged({ startMs: T0, stepMs: HOUR_MS }, [row(0, 90, 10), row(5, 10, 100)]);
  expect(hour).toMatchObject({ ...OF, startMs: T0, stepMs: HOUR_MS, count: 100, sum: 1_900, min: 10, max: 100 });
  expect(hour?.sketch?.quantile(0.5, 10, 100)).toBeCloseTo(10, 0);
  expect(hour?.sketch?.quantile(0.99, 10, 100)).toBeGreaterThan(90);
  expect(merged({ startMs: T0, stepMs: HOUR_MS }, [])).toBeUndefined();
});

function seriesOf(name: string, kind: Series['kind'], unit: string, more: Partial<Series> = {}): Series {
  return {
    ...{ id: nextId++, name, unit, kind, monotonic: kind === 'sum', scope: '' },
    ...{ resource: new Map([['service.name', 'embedder']]), attributes: new Map() },
    ...(kind !== 'gauge' && { temporality: 'delta' as const }),
    ...more,
  };
}
let nextId = 0;

test('what the engine takes in is there minute by minute, from the source that counts', () => {
  const engine = createEngine({ settings: DEFAULT_ENGINE_SETTINGS, seed: 1, epoch: 1 });
  const http = seriesOf('http.server.request.duration', 'histogram', 's');
  const genai = seriesOf('gen_ai.server.request.duration', 'histogram', 's');
  const failed = seriesOf('gen_ai.server.request.duration', 'histogram', 's', {
    attributes: new Map([['error.type', 'timeout']]),
  });
  const memory = seriesOf('process.memory.usage', 'sum', 'By', { monotonic: false, temporality: 'cumulative' });
  const point = (count: number) => ({ count, sum: count * 0.01, bounds: [0.005, 0.02], counts: [0, count, 0] });
  for (let atMs = T0 + 10_000; atMs <= T0 + 60_000; atMs += 10_000) {
    const batch = new SampleBatchBuilder();
    // The better source comes when the minute is half over: what the other said of it no longer counts.
    batch.histogramOverMs(http, atMs - 10_000, atMs, point(1_000));
    if (atMs > T0 + 30_000) {
      batch.histogramOverMs(genai, atMs - 10_000, atMs, point(50));
      batch.histogramOverMs(failed, atMs - 10_000, atMs, point(5));
    }
    batch.sumOverMs(memory, T0, atMs, 2 ** 20 * 100);
    engine.step(atMs, { kind: 'samples', batch: batch.build() });
    engine.step(atMs, { kind: 'tick' });
  }
  const rows = new Map(engine.takeHistory(T0 + 61_000).map((row) => [row.signal, row]));
  expect(rows.get('responseTime')).toMatchObject({ component: 'embedder', startMs: T0, count: 150 });
  expect(rows.get('responseTime')!.sum).toBeCloseTo(1_500);
  expect(rows.get('throughput')).toMatchObject({ count: 30, sum: 150, min: 5, max: 5 });
  expect(rows.get('errors')).toMatchObject({ count: 30, sum: 15 });
  expect(rows.get('memory')).toMatchObject({ min: 100, max: 100 });
  expect(engine.takeHistory(T0 + 62_000)).toEqual([]);
  // The same at full resolution, as long as it is in memory: two intervals an export.
  const intervals = engine.intervals('embedder', 'responseTime');
  expect(intervals.map(({ startMs }) => startMs - T0)).toEqual([30_000, 35_000, 40_000, 45_000, 50_000, 55_000]);
  expect(intervals.map(({ sum, count }) => Math.round(sum / count))).toEqual(new Array(6).fill(10));
  expect(engine.intervals('embedder', 'memory').at(-1)).toMatchObject({ sum: 100, count: 1, stepMs: 5_000 });
  expect(engine.intervals('nobody', 'cpu')).toEqual([]);
  expect(engine.stats().lateForHistory).toBe(0);
});
