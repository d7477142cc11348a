import { solvePositive } from './linear.ts';

/** One window of load: what was in flight, what came out, and how long each took, all means over the window. */
export interface LoadPoint {
  readonly concurrency: number;
  readonly throughputPerSecond: number;
  readonly latencyMs: number;
}

/** The universal scalability law `X(N) = λN / (1 + σ(N−1) + κN(N−1))`. */
export interface ScalabilityLaw {
  /** λ: requests per second of one worker alone. */
  readonly ratePerSecond: number;
  /** σ: share of the work that queues for something shared. */
  readonly contention: number;
  /** κ: cost of keeping each pair of workers coherent. */
  readonly coherence: number;
}

/**
 * Fits the law to load points by non-negative least squares of the service time, in which it is linear:
 *
 *     N / X = (1/λ) + (σ/λ)(N−1) + (κ/λ)N(N−1)        [s]
 *
 * with errors relative to the service time and Huber weights (three passes), so that neither the slow windows nor the
 * wild ones rule. Undefined on fewer than eight points, or where concurrency never varies by a factor of two: one load
 * says nothing about another. Gunther 2007, "Guerrilla Capacity Planning".
 */
export function fitScalability(points: readonly LoadPoint[]): ScalabilityLaw | undefined {
  const usable = points.filter((p) => p.concurrency > 0 && p.throughputPerSecond > 0 && Number.isFinite(p.concurrency));
  if (usable.length < 8) return undefined;
  // Below one in flight on average there is nobody to wait for: the time is that of one alone.
  const loads = usable.map((p) => Math.max(1, p.concurrency));
  if (Math.max(...loads) < 2 * Math.min(...loads)) return undefined;
  const seconds = usable.map((p) => p.concurrency / p.throughputPerSecond);

  let trust = seconds.map(() => 1);
  let best: readonly number[] | undefined;
  for (let pass = 0; pass < 3; pass++) {
    best = nonNegativeFit(loads, seconds, trust);
    if (best === undefined) return undefined;
    const fitted = best;
    const errors = loads.map((n, i) => Math.abs(1 - timeAt(fitted, n) / seconds[i]!));
    const scale = 1.4826 * [...errors].sort((a, b) => a - b)[errors.length >> 1]! + 1e-6;
    trust = errors.map((e) => Math.min(1, (1.5 * scale) / (e + 1e-12)));
  }
  if (best === undefined || best[0]! <= 0) return undefined;
  return { ratePerSecond: 1 / best[0]!, contention: best[1]! / best[0]!, coherence: best[2]! / best[0]! };
}

export function throughputAt({ ratePerSecond, contention, coherence }: ScalabilityLaw, concurrency: number): number {
  const n = concurrency;
  return (ratePerSecond * n) / (1 + contention * (n - 1) + coherence * n * (n - 1));
}

/** By Little's law, `R = N / X`. */
export function latencyMsAt(law: ScalabilityLaw, concurrency: number): number {
  return (1000 * concurrency) / throughputAt(law, concurrency);
}

/** The concurrency beyond which throughput falls, `√((1−σ)/κ)`; infinite without coherence cost. */
export function peakConcurrency({ contention, coherence }: ScalabilityLaw): number {
  if (contention >= 1) return 1;
  return coherence === 0 ? Number.POSITIVE_INFINITY : Math.max(1, Math.sqrt((1 - contention) / coherence));
}

/** The largest concurrency whose mean latency is within `limitMs`; absent where even one request alone is not. */
export function concurrencyAtLatency(law: ScalabilityLaw, limitMs: number): number | undefined {
  const { ratePerSecond, contention, coherence } = law;
  // 1 + σ(N−1) + κN(N−1) = λ·limit, a quadratic in N.
  const a = coherence;
  const b = contention - coherence;
  const c = 1 - contention - (ratePerSecond * limitMs) / 1000;
  if (latencyMsAt(law, 1) > limitMs) return undefined;
  if (a === 0) return b === 0 ? Number.POSITIVE_INFINITY : -c / b;
  return (-b + Math.sqrt(b * b - 4 * a * c)) / (2 * a);
}

function timeAt(coefficients: readonly number[], n: number): number {
  return coefficients[0]! + coefficients[1]! * (n - 1) + coefficients[2]! * n * (n - 1);
}

/** Three coefficients, none negative: of all subsets whose plain solution is positive, the one that fits best. */
function nonNegativeFit(
  loads: readonly number[],
  seconds: readonly number[],
  trust: readonly number[],
): readonly number[] | undefined {
  let best: { readonly error: number; readonly coefficients: readonly number[] } | undefined;
  for (const active of [[0], [0, 1], [0, 2], [0, 1, 2]]) {
    const d = active.length;
    const normal = new Float64Array(d * d);
    const right = new Float64Array(d);
    for (const [r, n] of loads.entries()) {
      const all = [1, n - 1, n * (n - 1)];
      const weight = trust[r]! / seconds[r]! ** 2;
      for (let i = 0; i < d; i++) {
        right[i]! += weight * all[active[i]!]! * seconds[r]!;
        for (let j = 0; j <= i; j++) normal[i * d + j]! += weight * all[active[i]!]! * all[active[j]!]!;
      }
    }
    const solution = solvePositive(normal, right);
    if (solution.some((v) => v < 0)) continue;
    const coefficients = [0, 0, 0];
    for (const [i, column] of active.entries()) coefficients[column] = solution[i]!;
    const error = loads.reduce((s, n, r) => s + trust[r]! * (1 - timeAt(coefficients, n) / seconds[r]!) ** 2, 0);
    // The simpler law comes first, and stays where the other fits no better than rounding.
    if (best === undefined || error < best.error - 1e-12) best = { error, coefficients };
  }
  return best?.coefficients;
}
