import { describe, expect, test } from 'vitest';
import { GaussianProcess } from '../bench/tune/gaussian_process.ts';
import { cholesky, symmetricEigen } from '../bench/tune/linear_algebra.ts';
import type { Method, MethodContext, Observation } from '../bench/tune/method.ts';
import { bluefin } from '../bench/tune/methods/bluefin.ts';
import { cmaEs } from '../bench/tune/methods/cma_es.ts';
import { aimd, gradient2, vegas } from '../bench/tune/methods/concurrency.ts';
import { randomSearch } from '../bench/tune/methods/random_search.ts';
import { safeOpt } from '../bench/tune/methods/safe_opt.ts';
import { spsa } from '../bench/tune/methods/spsa.ts';
import { turbo } from '../bench/tune/methods/turbo.ts';
import { bootstrapMean, zigzags } from '../bench/tune/score.ts';
import { Random } from '../sim/random.ts';

const context = (start: readonly number[], seed = 1, limits = {}): MethodContext => ({
  ...{ knobs: [], start, random: new Random(seed), limits: { errorRatio: 0.02, ...limits } },
});

const seenAs = (y: number, more: Partial<Observation> = {}): Observation => ({
  ...{ y, latencyMsMean: Math.exp(y), latencyMsP95: 2 * Math.exp(y), errorRatio: 0, offeredPerSecond: 100 },
  ...{ memoryBytes: 0, killed: false, ...more },
});

function drive(method: Method, loss: (x: readonly number[]) => number, windows: number): readonly number[] {
  for (let i = 0; i < windows; i++) method.tell(seenAs(loss(method.ask())));
  return method.incumbent();
}

const square = (x: readonly number[], at: readonly number[]) =>
  x.reduce((sum, value, i) => sum + (value - at[i]) ** 2, 0);

describe('peers on their own examples', () => {
  test('SPSA: Spall’s skewed quartic in ten dimensions comes down to under a hundredth', () => {
    const p = 10;
    // L(θ) = θᵀBᵀBθ + .1 Σ(Bθ)ᵢ³ + .01 Σ(Bθ)ᵢ⁴ with pB upper triangular of ones, from θ = 1; θ = 4 (u − ½).
    const loss = (u: readonly number[]) => {
      const theta = u.map((value) => 4 * (value - 0.5));
      const b = theta.map((_, i) => theta.slice(i).reduce((sum, value) => sum + value, 0) / p);
      return b.reduce((sum, value) => sum + value ** 2 + 0.1 * value ** 3 + 0.01 * value ** 4, 0);
    };
    const start = new Array<number>(p).fill(0.75);
    const end = drive(spsa({ a: 0.06, c: 0.02, stability: 100, floor: 0 })(context(start)), loss, 4_000);
    expect(loss(end)).toBeLessThan(loss(start) / 100);
  });

  test('BlueFin: SelfTune’s example, from (.8, .3) towards (.1, .5) under the negative root mean square error', () => {
    const target = [0.1, 0.5];
    const rmse = (x: readonly number[]) => Math.sqrt(square(x, target) / 2);
    const end = drive(bluefin()(context([0.8, 0.3], 4)), (x) => Math.log(rmse(x)), 400);
    expect(rmse(end)).toBeLessThan(0.1);
    expect(rmse(end)).toBeLessThan(rmse([0.8, 0.3]) / 4);
  });

  test('CMA-ES: sphere, ellipsoid and Rosenbrock to high precision', () => {
    const at = [0.3, 0.6, 0.45, 0.7];
    const sphere = (x: readonly number[]) => square(x, at);
    const ellipsoid = (x: readonly number[]) => x.reduce((sum, value, i) => sum + 10 ** i * (value - at[i]) ** 2, 0);
    const rosenbrock = (x: readonly number[]) => {
      const [a, b] = x.map((value) => 4 * value - 2);
      return 100 * (b - a * a) ** 2 + (1 - a) ** 2;
    };
    const free = cmaEs({ minimumSigma: 0 });
    expect(sphere(drive(free(context([0.5, 0.5, 0.5, 0.5])), sphere, 1_500))).toBeLessThan(1e-9);
    expect(ellipsoid(drive(free(context([0.5, 0.5, 0.5, 0.5])), ellipsoid, 3_000))).toBeLessThan(1e-9);
    expect(rosenbrock(drive(free(context([0.3, 0.4])), rosenbrock, 3_000))).toBeLessThan(1e-8);
  });

  test('TuRBO: gets close to the optimum of a bowl within a hundred windows', () => {
    const loss = (x: readonly number[]) => 3 + 2 * square(x, [0.7, 0.2]);
    expect(loss(drive(turbo(context([0.2, 0.8])), loss, 100)) - 3).toBeLessThan(0.02);
  });

  test('TuRBO: Ackley’s function in ten dimensions on [−5, 10], far better than random search in two hundred evaluations', () => {
    const ackley = (u: readonly number[]) => {
      const x = u.map((value) => 15 * value - 5);
      const waves = x.reduce((sum, value) => sum + Math.cos(2 * Math.PI * value), 0) / x.length;
      return (
        20 + Math.E - 20 * Math.exp(-0.2 * Math.sqrt(square(x, new Array(10).fill(0)) / x.length)) - Math.exp(waves)
      );
    };
    const leastOf = (method: Method) => {
      let least = Number.POSITIVE_INFINITY;
      const noted = (u: readonly number[]) => {
        least = Math.min(least, ackley(u));
        return ackley(u);
      };
      drive(method, noted, 200);
      return least;
    };
    const start = new Array<number>(10).fill(0.8);
    expect(leastOf(turbo(context(start)))).toBeLessThan(0.7 * leastOf(randomSearch(context(start))));
  });

  test('SafeOpt: improves without crossing its limit, and freezes where the baseline crosses it', () => {
    // Memory grows with the knob that helps; the limit is at .7 of the range.
    const run = (limit: number) => {
      const method = safeOpt(context([0.2, 0.5], 3, { memoryBytes: limit }));
      let crossed = 0;
      for (let i = 0; i < 80; i++) {
        const [a, b] = method.ask();
        const memoryBytes = 10e9 * a;
        if (memoryBytes > limit) crossed++;
        method.tell(seenAs(3 - a + (b - 0.5) ** 2, { memoryBytes }));
      }
      return { crossed, end: method.incumbent() };
    };
    const roomy = run(7e9);
    expect(roomy.crossed).toBe(0);
    expect(roomy.end[0]).toBeGreaterThan(0.4);
    expect(run(1.5e9).end[0]).toBeCloseTo(0.2, 1);
  });

  test('random search keeps the best it saw', () => {
    const loss = (x: readonly number[]) => square(x, [0.9, 0.1]);
    expect(loss(drive(randomSearch(context([0.5, 0.5])), loss, 800))).toBeLessThan(0.02);
  });

  test('AIMD: one more on success, a tenth less on a drop, nothing when the limit is not in use', () => {
    const law = aimd();
    expect(law.update(10, 1, 10, false)).toBe(11);
    expect(law.update(10, 1, 10, true)).toBe(9);
    expect(law.update(10, 1, 4, false)).toBe(10);
  });

  test('Vegas: grows without a queue, shrinks with a long one, rests in between', () => {
    const make = () => {
      const law = vegas({ alpha: () => 3, beta: () => 6 });
      expect(law.update(10, 10, 10, false)).toBe(10); // The first sample sets the round trip without load.
      return law;
    };
    expect(make().update(10, 10, 10, false)).toBe(16);
    expect(make().update(10, 50, 10, false)).toBe(9);
    expect(make().update(10, 14, 10, false)).toBe(10);
    expect(make().update(10, 50, 2, false)).toBe(10);
    expect(make().update(10, 11, 10, true)).toBe(9);
  });

  test('Gradient2: grows by a fifth of the queue while latency is steady, shrinks towards half when it doubles', () => {
    const law = gradient2();
    let limit = 20;
    for (let i = 0; i < 20; i++) limit = law.update(limit, 10, limit, false);
    expect(limit).toBeCloseTo(20 + 20 * 0.2 * 4, 6);
    const before = limit;
    limit = law.update(limit, 1_000, limit, false);
    expect(limit).toBeCloseTo(before * 0.8 + (before * 0.5 + 4) * 0.2, 6);
    expect(law.update(limit, 10, 1, false)).toBe(limit);
  });
});

