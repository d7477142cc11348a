import type { Setting } from '../model.ts';
import { type Axis, decode, encode } from './space.ts';

/**
 * A walk to where nothing near the incumbent tells of, over whatever lies between, and back as soon as that is too much.
 *
 * Intuition. Behind a hill there may be a deeper valley. A search that never goes where it is expected to be worse cannot find it, and a
 * walk that always goes on costs what the hill costs. What has been won already is the room there is: whoever had the baselines
 * before is no worse off than then as long as the way stays below their level. So one walks straight on in steps of the tier, a window each,
 * follows the level with a filter, and turns round where the next step is expected above the bound. Where it falls below the
 * incumbent one goes on while it falls, and the lowest place on the way is proven like any other candidate.
 *
 *   level and slope after each step:   s ← φ s + N(0, (κ ℓ²)²),   e ← e + s;        a window there shows e + N(0, σ²)
 *   turn     where  e + φ s > room, though not before a second look where e < room
 *   go on    up to the destination, and beyond it where the slope would lead below the incumbent within three more steps
 *   found    where  e + 2 sd(e) < ln(1 − smallest effect worth having)  at the lowest e; then on only while a step gains as much again
 *
 * a Kalman filter of a damped trend, with φ = .6 a step, κ = 5 the curvature of a log objective over a knob's range and ℓ a step's length.
 * Undamped, two noisy windows uphill look like a wall: of 12 walks on p6-two-optima half were turned round before the crest.
 *
 * Units: log objective against the incumbent (+.1 is 10 % worse) at the same load; shares of the knobs' ranges. Fails where the valley
 * lies beside the way, and where noise is as large as the hill: the plan (`strategies/jump.ts`) does not begin there.
 *
 * Sources: Kalman 1960; Gardner and McKenzie, "Forecasting trends in time series" (Management Science 1985) for the damping; conservative
 * bandits (Wu et al., arXiv 1611.06426) for what was won as the room to explore in.
 *
 * Example: room .4, windows at +.05, +.2, +.25, −.1, −.4, −.45 and −.2: over a hill of a quarter to a place .45 better, where the proof begins.
 */
export interface JumpRule {
  readonly maxStepRatio: number;
  /** How much worse than the incumbent the way may be expected to get, in log units. */
  readonly room: number;
  /** Standard deviation of a window, and of the incumbent's level. */
  readonly noise: number;
  readonly standardError: number;
  readonly minimumEffect: number;
  /** Settings that must not be tried. */
  readonly isBanned: (setting: Setting) => boolean;
}

export type JumpProgress =
  /** Another window, at `target`. */
  | { readonly state: 'measure' }
  | { readonly state: 'found'; readonly setting: Setting }
  | { readonly state: 'in_vain'; readonly why: string };

/** Longer steps would cross a narrow valley, or stand far up a wall, before a window has told of it. */
const LONGEST_STEP_RATIO = 0.1;
const DAMPING = 0.6;
const CURVATURE = 5;
const FIRST_SLOPE = 0.5;
const STEPS_FORESEEN = 3;
const MOST_LOOKS = 2;
/** Standard deviations. It is the lowest of several that is looked at: with one, every sixth walk over a plain led to a proof in vain. */
const CERTAIN = 2;
const SAME = 1e-9;
const MEASURE: JumpProgress = { state: 'measure' };

export class Jump {
  readonly #axes: readonly Axis[];
  readonly #from: Setting;
  readonly #rule: JumpRule;
  readonly #start: readonly number[];
  /** Of each knob, a step. */
  readonly #stride: readonly number[];
  /** Up to the destination. */
  readonly #steps: number;
  /** Variance that a step adds to the slope. */
  readonly #bend: number;
  #step = 1;
  #looks = 0;
  #windows = 0;
  #level = 0;
  #slope = 0;
  #levelVariance: number;
  #slopeVariance: number;
  #covariance = 0;
  #lowest = { step: 0, level: 0, sd: 0 };

