import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HistogramPoint, Series } from '../../agent/core/model.ts';
import { SampleBatchBuilder } from '../../agent/core/series/batch.ts';
import { type SeriesIdentity, SeriesInterner } from '../../agent/core/series/interner.ts';
import { type Increment, SeriesStore } from '../../agent/core/series/store.ts';

const interner = new SeriesInterner({ maxSeries: 1_000 });
const seriesOf = (change: Partial<SeriesIdentity> = {}): Series =>
  interner.intern({
    name: 'x',
    unit: '1',
    kind: 'sum',
    temporality: 'cumulative',
    monotonic: true,
    scope: '',
    resource: new Map(),
    attributes: new Map(),
    ...change,
  }) ?? expect.fail('limit');

const CUMULATIVE = seriesOf();
const DELTA = seriesOf({ temporality: 'delta' });
const HISTOGRAM = seriesOf({ kind: 'histogram' });
const DELTA_HISTOGRAM = seriesOf({ kind: 'histogram', temporality: 'delta' });

type Point = readonly [startMs: number, timeMs: number, value: number | HistogramPoint];

/** What the store makes of these points of one series, in this order. */
function feed(store: SeriesStore, series: Series, points: readonly Point[], flags = 0): (Increment | undefined)[] {
  const builder = new SampleBatchBuilder();
  for (const [startMs, timeMs, value] of points) {
    if (typeof value === 'number') builder.sum(series, startMs, 0, timeMs, 0, value, flags);
    else builder.histogram(series, startMs, 0, timeMs, 0, value, flags);
  }
  const batch = builder.build();
  return points.map((_, row) => store.normalise(batch, row));
}

const short = (increment: Increment | undefined) => {
  if (increment === undefined) return undefined;
  const amount = { gauge: 'value', sum: 'delta', histogram: 'count' } as const;
  return [
    increment.startMs,
    increment.endMs,
    Object.entries(increment).find(([k]) => k === amount[increment.kind])?.[1],
  ];
};
const run = (series: Series, points: readonly Point[]) => {
  const store = new SeriesStore({ maxSeries: 10 });
  const increments = feed(store, series, points).map(short);
  return { store, increments };
};
const amountOf = (increment: Increment | undefined): number =>
  increment?.kind === 'sum' ? increment.delta : increment?.kind === 'histogram' ? increment.count : 0;

const histogram = (counts: number[], extra: Partial<HistogramPoint> = {}): HistogramPoint => ({
  count: counts.reduce((a, b) => a + b, 0),
  bounds: counts.slice(1).map((_, i) => (i + 1) * 10),
  counts,
  ...extra,
});

