import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ExponentialBuckets, ExponentialPoint, Series } from '../../agent/core/model.ts';
import { SampleBatchBuilder } from '../../agent/core/series/batch.ts';
import { Distribution } from '../../agent/core/series/distribution.ts';
import { exponentialBound, exponentialDifference, reducedExponential } from '../../agent/core/series/exponential.ts';
import { ExponentialGrids } from '../../agent/core/series/exponential_grid.ts';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import { type Increment, SeriesStore } from '../../agent/core/series/store.ts';
import { DEFAULT_MAPPINGS, SignalMapper } from '../../agent/core/signals.ts';
import { MeasurementWindow } from '../../agent/core/tune/window.ts';

/** The histogram of some values, made one by one from the definition: the oracle. */
function pointOf(values: readonly number[], scale: number, zeroThreshold = 0): ExponentialPoint {
  const indexOf = (value: number): number => {
    let index = Math.floor(Math.log2(value) * 2 ** scale);
    while (value > exponentialBound(index + 1, scale)) index += 1;
    while (value <= exponentialBound(index, scale)) index -= 1;
    return index;
  };
  const bucketsOf = (magnitudes: readonly number[]): ExponentialBuckets => {
    const indices = magnitudes.map(indexOf);
    if (indices.length === 0) return { offset: 0, counts: [] };
    const offset = Math.min(...indices);
    const counts = new Array<number>(Math.max(...indices) - offset + 1).fill(0);
    for (const index of indices) counts[index - offset]! += 1;
    return { offset, counts };
  };
  const zeros = values.filter((value) => Math.abs(value) <= zeroThreshold);
  return {
    count: values.length,
    sum: values.reduce((a, b) => a + b, 0),
    scale,
    zeroCount: zeros.length,
    zeroThreshold,
    positive: bucketsOf(values.filter((value) => value > zeroThreshold)),
    negative: bucketsOf(values.filter((value) => value < -zeroThreshold).map((value) => -value)),
  };
}

const value = fc.oneof(
  { weight: 6, arbitrary: fc.double({ min: 1e-4, max: 1e4, noNaN: true }) },
  { weight: 1, arbitrary: fc.double({ min: -1e3, max: -1e-3, noNaN: true }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 2, 0.5, 1024, 1e-300, 1.7e308) },
);
const values = fc.array(value, { maxLength: 40 });
const scale = fc.integer({ min: -3, max: 7 });

const total = ({ counts }: ExponentialBuckets): number => Array.from(counts).reduce((a, b) => a + b, 0);
/** Only what is there: empty buckets at the ends say nothing. */
const plain = (point: ExponentialPoint) => {
  const list = ({ offset, counts }: ExponentialBuckets) =>
    Array.from(counts, (count, i) => [offset + i, count]).filter(([, count]) => count !== 0);
  const { scale, zeroCount, zeroThreshold, count } = point;
  return { scale, zeroCount, zeroThreshold, count, positive: list(point.positive), negative: list(point.negative) };
};

describe('reducing', () => {
  it('gives exactly the histogram that the coarser scale would have given', () => {
    fc.assert(
      fc.property(values, scale, (list, at) => {
        const reduced = reducedExponential(pointOf(list, at));
        expect(plain(reduced)).toEqual(plain(pointOf(list, reduced.scale)));
        expect(reduced.scale).toBeLessThanOrEqual(Math.min(5, at));
        expect(reduced.positive.counts.length).toBeLessThanOrEqual(160);
      }),
    );
  });

  it('holds for scales and offsets that no value has', () => {
    for (const offset of [-(2 ** 31), -1, 0, 2 ** 31 - 2]) {
      for (const scale of [-(2 ** 31), -11, 0, 20, 2 ** 31 - 1]) {
        const point = { ...pointOf([], scale), count: 3, positive: { offset, counts: [1, 2] } };
        const reduced = reducedExponential(point);
        expect(total(reduced.positive)).toBe(3);
        const explicit = new ExponentialGrids().gridFor(reduced, undefined).explicit(reduced);
        expect(Array.from(explicit.counts).reduce((a, b) => a + b)).toBe(3);
        expect(explicit.bounds.every(Number.isFinite)).toBe(true);
        expect(explicit.bounds.every((bound, i) => i === 0 || bound > explicit.bounds[i - 1]!)).toBe(true);
      }
    }
  });

  it('raises a threshold that cuts a bucket to the end of it, on both sides', () => {
    const point = { ...pointOf([1.5, 3, 6, -3], 0), zeroThreshold: 2.5 };
    expect(plain(reducedExponential(point))).toEqual({
      ...{ scale: 0, count: 4, zeroCount: 3, zeroThreshold: 4 },
      ...{ positive: [[2, 1]], negative: [] },
    });
  });
});

