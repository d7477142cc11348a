import type { Belief } from './belief.ts';
import { FadingCovariance, Sparse } from './fading_covariance.ts';

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
 *   (`fading_covariance.ts`)
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

/** What a window would show. */
export interface Expectation {
  readonly mean: number;
  readonly variance: number;
  /** Its covariance with each of the weights. */
  readonly ph: Float64Array;
}

/** A window that might be taken. */
export type WindowAhead = Omit<Expectation, 'mean'> & { readonly u: readonly number[] };

/** Of `y` between here and there: what is expected, and by how much (standard deviation) a window would change that. */
export interface Difference {
  readonly mean: number;
  readonly toldHere: number;
  readonly toldThere: number;
}

export class Surface {
  readonly #knobs: number;
  readonly #windowMs: number;
  /** The weights are each knob's knots, from here on the couplings, and from `#level` on level, wander and load. */
  readonly #couplings: number;
  readonly #level: number;
  readonly #priorMean: Float64Array;
  readonly #mean: Float64Array;
  readonly #covariance: FadingCovariance;
  /** For one question at a time: a sum of weights, and how much of each remains. */
  readonly #sum: Sparse;
  readonly #kept: Float64Array;
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
    const curves = beliefs.map((belief) => curveOf(belief));
    this.#priorMean = new Float64Array(size);
    curves.forEach(({ mean }, knob) => {
      this.#priorMean.set(mean, knob * KNOTS);
    });
    this.#mean = this.#priorMean.slice();
    const couplings = Array.from({ length: this.#level - this.#couplings }, () => COUPLING_SD);
    const alone = [...couplings, LEVEL_SD, WANDER_SD, LOAD_SD].map((sd) => [Float64Array.of(sd ** 2)]);
    this.#covariance = new FadingCovariance([...curves.map(({ covariance }) => covariance), ...alone]);
    this.#sum = new Sparse(size);
    this.#kept = new Float64Array(size).fill(1);
  }

  /** When the last window ended. */
  get atMs(): number {
    return this.#atMs;
  }

  /** Something that is not among the knobs has changed: the level is another, the curves are probably much the same. */
  elsewhere(): void {
    this.#origin = undefined;
    this.#mean.fill(0, this.#level);
    this.#covariance.forget(this.#level);
    this.#fade(ELSEWHERE_WINDOWS);
  }

  /** Of the curves a share is believed from now on. */
  doubt(kept: number): void {
    this.#fade(-MEMORY_WINDOWS * Math.log(kept));
  }

  /** What the window would show, before it is looked at; time passes up to it. */
  expect({ u, y, x, atMs }: SurfaceWindow): Expectation {
    this.#origin ??= { x, y };
    this.#pass(atMs);
    const h = this.#features(u, x);
    return { mean: this.#value(h), ...this.#ahead(u, h) };
  }

  /** Learns that the window was so much more than expected, with noise of this variance. */
  learn({ ph, variance }: Expectation, surprise: number, noiseVariance: number): void {
    const total = variance + noiseVariance;
    for (let i = 0; i < ph.length; i++) this.#mean[i] += (ph[i] / total) * surprise;
    this.#covariance.learn(ph, total);
  }

  /** A window at `u`; ask again after each that was taken. */
  windowAt(u: readonly number[], x: number): WindowAhead {
    return this.#ahead(u, this.#features(u, x));
  }

  /**
   * How much worse `u` is than where the window `here` would be, and what a window here or there would tell of that. With g the step
   * from here to there: Var y_there = hᵀPh + 2 gᵀPh + gᵀPg, so that only gᵀPg is new for each `u`.
   */
  difference(u: readonly number[], here: WindowAhead, noiseVariance: number): Difference {
    const step = this.#step(u, here.u);
    const shared = step.dot(here.ph);
    const apart = this.#covariance.variance(step);
    const there = here.variance + 2 * shared + apart;
    return {
      mean: step.dot(this.#mean),
      toldHere: Math.abs(shared) / Math.sqrt(here.variance + noiseVariance),
      toldThere: Math.abs(shared + apart) / Math.sqrt(Math.max(there, 0) + noiseVariance),
    };
  }

  /** Standard deviation of the difference between two settings. */
  deviation(u: readonly number[], from: readonly number[]): number {
    return Math.sqrt(Math.max(0, this.#covariance.variance(this.#step(u, from))));
  }

  /** What a window at `u` would show now. */
  at(u: readonly number[], x: number): number {
    return this.#value(this.#features(u, x));
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
    const kept = this.#kept;
    kept.fill(Math.exp(-windows / MEMORY_WINDOWS), 0, this.#level);
    kept[this.#level + 1] = Math.exp(-windows / WANDER_WINDOWS);
    for (let i = 0; i < kept.length; i++) {
      this.#mean[i] = this.#priorMean[i] + kept[i] * (this.#mean[i] - this.#priorMean[i]);
    }
    this.#covariance.fade(kept);
  }

  #value(h: Sparse): number {
    return (this.#origin?.y ?? 0) + h.dot(this.#mean);
  }

  #ahead(u: readonly number[], h: Sparse): WindowAhead {
    const ph = this.#covariance.times(h);
    return { u, ph, variance: Math.max(0, h.dot(ph)) };
  }

  #features(u: readonly number[], x: number): Sparse {
    const sum = this.#sum.clear();
    for (let knob = 0; knob < this.#knobs; knob++) addCurve(sum, knob, spotAt(u[knob]), 1);
    let pair = this.#couplings;
    for (let i = 0; i < this.#knobs; i++) {
      for (let j = i + 1; j < this.#knobs; j++) sum.add(pair++, (u[i] - MIDDLE) * (u[j] - MIDDLE));
    }
    sum.add(this.#level, 1);
    sum.add(this.#level + 1, 1);
    sum.add(this.#level + 2, x - (this.#origin?.x ?? x));
    return sum;
  }

  /** Only what differs: the level falls out. */
  #step(u: readonly number[], from: readonly number[]): Sparse {
    const sum = this.#sum.clear();
    for (let knob = 0; knob < this.#knobs; knob++) {
      if (u[knob] !== from[knob]) addCurveStep(sum, knob, spotAt(u[knob]), spotAt(from[knob]));
    }
    let pair = this.#couplings;
    for (let i = 0; i < this.#knobs; i++) {
      for (let j = i + 1; j < this.#knobs; j++, pair++) {
        if (u[i] === from[i] && u[j] === from[j]) continue;
        sum.add(pair, (u[i] - MIDDLE) * (u[j] - MIDDLE) - (from[i] - MIDDLE) * (from[j] - MIDDLE));
      }
    }
    return sum;
  }
}

/** What is expected of a knob's curve beforehand, at its knots. */
function curveOf({ best, shortage }: Belief): { readonly mean: Float64Array; readonly covariance: Float64Array[] } {
  const knots = Float64Array.from({ length: KNOTS }, (_, i) => i / (KNOTS - 1));
  const covariance = (a: number, b: number): number => {
    const line = SLOPE_SD ** 2 * (a - best) * (b - best);
    return line + SHORTAGE_SD ** 2 * shortage(a) * shortage(b) + ROUGH_SD ** 2 * matern(a - b);
  };
  return {
    mean: knots.map((a) => (CURVATURE / 2) * (a - best) ** 2 + SHORTAGE * shortage(a)),
    covariance: Array.from(knots, (a) => knots.map((b) => covariance(a, b))),
  };
}

/** Where a knob's curve is asked: after which knot, and which share of the way to the next. */
interface Spot {
  readonly low: number;
  readonly over: number;
}

function spotAt(u: number): Spot {
  const place = u * (KNOTS - 1);
  const low = Math.min(KNOTS - 2, Math.floor(place));
  return { low, over: place - low };
}

/** A knob's curve at a spot, between its two nearest knots. */
function addCurve(sum: Sparse, knob: number, { low, over }: Spot, times: number): void {
  sum.add(knob * KNOTS + low, times * (1 - over));
  sum.add(knob * KNOTS + low + 1, times * over);
}

/** A knob's curve at a spot less at another; the weights in ascending order. */
function addCurveStep(sum: Sparse, knob: number, to: Spot, from: Spot): void {
  if (to.low === from.low) {
    sum.add(knob * KNOTS + to.low, from.over - to.over);
    sum.add(knob * KNOTS + to.low + 1, to.over - from.over);
  } else if (to.low < from.low) {
    addCurve(sum, knob, to, 1);
    addCurve(sum, knob, from, -1);
  } else {
    addCurve(sum, knob, from, -1);
    addCurve(sum, knob, to, 1);
  }
}

function matern(apart: number): number {
  const d = (SQRT3 * Math.abs(apart)) / ROUGH_LENGTH;
  return (1 + d) * Math.exp(-d);
}
