import type { Setting } from '../model.ts';
import { type Axis, encode } from './space.ts';

/**
 * One limited signal over the knobs: what it is expected to be at a setting, how sure that is, and how much doubt is left room for.
 *
 * Intuition. Every reading of the signal, at whatever setting it was taken, says something about the settings around. A linear
 * model of it, with its own uncertainty, tells before a step how much room there is; where little is known or little is
 * left, steps are short, and each of them teaches the next.
 *
 *   signal = [1, ln load, u₁ … u_d, v₁ … v_d]·θ + ε          recursive least squares, forgetting λ a reading
 *   unsafe where μ + κ √(s² + zᵀPz) > limit
 *   κ ← κ + step · (1{a setting that was let through crossed the limit} − target), within its bounds
 *
 * with each knob twice: `u`, its place in its (log) range, and `v = value / max`. What grows with the logarithm of a knob and what
 * grows with the knob itself are both straight lines in one of them. P grows while nothing new is seen, but not beyond where it began;
 * θ fades to "no effect" over `memory` readings, so that what was forbidden long ago may be looked at again.
 *
 * κ follows what happens and not what the model believes of itself: whatever is wrong with the model, in the long run the share
 * of tried settings that cross the limit is the target (adaptive conformal inference).
 *
 * **Repair.** Where the incumbent itself is over the limit, or too close to it to be called safe, "safe" means "expected to be no worse
 * than now": within a reading's noise for a soft limit, lower at all for a hard one. A rule that only ever stays inside
 * the limit would never move there.
 *
 * Units: those of the signal it is given. Fails for knobs whose effect comes later than a reading (a cache that fills), and for jumps
 * that nothing nearby foretells: these are met once, and remembered.
 *
 * Sources: recursive least squares with forgetting (Ljung 1999); safe optimisation by confidence bounds (Sui et al. 2015), with a
 * linear model in place of a Gaussian process; Gibbs and Candès, "Adaptive conformal inference under distribution shift" (NeurIPS
 * 2021, arXiv 2106.00170) for κ.
 *
 * Example: 5.8 of 8 GB used, noise 2 %, κ = 5.5, nothing known: a step of 6 % of four knobs is allowed, one of 30 % is not.
 */
export interface LimitRule {
  readonly isHard: boolean;
  /** How much a knob's whole range is expected to change the signal (standard deviation), and an e-fold load. */
  readonly knobSd: number;
  readonly loadSd: number;
  readonly levelSd: number;
  readonly firstNoise: number;
  readonly leastNoise: number;
  /** Readings that the first noise is worth. */
  readonly noisePrior: number;
  readonly forgetting: number;
  /** Readings over which what was learned fades; Infinity: never. */
  readonly memory: number;
  readonly confidence: {
    readonly first: number;
    readonly least: number;
    readonly most: number;
    readonly step: number;
    /** Share of what is tried that may cross the limit. */
    readonly target: number;
  };
}

export interface Expected {
  readonly mean: number;
  readonly sd: number;
}

const NOISE_MEMORY = 0.97;
/** One wild reading does not blind it: for the noise, a surprise counts up to so many standard deviations. */
const WILD = 3;
/** Of a reading's noise: what is called no worse. */
const NO_WORSE = 1;

export class Limit {
  readonly #rule: LimitRule;
  #size = 0;
  #mean = new Float64Array(0);
  /** P, row after row. */
  #covariance = new Float64Array(0);
  /** For one question at a time: a reading's features, P times these, and by how much each weight's doubt grows. */
  #z = new Float64Array(0);
  #pz = new Float64Array(0);
  #growth = new Float64Array(0);
  #noiseVariance: number;
  #confidence: number;
  #readings = 0;
  /** Where the first reading was taken: effects are counted from there, so that the constant is what was read there. */
  #origin: { readonly x: Place; readonly load: number; readonly value: number } | undefined;
  /** What the incumbent is expected to show, until the next reading. */
  #incumbent: { readonly of: Place; readonly load: number; readonly expected: Expected } | undefined;
  /** In the signal's units; undefined: not limited. */
  bound: number | undefined;

  constructor(rule: LimitRule) {
    this.#rule = rule;
    this.#noiseVariance = rule.firstNoise ** 2;
    this.#confidence = rule.confidence.first;
  }

  /** The knobs are these from now on, and nothing is known of them. */
  open(axes: readonly Axis[]): void {
    this.#size = 2 + 2 * axes.length;
    this.#readings = 0;
    this.#origin = undefined;
  }

  get isKnown(): boolean {
    return this.#readings > 0;
  }