describe('what the peers stand on', () => {
  test('Cholesky and Jacobi give back the matrix', () => {
    const a = [
      [4, 1, 0.5],
      [1, 3, 0.2],
      [0.5, 0.2, 2],
    ];
    const l = cholesky(a);
    const { values, vectors } = symmetricEigen(a);
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 3; j++) {
        expect(l[i].reduce((sum, value, k) => sum + value * l[j][k], 0)).toBeCloseTo(a[i][j], 10);
        expect(values.reduce((sum, value, k) => sum + value * vectors[i][k] * vectors[j][k], 0)).toBeCloseTo(
          a[i][j],
          10,
        );
      }
    }
  });

  test('a Gaussian process passes through exact data, and is unsure far from it', () => {
    const x = [[0], [0.3], [0.6], [1]];
    const y = x.map(([at]) => Math.sin(5 * at));
    const process = new GaussianProcess(x, y, [0.3], 1e-4);
    for (const [i, point] of x.entries()) expect(process.predict(point).mean).toBeCloseTo(y[i], 3);
    expect(Math.abs(process.predict([0.15]).mean - Math.sin(0.75))).toBeLessThan(0.15);
    expect(process.predict([0.3]).sd).toBeLessThan(0.01);
    expect(process.predict([3]).sd).toBeGreaterThan(0.5);
    const random = new Random(2);
    const draws = Array.from({ length: 400 }, () => process.sample([[0.3], [3]], () => random.normal()));
    expect(Math.abs(draws.reduce((sum, [near]) => sum + near, 0) / 400 - y[1])).toBeLessThan(0.01);
  });

  test('zigzags count turns of at least the reach, and nothing smaller', () => {
    expect(zigzags([0, 0.2, 0.5, 0.45, 0.6], 0.1)).toBe(0);
    expect(zigzags([0, 0.2, 0, 0.2, 0], 0.1)).toBe(3);
    expect(zigzags([], 0.1)).toBe(0);
  });

  test('the bootstrap interval covers the mean, repeats, and narrows with more runs', () => {
    const random = new Random(1);
    const few = Array.from({ length: 10 }, () => random.normal());
    const many = Array.from({ length: 1_000 }, () => random.normal());
    const a = bootstrapMean(few);
    const b = bootstrapMean(many);
    expect(bootstrapMean(few)).toEqual(a);
    expect(a.low).toBeLessThan(a.mean);
    expect(a.high).toBeGreaterThan(a.mean);
    expect(b.high - b.low).toBeLessThan((a.high - a.low) / 3);
    expect(b.low).toBeLessThan(0.05);
    expect(b.high).toBeGreaterThan(-0.05);
  });
});
