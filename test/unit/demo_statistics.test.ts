import { describe, expect, it } from 'vitest';
import { randomFrom } from '../../deploy/demo/arrivals.ts';
import { criticalRankSum, logObjective, signedRankInterval, summarise } from '../../deploy/demo/statistics.ts';
import { compare, type Trier } from '../../deploy/demo/verify.ts';

describe('summarise', () => {
  it('takes quantiles from the sample, whatever its order', () => {
    const latencies = Float64Array.from({ length: 100 }, (_, i) => ((i * 37) % 100) + 1);
    expect(summarise(latencies)).toEqual({ count: 100, meanMs: 50.5, p50Ms: 50, p95Ms: 95, p99Ms: 99 });
  });

  it('says of nothing that nothing is known', () => {
    expect(summarise(new Float64Array(0))).toMatchObject({ count: 0, p95Ms: Number.NaN });
  });
});

describe('the objective', () => {
  const figures = { count: 1_000, meanMs: 4, p50Ms: 3, p95Ms: 16, p99Ms: 20 };

  it('is lower where latency is lower, and higher with errors', () => {
    expect(logObjective(figures, 0)).toBeCloseTo(Math.log(8));
    expect(logObjective({ ...figures, meanMs: 2, p95Ms: 8 }, 0)).toBeCloseTo(Math.log(4));
    expect(logObjective({ ...figures, count: 990 }, 10)).toBeCloseTo(Math.log(8) - 10 * Math.log(0.99));
  });
});

describe('the signed-rank interval', () => {
  it('has the critical values of the textbook', () => {
    expect([5, 6, 8, 10, 12, 20].map(criticalRankSum)).toEqual([-1, 0, 3, 8, 13, 52]);
  });

  it('is from the smallest to the largest of six values', () => {
    expect(signedRankInterval([4, 1, 9, 2, 3, 7])).toEqual({ estimate: 4, low: 1, high: 9 });
  });

  it('hardly moves for one wild value among twelve', () => {
    const calm = [-1.1, -0.96, -1.04, -0.9, -1, -1.05, -0.95, -1.02, -0.98, -1.03, -0.97, -1.01];
    const { estimate, high } = signedRankInterval(calm.with(3, 25));
    expect(estimate).toBeCloseTo(-1, 1);
    expect(high).toBeLessThan(-0.9);
  });

  it('covers the truth in 95 of 100 cases, however heavy the tails', () => {
    const random = randomFrom(11);
    const cauchy = (): number => Math.tan(Math.PI * (random() - 0.5));
    let covered = 0;
    for (let i = 0; i < 2_000; i++) {
      const { low, high } = signedRankInterval(Array.from({ length: 10 }, cauchy));
      if (low < 0 && high > 0) covered++;
    }
    // 1,902 expected at n = 10; five standard deviations of a binomial either way.
    expect(Math.abs(covered - 1_902)).toBeLessThan(48);
  });

  it('needs six values', () => {
    expect(() => signedRankInterval([1, 2, 3, 4, 5])).toThrow(/six values/);
  });
});

describe('default against tuned', () => {
  /** A server whose latency drifts upwards all the time and is `factor` lower at batch 8. */
  function plant(factor: number): Trier & { readonly puts: number[] } {
    let batch = 1;
    let window = 0;
    const puts: number[] = [];
    return {
      puts,
      put: async (setting) => {
        const before = batch;
        batch = Number(setting.batch);
        puts.push(batch);
        return batch !== before;
      },
      measure: async () => {
        const typicalMs = 10 * 1.02 ** window++ * (batch === 8 ? factor : 1);
        return {
          forMs: 1_000,
          latenciesMs: Float64Array.from({ length: 50 }, (_, i) => typicalMs * (1 + i / 50)),
          errors: 0,
        };
      },
      onBlock: () => {},
    };
  }

  it('finds the difference, whatever drifts', async () => {
    const { objective, baseline, tuned } = await compare({ batch: 1 }, { batch: 8 }, 10, plant(0.5), randomFrom(1));
    expect(objective.estimate).toBeCloseTo(-0.5, 6);
    expect(objective.high).toBeLessThan(-0.49);
    expect([baseline.count, tuned.count]).toEqual([1_000, 1_000]);
    expect(baseline.throughputPerSecond).toBe(50);
  });

  it('finds none where there is none', async () => {
    const { objective } = await compare({ batch: 1 }, { batch: 8 }, 10, plant(1), randomFrom(1));
    expect(objective.estimate).toBeCloseTo(0, 6);
  });

  it('takes turns in random order and ends at tuned', async () => {
    const trier = plant(1);
    await compare({ batch: 1 }, { batch: 8 }, 20, trier, randomFrom(5));
    const blocks = Array.from({ length: 20 }, (_, i) => trier.puts.slice(4 * i, 4 * i + 4).join());
    expect(new Set(blocks)).toEqual(new Set(['1,8,8,1', '8,1,1,8']));
    expect(trier.puts.at(-1)).toBe(8);
  });
});