  /** Standard deviation of a reading. */
  get noise(): number {
    return Math.sqrt(this.#noiseVariance);
  }

  get confidence(): number {
    return this.#confidence;
  }

  observe(value: number, x: Place, load: number): void {
    if (this.#readings === 0) this.#begin();
    this.#origin ??= { x, load, value };
    this.#readings++;
    this.#incumbent = undefined;
    const z = this.#features(x, load);
    const pz = this.#times(z);
    const explained = dot(z, pz);
    const innovation = value - this.#origin.value - dot(z, this.#mean);
    const total = explained + this.#noiseVariance;
    const kept = 1 - 1 / this.#rule.memory;
    for (let i = 0; i < z.length; i++) {
      this.#mean[i] = (i === 0 ? 1 : kept) * (this.#mean[i] + (pz[i] / total) * innovation);
    }
    this.#update(pz, total);
    const surprise = Math.min(innovation ** 2, WILD ** 2 * total);
    const seen = Math.max(surprise - explained, this.#rule.leastNoise ** 2);
    const known = this.#rule.noisePrior + this.#readings - 1;
    const before = Math.min(NOISE_MEMORY, known / (known + 1));
    this.#noiseVariance = before * this.#noiseVariance + (1 - before) * seen;
  }

  /** Of what was learned of the knobs a share holds under other circumstances; the rest is as unknown as in the beginning. */
  doubt(kept: number): void {
    if (this.#readings === 0) return;
    this.#incumbent = undefined;
    const [p, size] = [this.#covariance, this.#size];
    for (let i = 2; i < size; i++) this.#mean[i] *= kept;
    for (let i = 0, row = 0; i < size; i++, row += size) {
      for (let j = 0; j < size; j++) p[row + j] *= kept ** 2;
      p[row + i] += (1 - kept ** 2) * this.#priorVariance(i);
    }
  }

  /** What was let through has been tried: it crossed the limit, or not. */
  tried(hasCrossed: boolean): void {
    const { step, target, least, most } = this.#rule.confidence;
    const next = this.#confidence + step * ((hasCrossed ? 1 : 0) - target);
    this.#confidence = Math.min(most, Math.max(least, next));
  }

  /** `load`: ln of what is to be expected. */
  isUnsafe(at: Place, incumbent: Place, load: number): boolean {
    const { bound } = this;
    if (bound === undefined || this.#readings === 0) return false;
    const there = this.expect(at, load);
    if (there.mean + this.#confidence * there.sd <= bound) return false;
    const here = this.#expectIncumbent(incumbent, load);
    if (this.#rule.isHard) return there.mean >= here.mean;
    const isRepair = here.mean + this.#confidence * here.sd > bound;
    return !isRepair || there.mean > here.mean + NO_WORSE * this.noise;
  }

  expect(at: Place, load: number): Expected {
    const z = this.#features(at, load);
    const variance = this.#noiseVariance + this.#variance(z);
    return { mean: (this.#origin?.value ?? 0) + dot(z, this.#mean), sd: Math.sqrt(variance) };
  }

  /** How much more the signal is expected to be there than here: level, load and noise fall out. */
  difference(there: Place, here: Place): Expected {
    const step = this.#z;
    step[0] = step[1] = 0;
    for (let i = 0; i < there.length; i++) step[2 + i] = there[i] - here[i];
    return { mean: dot(step, this.#mean), sd: Math.sqrt(this.#variance(step)) };
  }

  #expectIncumbent(incumbent: Place, load: number): Expected {
    if (this.#incumbent?.of !== incumbent || this.#incumbent.load !== load) {
      this.#incumbent = { of: incumbent, load, expected: this.expect(incumbent, load) };
    }
    return this.#incumbent.expected;
  }

  #begin(): void {
    const size = this.#size;
    this.#mean = new Float64Array(size);
    this.#covariance = new Float64Array(size * size);
    for (let i = 0; i < size; i++) this.#covariance[i * size + i] = this.#priorVariance(i);
    [this.#z, this.#pz, this.#growth] = [new Float64Array(size), new Float64Array(size), new Float64Array(size)];
    this.#noiseVariance = this.#rule.firstNoise ** 2;
    this.#confidence = this.#rule.confidence.first;
  }

  #priorVariance(i: number): number {
    const { levelSd, loadSd, knobSd } = this.#rule;
    return (i === 0 ? levelSd : i === 1 ? loadSd : knobSd) ** 2;
  }

  #times(z: Float64Array): Float64Array {
    const [p, pz, size] = [this.#covariance, this.#pz, this.#size];
    for (let i = 0, row = 0; i < size; i++, row += size) {
      let sum = 0;
      for (let j = 0; j < size; j++) sum += p[row + j] * z[j];
      pz[i] = sum;
    }
    return pz;
  }

  /** What a reading has told is known. What it did not excite is forgotten, no further than to where it began. */
  #update(pz: Float64Array, total: number): void {
    const [p, growth, size] = [this.#covariance, this.#growth, this.#size];
    const { forgetting } = this.#rule;
    for (let i = 0, at = 0; i < size; i++, at += size + 1) {
      const left = p[at] - (pz[i] * pz[i]) / total;
      growth[i] = left < forgetting * this.#priorVariance(i) ? 1 / Math.sqrt(forgetting) : 1;
    }
    for (let i = 0, row = 0; i < size; i++, row += size) {
      for (let j = 0; j < size; j++) {
        p[row + j] = (p[row + j] - (pz[i] * pz[j]) / total) * (growth[i] * growth[j]);
      }
    }
  }

  #variance(z: Float64Array): number {
    const [p, size] = [this.#covariance, this.#size];
    let sum = 0;
    for (let i = 0, row = 0; i < size; i++, row += size) {
      if (z[i] === 0) continue;
      let inner = (z[i] * p[row + i]) / 2;
      for (let j = 0; j < i; j++) inner += p[row + j] * z[j];
      sum += 2 * z[i] * inner;
    }
    return Math.max(0, sum);
  }

  /** Valid until the next question. */
  #features(x: Place, load: number): Float64Array {
    const z = this.#z;
    z[0] = 1;
    const origin = this.#origin;
    if (origin === undefined) return z.fill(0, 1);
    z[1] = load - origin.load;
    for (let i = 0; i < x.length; i++) z[2 + i] = x[i] - origin.x[i];
    return z;
  }
}

/** A setting, as the models see it: of each knob its place in its (log) range, and its share of the largest value. */
export type Place = Float64Array;

export function placeOf(axes: readonly Axis[], setting: Setting): Place {
  const x = new Float64Array(2 * axes.length);
  for (let i = 0; i < axes.length; i++) {
    const axis = axes[i];
    const value = Number(setting[axis.id]);
    x[2 * i] = encode(axis, value);
    x[2 * i + 1] = value / axis.max;
  }
  return x;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
