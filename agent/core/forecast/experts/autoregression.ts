import { solvePositive } from '../linear.ts';

export interface AutoregressionShape {
  readonly lags: readonly number[];
  /** Weight of a point one step older, relative to the next: 0.998 halves every 346 steps. */
  readonly forgetting: number;
  /** Ridge penalty, in units of standardised observations: as if this many points had said "no relation". */
  readonly ridge: number;
}

/**
 * `z_t = c + Σ a_i z_{t−lag_i}`, fitted by exponentially weighted ridge regression, iterated forward `horizon` steps.
 * `z` is standardised, so the penalty means the same for every metric. Lags longer than half the history are left out:
 * they would be fitted on too little.
 * Fails on level shifts until forgetting catches up, and on wild values, which pull at the coefficients (two
 * passes of Huber weights took twice the time for .001 of OWA: a wild value does most harm as a regressor).
 * `within-reach.ts` holds an explosive fit, and the ensemble's weights the rest.
 */
export function extrapolate(history: Float64Array, horizon: number, shape: AutoregressionShape): Float64Array {
  const n = history.length;
  const lags = shape.lags.filter((lag) => lag * 2 <= n);
  const { mean, spread } = moments(history);
  const z = new Float64Array(n + horizon);
  for (let t = 0; t < n; t++) z[t] = (history[t]! - mean) / spread;
  const coefficients = estimate(z, n, lags, shape);
  for (let t = n; t < n + horizon; t++) z[t] = predictOne(z, t, lags, coefficients);
  return Float64Array.from({ length: horizon }, (_, h) => mean + spread * z[n + h]!);
}

function estimate(
  z: Float64Array,
  n: number,
  lags: readonly number[],
  shape: AutoregressionShape,
): Float64Array<ArrayBuffer> {
  const longest = Math.max(0, ...lags);
  const d = lags.length + 1;
  const normal = new Float64Array(d * d);
  const right = new Float64Array(d);
  const x = new Float64Array(d).fill(1);
  let age = 1;
  for (let t = n - 1; t >= longest; t--) {
    for (let i = 0; i < d - 1; i++) x[i] = z[t - lags[i]!]!;
    for (let i = 0; i < d; i++) {
      const wx = age * x[i]!;
      right[i]! += wx * z[t]!;
      for (let j = 0; j <= i; j++) normal[i * d + j]! += wx * x[j]!;
    }
    age *= shape.forgetting;
  }
  for (let i = 0; i < d; i++) normal[i * d + i]! += shape.ridge;
  return solvePositive(normal, right);
}

function predictOne(z: Float64Array, t: number, lags: readonly number[], coefficients: Float64Array): number {
  let value = coefficients[lags.length]!;
  for (let i = 0; i < lags.length; i++) value += coefficients[i]! * z[t - lags[i]!]!;
  return value;
}

function moments(values: Float64Array): { mean: number; spread: number } {
  let mean = 0;
  for (const v of values) mean += v / values.length;
  let variance = 0;
  for (const v of values) variance += (v - mean) ** 2 / values.length;
  return { mean, spread: Math.sqrt(variance) || 1 };
}
