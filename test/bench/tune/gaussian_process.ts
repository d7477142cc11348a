import { backwardSolve, cholesky, forwardSolve } from './linear_algebra.ts';

/**
 * Gaussian-process regression with a Matérn-5/2 kernel, for the model-based peers.
 *
 *   k(r) = s² (1 + √5 r + 5r²/3) exp(−√5 r),  r² = Σ ((xᵢ − x'ᵢ) / ℓᵢ)²
 *   mean = m + kᵀ K⁻¹ (y − m),  variance = k(0) − kᵀ K⁻¹ k,  K = k(X, X) + noise² I
 *
 * Length scales are given; m and s² are the sample's mean and variance (at least `leastSignal²`: points close together
 * say little of how far the function can go). O(n³) once, O(n²) a prediction:
 * keep n below a hundred or so. Source: Rasmussen and Williams 2006, algorithm 2.1.
 */
export class GaussianProcess {
  readonly #x: readonly (readonly number[])[];
  readonly #lengths: readonly number[];
  readonly #mean: number;
  readonly #signal: number;
  readonly #factor: number[][];
  readonly #weights: number[];

  constructor(
    x: readonly (readonly number[])[],
    y: readonly number[],
    lengths: readonly number[],
    noise: number,
    leastSignal = noise,
  ) {
    this.#x = x;
    this.#lengths = lengths;
    this.#mean = y.reduce((sum, value) => sum + value, 0) / Math.max(1, y.length);
    const spread = y.reduce((sum, value) => sum + (value - this.#mean) ** 2, 0) / Math.max(1, y.length);
    this.#signal = Math.max(spread, leastSignal * leastSignal, 1e-8);
    const gram = x.map((row, i) =>
      x.map((other, j) => this.#kernel(row, other) + (i === j ? noise * noise + 1e-9 : 0)),
    );
    this.#factor = cholesky(gram);
    const centred = y.map((value) => value - this.#mean);
    this.#weights = backwardSolve(this.#factor, forwardSolve(this.#factor, centred));
  }

  predict(at: readonly number[]): { mean: number; sd: number } {
    const k = this.#x.map((row) => this.#kernel(row, at));
    const mean = this.#mean + k.reduce((sum, value, i) => sum + value * this.#weights[i], 0);
    const solved = forwardSolve(this.#factor, k);
    const variance = this.#signal - solved.reduce((sum, value) => sum + value * value, 0);
    return { mean, sd: Math.sqrt(Math.max(variance, 1e-12)) };
  }

  /** One joint draw of the posterior at several points: Thompson sampling. */
  sample(points: readonly (readonly number[])[], normal: () => number): number[] {
    const solved = points.map((point) =>
      forwardSolve(
        this.#factor,
        this.#x.map((row) => this.#kernel(row, point)),
      ),
    );
    const means = points.map((point) => this.predict(point).mean);
    const posterior = points.map((a, i) =>
      points.map((b, j) => this.#kernel(a, b) - solved[i].reduce((sum, value, k) => sum + value * solved[j][k], 0)),
    );
    const factor = cholesky(posterior, 1e-10);
    const z = points.map(() => normal());
    return means.map((mean, i) => mean + factor[i].reduce((sum, value, j) => sum + value * z[j], 0));
  }

  #kernel(a: readonly number[], b: readonly number[]): number {
    let square = 0;
    for (let i = 0; i < a.length; i++) square += ((a[i] - b[i]) / this.#lengths[i]) ** 2;
    const root = Math.sqrt(5 * square);
    return this.#signal * (1 + root + (5 * square) / 3) * Math.exp(-root);
  }
}
