import type { Setting } from '../model.ts';
import type { Random } from './random.ts';
import { type Axis, decode, encode, neighbour } from './space.ts';

/**
 * Finding a direction: simultaneous-perturbation probing, read by a filter of slopes and curvatures.
 *
 * Intuition. Two windows, one at `w + cΔ`, one at `w − cΔ` with random signs Δ, tell the slope along Δ whatever the number of knobs
 * (SPSA). Plain SPSA follows each such slope and forgets it. We feed all of them into one model of the surface around the centre:
 * a slope βᵢ and a curvature hᵢ per knob. A few pairs then tell the knobs apart, and what a step does to the slopes tells
 * the curvature, so that steps become Newton's: long on a plain slope, short where a valley is near.
 *
 *   y₊ − y₋ = (u₊ − u₋)·β + ε           (the curvature cancels in a pair)
 *   after a step s:  β ← β + h∘s         (Kalman: mean and covariance of (β, h) together)
 *   s = −gain·β/max(h, h₀),   |sᵢ| ≤ the tier's step
 *
 * The expected gain of a step is βs + ½hs², linear in what is unknown, so its best length depends on the means alone: what is
 * uncertain is already small, because the prior of β is centred at zero.
 *
 * Units: u is the share of a knob's range, y the log objective, so βᵢ = 1 means e-fold worse over the whole range of knob i.
 * The noise of a pair starts at that of the incumbent's own windows and follows the innovations, each counted up to
 * three standard deviations, so that a spike neither moves the slope far nor blinds the filter.
 *
 * Fails where the slope at a distance `c` says nothing (flat plateaus, an optimum behind a hill) and slowly where
 * noise is much larger than `c·β`; what it proposes is only ever a candidate for a proof.
 *
 * Sources: Spall, "Multivariate stochastic approximation using a simultaneous perturbation gradient approximation" (1992) and
 * "Adaptive stochastic approximation by the simultaneous perturbation method" (2000); Kalman 1960; Huber 1964; Ljung 1999 for tracking.
 *
 * Example: β = −.6, h = 3 → a step of +.2 of the range, cut to the tier's .1.
 */
export interface ProbeRule {
  /** Half the distance between the two points, as a share of the range. */
  readonly perturbation: number;
  readonly gain: number;
  readonly maxStepRatio: number;
  /** Settings that must not be tried. */
  readonly isBanned?: (setting: Setting) => boolean;
}

/** What earlier probing has taught, for the next search of the same knobs. */
export interface ProbeMemory {
  readonly axes: readonly string[];
  readonly center: readonly number[];
  readonly mean: readonly number[];
  readonly covariance: readonly (readonly number[])[];
  readonly noiseVariance: number;
}

export interface ProbePair {
  readonly plus: Setting;
  readonly minus: Setting;
  /** Which of the two runs first, by a coin. */
  readonly plusFirst: boolean;
}

/** Where windows are noisy, points farther apart tell more: the noise of a slope falls with the distance. */
const REACH_PER_NOISE = 0.3;
/** Slopes: about as many log units over a knob's range as is usual for a knob that matters. */
const SLOPE_PRIOR_SD = 0.6;
/** Curvatures, log units per squared range: a valley a third to a half of the range wide. */
const CURVATURE_PRIOR = 2.5;
const CURVATURE_PRIOR_SD = 1.5;
/** A curvature below this is taken for this: it bounds the length of a step. */
const LEAST_CURVATURE = 1;
/** Of the slope per step: other knobs' steps and the change of the curvature itself. */
const STEP_NOISE = 1;
/** Load drifts even while the centre stands still. */
const FORGETTING = 0.98;
/** Share of what an earlier search has learned that still holds at the next. */
const REMEMBERED = 0.7;
const NOISE_MEMORY = 0.8;
const NOISE_FLOOR = 0.005;
const HUBER = 3;
/** A step that must not be taken is tried shorter. */
const SHRINKS = [1, 0.6, 0.35] as const;
const EDGE = 0.02;
const PARKED_DEVIATIONS = 1;
/** A knob parked at its edge is moved after so many pairs all the same: nothing unproven stands still for long. */
const MAX_RESTED_PAIRS = 3;

export class Probe {
  readonly #axes: readonly Axis[];
  readonly #rule: ProbeRule;
  readonly #startSetting: Setting;
  readonly #start: readonly number[];
  readonly #center: number[];
  /** Slopes, then curvatures. */
  readonly #mean: number[];
  readonly #covariance: number[][];
  readonly #prior: readonly number[];
  /** Pairs in a row that each knob was left alone. */
  readonly #rested: number[];
  #noiseVariance: number;
  readonly #reach: number;
  #open: { readonly plus: readonly number[]; readonly minus: readonly number[] } | undefined;