describe('cumulative sums', () => {
  it('add differences; the first point reaches back to its start, and says so', () => {
    expect(
      run(CUMULATIVE, [
        [100, 200, 7],
        [100, 300, 10],
        [100, 400, 10],
      ]).increments,
    ).toEqual([
      [100, 200, 7],
      [200, 300, 3],
      [300, 400, 0],
    ]);
  });

  it('of unknown start add nothing at first', () => {
    for (const start of [0, 200]) {
      const { increments, store } = run(CUMULATIVE, [
        [start, 200, 7],
        [start, 300, 10],
      ]);
      expect(increments).toEqual([undefined, [200, 300, 3]]);
      expect(store.counts.baselines).toBe(1);
    }
  });

  it('that start anew count from the new start', () => {
    const { increments, store } = run(CUMULATIVE, [
      [100, 200, 7],
      [250, 300, 9],
      [250, 400, 11],
    ]);
    expect(increments).toEqual([
      [100, 200, 7],
      [250, 300, 9],
      [300, 400, 2],
    ]);
    expect(store.counts.resets).toBe(1);
  });

  it('that start anew at an unknown start set a level first, also right at the end of the old stream', () => {
    expect(
      run(CUMULATIVE, [
        [100, 200, 7],
        [200, 200, 5],
        [200, 300, 6],
      ]).increments,
    ).toEqual([[100, 200, 7], undefined, [200, 300, 1]]);
    expect(
      run(CUMULATIVE, [
        [100, 200, 7],
        [250, 250, 5],
        [250, 300, 6],
      ]).increments,
    ).toEqual([[100, 200, 7], undefined, [250, 300, 1]]);
  });

  it('that fall without a new start have started again', () => {
    const { increments, store } = run(CUMULATIVE, [
      [100, 200, 7],
      [100, 300, 2],
      [100, 400, 5],
    ]);
    expect(increments).toEqual([
      [100, 200, 7],
      [200, 300, 2],
      [300, 400, 3],
    ]);
    expect(store.counts.resets).toBe(1);
  });

  it('repeated or late add nothing and are counted', () => {
    const { increments, store } = run(CUMULATIVE, [
      [100, 300, 7],
      [100, 300, 7],
      [100, 200, 5],
      [50, 400, 900],
    ]);
    expect(increments).toEqual([[100, 300, 7], undefined, undefined, undefined]);
    expect(store.counts).toMatchObject({ duplicates: 1, outOfOrder: 2, increments: 1 });
  });

  it('whose start wanders within what was counted are the same stream', () => {
    const { increments, store } = run(CUMULATIVE, [
      [100, 200, 7],
      [101, 300, 9],
      [100, 400, 12],
    ]);
    expect(increments).toEqual([
      [100, 200, 7],
      [200, 300, 2],
      [300, 400, 3],
    ]);
    expect(store.counts.overlaps).toBe(1);
  });

  it('of two processes with one identity never count a history again and again', () => {
    const store = new SeriesStore({ maxSeries: 1 });
    let total = 0;
    for (let round = 1; round <= 20; round++) {
      const points: Point[] = [
        [100, 1_000 * round, 1_000 + round],
        [150, 1_000 * round + 1, round],
      ];
      total += feed(store, CUMULATIVE, points).reduce((sum, increment) => sum + amountOf(increment), 0);
    }
    expect(total).toBeLessThanOrEqual(1_020 + 20);
    expect(store.counts.outOfOrder).toBeGreaterThan(0);
  });

  it('compare starts and times to the nanosecond', () => {
    const store = new SeriesStore({ maxSeries: 1 });
    const builder = new SampleBatchBuilder();
    const now = 1_800_000_000_000;
    builder.sum(CUMULATIVE, now, 5, now + 1, 10, 4);
    builder.sum(CUMULATIVE, now, 5, now + 1, 10, 5); // the same nanosecond
    builder.sum(CUMULATIVE, now, 5, now + 1, 11, 6); // one later
    builder.sum(CUMULATIVE, now + 1, 11, now + 1, 12, 1); // a start at the end
    const batch = builder.build();
    const amounts = [0, 1, 2, 3].map((row) => amountOf(store.normalise(batch, row)));
    expect(amounts).toEqual([4, 0, 2, 1]);
    expect(store.counts).toMatchObject({ duplicates: 1, resets: 1 });
  });
});

describe('delta sums', () => {
  it('are their own increments; gaps are counted and nothing is made up for them', () => {
    const { increments, store } = run(DELTA, [
      [100, 200, 7],
      [200, 300, 3],
      [350, 400, 1],
    ]);
    expect(increments).toEqual([
      [100, 200, 7],
      [200, 300, 3],
      [350, 400, 1],
    ]);
    expect(store.counts.gaps).toBe(1);
  });

  it('that overlap, repeat or come late are dropped and counted', () => {
    const { increments, store } = run(DELTA, [
      [200, 300, 7],
      [200, 300, 7],
      [100, 200, 3],
      [250, 350, 1],
      [300, 400, 2],
    ]);
    expect(increments).toEqual([[200, 300, 7], undefined, undefined, undefined, [300, 400, 2]]);
    expect(store.counts).toMatchObject({ duplicates: 1, outOfOrder: 1, overlaps: 1 });
  });

  it('without a start follow on what came before', () => {
    expect(
      run(DELTA, [
        [0, 200, 7],
        [0, 300, 3],
      ]).increments,
    ).toEqual([
      [200, 200, 7],
      [200, 300, 3],
    ]);
  });

  it('cannot fall', () => {
    expect(run(DELTA, [[100, 200, -7]]).store.counts.invalid).toBe(1);
  });
});

describe('levels', () => {
  it('are the newest value, for gauges and for sums that also fall', () => {
    const { temporality: _, ...gauge } = CUMULATIVE;
    for (const series of [
      seriesOf({ monotonic: false }),
      interner.intern({ ...gauge, kind: 'gauge' }) ?? expect.fail(),
    ]) {
      const { increments, store } = run(series, [
        [100, 200, 7],
        [100, 300, 3],
        [100, 300, 3],
        [100, 250, 9],
      ]);
      expect(increments).toEqual([[200, 200, 7], [300, 300, 3], undefined, undefined]);
      expect(store.counts).toMatchObject({ duplicates: 1, outOfOrder: 1 });
    }
  });

  it('are added up from deltas, and start again after a gap', () => {
    const series = seriesOf({ temporality: 'delta', monotonic: false });
    expect(
      run(series, [
        [100, 200, 7],
        [200, 300, -3],
        [350, 400, 2],
      ]).increments,
    ).toEqual([
      [200, 200, 7],
      [300, 300, 4],
      [400, 400, 2],
    ]);
  });
});

