import type { Setting } from '../model.ts';
import type { Random } from './random.ts';
import { type Axis, decode, encode, neighbour } from './space.ts';

/**
 * Finding a direction: simultaneous-perturbation probing with a filtered gradient.
 *
 * Intuition. Two windows, one at `w + cΔ`, one at `w − cΔ` with random signs Δ, tell the slope along Δ whatever the number of knobs
 * (SPSA). Plain SPSA follows each such slope and forgets it; we feed all of them into one linear model of the local slope β, so that
 * three or four pairs already tell the knobs apart, and step only as far as the model is sure (soft threshold at one standard error,
 * so that noise alone moves nothing):
 *
 *   y₊ − y₋ = (u₊ − u₋)·β + ε,   β by a Kalman filter with prior N(0, 1) per knob
 *   after a step Δu:  Pᵢᵢ ← Pᵢᵢ + (3 Δuᵢ)²   (on a curved surface the slope has changed by about the curvature × the step)
 *   Δuᵢ = −gain · sign(βᵢ) · max(0, 1 − √Pᵢᵢ / |βᵢ|),   |Δuᵢ| ≤ the tier's step
 *
 * Units: u is the share of a knob's range, y the log objective, so βᵢ = 1 means e-fold worse over the whole range of knob i.
 * The noise of a pair starts at that of the incumbent's own windows and follows the innovations.
 *
 * Fails where the slope at a distance `c` says nothing (flat plateaus, an optimum behind a hill) and slowly where
 * noise is much larger than `c·β`; what it proposes is only ever a candidate for a proof.
 *
 * Sources: Spall, "Multivariate stochastic approximation using a simultaneous perturbation gradient approximation" (1992) and
 * "Adaptive stochastic approximation by the simultaneous perturbation method" (2000); Kalman 1960; Ljung 1999 for tracking.
 *
 * Example: β = −1.2 ± .3, gain .1 → a step of +.075 of the range; β = −.2 ± .3 → none.
 */
export interface ProbeRule {
  /** Half the distance between the two points, as a share of the range. */
  readonly perturbation: number;
  readonly gain: number;
  readonly maxStepRatio: number;
  /** Settings that must not be tried. */
  readonly isBanned?: (setting: Setting) => boolean;
}

export interface ProbePair {
  readonly plus: Setting;
  readonly minus: Setting;
  /** Which of the two runs first, by a coin. */
  readonly plusFirst: boolean;
}

/** Where windows are noisy, points farther apart tell more: the noise of a slope falls with the distance. */
const REACH_PER_NOISE = 0.8;
/** Of the log objective per squared range: a valley a third of the range wide. */
const CURVATURE = 3;
/** Load drifts even while the centre stands still. */
const FORGETTING = 0.98;
const PRIOR_VARIANCE = 1;
const NOISE_MEMORY = 0.8;
const NOISE_FLOOR = 0.005;

export class Probe {
  readonly #axes: readonly Axis[];
  readonly #rule: ProbeRule;
  readonly #start: Setting;
  readonly #center: number[];
  readonly #slope: number[];
  readonly #covariance: number[][];
  #noiseVariance: number;
  readonly #reach: number;
  #predictedGain = 0;
  #open: { readonly plus: readonly number[]; readonly minus: readonly number[] } | undefined;

  /** `start` gives every axis a value; `noise` is the standard deviation of a window's log objective. */
  constructor(axes: readonly Axis[], start: Setting, noise: number, rule: ProbeRule) {
    this.#axes = axes;
    this.#rule = rule;
    this.#start = start;
    this.#center = axes.map((axis) => encode(axis, Number(start[axis.id])));
    this.#slope = axes.map(() => 0);
    this.#covariance = axes.map((_, i) => axes.map((_, j) => (i === j ? PRIOR_VARIANCE : 0)));
    this.#reach = Math.min(Math.max(rule.perturbation, noise * REACH_PER_NOISE), rule.maxStepRatio);
    this.#noiseVariance = 2 * Math.max(noise, NOISE_FLOOR) ** 2;
  }

  /** The next pair of settings to measure. */
  next(random: Random): ProbePair {
    const plus: number[] = [];
    const minus: number[] = [];
    this.#axes.forEach((axis, i) => {
      const [low, high] = this.#around(axis, this.#center[i]);
      const up = random.sign() === 1;
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
    const moved = this.#center.map((from, i) => {
      const slope = this.#slope[i];
      const error = Math.sqrt(this.#covariance[i][i]);
      const certainty = Math.max(0, 1 - error / Math.abs(slope));
      const wanted = -this.#rule.gain * Math.sign(slope) * certainty;
      const step = Math.max(-this.#rule.maxStepRatio, Math.min(this.#rule.maxStepRatio, wanted));
      return Math.max(0, Math.min(1, from + step));
    });
    if (this.#isBanned(this.#values(moved))) return;
    moved.forEach((to, i) => {
      const step = to - this.#center[i];
      this.#predictedGain += this.#slope[i] * step;
      this.#covariance[i][i] += (CURVATURE * step) ** 2;
      this.#center[i] = to;
    });
  }

  /** Where the probes have led: a setting that the process can take. */
  candidate(): Setting {
    return this.#setting(this.#values(this.#center));
  }

  /** Log objective that the slopes along the way promise for the candidate (negative is better); not a proof. */
  get predictedGain(): number {
    return this.#predictedGain;
  }

  #isBanned(values: readonly number[]): boolean {
    return this.#rule.isBanned?.(this.#setting(values)) === true;
  }

  /** Where a knob has not moved, its very value: there and back through a logarithm is another, by the last digit. */
  #values(coordinates: readonly number[]): readonly number[] {
    return this.#axes.map((axis, i) => {
      const start = Number(this.#start[axis.id]);
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
    const p = this.#covariance;
    const px = p.map((row) => row.reduce((sum, value, j) => sum + value * x[j], 0));
    const explained = px.reduce((sum, value, i) => sum + value * x[i], 0);
    const innovation = difference - x.reduce((sum, value, i) => sum + value * this.#slope[i], 0);
    const total = explained + this.#noiseVariance;
    for (let i = 0; i < x.length; i++) {
      const gain = px[i] / total;
      this.#slope[i] += gain * innovation;
      for (let j = 0; j < x.length; j++) p[i][j] -= gain * px[j];
    }
    // A knob that was not excited must not become "unknown without limit".
    for (let i = 0; i < x.length; i++) {
      for (let j = 0; j < x.length; j++) p[i][j] /= FORGETTING;
      const scale = Math.sqrt(Math.min(1, PRIOR_VARIANCE / p[i][i]));
      for (let j = 0; j < x.length; j++) {
        p[i][j] *= scale;
        p[j][i] *= scale;
      }
    }
    const surprise = Math.max(innovation * innovation - explained, NOISE_FLOOR ** 2);
    this.#noiseVariance = NOISE_MEMORY * this.#noiseVariance + (1 - NOISE_MEMORY) * surprise;
  }
}