describe('the difference of two cumulative points', () => {
  it('is the histogram of what came between, at the smaller scale', () => {
    fc.assert(
      fc.property(values, values, scale, scale, (old, fresh, before, after) => {
        const first = reducedExponential(pointOf(old, before));
        const second = reducedExponential(pointOf([...old, ...fresh], after));
        const gained = exponentialDifference(first, second);
        expect(gained).toBeDefined();
        if (gained === undefined) return;
        expect(gained.scale).toBe(Math.min(first.scale, second.scale));
        expect(plain(gained)).toEqual(plain(pointOf(fresh, gained.scale)));
      }),
    );
  });

  it('takes the larger zero threshold and loses nothing', () => {
    const threshold = fc.constantFrom(0, 1e-3, 0.1, 1, 3);
    fc.assert(
      fc.property(values, values, threshold, threshold, scale, (old, fresh, before, after, at) => {
        const first = reducedExponential(pointOf(old, at, before));
        const second = reducedExponential(pointOf([...old, ...fresh], at, after));
        const gained = exponentialDifference(first, second);
        // Values between the two thresholds are zeros to one and buckets to the other; only then may a count fall.
        if (gained === undefined) return expect(after).toBeLessThan(before);
        expect(gained.zeroThreshold).toBeGreaterThanOrEqual(Math.max(before, after));
        expect(gained.zeroCount + total(gained.positive) + total(gained.negative)).toBe(fresh.length);
      }),
    );
  });

  it('is undefined where a bucket fell', () => {
    const before = pointOf([1, 2, 2], 3);
    expect(exponentialDifference(before, pointOf([1, 2, 4, 8], 3))).toBeUndefined();
    expect(exponentialDifference(before, pointOf([4, 4, 4, 4], 3))).toBeUndefined();
    expect(exponentialDifference(pointOf([0], 3), pointOf([1, 1], 3))).toBeUndefined();
  });
});

describe('explicit buckets', () => {
  it('hold the same, each value between the bounds of its bucket', () => {
    fc.assert(
      fc.property(values, scale, fc.constantFrom(0, 0.01), (list, at, threshold) => {
        const point = reducedExponential(pointOf(list, at, threshold));
        const { bounds, counts } = new ExponentialGrids().gridFor(point, undefined).explicit(point);
        expect(counts.length).toBe(bounds.length + 1);
        const expected = new Array<number>(counts.length).fill(0);
        for (const each of list) {
          if (Math.abs(each) <= point.zeroThreshold) expected[bounds.indexOf(point.zeroThreshold)]! += 1;
          else {
            const found = bounds.findIndex((bound) => each <= bound);
            // A negative value on a bound belongs to the bucket above it, unlike an explicit one.
            const isOnBound = each < 0 && bounds[found] === each;
            expected[(found < 0 ? bounds.length : found) + (isOnBound ? 1 : 0)]! += 1;
          }
        }
        expect(Array.from(counts)).toEqual(expected);
      }),
    );
  });

  it('are the same array while the values keep their range', () => {
    const grids = new ExponentialGrids();
    const point = reducedExponential(pointOf([0.1, 0.2, 0.4], 5));
    const grid = grids.gridFor(point, undefined);
    expect(grids.gridFor(reducedExponential(pointOf([0.15, 0.3], 5)), grid)).toBe(grid);
    expect(grids.gridFor(point, undefined)).toBe(grid);
    expect(grids.gridFor(reducedExponential(pointOf([1_000], 5)), grid)).not.toBe(grid);
  });
});

const interner = new SeriesInterner({ maxSeries: 10 });
const seriesOf = (kind: 'exponential_histogram' | 'summary', temporality: 'delta' | 'cumulative') =>
  interner.intern({
    ...{ name: 'd', unit: 's', kind, temporality, monotonic: false, scope: '' },
    ...{ resource: new Map(), attributes: new Map() },
  }) ?? expect.fail('limit');

function increments(
  temporality: 'delta' | 'cumulative',
  points: readonly (readonly [startMs: number, timeMs: number, point: ExponentialPoint])[],
  store = new SeriesStore({ maxSeries: 10 }),
): (Increment | undefined)[] {
  const builder = new SampleBatchBuilder();
  const series = seriesOf('exponential_histogram', temporality);
  for (const [startMs, timeMs, point] of points) builder.exponential(series, startMs, 0, timeMs, 0, point);
  const batch = builder.build();
  return points.map((_, row) => store.normalise(batch, row));
}