  /** `to`: the knobs that move, and where to. */
  constructor(axes: readonly Axis[], from: Setting, to: Setting, rule: JumpRule) {
    this.#axes = axes.filter(({ id }) => to[id] !== undefined);
    this.#from = from;
    this.#rule = rule;
    this.#start = this.#axes.map((axis) => encode(axis, Number(from[axis.id])));
    const way = this.#axes.map((axis, i) => encode(axis, Number(to[axis.id])) - this.#start[i]);
    const longest = Math.min(rule.maxStepRatio, LONGEST_STEP_RATIO);
    this.#steps = Math.max(1, Math.ceil(Math.max(...way.map(Math.abs)) / longest - SAME));
    this.#stride = way.map((part) => part / this.#steps);
    const length = Math.hypot(...this.#stride);
    this.#bend = (CURVATURE * length ** 2) ** 2;
    this.#levelVariance = rule.standardError ** 2;
    this.#slopeVariance = (FIRST_SLOPE * length) ** 2;
    this.#predict();
  }

  /** The setting of the next window. */
  get target(): Setting {
    return this.#at(this.#step);
  }

  /** Windows on the way so far. */
  get windows(): number {
    return this.#windows;
  }

  /** The lowest level on the way, against the incumbent; 0 where all of it was worse. */
  get lowest(): number {
    return this.#lowest.level;
  }

  /** The window at `target` was so much worse than the incumbent, in log units. */
  observe(excess: number): void {
    this.#windows++;
    this.#looks++;
    const total = this.#levelVariance + this.#rule.noise ** 2;
    const [ofLevel, ofSlope] = [this.#levelVariance / total, this.#covariance / total];
    const surprise = excess - this.#level;
    this.#level += ofLevel * surprise;
    this.#slope += ofSlope * surprise;
    this.#slopeVariance -= ofSlope * this.#covariance;
    this.#covariance -= ofLevel * this.#covariance;
    this.#levelVariance -= ofLevel * this.#levelVariance;
    const sd = Math.sqrt(this.#levelVariance);
    if (this.#level + sd < this.#lowest.level + this.#lowest.sd) {
      this.#lowest = { step: this.#step, level: this.#level, sd };
    }
  }

  /** What comes after the windows observed so far. */
  next(): JumpProgress {
    const { room, minimumEffect } = this.#rule;
    const ahead = this.#level + DAMPING * this.#slope;
    const isTooHigh = ahead > room;
    if (isTooHigh && this.#looks < MOST_LOOKS && this.#level < room) return MEASURE;
    const worthwhile = Math.log(1 - minimumEffect);
    const { step, level, sd } = this.#lowest;
    const isFound = level + CERTAIN * sd < worthwhile;
    const isOnTheWay = this.#step < this.#steps || this.#level + STEPS_FORESEEN * this.#slope < 0;
    const goesOn = isFound ? ahead < level + worthwhile : isOnTheWay && !isTooHigh;
    const obstacle = goesOn ? this.#obstacle() : undefined;
    if (goesOn && obstacle === undefined) {
      this.#step++;
      this.#looks = 0;
      this.#predict();
      return MEASURE;
    }
    if (isFound) return { state: 'found', setting: this.#at(step) };
    const turned = isTooHigh ? `the way leads to ${percentWorse(ahead)} worse` : 'nothing better on the way';
    return { state: 'in_vain', why: obstacle ?? turned };
  }

  /** A step further, before its window. */
  #predict(): void {
    this.#slope *= DAMPING;
    this.#slopeVariance = DAMPING ** 2 * this.#slopeVariance + this.#bend;
    this.#covariance *= DAMPING;
    this.#level += this.#slope;
    this.#levelVariance += 2 * this.#covariance + this.#slopeVariance;
    this.#covariance += this.#slopeVariance;
  }

  /** Why the next step cannot be taken; undefined: it can. */
  #obstacle(): string | undefined {
    const [here, ahead] = [this.target, this.#at(this.#step + 1)];
    if (this.#axes.every(({ id }) => ahead[id] === here[id])) return 'nothing better up to the end of the range';
    return this.#rule.isBanned(ahead) ? 'a limit or an old scar is in the way' : undefined;
  }

  #at(step: number): Setting {
    const moved = this.#axes.map((axis, i) => {
      const by = step * this.#stride[i];
      return [axis.id, by === 0 ? this.#from[axis.id] : decode(axis, this.#start[i] + by)] as const;
    });
    return { ...this.#from, ...Object.fromEntries(moved) };
  }
}

function percentWorse(excess: number): string {
  return `${(100 * Math.expm1(excess)).toFixed(0)} %`;
}
