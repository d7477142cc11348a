import { describe, expect, it } from 'vitest';
import { isSeasonal, naive2, seasonalIndices, seasonalNaive } from '../bench/forecast/baselines.ts';
import { coverage, mase, msis, owa, smape, spread } from '../bench/forecast/metrics.ts';

describe('the M4 measures, by hand', () => {
  const train = [1, 2, 3, 2, 3, 5];
  const actual = [4, 6];

  it('sMAPE: 200·|y−f| / (|y|+|f|), averaged', () => {
    // 200·1/7 and 200·2/10
    expect(smape(actual, [3, 4])).toBeCloseTo((200 / 7 + 40) / 2, 12);
    expect(smape([0], [0])).toBe(0);
    expect(smape([1], [-1])).toBe(200);
  });

  it('MASE: mean error over the in-sample seasonal naive error', () => {
    // period 2: |3−1|, |2−2|, |3−3|, |5−2| → mean 5/4; errors 1 and 2 → mean 1.5
    expect(mase(actual, [3, 4], train, 2)).toBeCloseTo(1.5 / 1.25, 12);
  });

  it('OWA: the mean of both measures over those of Naive2, each averaged over series first', () => {
    expect(owa(9, 0.8, { smape: 18, mase: 2 })).toBeCloseTo((0.5 + 0.4) / 2, 12);
    expect(owa(18, 2, { smape: 18, mase: 2 })).toBe(1);
  });

  it('MSIS: width, and 2/α times what was missed, over the same scale', () => {
    const bounds = [
      { low: 3, high: 5 },
      { low: 6.5, high: 7.5 },
    ];
    // First inside: 2. Second missed by .5 below: 1 + 40·.5 = 21. Mean 11.5, scale 1.25.
    expect(msis(actual, bounds, train, 2, 0.05)).toBeCloseTo(11.5 / 1.25, 12);
    expect(coverage(actual, bounds)).toBe(0.5);
    expect(coverage([3, 7.5], bounds)).toBe(1);
  });

  it('spread: mean and sample standard deviation', () => {
    expect(spread([1, 2, 3])).toEqual({ mean: 2, sd: 1 });
    expect(spread([5])).toEqual({ mean: 5, sd: 0 });
  });
});

describe('the baselines', () => {
  it('seasonal naive repeats the last cycle', () => {
    expect(seasonalNaive([9, 1, 2, 3], 3, 5)).toEqual([1, 2, 3, 1, 2]);
  });

  it('seasonal indices are ratios to the centred mean, with a mean of 1', () => {
    const indices = seasonalIndices([2, 4, 2, 4, 2, 4, 2, 4], 2);
    expect(indices[0]).toBeCloseTo(2 / 3, 12);
    expect(indices[1]).toBeCloseTo(4 / 3, 12);
  });

  it('Naive2 carries the adjusted last value forward through the cycle', () => {
    const train = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 20 : 40));
    expect(isSeasonal(train, 2)).toBe(true);
    const [first, second] = naive2(train, 2, 2);
    expect(first).toBeCloseTo(20, 9);
    expect(second).toBeCloseTo(40, 9);
  });

  it('Naive2 is naive where no cycle is significant, and where values are not positive', () => {
    const train = [5, 1, 4, 2, 6, 3, 5, 2, 2, 7];
    expect(naive2(train, 3, 2)).toEqual([7, 7]);
    expect(naive2([0, 2, 0, 2, 0, 2, 0, 2], 2, 2)).toEqual([2, 2]);
  });
});