describe('the series store', () => {
  it('gives the same amounts for delta and cumulative streams, whatever the scales', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(values, scale), { minLength: 1, maxLength: 6 }), (steps) => {
        const delta = increments(
          'delta',
          steps.map(([list, at], i) => [100 * (i + 1), 100 * (i + 2), pointOf(list, at)] as const),
        );
        const cumulative = increments(
          'cumulative',
          steps.map(([, at], i) => {
            const sofar = steps.slice(0, i + 1).flatMap(([list]) => list);
            return [100, 100 * (i + 2), pointOf(sofar, at)] as const;
          }),
        );
        const counts = (list: typeof delta) => list.map((each) => (each?.kind === 'histogram' ? each.count : -1));
        expect(counts(cumulative)).toEqual(counts(delta));
        expect(counts(delta)).toEqual(steps.map(([list]) => list.length));
        for (const each of [...delta, ...cumulative]) {
          if (each?.kind !== 'histogram') expect.fail('no histogram');
          expect(Array.from(each.counts).reduce((a, b) => a + b, 0)).toBe(each.count);
        }
      }),
    );
  });

  it('sees a start from zero, a new start and a level of unknown start', () => {
    const store = new SeriesStore({ maxSeries: 10 });
    const three = pointOf([1, 2, 3], 3);
    const one = pointOf([5], 3);
    const seen = increments(
      'cumulative',
      [
        [100, 100, three],
        [100, 200, pointOf([1, 2, 3, 4], 2)],
        [100, 300, one],
        [350, 400, one],
        [350, 400, one],
      ],
      store,
    );
    expect(seen.map((each) => each?.kind === 'histogram' && each.count)).toEqual([false, 1, 1, 1, false]);
    expect(store.counts).toMatchObject({ baselines: 1, resets: 2, duplicates: 1 });
  });

  it('fills a distribution whose quantiles lie within a bucket of the truth', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.001, max: 10, noNaN: true }), { minLength: 20, maxLength: 60 }),
        (list) => {
          const distribution = new Distribution();
          const seen = increments('cumulative', [
            [100, 200, pointOf(list.slice(0, 10), 8)],
            [100, 300, pointOf(list, 6)],
          ]);
          for (const each of seen) {
            if (each?.kind !== 'histogram') expect.fail('no histogram');
            distribution.addHistogram(each.bounds, each.counts, each.count, each.sum, 1_000);
          }
          const sorted = list.toSorted((a, b) => a - b);
          expect(distribution.count).toBe(list.length);
          for (const q of [0.5, 0.95]) {
            const rank = Math.max(0, Math.ceil(q * list.length) - 1);
            const width = 2 ** (1 / 2 ** 3);
            const found = distribution.quantile(q)! / 1_000;
            expect(found).toBeGreaterThanOrEqual(sorted[Math.max(0, rank - 1)]! / width);
            expect(found).toBeLessThanOrEqual(sorted[Math.min(list.length - 1, rank + 1)]! * width);
          }
        },
      ),
    );
  });

  it('adds counts and sums of a summary, and no quantile', () => {
    const builder = new SampleBatchBuilder();
    const series = seriesOf('summary', 'cumulative');
    const point = (count: number, sum: number) => ({ count, sum, bounds: [], counts: [] });
    for (const [i, each] of [point(10, 5), point(14, 8), point(2, 1)].entries()) {
      builder.histogram(series, 100, 0, 200 + 100 * i, 0, each);
    }
    const batch = builder.build();
    const store = new SeriesStore({ maxSeries: 1 });
    const seen = [0, 1, 2].map((row) => store.normalise(batch, row));
    expect(seen).toMatchObject([
      { kind: 'histogram', count: 10, sum: 5, bounds: [] },
      { kind: 'histogram', count: 4, sum: 3, startMs: 200 },
      { kind: 'histogram', count: 2, sum: 1, startMs: 300 },
    ]);
  });
});

describe('response times', () => {
  /** What a tuning window makes of points of one series. */
  function measured(
    kind: 'exponential_histogram' | 'summary',
    fill: (builder: SampleBatchBuilder, series: Series) => void,
  ) {
    const series = interner.intern({
      ...{ name: 'http.server.request.duration', unit: 's', kind, temporality: 'delta', monotonic: false, scope: '' },
      ...{ resource: new Map(), attributes: new Map() },
    });
    const role = series && new SignalMapper(DEFAULT_MAPPINGS).roleOf(series);
    if (series === undefined || role?.signal !== 'responseTime') expect.fail('no response time');
    const builder = new SampleBatchBuilder();
    fill(builder, series);
    const batch = builder.build();
    const store = new SeriesStore({ maxSeries: 10 });
    const window = new MeasurementWindow({ minMs: 1, maxMs: 10, minRequests: 1 }, 50, new Distribution());
    for (let row = 0; row < batch.size; row++) {
      const increment = store.normalise(batch, row);
      if (increment !== undefined) window.observe(role, increment);
    }
    return window.measurement();
  }

  it('come out of exponential histograms with their percentiles', () => {
    const seconds = Array.from({ length: 100 }, (_, i) => (i + 1) / 100);
    const measurement = measured('exponential_histogram', (builder, series) =>
      builder.exponential(series, 100, 0, 200, 0, pointOf(seconds, 20)),
    );
    expect(measurement).toMatchObject({ requests: 100, latencyMsMean: expect.closeTo(505, 6) });
    expect(measurement.latencyMsP95).toBeGreaterThan(950 / 2 ** (1 / 32));
    expect(measurement.latencyMsP95).toBeLessThan(950 * 2 ** (1 / 32));
  });

  it('come out of summaries with their mean alone', () => {
    const measurement = measured('summary', (builder, series) =>
      builder.histogram(series, 100, 0, 200, 0, { count: 4, sum: 2, bounds: [], counts: [] }),
    );
    expect(measurement).toMatchObject({ requests: 4, latencyMsMean: 500 });
    expect(measurement.latencyMsP95).toBeUndefined();
  });
});
