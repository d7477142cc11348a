import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Cusum } from '../../agent/core/pattern/cusum.ts';
import { mannKendall } from '../../agent/core/pattern/mann-kendall.ts';
import {
  effectiveCount,
  erfc,
  fTail,
  lagOneCorrelation,
  logGamma,
  median,
  medianInPlace,
  poissonTail,
  robustSpread,
  twoSidedP,
} from '../../agent/core/pattern/statistics.ts';
import { noise } from '../bench/forecast/noise.ts';

describe('tail probabilities, against tables', () => {
  it('normal', () => {
    expect(twoSidedP(1.959964)).toBeCloseTo(0.05, 6);
    expect(twoSidedP(-3.290527)).toBeCloseTo(0.001, 6);
    expect(twoSidedP(0)).toBeCloseTo(1, 6);
    expect(erfc(-1)).toBeCloseTo(1.842700793, 6);
  });

  it('F', () => {
    expect(fTail(4.102821, 2, 10)).toBeCloseTo(0.05, 5);
    expect(fTail(161.4476, 1, 1)).toBeCloseTo(0.05, 5);
    expect(fTail(0, 3, 4)).toBe(1);
  });

  it('Poisson and gamma', () => {
    expect(poissonTail(1, 2)).toBeCloseTo(1 - Math.exp(-2), 12);
    expect(poissonTail(0, 2)).toBe(1);
    expect(logGamma(5)).toBeCloseTo(Math.log(24), 9);
    expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.sqrt(Math.PI)), 9);
  });
});

describe('summaries', () => {
  it('median and robust spread', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 })), (values) => {
        // `+ 0`: of two zeros it may be either.
        expect(medianInPlace(Float64Array.from(values)) + 0).toEqual(median(values) + 0);
      }),
    );
    expect(medianInPlace(new Float64Array(1_000).fill(7))).toBe(7);
    expect(robustSpread([1, 2, 3, 4, 1000])).toBeCloseTo(1.4826, 9);
  });

  it('autocorrelation costs observations', () => {
    expect(lagOneCorrelation([1, -1, 1, -1])).toBeCloseTo(-0.75, 12);
    expect(effectiveCount(100, 0)).toBe(100);
    expect(effectiveCount(100, 0.5)).toBeCloseTo(100 / 3, 9);
    expect(effectiveCount(100, -0.5)).toBe(100);
  });
});

describe('Mann–Kendall', () => {
  it('counts pairs, by hand', () => {
    // 1 3 2 4 5 6 7 8: one of 28 pairs falls.
    const found = mannKendall([1, 3, 2, 4, 5, 6, 7, 8])!;
    expect(found.tau).toBeCloseTo(26 / 28, 12);
    expect(found.slope).toBeCloseTo(1, 12);
  });

  it('gaps keep their place in time', () => {
    expect(mannKendall([0, 1, Number.NaN, 3, 4, Number.NaN, 6, 7, 8, 9])!.slope).toBeCloseTo(1, 12);
    expect(mannKendall([1, 2, Number.NaN, Number.NaN, 3])).toBeUndefined();
  });

  it('is not fooled by inertia: autoregressive noise is rarely called a trend', () => {
    let called = 0;
    for (let seed = 0; seed < 200; seed++) {
      const { normal } = noise(seed);
      let x = 0;
      const y = Array.from({ length: 100 }, () => {
        x = 0.7 * x + normal();
        return x;
      });
      if (mannKendall(y)!.p < 0.01) called++;
    }
    expect(called).toBeLessThan(10);
  });
});

describe('CUSUM', () => {
  const stepsUntilAlarm = (shift: number, seed: number) => {
    const { normal } = noise(seed);
    const c = new Cusum();
    for (let i = 0; i < 200; i++) if (c.learn(normal())) return -1;
    for (let i = 1; i <= 500; i++) if (c.learn(shift + normal())) return i;
    return undefined;
  };

  it('rings within twenty steps of a shift by two standard deviations, either way', () => {
    for (let seed = 0; seed < 20; seed++) {
      expect(stepsUntilAlarm(2, seed)).toBeLessThan(20);
      expect(stepsUntilAlarm(-2, seed)).toBeGreaterThan(0);
    }
  });

  it('is quiet on noise, on one outlier, and on gaps', () => {
    const { normal } = noise(1);
    const c = new Cusum();
    let alarms = 0;
    for (let i = 0; i < 5000; i++) if (c.learn(i % 7 === 0 ? Number.NaN : normal())) alarms++;
    expect(alarms).toBeLessThanOrEqual(1);
    const single = new Cusum();
    for (let i = 0; i < 100; i++) single.learn(i % 2);
    expect(single.learn(1e6)).toBe(false);
  });

  it('rings the same after save and restore', () => {
    const { normal } = noise(9);
    const one = new Cusum();
    for (let i = 0; i < 100; i++) one.learn(normal());
    const two = new Cusum(JSON.parse(JSON.stringify(one.save())));
    for (let i = 0; i < 100; i++) {
      const v = 1.5 + normal();
      expect(two.learn(v)).toBe(one.learn(v));
    }
  });
});