describe('histograms', () => {
  it('add the difference of each bucket', () => {
    const store = new SeriesStore({ maxSeries: 1 });
    const [, second] = feed(store, HISTOGRAM, [
      [100, 200, histogram([1, 2, 3], { sum: 50, min: 1, max: 30 })],
      [100, 300, histogram([1, 4, 4], { sum: 90, min: 1, max: 40 })],
    ]);
    // The maximum moved, so it is of this interval; the minimum may be older.
    expect(second).toEqual({
      ...{ kind: 'histogram', series: HISTOGRAM, startMs: 200, endMs: 300 },
      ...{ count: 3, sum: 40, max: 40, bounds: [10, 20], counts: [0, 2, 1] },
    });
  });

  it('start again when the count falls', () => {
    expect(
      run(HISTOGRAM, [
        [100, 200, histogram([5, 5])],
        [100, 300, histogram([1, 2])],
      ]).increments,
    ).toEqual([
      [100, 200, 10],
      [200, 300, 3],
    ]);
  });

  it('with other bounds add nothing at first: what is new cannot be told', () => {
    const points: Point[] = [
      [100, 200, histogram([5, 5])],
      [100, 300, histogram([5, 5, 5])],
      [100, 400, histogram([6, 5, 5])],
    ];
    const { increments, store } = run(HISTOGRAM, points);
    expect(increments).toEqual([[100, 200, 10], undefined, [300, 400, 1]]);
    expect(store.counts.resets).toBe(1);
  });

  it('with other bounds and a new start count whole', () => {
    expect(
      run(HISTOGRAM, [
        [100, 200, histogram([5, 5])],
        [200, 300, histogram([1, 1, 1])],
      ]).increments,
    ).toEqual([
      [100, 200, 10],
      [200, 300, 3],
    ]);
  });

  it('as deltas are passed on as they are', () => {
    const store = new SeriesStore({ maxSeries: 1 });
    const point = histogram([1, 2], { sum: 3, min: 1, max: 2 });
    expect(feed(store, DELTA_HISTOGRAM, [[100, 200, point]])[0]).toEqual({
      ...{ kind: 'histogram', series: DELTA_HISTOGRAM, startMs: 100, endMs: 200 },
      ...point,
    });
  });
});

describe('the store', () => {
  it('counts nothing twice when a series ends and goes on', () => {
    const store = new SeriesStore({ maxSeries: 1 });
    feed(store, CUMULATIVE, [[100, 200, 7]]);
    expect(feed(store, CUMULATIVE, [[100, 300, 0]], 1)).toEqual([undefined]);
    expect(feed(store, CUMULATIVE, [[100, 400, 9]]).map(short)).toEqual([[200, 400, 2]]);
    expect(store.counts.noRecordedValue).toBe(1);
  });

  it('never uses a sender’s overflow series', () => {
    const series = seriesOf({ attributes: new Map([['otel.metric.overflow', true]]) });
    const { increments, store } = run(series, [
      [100, 200, 7],
      [100, 300, 9],
    ]);
    expect(increments).toEqual([undefined, undefined]);
    expect(store.counts.overflowSeries).toBe(2);
    expect(store.size).toBe(0);
  });

  it('refuses what is no value, has no time, no temporality, or starts after its time', () => {
    const { temporality: _, ...without } = CUMULATIVE;
    const untimed = interner.intern(without) ?? expect.fail();
    const { store } = run(CUMULATIVE, [
      [100, 200, Number.NaN],
      [100, 200, Infinity],
      [100, 0, 1],
      [300, 200, 1],
      [100, 200, -1],
    ]);
    feed(store, untimed, [[100, 200, 1]]);
    expect(store.counts.invalid).toBe(6);
    expect(store.size).toBe(0);
  });

  it('is bounded, and frees what is idle by its own clock', () => {
    const store = new SeriesStore({ maxSeries: 1 });
    feed(store, CUMULATIVE, [[100, 200, 7]]);
    expect(feed(store, DELTA, [[100, 200, 7]])).toEqual([undefined]);
    expect(store.counts.seriesLimit).toBe(1);
    expect(store.evictIdle(1_000_000, 60_000)).toBe(0);
    // Late points do not keep a series alive.
    feed(store, CUMULATIVE, [[100, 150, 7]]);
    expect(store.evictIdle(1_059_999, 60_000)).toBe(0);
    expect(store.evictIdle(1_060_000, 60_000)).toBe(1);
    expect(feed(store, DELTA, [[100, 200, 7]]).map(short)).toEqual([[100, 200, 7]]);
  });

  it('keeps series of several interners apart', () => {
    const other = new SeriesInterner({ maxSeries: 1 }).intern(CUMULATIVE) ?? expect.fail();
    const store = new SeriesStore({ maxSeries: 2 });
    feed(store, CUMULATIVE, [[100, 200, 7]]);
    expect(feed(store, other, [[100, 200, 7]]).map(short)).toEqual([[100, 200, 7]]);
  });
});

