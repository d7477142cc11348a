import { hash32, uniformAt } from '../random.ts';
import type { Recorder } from './plant.ts';

/**
 * Fills a histogram as `n` requests with log-normal latency would, without drawing `n` latencies: the counts of the
 * buckets are a multinomial draw (a chain of binomials over the buckets), the sum follows the central limit theorem.
 * About a microsecond for fourteen buckets.
 *
 * Log-normal with mean m and log standard deviation s: median m·exp(−s²/2), p95 = median · exp(1.645 s).
 */
export function addLogNormal(
  recorder: Recorder,
  failed: boolean,
  requests: number,
  meanS: number,
  spread: number,
  seed: number,
  index: number,
): void {
  if (requests <= 0) return;
  const counts = failed ? recorder.errorCounts : recorder.counts;
  const bounds = logBounds(recorder.bounds);
  const center = Math.log(meanS) - (spread * spread) / 2;
  let left = requests;
  let below = 0;
  for (let i = 0; i < bounds.length && left > 0; i++) {
    const cumulative = normalCdf((bounds[i] - center) / spread);
    const share = Math.min(1, (cumulative - below) / Math.max(1 - below, 1e-12));
    below = cumulative;
    if (share <= 1e-9) continue;
    const drawn = binomial(left, share, seed, index * 32 + i);
    counts[i] = counts[i] + drawn;
    left -= drawn;
  }
  counts[bounds.length] = counts[bounds.length] + left;
  const variation = Math.sqrt(Math.exp(spread * spread) - 1);
  const z = normalCheap(seed, 40, index);
  const sum = requests * meanS * Math.max(0.05, 1 + (variation * z) / Math.sqrt(requests));
  if (failed) {
    recorder.errorCount += requests;
    recorder.errorSumS += sum;
  } else {
    recorder.count += requests;
    recorder.sumS += sum;
  }
}

/** Binomial draw: exact by inversion where it is small, the normal approximation where it is not. */
export function binomial(n: number, p: number, seed: number, index: number): number {
  if (p <= 0 || n <= 0) return 0;
  if (p >= 1) return n;
  const mean = n * p;
  if (mean < 10) return Math.min(n, smallBinomial(n, p, uniformAt(seed, 42, index)));
  const missing = n - mean;
  if (missing < 10) return n - Math.min(n, smallBinomial(n, 1 - p, uniformAt(seed, 42, index)));
  const drawn = Math.round(mean + Math.sqrt(mean * (1 - p)) * normalCheap(seed, 43, index));
  return Math.min(n, Math.max(0, drawn));
}

export function poisson(mean: number, seed: number, index: number): number {
  if (mean <= 0) return 0;
  if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normalCheap(seed, 44, index)));
  let term = Math.exp(-mean);
  let cumulative = term;
  const u = uniformAt(seed, 45, index);
  let k = 0;
  while (u > cumulative && k < 200) {
    k++;
    term *= mean / k;
    cumulative += term;
  }
  return k;
}

function smallBinomial(n: number, p: number, u: number): number {
  let term = (1 - p) ** n;
  let cumulative = term;
  const odds = p / (1 - p);
  let k = 0;
  while (u > cumulative && k < n && k < 200) {
    term *= (odds * (n - k)) / (k + 1);
    cumulative += term;
    k++;
  }
  return k;
}

const TABLE_STEPS = 1_024;
const TABLE_REACH = 5;
const CDF_TABLE = Float64Array.from({ length: TABLE_STEPS + 1 }, (_, i) =>
  exactNormalCdf((i / TABLE_STEPS) * 2 * TABLE_REACH - TABLE_REACH),
);

/** Standard normal distribution function, to about 1e-5. */
export function normalCdf(z: number): number {
  if (z <= -TABLE_REACH) return 0;
  if (z >= TABLE_REACH) return 1;
  const at = ((z + TABLE_REACH) / (2 * TABLE_REACH)) * TABLE_STEPS;
  const i = Math.floor(at);
  const low = CDF_TABLE[i];
  return low + (CDF_TABLE[i + 1] - low) * (at - i);
}

/** Abramowitz and Stegun 7.1.26 through erf, error below 1.5e-7. */
function exactNormalCdf(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * x);
  const poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const erf = 1 - poly * Math.exp(-x * x);
  return z >= 0 ? (1 + erf) / 2 : (1 - erf) / 2;
}

/** Sum of the four bytes of two draws, scaled: close enough to normal for counts, and free of logarithms. */
function normalCheap(seed: number, lane: number, index: number): number {
  const a = hash32(seed, lane, index);
  const b = hash32(seed, lane + 100, index);
  const sum =
    (a & 255) +
    ((a >>> 8) & 255) +
    ((a >>> 16) & 255) +
    (a >>> 24) +
    (b & 255) +
    ((b >>> 8) & 255) +
    ((b >>> 16) & 255) +
    (b >>> 24);
  // Eight uniform bytes: mean 8 · 127.5, variance 8 · (256² − 1) / 12.
  return (sum - 1_020) / 209.022;
}

const LOG_BOUNDS = new WeakMap<readonly number[], Float64Array>();

function logBounds(bounds: readonly number[]): Float64Array {
  const known = LOG_BOUNDS.get(bounds);
  if (known !== undefined) return known;
  const made = Float64Array.from(bounds, Math.log);
  LOG_BOUNDS.set(bounds, made);
  return made;
}
