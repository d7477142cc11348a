import { known, timeAt, toGrid } from './grid.ts';
import { impactOf, type Pattern, type Recogniser } from './pattern.ts';
import { effectiveCount, lagOneCorrelation, robustSpread } from './statistics.ts';

/** Distance of the modes in their own standard deviations (Ashman's D): beyond 2 they are apart at all. */
const LEAST_DISTANCE = 3;
const LEAST_SHARE = 0.1;
/** Fewer changes between the modes are level shifts. */
const LEAST_SWITCHES = 4;

interface Mode {
  readonly mean: number;
  readonly spread: number;
  readonly share: number;
}

/**
 * Two ways of being, with changes back and forth: cache hit or miss, two models behind one name, throttled or not. A
 * mixture of two normal distributions (expectation–maximisation from the median split) against one, by Schwarz's
 * criterion for the effective number of values; modes at least three standard deviations and each a tenth of the values
 * or more; at least four changes between them. Confidence: the posterior probability of two, `1 / (1 + e^(−ΔBIC/2))`.
 */
export const bimodal: Recogniser = {
  type: 'bimodal',
  recognise(window): Pattern | undefined {
    const grid = toGrid(window);
    if (grid === undefined) return undefined;
    const values = known(grid.values);
    if (values.length < 40) return undefined;
    const modes = fitTwo(values);
    if (modes === undefined) return undefined;
    const [low, high] = modes;
    const distance = (high.mean - low.mean) / Math.sqrt((low.spread ** 2 + high.spread ** 2) / 2);
    if (distance < LEAST_DISTANCE || Math.min(low.share, high.share) < LEAST_SHARE) return undefined;
    const border = (low.mean * high.spread + high.mean * low.spread) / (low.spread + high.spread);
    let switches = 0;
    for (let i = 1; i < values.length; i++) if (values[i]! > border !== values[i - 1]! > border) switches++;
    if (switches < LEAST_SWITCHES) return undefined;
    const effective = effectiveCount(values.length, lagOneCorrelation(values));
    const one = single(values);
    const perValue = (logLikelihood(values, modes) - logLikelihood(values, [one])) / values.length;
    // Five parameters against two.
    const gain = 2 * perValue * effective - 3 * Math.log(effective);
    const posterior = 1 / (1 + Math.exp(-gain / 2));
    if (posterior < 0.999) return undefined;
    return {
      type: 'bimodal',
      confidence: posterior,
      samples: effective,
      ...impactOf(low.mean, high.mean),
      sinceMs: timeAt(grid, 0),
      evidence: {
        lowMode: low.mean,
        highMode: high.mean,
        highShareRatio: high.share,
        distance,
        switches,
        bicGain: gain,
      },
    };
  },
};

function fitTwo(values: Float64Array): readonly [Mode, Mode] | undefined {
  const sorted = values.slice().sort();
  const n = sorted.length;
  // A mode of equal values has no width, and would be infinitely likely.
  const floor = Math.max(1e-3 * (sorted[n - 1]! - sorted[0]!), 0.02 * robustSpread(values));
  if (!(floor > 0)) return undefined;
  const split = bestSplit(sorted);
  let modes: readonly [Mode, Mode] = [
    { ...single(sorted.subarray(0, split), floor), share: split / n },
    { ...single(sorted.subarray(split), floor), share: 1 - split / n },
  ];
  for (let pass = 0; pass < 30; pass++) {
    const belongs = values.map((v) => {
      const a = density(v, modes[0]);
      const b = density(v, modes[1]);
      return a + b === 0 ? Number(v > modes[0].mean) : b / (a + b);
    });
    const next = [0, 1].map((m): Mode => {
      const weight = belongs.map((b) => (m === 1 ? b : 1 - b));
      const total = weight.reduce((a, w) => a + w, 0) + 1e-9;
      const mean = weight.reduce((a, w, i) => a + w * values[i]!, 0) / total;
      const variance = weight.reduce((a, w, i) => a + w * (values[i]! - mean) ** 2, 0) / total;
      return { mean, spread: Math.max(floor, Math.sqrt(variance)), share: total / n };
    });
    modes = [next[0]!, next[1]!];
  }
  return modes[0].mean <= modes[1].mean ? modes : [modes[1], modes[0]];
}

/** Where to cut sorted values so that the two parts vary least within themselves (Otsu). */
function bestSplit(sorted: Float64Array): number {
  const total = sorted.reduce((a, v) => a + v, 0);
  let left = 0;
  let best = 1;
  let most = Number.NEGATIVE_INFINITY;
  for (let k = 1; k < sorted.length; k++) {
    left += sorted[k - 1]!;
    const between = left ** 2 / k + (total - left) ** 2 / (sorted.length - k);
    if (between > most) {
      most = between;
      best = k;
    }
  }
  return best;
}

function single(values: Float64Array, floor = 1e-300): Mode {
  const mean = values.reduce((a, v) => a + v, 0) / values.length;
  const variance = values.reduce((a, v) => a + (v - mean) ** 2, 0) / values.length;
  return { mean, spread: Math.max(floor, Math.sqrt(variance)), share: 1 };
}

function density(v: number, { mean, spread, share }: Mode): number {
  return (share / spread) * Math.exp(-0.5 * ((v - mean) / spread) ** 2);
}

function logLikelihood(values: Float64Array, modes: readonly Mode[]): number {
  return values.reduce((sum, v) => sum + Math.log(modes.reduce((d, m) => d + density(v, m), 1e-300)), 0);
}
