import { logGamma, median } from './statistics.ts';

/** A segment's end and the next one's beginning. */
export interface ChangePoint {
  /** First index of the new regime. */
  readonly index: number;
  /** Posterior probability that the two segments around it are two and not one, given the other change points. */
  readonly posterior: number;
}

/** Longer series are looked at in blocks of as many values as bring them down to this. The search is quadratic. */
const MAX_LENGTH = 1000;
/** Fewer values are no regime. */
const MIN_SEGMENT = 3;

/** Prior of a segment, for values scaled to a variance of 1: see `segmentCost`. */
const NOISE_SHAPE = 0.5;
const NOISE_SCALE = 0.1;
const LEVEL_VARIANCE = 100;
const SLOPE_VARIANCE = 100;
/** Each change point costs this many `ln n` (in −2 ln probability), as in Schwarz's criterion. */
const PENALTY = 2;

/**
 * Where a series changes its level, slope or noise: the most probable cut into straight lines, by exact dynamic
 * programming over Bayesian linear regressions.
 *
 *     minimise Σ_segments −2 ln P(y_segment) + (cuts) · 2 ln n
 *
 * with `P` the marginal likelihood of `y = a + b t + noise`, noise variance unknown: many parameters cannot buy a good
 * fit, and a run of equal values does not look infinitely sure. Single outliers (beyond 4 robust spreads of the median
 * of 11) are taken out first: a spike is no regime.
 *
 * TCPD, 16 series (`npm run -s bench:changepoints -- tcpd DIR`): F1 .84, covering .72; no cut at all has .62 and .51.
 * Priors and penalty chosen on all series but one, in turn: .77 and .69 on the one left out. Sees a change only after a few values of the new regime. Wandering series (a random walk) get cut into
 * lines, which is true of their shape and says nothing of their cause.
 *
 * Killick, Fearnhead & Eckley 2012 for the search; Fearnhead 2006 for the model. O(n²), n at most 1000.
 */
export function changePoints(values: ArrayLike<number>): readonly ChangePoint[] {
  const kept: number[] = [];
  for (let i = 0; i < values.length; i++) if (Number.isFinite(values[i]!)) kept.push(i);
  const factor = Math.ceil(kept.length / MAX_LENGTH);
  const blocks = blockMeans(
    Float64Array.from(kept, (i) => values[i]!),
    Math.max(1, factor),
  );
  const n = blocks.length;
  if (n < 2 * MIN_SEGMENT) return [];
  const scaled = standardised(withoutSpikes(blocks));
  if (scaled === undefined) return [];

  const cost = segmentCost(scaled);
  const penalty = PENALTY * Math.log(n);
  const best = new Float64Array(n + 1).fill(Number.POSITIVE_INFINITY);
  const previous = new Int32Array(n + 1);
  best[0] = -penalty;
  for (let end = MIN_SEGMENT; end <= n; end++) {
    for (let start = 0; start <= end - MIN_SEGMENT; start++) {
      const total = best[start]! + cost(start, end) + penalty;
      if (total < best[end]!) {
        best[end] = total;
        previous[end] = start;
      }
    }
  }
  const cuts: number[] = [n];
  while (cuts[0]! > 0) cuts.unshift(previous[cuts[0]!]!);
  return cuts.slice(1, -1).map((cut, i) => {
    const from = cuts[i]!;
    const to = cuts[i + 2]!;
    const gain = cost(from, to) - cost(from, cut) - cost(cut, to) - penalty;
    return { index: kept[cut * factor]!, posterior: 1 / (1 + Math.exp(-gain / 2)) };
  });
}

/**
 * `−2 ln` of the marginal likelihood of `y[start..end)` under `y = a + b(t − t̄)/n + ε`, `ε ~ N(0, s²)`,
 * `s² ~ InvGamma(½, 0.1)`, `a ~ N(0, 100 s²)`, `b ~ N(0, 100 s²)`, in constant time from running sums.
 */
