import type { Expert } from './forecaster.ts';

/** What every expert said at one past moment, and what came. */
export interface Trial {
  /** Steps that were known at that moment. */
  readonly origin: number;
  /** Paths by expert; absent where the expert had too little history then. */
  readonly paths: readonly (Float64Array | undefined)[];
  /** What came; `NaN` where nothing was observed. Shorter than the paths for the newest trial. */
  readonly truth: Float64Array;
}

export interface Backtest {
  readonly trials: readonly Trial[];
  /** Steps ahead that the trials look. */
  readonly horizon: number;
  /** Steps between two origins: half the horizon. */
  readonly spacing: number;
}

/** Eleven origins half a horizon apart: with 48 hours ahead, the last five and a half days of origins. */
const ORIGINS = 11;
/** Fewer values than this teach an expert nothing. */
const LEAST_PREFIX = 8;

/**
 * Rolling-origin evaluation: forecast from each of the last origins with only what was known then. The newest origin
 * has seen half of its horizon come true, and counts for that half. A short history gets shorter horizons, down to two
 * steps, so that something is known of every forecast that is ever given.
 */
export function backtest(
  experts: readonly Expert[],
  values: Float64Array,
  filled: Uint8Array,
  wantedHorizon: number,
): Backtest {
  const n = values.length;
  const horizon = Math.min(wantedHorizon, Math.floor(n / 3));
  const spacing = Math.max(1, horizon >> 1);
  const trials: Trial[] = [];
  if (horizon < 2) return { trials, horizon, spacing };
  for (let k = 1; k <= ORIGINS; k++) {
    const origin = n - k * spacing;
    if (origin < LEAST_PREFIX) break;
    const prefix = values.slice(0, origin);
    const truth = Float64Array.from({ length: Math.min(horizon, n - origin) }, (_, h) =>
      filled[origin + h] === 1 ? Number.NaN : values[origin + h]!,
    );
    const paths = experts.map((e) => (origin >= e.minHistory ? e.predict(prefix, horizon) : undefined));
    trials.push({ origin, paths, truth });
  }
  return { trials, horizon, spacing };
}

/**
 * `w_e ∝ (Σ|error_e| / Σ|error_0|)^−6` over the trials that both took part in; expert 0 always does. Sharp on purpose:
 * twice the error is a sixty-fourth of the say (power 4: OWA .371, 6: .3675, 8: .367, 10: .367 on M4 Hourly). Trials
 * nearer than one to `without` are left out, where given: their truths overlap with the one to be judged.
 */
export function weigh(
  trials: readonly Trial[],
  experts: number,
  available: readonly boolean[],
  without?: number,
): Float64Array {
  const own = new Float64Array(experts);
  const reference = new Float64Array(experts);
  const count = new Float64Array(experts);
  for (const [j, trial] of trials.entries()) {
    if (without !== undefined && Math.abs(j - without) <= 1) continue;
    const base = absoluteError(trial.paths[0], trial.truth);
    for (let e = 0; e < experts; e++) {
      if (trial.paths[e] === undefined) continue;
      own[e]! += absoluteError(trial.paths[e], trial.truth);
      reference[e]! += base;
      count[e]!++;
    }
  }
  const most = Math.max(...count);
  const ratio = own.map((error, e) => relative(error, reference[e]!));
  // An expert that took part in one trial of many may have been lucky there.
  const heard = (e: number) => available[e] === true && count[e]! >= Math.min(2, most);
  let best = Number.POSITIVE_INFINITY;
  for (let e = 0; e < experts; e++) if (heard(e)) best = Math.min(best, ratio[e]!);
  const weights = ratio.map((r, e) => (heard(e) ? (best / r) ** 6 : 0));
  let total = 0;
  for (const w of weights) total += w;
  return weights.map((w) => w / total);
}

/** The weighted mean of the paths that exist; `NaN` throughout where no path with weight does. */
export function combine(
  paths: readonly (Float64Array | undefined)[],
  weights: Float64Array,
  horizon: number,
): Float64Array {
  const sum = new Float64Array(horizon);
  let total = 0;
  for (const [e, path] of paths.entries()) {
    if (path === undefined || weights[e] === 0) continue;
    total += weights[e]!;
    for (let h = 0; h < horizon; h++) sum[h]! += weights[e]! * path[h]!;
  }
  return sum.map((v) => v / total);
}

function absoluteError(path: Float64Array | undefined, truth: Float64Array): number {
  let sum = 0;
  if (path !== undefined) {
    for (let h = 0; h < truth.length; h++) if (!Number.isNaN(truth[h]!)) sum += Math.abs(truth[h]! - path[h]!);
  }
  return sum;
}

/** Held to a millionth and a million, so that a flawless expert (or reference) gets nearly all the say and not NaN. */
function relative(error: number, reference: number): number {
  if (reference === 0) return error === 0 ? 1e-6 : 1e6;
  return Math.min(1e6, Math.max(1e-6, error / reference));
}
