import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrivals, randomFrom, rateOf, type Shape } from '../../deploy/demo/arrivals.ts';
import { ARRIVALS_PER_30_S } from '../../deploy/demo/trace.ts';

const flat: Shape = { counts: [3], replayS: 10, meanPerSecond: 200, peakPerSecond: 200 };

function until(shape: Shape, seed: number, endS: number): number[] {
  const times: number[] = [];
  for (const atS of arrivals(shape, randomFrom(seed))) {
    if (atS >= endS) return times;
    times.push(atS);
  }
  return times;
}

describe('the rate of arrivals', () => {
  it('follows the trace between its mean and its peak', () => {
    const shape: Shape = { counts: ARRIVALS_PER_30_S, replayS: 240, meanPerSecond: 500, peakPerSecond: 575 };
    const rate = rateOf(shape);
    const samples = Array.from({ length: 2_400 }, (_, i) => rate(i / 10));
    expect(Math.abs(Math.max(...samples) - 575)).toBeLessThan(1);
    expect(samples.reduce((sum, value) => sum + value, 0) / samples.length).toBeCloseTo(500, 0);
    // The trace's quietest half minute is its first.
    expect(rate(1)).toBeLessThan(470);
  });

  it('passes through each count at the middle of its interval, and starts over', () => {
    const rate = rateOf({ counts: [10, 30], replayS: 4, meanPerSecond: 20, peakPerSecond: 30 });
    expect([rate(1), rate(2), rate(3), rate(5)]).toEqual([10, 20, 30, 10]);
  });

  it('is never negative and never above the peak, whatever the trace', () => {
    const counts = fc
      .array(fc.integer({ min: 0, max: 1_000 }), { minLength: 1 })
      .filter((all) => all.some((n) => n > 0));
    fc.assert(
      fc.property(
        counts,
        fc.double({ min: 1, max: 3, noNaN: true }),
        fc.double({ min: 0, max: 100, noNaN: true }),
        (trace, swing, atS) => {
          const rate = rateOf({ counts: trace, replayS: 60, meanPerSecond: 100, peakPerSecond: 100 * swing })(atS);
          expect(rate).toBeGreaterThanOrEqual(0);
          expect(rate).toBeLessThanOrEqual(100 * swing * (1 + 1e-9));
        },
      ),
    );
  });
});

describe('arrivals', () => {
  it('are the same for the same seed and others for another', () => {
    expect(until(flat, 1, 5)).toEqual(until(flat, 1, 5));
    expect(until(flat, 2, 5)).not.toEqual(until(flat, 1, 5));
  });

  it('are Poisson: as many as the rate says, with exponential gaps', () => {
    const times = until(flat, 7, 500);
    const expected = 200 * 500;
    // Five standard deviations of a Poisson count.
    expect(Math.abs(times.length - expected)).toBeLessThan(5 * Math.sqrt(expected));
    const gaps = times.slice(1).map((time, i) => time - times[i]!);
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
    expect(deviation / mean).toBeCloseTo(1, 1);
    expect(gaps.filter((gap) => gap > mean).length / gaps.length).toBeCloseTo(Math.exp(-1), 1);
  });

  it('are more where the trace has more', () => {
    const times = until({ counts: [10, 30], replayS: 100, meanPerSecond: 100, peakPerSecond: 150 }, 3, 100);
    const early = times.filter((time) => time < 50).length;
    expect(early / times.length).toBeGreaterThan(0.2);
    expect(early / times.length).toBeLessThan(0.45);
  });
});