function segmentCost(y: Float64Array): (start: number, end: number) => number {
  const n = y.length;
  const sum = new Float64Array(n + 1);
  const moment = new Float64Array(n + 1);
  const square = new Float64Array(n + 1);
  for (let t = 0; t < n; t++) {
    sum[t + 1] = sum[t]! + y[t]!;
    moment[t + 1] = moment[t]! + t * y[t]!;
    square[t + 1] = square[t]! + y[t]! ** 2;
  }
  // Everything that depends on the length alone: the search asks for each length hundreds of times.
  const byLength = new Float64Array(n + 1);
  const levelShare = new Float64Array(n + 1);
  const slopeShare = new Float64Array(n + 1);
  for (let k = 0; k <= n; k++) {
    const spreadOfTime = (k * (k * k - 1)) / 12 / n / n;
    levelShare[k] = 1 / (1 / LEVEL_VARIANCE + k);
    slopeShare[k] = 1 / (1 / SLOPE_VARIANCE + spreadOfTime) / n / n;
    byLength[k] =
      k * Math.log(2 * Math.PI) +
      Math.log(LEVEL_VARIANCE * (1 / LEVEL_VARIANCE + k)) +
      Math.log(SLOPE_VARIANCE * (1 / SLOPE_VARIANCE + spreadOfTime)) -
      2 * (NOISE_SHAPE * Math.log(NOISE_SCALE) + logGamma(NOISE_SHAPE + k / 2) - logGamma(NOISE_SHAPE));
  }
  return (start, end) => {
    const k = end - start;
    const total = sum[end]! - sum[start]!;
    const tilt = moment[end]! - moment[start]! - ((start + end - 1) / 2) * total;
    const left = square[end]! - square[start]! - total * total * levelShare[k]! - tilt * tilt * slopeShare[k]!;
    return byLength[k]! + (2 * NOISE_SHAPE + k) * Math.log(NOISE_SCALE + Math.max(0, left) / 2);
  };
}

/** Values far from the median of the eleven around them become that median (Hampel's filter). */
function withoutSpikes(y: Float64Array): Float64Array {
  const reach = 5;
  const width = Math.min(y.length, 2 * reach + 1);
  return y.map((v, i) => {
    const start = Math.max(0, Math.min(i - reach, y.length - width));
    const around = y.slice(start, start + width);
    const centre = around.sort()[width >> 1]!;
    const spread = 1.4826 * around.map((u) => Math.abs(u - centre)).sort()[width >> 1]! + 1e-9;
    return Math.abs(v - centre) > 4 * spread ? centre : v;
  });
}

function standardised(y: Float64Array): Float64Array | undefined {
  let mean = 0;
  for (const v of y) mean += v / y.length;
  let variance = 0;
  for (const v of y) variance += (v - mean) ** 2 / y.length;
  // Rounding leaves a constant series a variance of about 1e-16 of its square.
  if (!(variance > 1e-14 * mean * mean)) return undefined;
  const spread = Math.sqrt(variance);
  return y.map((v) => (v - mean) / spread);
}

function blockMeans(y: Float64Array, factor: number): Float64Array {
  if (factor === 1) return y;
  return Float64Array.from({ length: Math.floor(y.length / factor) }, (_, b) => {
    let mean = 0;
    for (let i = b * factor; i < (b + 1) * factor; i++) mean += y[i]! / factor;
    return mean;
  });
}

/** Level, slope and noise of one segment, for whoever explains a change point. */
export interface SegmentShape {
  readonly level: number;
  readonly slopePerStep: number;
  readonly noise: number;
  readonly count: number;
}

/** Least squares over the finite values of `[start, end)`; `level` is the median of them. */
export function shapeOf(values: ArrayLike<number>, start: number, end: number): SegmentShape {
  const at: number[] = [];
  for (let i = start; i < end; i++) if (Number.isFinite(values[i]!)) at.push(i);
  const n = at.length;
  const meanT = at.reduce((a, t) => a + t, 0) / n;
  const meanY = at.reduce((a, t) => a + values[t]!, 0) / n;
  const spread = at.reduce((a, t) => a + (t - meanT) ** 2, 0);
  const tilt = at.reduce((a, t) => a + (t - meanT) * (values[t]! - meanY), 0);
  const slope = spread > 0 ? tilt / spread : 0;
  const rest = at.reduce((a, t) => a + (values[t]! - meanY - slope * (t - meanT)) ** 2, 0);
  return {
    level: median(at.map((t) => values[t]!)),
    slopePerStep: slope,
    noise: Math.sqrt(rest / Math.max(1, n - 2)),
    count: n,
  };
}
