import { bridged, timeAt, toGrid } from './grid.ts';
import { impactOf, type Pattern, type Recogniser } from './pattern.ts';
import { effectiveCount, lagOneCorrelation, twoSidedP } from './statistics.ts';

/** A cycle must be seen this many times. */
const LEAST_CYCLES = 3;
/** Share of the variance that the cycle must explain. */
const LEAST_STRENGTH = 0.15;

/** The profile of the odd cycles must look like that of the even ones. */
const LEAST_AGREEMENT = 0.5;

/**
 * A cycle: the autocorrelation (of the values less their straight line) has its highest peak `r` at some lag, higher
 * than a first-order autoregression's scatter allows (Bartlett):
 *
 *     z = r ÷ √((1 + φ²)/(1 − φ²) / n),  φ = lag-one autocorrelation;   p × lags tried
 *
 * and the profiles by phase of the odd and of the even cycles, which have not seen each other, agree (correlation .5 or
 * more, and each explains 15 % of the other half's variance). A random walk has peaks too, but too low for its φ.
 * Reported where `p < .001`. Confidence: `1 − p`. Finds one cycle, the strongest; needs three turns in the window.
 */
export const seasonality: Recogniser = {
  type: 'seasonality',
  recognise(window): Pattern | undefined {
    const grid = toGrid(window);
    const values = grid && bridged(grid.values);
    if (grid === undefined || values === undefined || values.length < 24) return undefined;
    const rest = withoutLine(values);
    const variance = rest.reduce((a, v) => a + v * v, 0);
    const typical = values.reduce((a, v) => a + Math.abs(v), 0) / values.length;
    if (!(variance > 1e-18 * typical * typical * values.length)) return undefined;
    const found = highestPeak(rest, variance);
    if (found === undefined) return undefined;

    const { period, tried, peak } = found;
    const agreement = correlation(profile(rest, period, 1), profile(rest, period, 0));
    const strength = explained(rest, period, variance);
    const turns = values.length / period;
    const phi = Math.min(0.99, Math.max(0, lagOneCorrelation(rest)));
    const z = peak / Math.sqrt((1 + phi * phi) / (1 - phi * phi) / values.length);
    const p = Math.min(1, twoSidedP(z) * tried);
    if (p > 1e-3 || strength < LEAST_STRENGTH || agreement < LEAST_AGREEMENT) return undefined;
    const whole = profile(rest, period);
    const high = Math.max(...whole);
    const low = Math.min(...whole);
    const mean = values.reduce((a, v) => a + v, 0) / values.length;
    return {
      type: 'seasonality',
      confidence: 1 - p,
      samples: effectiveCount(values.length, phi),
      ...impactOf(mean + low, mean + high),
      sinceMs: timeAt(grid, 0),
      evidence: {
        p,
        periodMs: period * grid.stepMs,
        cycles: turns,
        strengthRatio: strength,
        swing: high - low,
        halvesCorrelation: agreement,
      },
    };
  },
};

/** The highest local maximum of the autocorrelation, after it first fell below zero. */
function highestPeak(x: Float64Array, variance: number): { period: number; tried: number; peak: number } | undefined {
  const most = Math.floor(x.length / LEAST_CYCLES);
  const r = Float64Array.from({ length: most + 2 }, (_, lag) => {
    let sum = 0;
    for (let t = lag; t < x.length; t++) sum += x[t]! * x[t - lag]!;
    return sum / variance;
  });
  let lag = 1;
  while (lag <= most && r[lag]! > 0) lag++;
  let best = -1;
  for (; lag <= most; lag++) {
    if (r[lag]! > r[lag - 1]! && r[lag]! >= r[lag + 1]! && (best < 0 || r[lag]! > r[best]! * 1.05)) best = lag;
  }
  return best < 2 ? undefined : { period: best, tried: most, peak: r[best]! };
}

/** Mean by phase, of all turns, or of every second one beginning with `parity`. */
function profile(x: Float64Array, period: number, parity?: number): Float64Array {
  const sum = new Float64Array(period);
  const count = new Float64Array(period);
  for (let t = 0; t < x.length; t++) {
    if (parity !== undefined && Math.floor(t / period) % 2 !== parity) continue;
    sum[t % period]! += x[t]!;
    count[t % period]!++;
  }
  return sum.map((s, i) => s / Math.max(1, count[i]!));
}

/** Share of the variance that the profile of the other half explains: nothing is explained by itself. */
function explained(x: Float64Array, period: number, variance: number): number {
  const halves = [profile(x, period, 1), profile(x, period, 0)];
  let left = 0;
  for (let t = 0; t < x.length; t++) left += (x[t]! - halves[Math.floor(t / period) % 2]![t % period]!) ** 2;
  return Math.max(0, 1 - left / variance);
}

function withoutLine(y: Float64Array): Float64Array {
  const middle = (y.length - 1) / 2;
  const mean = y.reduce((a, v) => a + v, 0) / y.length;
  const slope = y.reduce((a, v, i) => a + (i - middle) * v, 0) / ((y.length * (y.length ** 2 - 1)) / 12);
  return y.map((v, i) => v - mean - slope * (i - middle));
}

function correlation(a: Float64Array, b: Float64Array): number {
  const ma = a.reduce((s, v) => s + v, 0) / a.length;
  const mb = b.reduce((s, v) => s + v, 0) / b.length;
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    ab += (a[i]! - ma) * (b[i]! - mb);
    aa += (a[i]! - ma) ** 2;
    bb += (b[i]! - mb) ** 2;
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}
