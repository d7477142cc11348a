import type { Belief } from './belief.ts';

/**
 * What every window ever taken says of the settings around: a surface of effects, learned by a Kalman filter.
 *
 * Intuition. Each knob has an effect curve of its own over its range, and two knobs together may do somewhat more or less than the
 * sum. A window at a setting shows the sum of the curves there, on top of a level that drifts and follows the load, and noise.
 * So all windows inform all curves: one at another batch size tells of concurrency too, because only what the sum leaves over is
 * news. What is asked of it are differences between two settings, in which the level cancels, and how sure they are.
 *
 *   y = Σ fᵢ(uᵢ) + Σ cᵢⱼ (uᵢ − ½)(uⱼ − ½) + level + wander + θ (ln load − ln load₀) + ε
 *   fᵢ by its values at 11 knots, linear between; a priori a shallow valley ⅜ (u − best)² plus a line with a slope of 0 ± .6 plus
 *   (1 ± ½)·shortage(u) plus a rough part with Matérn-3/2 covariance, .2² (1 + √3 d/.3) e^(−√3 d/.3);  cᵢⱼ ~ 0 ± .4;  θ ~ 0 ± .7
 *   with `best` and `shortage` of the knob's declaration (`belief.ts`)
 *   h: the few weights that a setting touches;  gain = P h / (hᵀP h + σ²);  w += gain (y − hᵀw);  P −= gain (P h)ᵀ
 *   between windows, w and P of the curves return towards the prior with a memory of 150 windows; `wander` ± .06 with one of 20
 *
 * This is Gaussian-process regression with an additive kernel, exact except for the knots, at a cost that does not grow with the
 * number of windows: F² with F = 11 n + n (n − 1) / 2 + 3 weights, 46 for three knobs and 158 for ten.
 *
 * The valley is shallow and lies near the baseline, not in the middle of the range. Against one of twice the depth in the middle (30
 * seeds) regret is .08 instead of .11 on p1-smooth and .32 instead of .40 on p4-noisy, but .10 instead of .08 on p3-violating and .83
 * instead of .78 on p6-two-optima, whose best lies that way. On 60 scenarios drawn at random it makes no difference (.37 and .36).
 *
 * Units: u is the share of a knob's range, y the log objective. Fails where three knobs matter only together, and for narrow
 * dents that a grid of a tenth of the range does not see; a shift of the whole surface is followed at the pace of the memory.
 *
 * Sources: Kalman 1960; Duvenaud, Nickisch and Rasmussen, "Additive Gaussian processes" (NIPS 2011); Hartikainen and Särkkä, "Kalman
 * filtering and smoothing solutions to temporal Gaussian process regression models" (MLSP 2010) for the fading; the load as a
 * covariate is CUPED's (WSDM 2013).
 *
 * Example: one knob, windows of y = 0 at u = .3 and −.2 at u = .4, noise .02 → of the .2 .18 is believed, and at u = .5 −.27 is expected (baseline .3).
 */
const KNOTS = 11;
/** Log units over a knob's range: as much as is usual for a knob that matters. */
const SLOPE_SD = 0.6;
const CURVATURE = 0.75;
/** Of having nothing of what the baseline provides. */
const SHORTAGE = 1;
const SHORTAGE_SD = 0.5;
const ROUGH_SD = 0.2;
const ROUGH_LENGTH = 0.3;
const COUPLING_SD = 0.4;
/** Wider than anything: the level itself is not known beforehand. */
const LEVEL_SD = 3;
const LOAD_SD = 0.7;
const WANDER_SD = 0.06;
const WANDER_WINDOWS = 20;
const MEMORY_WINDOWS = 150;
/** Another value of a switch leaves as much of the curves as so many windows would. */
const ELSEWHERE_WINDOWS = 50;
const MIDDLE = 0.5;
const SQRT3 = Math.sqrt(3);

export interface SurfaceWindow {
  /** Position of each knob, 0 to 1. */
  readonly u: readonly number[];
  readonly y: number;
  /** ln of the load. */
  readonly x: number;
  readonly atMs: number;
}

/** A window that might be taken. */
export interface WindowAhead {
  readonly u: readonly number[];
  readonly ph: Float64Array;
  readonly variance: number;
}

/** Of `y` between here and there: what is expected, and by how much (standard deviation) a window would change that. */
export interface Difference {
  readonly mean: number;
  readonly toldHere: number;
  readonly toldThere: number;
}

/** A sum of a few of the weights. */
interface Sparse {
  readonly at: number[];
  readonly by: number[];
}

