import { describe, expect, it } from 'vitest';
import { randomFrom } from '../../deploy/demo/arrivals.ts';
import { logObjective, studentInterval, summarise } from '../../deploy/demo/statistics.ts';
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

describe('the t interval', () => {
  it('is that of the textbook', () => {
    // Student's own sleep data: mean 1.58, s 1.23, n 10, t(9) 2.262.
    const { estimate, low, high } = studentInterval([1.2, 2.4, 1.3, 1.3, 0, 1, 1.8, 0.8, 4.6, 1.4]);
    expect(estimate).toBeCloseTo(1.58, 10);
    expect(low).toBeCloseTo(0.7, 2);
    expect(high).toBeCloseTo(2.46, 2);
  });

  it('covers the truth in 95 of 100 cases', () => {
    const random = randomFrom(11);
    const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    let covered = 0;
    for (let i = 0; i < 2_000; i++) {
      const { low, high } = studentInterval(Array.from({ length: 8 }, normal));
      if (low < 0 && high > 0) covered++;
    }
    // Five standard deviations of a binomial around 1,900.
    expect(Math.abs(covered - 1_900)).toBeLessThan(49);
  });

  it('needs two values', () => {
    expect(() => studentInterval([1])).toThrow(/two values/);
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
