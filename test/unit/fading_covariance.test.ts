import { describe, expect, test } from 'vitest';
import { FadingCovariance, Sparse } from '../../agent/core/tune/fading_covariance.ts';
import { Random } from '../../agent/core/tune/random.ts';

/** Two weights that are known together, and two alone. */
const PRIOR = [[Float64Array.of(1, 0.4), Float64Array.of(0.4, 0.5)], [Float64Array.of(0.16)], [Float64Array.of(9)]];
const SIZE = 4;
const KEPT = Float64Array.of(0.9, 0.9, 0.8, 1);

/** The same by the book: every entry touched every time. */
class Dense {
  readonly prior: number[][] = Array.from({ length: SIZE }, () => new Array<number>(SIZE).fill(0));
  readonly entries: number[][];

  constructor() {
    let from = 0;
    for (const block of PRIOR) {
      block.forEach((row, i) => {
        row.forEach((value, j) => {
          this.prior[from + i][from + j] = value;
        });
      });
      from += block.length;
    }
    this.entries = this.prior.map((row) => [...row]);
  }

  each(change: (entry: number, i: number, j: number) => number): void {
    this.entries.forEach((row, i) => {
      row.forEach((entry, j) => {
        row[j] = change(entry, i, j);
      });
    });
  }

  fade(kept: Float64Array): void {
    this.each((entry, i, j) => this.prior[i][j] + kept[i] * kept[j] * (entry - this.prior[i][j]));
  }

  learn(v: readonly number[], total: number): void {
    this.each((entry, i, j) => entry - (v[i] * v[j]) / total);
  }

  times(h: readonly number[]): number[] {
    return this.entries.map((row) => row.reduce((sum, entry, j) => sum + entry * h[j], 0));
  }
}

function sparse(h: readonly number[]): Sparse {
  const sum = new Sparse(SIZE);
  h.forEach((by, at) => {
    if (by !== 0) sum.add(at, by);
  });
  return sum;
}

function expectEqual(covariance: FadingCovariance, dense: Dense): void {
  const asked = [
    [1, 0, 0, 0],
    [0, -0.7, 0, 0],
    [0.3, 0.7, 0, 1],
    [0, 0, 2, -1],
    [1, 1, 1, 1],
  ];
  for (const h of asked) {
    const product = dense.times(h);
    const variance = h.reduce((sum, by, i) => sum + by * product[i], 0);
    Array.from(covariance.times(sparse(h))).forEach((value, i) => {
      expect(value).toBeCloseTo(product[i], 12);
    });
    expect(covariance.variance(sparse(h))).toBeCloseTo(variance, 12);
  }
}

describe('a covariance that fades towards its prior', () => {
  test('is the prior before anything was learned, however much time passes', () => {
    const covariance = new FadingCovariance(PRIOR);
    covariance.fade(KEPT);
    expectEqual(covariance, new Dense());
  });

  test('is what it would be if every entry were touched every time', () => {
    const random = Random.seeded(5);
    const [covariance, dense] = [new FadingCovariance(PRIOR), new Dense()];
    for (let round = 0; round < 200; round++) {
      covariance.fade(KEPT);
      dense.fade(KEPT);
      const h = Array.from({ length: SIZE }, () => (random.next() < 0.5 ? 0 : random.next() - 0.5));
      const v = dense.times(h);
      const total = h.reduce((sum, by, i) => sum + by * v[i], 0) + 0.01;
      covariance.learn(covariance.times(sparse(h)), total);
      dense.learn(v, total);
      if (round % 40 === 0) expectEqual(covariance, dense);
    }
    expectEqual(covariance, dense);
  });

  test('forgets some weights, and what they had to do with the others', () => {
    const [covariance, dense] = [new FadingCovariance(PRIOR), new Dense()];
    const h = [1, 1, 1, 1];
    covariance.learn(covariance.times(sparse(h)), 20);
    dense.learn(dense.times(h), 20);
    covariance.forget(2);
    dense.each((entry, i, j) => (Math.max(i, j) >= 2 ? dense.prior[i][j] : entry));
    expectEqual(covariance, dense);
  });

  test('knows nothing but the prior after a pause without end, and learns again', () => {
    const [covariance, dense] = [new FadingCovariance(PRIOR), new Dense()];
    const h = [1, 0, 1, 0];
    covariance.learn(covariance.times(sparse(h)), 2);
    covariance.fade(new Float64Array(SIZE));
    expectEqual(covariance, dense);
    covariance.learn(covariance.times(sparse(h)), 2);
    dense.learn(dense.times(h), 2);
    expectEqual(covariance, dense);
  });

  test('a weight named twice in a row counts once, with the sum', () => {
    const sum = new Sparse(SIZE);
    sum.add(1, 0.5);
    sum.add(1, 0.25);
    sum.add(2, 1);
    expect(sum.length).toBe(2);
    expect(sum.dot(Float64Array.of(0, 4, 1, 0))).toBe(4);
  });
});