  /** `start` gives every axis a value; `noise` is the standard deviation of a window's log objective. */
  constructor(axes: readonly Axis[], start: Setting, noise: number, rule: ProbeRule, memory?: ProbeMemory) {
    this.#axes = axes;
    this.#rule = rule;
    this.#startSetting = start;
    this.#center = axes.map((axis) => encode(axis, Number(start[axis.id])));
    this.#start = [...this.#center];
    this.#rested = axes.map(() => 0);
    this.#mean = [...axes.map(() => 0), ...axes.map(() => CURVATURE_PRIOR)];
    this.#prior = [...axes.map(() => SLOPE_PRIOR_SD ** 2), ...axes.map(() => CURVATURE_PRIOR_SD ** 2)];
    this.#covariance = this.#prior.map((variance, i) => this.#prior.map((_, j) => (i === j ? variance : 0)));
    this.#reach = Math.min(Math.max(rule.perturbation, noise * REACH_PER_NOISE), rule.maxStepRatio);
    this.#noiseVariance = 2 * Math.max(noise, NOISE_FLOOR) ** 2;
    if (memory !== undefined && memory.axes.join() === axes.map((axis) => axis.id).join()) this.#remember(memory);
  }

  /** For a later search. */
  memory(): ProbeMemory {
    return {
      axes: this.#axes.map((axis) => axis.id),
      center: [...this.#center],
      mean: [...this.#mean],
      covariance: this.#covariance.map((row) => [...row]),
      noiseVariance: this.#noiseVariance,
    };
  }

  /** Standard deviation of one window's log objective, as the pairs show it. */
  get noise(): number {
    return Math.sqrt(this.#noiseVariance / 2);
  }

  /** The next pair of settings to measure. */
  next(random: Random): ProbePair {
    const plus: number[] = [];
    const minus: number[] = [];
    const parked = this.#axes.map((_, i) => this.#isParked(i) && this.#rested[i] < MAX_RESTED_PAIRS);
    const isStill = parked.every((rests) => rests);
    parked.forEach((rests, i) => {
      this.#rested[i] = rests ? this.#rested[i] + 1 : 0;
    });
    this.#axes.forEach((axis, i) => {
      const up = random.sign() === 1;
      if (parked[i] && !isStill) {
        const here = this.#values(this.#center)[i];
        plus.push(here);
        minus.push(here);
        return;
      }
      const [low, high] = this.#around(axis, this.#center[i]);
      plus.push(up ? high : low);
      minus.push(up ? low : high);
    });
    // On the far side of a ban there is nothing to learn: the other side is compared with the centre instead.
    const here = this.#values(this.#center);
    const [from, to] = [this.#isBanned(minus) ? here : minus, this.#isBanned(plus) ? here : plus];
    this.#open = { plus: this.#encode(to), minus: this.#encode(from) };
    return { plus: this.#setting(to), minus: this.#setting(from), plusFirst: random.sign() === 1 };
  }

  /** Log objectives of the pair last asked for; moves the centre. */
  observe(yPlus: number, yMinus: number): void {
    const open = this.#open;
    if (open === undefined) throw new Error('Probe.observe without a pair from Probe.next');
    this.#open = undefined;
    const x = open.plus.map((u, i) => u - open.minus[i]);
    this.#learn(x, yPlus - yMinus);
    const n = this.#axes.length;
    const steps = this.#center.map((from, i) => {
      const [slope, curvature] = [this.#mean[i], this.#mean[n + i]];
      const wanted = (-this.#rule.gain * 10 * slope) / Math.max(curvature, LEAST_CURVATURE);
      const step = Math.max(-this.#rule.maxStepRatio, Math.min(this.#rule.maxStepRatio, wanted));
      return Math.max(0, Math.min(1, from + step)) - from;
    });
    this.#move(this.#allowed(steps));
  }

  /** Where the probes have led: a setting that the process can take. */
  candidate(): Setting {
    return this.#setting(this.#values(this.#center));
  }

  /**
   * Log objective of the candidate against the start as the model has it now (negative is better), `g = β·Δ − ½ h·Δ²` with Δ the
   * way from the start and β the slope at the candidate. Not a proof: of several ways the most promising was followed.
   */
  get predictedGain(): number {
    const n = this.#axes.length;
    return this.#center.reduce((sum, at, i) => {
      const way = at - this.#start[i];
      return sum + this.#mean[i] * way - (this.#mean[n + i] * way * way) / 2;
    }, 0);
  }

  /** The step, or as much of it as no ban forbids: shorter, or else with those knobs alone that may move. */
  #allowed(steps: readonly number[]): readonly number[] {
    const isFree = (way: readonly number[]): boolean =>
      !this.#isBanned(this.#values(this.#center.map((at, i) => at + way[i])));
    for (const share of SHRINKS) {
      const way = steps.map((step) => step * share);
      if (isFree(way)) return way;
    }
    let way = steps.map(() => 0);
    steps.forEach((step, i) => {
      const longer = way.with(i, step);
      if (isFree(longer)) way = longer;
    });
    return way;
  }

  /** What was known elsewhere and some time ago is known less here and now. */
  #remember({ center, mean, covariance, noiseVariance }: ProbeMemory): void {
    const n = this.#axes.length;
    for (let i = 0; i < 2 * n; i++) {
      this.#mean[i] = mean[i];
      for (let j = 0; j < 2 * n; j++) this.#covariance[i][j] = REMEMBERED * covariance[i][j];
      this.#covariance[i][i] += (1 - REMEMBERED) * this.#prior[i];
    }
    this.#noiseVariance = Math.max(this.#noiseVariance, noiseVariance);
    center.forEach((at, i) => {
      this.#center[i] = at;
    });
    this.#move(this.#start.map((at, i) => at - center[i]));
    this.#start.forEach((at, i) => {
      this.#center[i] = at;
    });
  }

  #move(steps: readonly number[]): void {
    const n = steps.length;
    const p = this.#covariance;
    steps.forEach((step, i) => {
      const curvature = this.#mean[n + i];
      this.#mean[i] += curvature * step;
      this.#center[i] += step;
      // β ← β + h·s: row and column of βᵢ take up those of hᵢ.
      for (let j = 0; j < 2 * n; j++) p[i][j] += step * p[n + i][j];
      for (let j = 0; j < 2 * n; j++) p[j][i] += step * p[j][n + i];
      p[i][i] += (STEP_NOISE * step) ** 2;
    });
  }

  #isBanned(values: readonly number[]): boolean {
    return this.#rule.isBanned?.(this.#setting(values)) === true;
  }

  /** At an edge, and everything says that it is best there: moving it would cost much and tell little. */
  #isParked(i: number): boolean {
    const [at, slope] = [this.#center[i], this.#mean[i]];
    const sure = PARKED_DEVIATIONS * Math.sqrt(this.#covariance[i][i]);
    return (at <= EDGE && slope > sure) || (at >= 1 - EDGE && slope < -sure);
  }

  /** Where a knob has not moved, its very value: there and back through a logarithm is another, by the last digit. */
  #values(coordinates: readonly number[]): readonly number[] {
    return this.#axes.map((axis, i) => {
      const start = Number(this.#startSetting[axis.id]);
      return coordinates[i] === encode(axis, start) ? start : decode(axis, coordinates[i]);
    });
  }

  #encode(values: readonly number[]): readonly number[] {
    return this.#axes.map((axis, i) => encode(axis, values[i]));
  }

  #setting(values: readonly number[]): Setting {
    return Object.fromEntries(this.#axes.map((axis, i) => [axis.id, values[i]]));
  }

  /** Two different values around a centre, moved inwards at an edge, at least one grid step apart. */
  #around(axis: Axis, u: number): readonly [number, number] {
    const c = this.#reach;
    const center = Math.max(c, Math.min(1 - c, u));
    const low = decode(axis, center - c);
    const high = decode(axis, center + c);
    if (low !== high) return [low, high];
    const above = neighbour(axis, high, 1);
    return above === high ? [neighbour(axis, low, -1), high] : [low, above];
  }

  #learn(x: readonly number[], difference: number): void {
    const n = x.length;
    const p = this.#covariance;
    const px = p.map((row) => x.reduce((sum, value, j) => sum + row[j] * value, 0));
    const explained = x.reduce((sum, value, i) => sum + px[i] * value, 0);
    const innovation = difference - x.reduce((sum, value, i) => sum + value * this.#mean[i], 0);
    const total = explained + this.#noiseVariance;
    const bound = HUBER * Math.sqrt(total);
    const bounded = Math.max(-bound, Math.min(bound, innovation));
    // A wild pair is believed less: as if its noise were larger by as much as it was cut.
    const gainScale = bounded / (innovation === 0 ? 1 : innovation) || 1;
    for (let i = 0; i < 2 * n; i++) {
      const gain = px[i] / total;
      this.#mean[i] += gain * bounded;
      for (let j = 0; j < 2 * n; j++) p[i][j] -= gainScale * gain * px[j];
    }
    // A knob that was not excited must not become "unknown without limit".
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < 2 * n; j++) p[i][j] /= Math.sqrt(FORGETTING);
      for (let j = 0; j < 2 * n; j++) p[j][i] /= Math.sqrt(FORGETTING);
      const scale = Math.sqrt(Math.min(1, this.#prior[i] / p[i][i]));
      if (scale === 1) continue;
      for (let j = 0; j < 2 * n; j++) p[i][j] *= scale;
      for (let j = 0; j < 2 * n; j++) p[j][i] *= scale;
    }
    const surprise = Math.max(bounded * bounded - explained, NOISE_FLOOR ** 2);
    this.#noiseVariance = NOISE_MEMORY * this.#noiseVariance + (1 - NOISE_MEMORY) * surprise;
  }
}
