import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SampleBatchBuilder } from '../../agent/core/series/batch.ts';
import { type SeriesIdentity, SeriesInterner } from '../../agent/core/series/interner.ts';

const identity = (change: Partial<SeriesIdentity> = {}): SeriesIdentity => ({
  name: 'requests',
  unit: '{request}',
  kind: 'sum',
  temporality: 'cumulative',
  monotonic: true,
  scope: 'test',
  resource: new Map([['service.name', 'a']]),
  attributes: new Map([['route', '/x']]),
  ...change,
});

describe('the series interner', () => {
  it('gives the same object for the same identity, in any order of attributes', () => {
    const attribute = fc.tuple(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.bigInt()));
    fc.assert(
      fc.property(fc.uniqueArray(attribute, { selector: ([key]) => key }), (attributes) => {
        const interner = new SeriesInterner({ maxSeries: 10 });
        const one = interner.intern(identity({ attributes: new Map(attributes), resource: new Map(attributes) }));
        const turned = [...attributes].reverse();
        const two = interner.intern(identity({ attributes: new Map(turned), resource: new Map(turned) }));
        expect(two).toBe(one);
        expect(interner.size).toBe(1);
      }),
    );
  });

  it('tells apart everything that is part of an identity', () => {
    const interner = new SeriesInterner({ maxSeries: 100 });
    const { temporality: _, ...gauge } = identity({ kind: 'gauge' });
    const all = [
      identity(),
      identity({ name: 'other' }),
      identity({ unit: 's' }),
      identity({ kind: 'histogram' }),
      gauge,
      identity({ temporality: 'delta' }),
      identity({ monotonic: false }),
      identity({ scope: 'other' }),
      identity({ resource: new Map([['service.name', 'b']]) }),
      identity({ attributes: new Map() }),
      identity({ attributes: new Map([['route', '1']]) }),
      identity({ attributes: new Map([['route', 1]]) }),
      identity({ attributes: new Map([['route', ['/x']]]) }),
      identity({ attributes: new Map([['route', null]]) }),
      identity({ attributes: new Map([['a":"b', 'c']]) }),
      identity({ attributes: new Map([['a', 'b","c":"d']]) }),
    ].map((each) => interner.intern(each));
    expect(new Set(all).size).toBe(all.length);
    expect(all.map((series) => series?.id)).toEqual(all.map((_, index) => index));
  });

  it('refuses beyond its limit, counts it, and still knows those it has', () => {
    const interner = new SeriesInterner({ maxSeries: 2 });
    const first = interner.intern(identity({ name: 'a' }));
    interner.intern(identity({ name: 'b' }));
    expect(interner.intern(identity({ name: 'c' }))).toBeUndefined();
    expect(interner.intern(identity({ resource: new Map() }))).toBeUndefined();
    expect(interner.intern(identity({ name: 'a' }))).toBe(first);
    expect(interner.counts).toEqual({ overflow: 2, evicted: 0 });
  });

  it('forgets what is not used, and never gives an id twice', () => {
    const interner = new SeriesInterner({ maxSeries: 2 });
    const idle = interner.intern(identity({ name: 'idle', resource: new Map([['service.name', 'gone']]) }), 1_000);
    const used = interner.intern(identity({ name: 'used' }), 1_000);
    interner.touch(used ?? expect.fail(), 5_000);
    expect(interner.evictIdle(6_000, 3_000)).toBe(1);
    expect(interner.intern(identity({ name: 'used' }), 6_000)).toBe(used);
    const again = interner.intern(identity({ name: 'idle', resource: new Map([['service.name', 'gone']]) }), 6_000);
    expect(again).not.toBe(idle);
    expect(again?.id).toBe(2);
  });
});

describe('the batch builder', () => {
  const series = new SeriesInterner({ maxSeries: 1 }).intern(identity()) ?? expect.fail();

  it('keeps every row while it grows', () => {
    const builder = new SampleBatchBuilder(1);
    for (let i = 0; i < 100; i++) builder.sum(series, i, 1, i + 1, 999_999, i * 2, 1);
    const batch = builder.build();
    expect(batch.size).toBe(100);
    expect(batch.timeMs.length).toBe(100);
    for (let i = 0; i < 100; i++) {
      const row = [batch.startMs[i], batch.startSubMsNs[i], batch.timeMs[i], batch.timeSubMsNs[i], batch.value[i]];
      expect(row).toEqual([i, 1, i + 1, 999_999, i * 2]);
    }
    expect(builder.size).toBe(0);
    expect(builder.build().size).toBe(0);
  });

  it('does not touch a batch that it has given away', () => {
    const builder = new SampleBatchBuilder(4);
    builder.gaugeAtMs(series, 1_000, 1);
    const first = builder.build();
    builder.gaugeAtMs(series, 2_000, 2);
    expect(first.value[0]).toBe(1);
    expect(first.size).toBe(1);
  });

  it('keeps batches apart, small ones and large ones, however often it builds', () => {
    const builder = new SampleBatchBuilder();
    const batches = [1, 100, 3, 2_000, 7, 7, 7, 300, 1_000, 5].map((rows, round) => {
      builder.begin(round % 2 === 0 ? rows : 1);
      for (let i = 0; i < rows; i++) builder.sum(series, round, i, round + 1, i, round * 10_000 + i, round);
      return { round, rows, batch: builder.build() };
    });
    for (const { round, rows, batch } of batches) {
      const indexes = Array.from({ length: rows }, (_, i) => i);
      expect(batch.size).toBe(rows);
      expect(Array.from(batch.value)).toEqual(indexes.map((i) => round * 10_000 + i));
      expect(Array.from(batch.startSubMsNs)).toEqual(indexes);
      expect(Array.from(batch.timeSubMsNs)).toEqual(indexes);
      expect(Array.from(batch.timeMs)).toEqual(indexes.map(() => round + 1));
      expect(Array.from(batch.flags)).toEqual(indexes.map(() => round));
    }
  });

  it('drops rows that were never built when it begins again', () => {
    const builder = new SampleBatchBuilder();
    builder.gaugeAtMs(series, 1, 1);
    builder.histogramOverMs(series, 1, 2, { count: 0, bounds: [], counts: [] });
    builder.begin(10);
    builder.gaugeAtMs(series, 2, 2);
    const batch = builder.build();
    expect([batch.size, batch.series.length, batch.value[0], batch.histogram[0]]).toEqual([1, 1, 2, undefined]);
  });

  it('puts histograms in the rows they belong to', () => {
    const builder = new SampleBatchBuilder();
    const point = { count: 1, bounds: [], counts: [] };
    builder.gaugeAtMs(series, 1_000, 1);
    builder.histogramOverMs(series, 500, 1_000, point);
    const batch = builder.build();
    expect([batch.histogram[0], batch.histogram[1]]).toEqual([undefined, point]);
  });

  it('keeps a fraction of a millisecond', () => {
    const builder = new SampleBatchBuilder();
    builder.gaugeAtMs(series, 1_000.25, 1);
    builder.sumOverMs(series, 0.9999999999, 3, 1);
    const batch = builder.build();
    expect([batch.timeMs[0], batch.timeSubMsNs[0]]).toEqual([1_000, 250_000]);
    expect([batch.startMs[1], batch.startSubMsNs[1]]).toEqual([0, 999_999]);
  });
});