/** What truly happened: counts per interval, with restarts of the process between some of them. */
const historyArb = fc.array(
  fc.record({ buckets: fc.tuple(fc.nat(50), fc.nat(50), fc.nat(50)), restart: fc.boolean() }),
  { minLength: 1, maxLength: 20 },
);
type History = readonly { readonly buckets: readonly number[]; readonly restart: boolean }[];
const plus = (a: readonly number[], b: readonly number[]) => a.map((value, i) => value + b[i]!);

function encode(history: History, as: 'number' | 'histogram'): { cumulative: Point[]; delta: Point[] } {
  const cumulative: Point[] = [];
  const delta: Point[] = [];
  let startMs = 1_000;
  let sinceStart: readonly number[] = [0, 0, 0];
  const value = (buckets: readonly number[]) => {
    const point = histogram([...buckets]);
    return as === 'number' ? point.count : point;
  };
  history.forEach(({ buckets, restart }, index) => {
    const fromMs = 1_000 * (index + 1);
    if (restart) {
      startMs = fromMs;
      sinceStart = [0, 0, 0];
    }
    sinceStart = plus(sinceStart, buckets);
    cumulative.push([startMs, fromMs + 1_000, value(sinceStart)]);
    delta.push([fromMs, fromMs + 1_000, value(buckets)]);
  });
  return { cumulative, delta };
}
const totalOf = (series: Series, points: readonly Point[]) =>
  feed(new SeriesStore({ maxSeries: 1 }), series, points).reduce((sum, each) => sum + amountOf(each), 0);
const truth = (history: History) =>
  history.reduce((sum, { buckets }) => sum + buckets[0]! + buckets[1]! + buckets[2]!, 0);
const ENCODINGS = [
  ['number', CUMULATIVE, DELTA],
  ['histogram', HISTOGRAM, DELTA_HISTOGRAM],
] as const;

describe.each(ENCODINGS)(
  'the same history as cumulative and as delta %s points',
  (as, cumulativeSeries, deltaSeries) => {
    it('has the same total, the true one', () => {
      fc.assert(
        fc.property(historyArb, (history) => {
          const { cumulative, delta } = encode(history, as);
          expect(totalOf(cumulativeSeries, cumulative)).toBe(truth(history));
          expect(totalOf(deltaSeries, delta)).toBe(truth(history));
        }),
      );
    });

    it('has the same total when points are delivered again, at once or later', () => {
      fc.assert(
        fc.property(historyArb, (history) => {
          const { cumulative, delta } = encode(history, as);
          const again = (points: readonly Point[]) =>
            points.flatMap((point, i) => [point, point, points[Math.max(0, i - 2)]!]);
          expect(totalOf(cumulativeSeries, again(cumulative))).toBe(truth(history));
          expect(totalOf(deltaSeries, again(delta))).toBe(truth(history));
        }),
      );
    });

    it('never counts more than happened, in whatever order the points arrive', () => {
      const shuffled = historyArb.chain((history) =>
        fc.record({
          history: fc.constant(history),
          order: fc.shuffledSubarray([...history.keys(), ...history.keys()], { minLength: 1 }),
        }),
      );
      fc.assert(
        fc.property(shuffled, ({ history, order }) => {
          const { cumulative, delta } = encode(history, as);
          expect(
            totalOf(
              cumulativeSeries,
              order.map((i) => cumulative[i]!),
            ),
          ).toBeLessThanOrEqual(truth(history));
          expect(
            totalOf(
              deltaSeries,
              order.map((i) => delta[i]!),
            ),
          ).toBeLessThanOrEqual(truth(history));
        }),
      );
    });
  },
);
