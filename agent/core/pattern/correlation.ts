import { bridged, timeAt, toGrid } from './grid.ts';
import { impactOf, type Pattern, type Window } from './pattern.ts';
import { lagOneCorrelation, twoSidedP } from './statistics.ts';

const LEAST_CORRELATION = 0.3;

/**
 * Does one metric follow another, and how much later? The highest cross-correlation of the *innovations*, each metric
 * less what its own last value predicts: two metrics that merely drift, or share a daily cycle's slowness, have none.
 *
 *     r(lag) = corr(ε_cause(t − lag), ε_effect(t));   p from Fisher's z, × lags tried
 *
 * A positive lag: the effect comes after the cause. Reported where `p < .001` and `|r| ≥ .3`. Confidence: `1 − p`.
 * Correlation is not cause: a third metric may drive both.
 */
export function correlate(cause: Window, effect: Window, mostLagMs = 30 * 60_000): Pattern | undefined {
  const [a, b] = aligned(cause, effect);
  if (a === undefined || b === undefined || a.values.length < 40) return undefined;
  const x = innovations(a.values);
  const y = innovations(b.values);
  if (x === undefined || y === undefined) return undefined;
  const n = x.length;
  const most = Math.min(Math.floor(mostLagMs / a.stepMs), n >> 2);
  let best = 0;
  let lag = 0;
  for (let l = -most; l <= most; l++) {
    let sum = 0;
    for (let t = Math.max(0, l); t < Math.min(n, n + l); t++) sum += x[t - l]! * y[t]!;
    const r = sum / (n - Math.abs(l));
    if (Math.abs(r) > Math.abs(best)) {
      best = r;
      lag = l;
    }
  }
  const pairs = n - Math.abs(lag);
  const z = Math.atanh(Math.max(-0.999999, Math.min(0.999999, best))) * Math.sqrt(pairs - 3);
  const p = Math.min(1, twoSidedP(z) * (2 * most + 1));
  if (p > 1e-3 || Math.abs(best) < LEAST_CORRELATION) return undefined;
  const mean = b.values.reduce((s, v) => s + v, 0) / b.values.length;
  const swing = Math.sqrt(b.values.reduce((s, v) => s + (v - mean) ** 2, 0) / b.values.length);
  return {
    type: 'correlation',
    confidence: 1 - p,
    samples: pairs,
    // What one standard deviation of the cause does to the effect.
    ...impactOf(mean, mean + best * swing),
    sinceMs: timeAt(a, 0),
    evidence: { p, correlation: best, lagMs: lag * a.stepMs },
  };
}

function aligned(cause: Window, effect: Window) {
  const first = toGrid(cause);
  const second = toGrid(effect);
  if (first === undefined || second === undefined) return [undefined, undefined] as const;
  const stepMs = Math.max(first.stepMs, second.stepMs);
  const a = toGrid(cause, stepMs);
  const b = toGrid(effect, stepMs);
  if (a === undefined || b === undefined || a.stepMs !== b.stepMs) return [undefined, undefined] as const;
  const startMs = Math.max(a.startMs, b.startMs);
  const skipA = Math.round((startMs - a.startMs) / stepMs);
  const skipB = Math.round((startMs - b.startMs) / stepMs);
  const length = Math.min(a.values.length - skipA, b.values.length - skipB);
  if (length < 40) return [undefined, undefined] as const;
  const cut = (values: Float64Array, skip: number) => bridgedWhole(values.slice(skip, skip + length));
  const x = cut(a.values, skipA);
  const y = cut(b.values, skipB);
  if (x === undefined || y === undefined) return [undefined, undefined] as const;
  return [
    { startMs, stepMs, values: x },
    { startMs, stepMs, values: y },
  ] as const;
}

/** Bridged, with the ends filled too, so that positions stay comparable. */
function bridgedWhole(values: Float64Array): Float64Array | undefined {
  const inner = bridged(values);
  if (inner === undefined) return undefined;
  const start = values.findIndex((v) => Number.isFinite(v));
  return values.map((_, i) => inner[Math.max(0, Math.min(inner.length - 1, i - start))]!);
}

/** What the last value does not predict, to mean 0 and variance 1; undefined for constants. */
function innovations(values: Float64Array): Float64Array | undefined {
  const rho = lagOneCorrelation(values);
  const mean = values.reduce((s, v) => s + v, 0) / values.length;
  const rest = values.slice(1).map((v, i) => v - mean - rho * (values[i]! - mean));
  const centre = rest.reduce((s, v) => s + v, 0) / rest.length;
  const variance = rest.reduce((s, v) => s + (v - centre) ** 2, 0) / rest.length;
  if (!(variance > 1e-18 * (mean * mean + variance))) return undefined;
  const spread = Math.sqrt(variance);
  return rest.map((v) => (v - centre) / spread);
}
