import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Distribution } from '../../agent/core/series/distribution.ts';

const BOUNDS_S = [0.01, 0.05, 0.1, 0.5, 1];

const boundsArb = fc
  .uniqueArray(fc.integer({ min: -50, max: 400 }), { minLength: 1, maxLength: 12 })
  .map((bounds) => bounds.sort((a, b) => a - b));

const histogramArb = boundsArb.chain((bounds) =>
  fc.record({
    bounds: fc.constant(bounds),
    counts: fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: bounds.length + 1, maxLength: bounds.length + 1 }),
    sum: fc.option(fc.integer({ min: 0, max: 100_000 }), { nil: undefined }),
  }),
);

const total = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);

function distributionOf(histograms: readonly { bounds: number[]; counts: number[]; sum: number | undefined }[]) {
  const distribution = new Distribution();
  for (const { bounds, counts, sum } of histograms) {
    distribution.addHistogram(bounds, counts, total(counts), sum);
  }
  return distribution;
}

describe('a distribution', () => {
  it('says nothing while it is empty', () => {
    const distribution = new Distribution();
    expect(distribution.count).toBe(0);
    expect(distribution.mean()).toBeUndefined();
    expect(distribution.quantile(0.5)).toBeUndefined();
    expect(distribution.fractionAbove(0)).toBe(0);
  });

  it('interpolates within the bucket that holds the quantile, in the scaled unit', () => {
    const distribution = new Distribution();
    distribution.addHistogram(BOUNDS_S, [0, 50, 50, 0, 0, 0], 100, 5, 1000);
    expect(distribution.quantile(0.5)).toBeCloseTo(50, 9);
    expect(distribution.quantile(0.75)).toBeCloseTo(75, 9);
    expect(distribution.quantile(1)).toBeCloseTo(100, 9);
    expect(distribution.mean()).toBeCloseTo(50, 9);
    expect(distribution.fractionAbove(75)).toBeCloseTo(0.25, 9);
  });

  it('starts at zero, not at the first bound', () => {
    const distribution = new Distribution();
    distribution.addHistogram([10, 20], [10, 0, 0], 10, 50);
    expect(distribution.quantile(0.5)).toBeCloseTo(5, 9);
  });

  it('does not read beyond a known maximum, and is cautious where none is known', () => {
    const known = new Distribution();
    known.addHistogram([10, 20], [0, 0, 10], 10, 300, 1, 25, 35);
    expect(known.quantile(0)).toBe(25);
    expect(known.quantile(0.5)).toBeCloseTo(30, 9);
    expect(known.quantile(1)).toBe(35);
    expect(known.fractionAbove(35)).toBe(0);

    const open = new Distribution();
    open.addHistogram([10, 20], [0, 0, 10], 10, 300);
    expect(open.quantile(0.99)).toBe(20);
    expect(open.fractionAbove(1_000)).toBe(1);
  });

  it('counts histograms without buckets in count and mean only', () => {
    const distribution = new Distribution();
    distribution.addHistogram([], [], 10, 100);
    expect(distribution.count).toBe(10);
    expect(distribution.mean()).toBe(10);
    expect(distribution.quantile(0.5)).toBeUndefined();
    distribution.addHistogram([10, 20], [0, 10, 0], 10, 150);
    expect(distribution.count).toBe(20);
    expect(distribution.quantile(0.5)).toBeCloseTo(15, 9);
  });

  it('takes the mean over those whose sum is known', () => {
    const distribution = new Distribution();
    distribution.addHistogram([10], [5, 0], 5, 20);
    distribution.addHistogram([10], [5, 0], 5, undefined);
    expect(distribution.mean()).toBe(4);
    expect(distribution.count).toBe(10);
  });

  it('is empty after a reset, and takes other bounds then', () => {
    const distribution = new Distribution();
    distribution.addHistogram([10], [5, 0], 5, 20);
    distribution.reset();
    expect(distribution.count).toBe(0);
    expect(distribution.quantile(0.5)).toBeUndefined();
    distribution.addHistogram([1, 2, 3], [0, 0, 4, 0], 4, 10);
    expect(distribution.quantile(0.5)).toBeCloseTo(2.5, 9);
  });

  it('refuses a quantile outside 0 to 1', () => {
    expect(() => new Distribution().quantile(1.5)).toThrow(RangeError);
    expect(() => new Distribution().quantile(Number.NaN)).toThrow(RangeError);
  });

  it('conserves mass whatever bounds are added up', () => {
    fc.assert(
      fc.property(fc.array(histogramArb, { maxLength: 6 }), (histograms) => {
        const distribution = distributionOf(histograms);
        const mass = total(histograms.map((histogram) => total(histogram.counts)));
        expect(distribution.count).toBe(mass);
        if (mass > 0) {
          expect(distribution.fractionAbove(-Infinity)).toBeCloseTo(1, 9);
          // The mass that is really in the buckets, not only the running total.
          const merged = new Distribution();
          merged.addHistogram([-100], [0, 0], 0, undefined);
          merged.merge(distribution);
          expect(merged.fractionAbove(-51)).toBeCloseTo(1, 9);
        }
      }),
    );
  });

  it('is exact at bounds that all have: union does not move mass across them', () => {
    fc.assert(
      fc.property(
        fc.array(histogramArb, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: -50, max: 400 }),
        (all, x) => {
          const histograms = all.map(({ bounds, counts, sum }) => {
            const widened = [...new Set([...bounds, x])].sort((a, b) => a - b);
            return { bounds: widened, counts: [...counts, ...(widened.length > bounds.length ? [7] : [])], sum };
          });
          const distribution = distributionOf(histograms);
          const mass = total(histograms.map(({ counts }) => total(counts)));
          const above = total(
            histograms.map(({ bounds, counts }) => total(counts.filter((_, bucket) => bucket > bounds.indexOf(x)))),
          );
          if (mass === 0) return;
          // Mass in an open last bucket counts as above everything, which is where it is here.
          expect(distribution.fractionAbove(x)).toBeCloseTo(above / mass, 9);
        },
      ),
    );
  });

  it('has quantiles that rise with q and stay within the buckets that hold something', () => {
    fc.assert(
      fc.property(fc.array(histogramArb, { minLength: 1, maxLength: 4 }), (histograms) => {
        const distribution = distributionOf(histograms);
        if (distribution.count === 0) return;
        let before = -Infinity;
        for (let step = 0; step <= 20; step++) {
          const value = distribution.quantile(step / 20) ?? Number.NaN;
          expect(Number.isFinite(value)).toBe(true);
          expect(value).toBeGreaterThanOrEqual(before - 1e-9);
          before = value;
        }
        const highest = Math.max(...histograms.map(({ bounds }) => bounds.at(-1) ?? 0));
        expect(before).toBeLessThanOrEqual(highest);
      }),
    );
  });

  it('gives a fraction above a quantile that fits the quantile', () => {
    fc.assert(
      fc.property(histogramArb, fc.double({ min: 0, max: 1, noNaN: true }), ({ bounds, counts }, q) => {
        const closed = [...counts.slice(0, -1), 0];
        if (total(closed) === 0) return;
        const distribution = distributionOf([{ bounds, counts: closed, sum: undefined }]);
        const value = distribution.quantile(q) ?? Number.NaN;
        // A bucket of no width (a first bound at or below zero) is a step: nothing between its two sides exists.
        const stepsDown = distribution.fractionAbove(value - 1e-6) - distribution.fractionAbove(value);
        expect(1 - q).toBeGreaterThanOrEqual(distribution.fractionAbove(value) - 1e-6);
        expect(1 - q).toBeLessThanOrEqual(distribution.fractionAbove(value) + stepsDown + 1e-6);
      }),
    );
  });

  it('merges to the same as adding everything to one', () => {
    fc.assert(
      fc.property(fc.array(histogramArb, { maxLength: 4 }), fc.array(histogramArb, { maxLength: 4 }), (left, right) => {
        const merged = distributionOf(left);
        merged.merge(distributionOf(right));
        const whole = distributionOf([...left, ...right]);
        expect(merged.count).toBe(whole.count);
        expect(merged.sum).toBe(whole.sum);
        expect(merged.mean()).toBe(whole.mean());
      }),
    );
  });

  it('is the same for equal bounds in another array', () => {
    const one = new Distribution();
    const two = new Distribution();
    for (let i = 0; i < 3; i++) {
      one.addHistogram(BOUNDS_S, [1, 2, 3, 4, 5, 6], 21, 10, 1000);
      two.addHistogram([...BOUNDS_S], [1, 2, 3, 4, 5, 6], 21, 10, 1000);
    }
    for (const q of [0.1, 0.5, 0.9]) expect(two.quantile(q)).toBe(one.quantile(q));
  });

  it('stays bounded when every sender has bounds of its own', () => {
    const distribution = new Distribution();
    for (let i = 1; i <= 1_000; i++) distribution.addHistogram([i / 7, i + 0.5, i * 3], [1, 1, 1, 0], 3, i);
    expect(distribution.count).toBe(3_000);
    expect(distribution.fractionAbove(-1)).toBeCloseTo(1, 9);
    expect(distribution.quantile(0.5)).toBeGreaterThan(0);
  });
});