export class Surface {
  readonly #knobs: number;
  readonly #windowMs: number;
  /** The weights are each knob's knots, from here on the couplings, and from `#level` on level, wander and load. */
  readonly #couplings: number;
  readonly #level: number;
  readonly #priorMean: Float64Array;
  readonly #prior: readonly Float64Array[];
  readonly #mean: Float64Array;
  readonly #covariance: readonly Float64Array[];
  /** Where the first window was: levels and loads are counted from there. */
  #origin: { readonly x: number; readonly y: number } | undefined;
  #atMs = Number.NEGATIVE_INFINITY;

  constructor(beliefs: readonly Belief[], windowMs: number) {
    const knobs = beliefs.length;
    this.#knobs = knobs;
    this.#windowMs = windowMs;
    this.#couplings = knobs * KNOTS;
    this.#level = this.#couplings + (knobs * (knobs - 1)) / 2;
    const size = this.#level + 3;
    this.#priorMean = new Float64Array(size);
    const prior = Array.from({ length: size }, () => new Float64Array(size));
    for (let i = 0; i < this.#couplings; i++) {
      const [knob, a] = [Math.floor(i / KNOTS), knotAt(i)];
      const { best, shortage } = beliefs[knob];
      this.#priorMean[i] = (CURVATURE / 2) * (a - best) ** 2 + SHORTAGE * shortage(a);
      for (let j = knob * KNOTS; j < (knob + 1) * KNOTS; j++) {
        const b = knotAt(j);
        const line = SLOPE_SD ** 2 * (a - best) * (b - best);
        prior[i][j] = line + SHORTAGE_SD ** 2 * shortage(a) * shortage(b) + ROUGH_SD ** 2 * matern(a - b);
      }
    }
    for (let i = this.#couplings; i < this.#level; i++) prior[i][i] = COUPLING_SD ** 2;
    [LEVEL_SD, WANDER_SD, LOAD_SD].forEach((sd, i) => {
      prior[this.#level + i][this.#level + i] = sd ** 2;
    });
    this.#prior = prior;
    this.#mean = this.#priorMean.slice();
    this.#covariance = prior.map((row) => row.slice());
  }

  /** When the last window ended. */
  get atMs(): number {
    return this.#atMs;
  }

  /** Something that is not among the knobs has changed: the level is another, the curves are probably much the same. */
  elsewhere(): void {
    this.#origin = undefined;
    for (let i = this.#level; i < this.#mean.length; i++) {
      this.#mean[i] = 0;
      for (let j = 0; j < this.#mean.length; j++) {
        this.#covariance[i][j] = this.#prior[i][j];
        this.#covariance[j][i] = this.#prior[j][i];
      }
    }
    this.#fade(ELSEWHERE_WINDOWS);
  }

  /** What the window would show, before it is looked at; time passes up to it. */
  expect({ u, y, x, atMs }: SurfaceWindow): { readonly mean: number; readonly variance: number } {
    this.#origin ??= { x, y };
    this.#pass(atMs);
    const h = this.#features(u, x);
    return { mean: this.#origin.y + dot(h, this.#mean), variance: this.#variance(h) };
  }

  /** Learns from a window with noise of this variance. */
  learn({ u, y, x }: SurfaceWindow, noiseVariance: number): void {
    this.#origin ??= { x, y };
    const h = this.#features(u, x);
    const ph = Float64Array.from(this.#covariance, (row) => dot(h, row));
    const total = dot(h, ph) + noiseVariance;
    const surprise = (y - this.#origin.y - dot(h, this.#mean)) / total;
    for (let i = 0; i < ph.length; i++) {
      this.#mean[i] += ph[i] * surprise;
      const row = this.#covariance[i];
      const share = ph[i] / total;
      for (let j = 0; j < ph.length; j++) row[j] -= share * ph[j];
    }
  }

  /** A window at `u`; ask again after each that was taken. */
  windowAt(u: readonly number[], x: number): WindowAhead {
    const h = this.#features(u, x);
    const ph = Float64Array.from(this.#covariance, (row) => dot(h, row));
    return { u, ph, variance: dot(h, ph) };
  }

  /**
   * How much worse `u` is than where the window `here` would be, and what a window here or there would tell of that. With g the step
   * from here to there: Var y_there = hᵀPh + 2 gᵀPh + gᵀPg, so that only gᵀPg is new for each `u`.
   */
  difference(u: readonly number[], here: WindowAhead, noiseVariance: number): Difference {
    const step = this.#step(u, here.u);
    const shared = dot(step, here.ph);
    const apart = this.#variance(step);
    const there = here.variance + 2 * shared + apart;
    return {
      mean: dot(step, this.#mean),
      toldHere: Math.abs(shared) / Math.sqrt(here.variance + noiseVariance),
      toldThere: Math.abs(shared + apart) / Math.sqrt(Math.max(there, 0) + noiseVariance),
    };
  }

  /** What a window at `u` would show now. */
  at(u: readonly number[], x: number): number {
    return (this.#origin?.y ?? 0) + dot(this.#features(u, x), this.#mean);
  }

  /** What is expected at `u`, on top of the level. */
  effect(u: readonly number[]): number {
    const w = this.#mean;
    let sum = 0;
    let pair = this.#couplings;
    for (let i = 0; i < u.length; i++) {
      const place = u[i] * (KNOTS - 1);
      const low = Math.min(KNOTS - 2, Math.floor(place));
      const knot = i * KNOTS + low;
      sum += w[knot] + (place - low) * (w[knot + 1] - w[knot]);
      for (let j = i + 1; j < u.length; j++) sum += w[pair++] * (u[i] - MIDDLE) * (u[j] - MIDDLE);
    }
    return sum;
  }

  /** What was learned fades towards what is expected of any process. */
  #pass(atMs: number): void {
    const windows = Number.isFinite(this.#atMs) ? Math.max(0, atMs - this.#atMs) / this.#windowMs : 0;
    this.#atMs = Math.max(this.#atMs, atMs);
    if (windows > 0) this.#fade(windows);
  }

  #fade(windows: number): void {
    const curves = Math.exp(-windows / MEMORY_WINDOWS);
    const kept = Float64Array.from(this.#mean, (_, i) => (i < this.#level ? curves : 1));
    kept[this.#level + 1] = Math.exp(-windows / WANDER_WINDOWS);
    for (let i = 0; i < kept.length; i++) {
      this.#mean[i] = this.#priorMean[i] + kept[i] * (this.#mean[i] - this.#priorMean[i]);
      const [row, prior] = [this.#covariance[i], this.#prior[i]];
      for (let j = 0; j < kept.length; j++) {
        const both = kept[i] * kept[j];
        row[j] = both * row[j] + (1 - both) * prior[j];
      }
    }
  }

  #features(u: readonly number[], x: number): Sparse {
    const sum: Sparse = { at: [], by: [] };
    for (let knob = 0; knob < this.#knobs; knob++) addCurve(sum, knob, u[knob], 1);
    let pair = this.#couplings;
    for (let i = 0; i < this.#knobs; i++) {
      for (let j = i + 1; j < this.#knobs; j++) add(sum, pair++, (u[i] - MIDDLE) * (u[j] - MIDDLE));
    }
    add(sum, this.#level, 1);
    add(sum, this.#level + 1, 1);
    add(sum, this.#level + 2, x - (this.#origin?.x ?? x));
    return sum;
  }

  /** Only what differs: the level falls out. */
  #step(u: readonly number[], from: readonly number[]): Sparse {
    const sum: Sparse = { at: [], by: [] };
    for (let knob = 0; knob < this.#knobs; knob++) {
      if (u[knob] === from[knob]) continue;
      addCurve(sum, knob, u[knob], 1);
      addCurve(sum, knob, from[knob], -1);
    }
    let pair = this.#couplings;
    for (let i = 0; i < this.#knobs; i++) {
      for (let j = i + 1; j < this.#knobs; j++, pair++) {
        if (u[i] === from[i] && u[j] === from[j]) continue;
        add(sum, pair, (u[i] - MIDDLE) * (u[j] - MIDDLE) - (from[i] - MIDDLE) * (from[j] - MIDDLE));
      }
    }
    return sum;
  }

  #variance({ at, by }: Sparse): number {
    let sum = 0;
    for (let i = 0; i < at.length; i++) {
      const row = this.#covariance[at[i]];
      let inner = (by[i] * row[at[i]]) / 2;
      for (let j = 0; j < i; j++) inner += row[at[j]] * by[j];
      sum += 2 * by[i] * inner;
    }
    return Math.max(0, sum);
  }
}

function knotAt(weight: number): number {
  return (weight % KNOTS) / (KNOTS - 1);
}

function add(sum: Sparse, at: number, by: number): void {
  sum.at.push(at);
  sum.by.push(by);
}

/** A knob's curve at `u`, between its two nearest knots. */
function addCurve(sum: Sparse, knob: number, u: number, times: number): void {
  const place = u * (KNOTS - 1);
  const low = Math.min(KNOTS - 2, Math.floor(place));
  add(sum, knob * KNOTS + low, times * (1 - place + low));
  add(sum, knob * KNOTS + low + 1, times * (place - low));
}

function dot({ at, by }: Sparse, weights: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < at.length; i++) sum += weights[at[i]] * by[i];
  return sum;
}

function matern(apart: number): number {
  const d = (SQRT3 * Math.abs(apart)) / ROUGH_LENGTH;
  return (1 + d) * Math.exp(-d);
}
