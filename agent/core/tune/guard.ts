import type { Setting } from '../model.ts';
import { between } from './reach.ts';
import { type Axis, encode } from './space.ts';

/**
 * The guard of the memory limit: what is expected to run out of memory is not tried, and what comes close is left in time.
 *
 * Intuition. Every reading of the memory in use, at whatever setting it was taken, says something about the settings around. A linear
 * model of it, with its own uncertainty, tells before a step how much room there is; where little is known or little is
 * left, steps are short, and each of them teaches the next.
 *
 *   bytes / first reading = [1, ln load, u₁ … u_d, v₁ … v_d]·θ + ε     recursive least squares, forgetting .995 a reading
 *
 * with each knob twice: `u`, its place in its (log) range, and `v = value / max`. What grows with the logarithm of a knob and what
 * grows with the knob itself are both straight lines in one of them. A setting is unsafe when
 *
 *   μ + κ √(s² + zᵀPz) > limit        at the highest load seen lately and 10 % more
 *
 * and it is not expected to use less than the incumbent (where the incumbent itself is too close, down is always allowed).
 * κ starts at 5.5: a run has some hundred readings, and one above the limit is a kill. Caution pays: what is held at the edge must be
 * given up when the load rises (p2, 60 runs: regret .29 at κ = 3.5, .17 at 5, .18 at 5.5, .20 at 6). It rises by a fifth with each crash.
 * The same in force raises the alarm when the mean of the last readings comes within three deviations of the limit.
 *
 * Units: bytes in, shares of the first reading inside. Fails for knobs whose memory fills only later than a reading (a cache), and
 * for spikes within an export interval; leave room in the limit for those.
 *
 * Sources: recursive least squares with forgetting (Ljung 1999); safe optimisation by confidence bounds (Sui et al. 2015), with a
 * linear model in place of a Gaussian process. Example: 5.8 of 8 GB used, noise 2 %, nothing known: a step of 6 % of four
 * knobs is allowed, one of 30 % is not.
 */
const FORGETTING = 0.995;
const CONFIDENCE = 5.5;
const MORE_AFTER_CRASH = 1.2;
const MAX_CONFIDENCE = 8;
/** Largest share of the first reading that a knob's whole range is expected to add, and that an e-fold load adds. */
const KNOB_PRIOR_SD = 0.4;
const LOAD_PRIOR_SD = 0.3;
const FIRST_NOISE = 0.03;
const LEAST_NOISE = 0.003;
const NOISE_MEMORY = 0.97;
const LOADS_KEPT = 32;
const LOAD_HEADROOM = 0.1;
const SUSPECT_SHARE = 0.85;
/** Shares of the way back to the baselines that a retreat tries. */
const RETREATS = [0.2, 0.4, 0.6, 0.8] as const;
const ALARM_READINGS = 3;
const ALARM_DEVIATIONS = 3;

export class Guard {
  #axes: readonly Axis[] = [];
  #scale = 0;
  #mean: number[] = [];
  #covariance: number[][] = [];
  #noiseVariance = FIRST_NOISE ** 2;
  #confidence = CONFIDENCE;
  #limitBytes: number | undefined;
  /** Where the first reading was taken. */
  #origin: { readonly x: readonly number[]; readonly load: number } | undefined;
  #recent: number[] = [];
  #loads: number[] = [];

  /** The knobs are these from now on; what was learned of others does not hold for them. */
  open(axes: readonly Axis[]): void {
    if (axes.map(({ id }) => id).join() === this.#axes.map(({ id }) => id).join()) return;
    this.#axes = axes;
    this.#scale = 0;
  }

  /** Beyond it the process is killed; undefined: not known. */
  set limitBytes(bytes: number | undefined) {
    this.#limitBytes = bytes;
  }

  load(requestsPerSecond: number): void {
    if (requestsPerSecond <= 0) return;
    this.#loads.push(Math.log(requestsPerSecond));
    if (this.#loads.length > LOADS_KEPT) this.#loads.shift();
  }

  /** A reading while `setting` was in force. */
  observe(bytes: number, setting: Setting): void {
    if (bytes <= 0) return;
    if (this.#scale === 0) this.#begin(bytes);
    this.#recent.push(bytes);
    if (this.#recent.length > ALARM_READINGS) this.#recent.shift();
    const z = this.#features(setting, this.#loads.at(-1) ?? 0);
    const p = this.#covariance;
    const pz = p.map((row) => row.reduce((sum, value, j) => sum + value * z[j], 0));
    const explained = z.reduce((sum, value, i) => sum + value * pz[i], 0);
    const innovation = bytes / this.#scale - z.reduce((sum, value, i) => sum + value * this.#mean[i], 0);
    const total = explained + this.#noiseVariance;
    for (let i = 0; i < z.length; i++) {
      this.#mean[i] += (pz[i] / total) * innovation;
      for (let j = 0; j < z.length; j++) p[i][j] -= (pz[i] * pz[j]) / total;
    }
    // What is not excited is forgotten no further than to where it began.
    const growth = p.map((row, i) => (row[i] < FORGETTING * this.#priorVariance(i) ? 1 / Math.sqrt(FORGETTING) : 1));
    for (let i = 0; i < z.length; i++) for (let j = 0; j < z.length; j++) p[i][j] *= growth[i] * growth[j];
    const surprise = Math.max(innovation ** 2 - explained, LEAST_NOISE ** 2);
    this.#noiseVariance = NOISE_MEMORY * this.#noiseVariance + (1 - NOISE_MEMORY) * surprise;
  }

  /** The process is gone while something was tried: of its memory, if that was not far from its limit. */
  gone(): void {
    if (Math.max(...this.#recent, 0) < SUSPECT_SHARE * (this.#limitBytes ?? Number.POSITIVE_INFINITY)) return;
    this.#confidence = Math.min(MAX_CONFIDENCE, this.#confidence * MORE_AFTER_CRASH);
    this.#recent = [];
  }

  /** Another setting is in force: the last readings say nothing of it. */
  moved(): void {
    this.#recent = [];
  }

  /** As far from `incumbent` towards `baseline` as is needed to be safe, or all the way; the readings so far say nothing of it. */
  wayBack(incumbent: Setting, baseline: Setting): Setting {
    this.moved();
    const ways = RETREATS.map((share) => between(this.#axes, incumbent, baseline, share));
    return ways.find((setting) => !this.isUnsafe(setting, setting)) ?? baseline;
  }

  isUnsafe(setting: Setting, incumbent: Setting): boolean {
    if (this.#limitBytes === undefined || this.#scale === 0) return false;
    const { mean, sd } = this.#predict(setting);
    if (mean + this.#confidence * sd <= this.#limitBytes / this.#scale) return false;
    return mean >= this.#predict(incumbent).mean;
  }

  /** Why what is in force must be left, in words. */
  alarm(): string | undefined {
    if (this.#limitBytes === undefined || this.#recent.length < ALARM_READINGS) return undefined;
    const level = this.#recent.reduce((sum, bytes) => sum + bytes, 0) / ALARM_READINGS;
    const noise = ALARM_DEVIATIONS * Math.sqrt(this.#noiseVariance) * this.#scale;
    if (level + noise <= this.#limitBytes) return undefined;
    return `memory of ${gigabytes(level)} is within ${gigabytes(noise)} of its limit of ${gigabytes(this.#limitBytes)}`;
  }

  #begin(bytes: number): void {
    this.#scale = bytes;
    const size = 2 + 2 * this.#axes.length;
    this.#mean = Array.from({ length: size }, (_, i) => (i === 0 ? 1 : 0));
    this.#covariance = Array.from({ length: size }, (_, i) =>
      Array.from({ length: size }, (_, j) => (i === j ? this.#priorVariance(i) : 0)),
    );
    this.#noiseVariance = FIRST_NOISE ** 2;
    this.#confidence = CONFIDENCE;
    this.#origin = undefined;
  }

  #priorVariance(i: number): number {
    return i === 0 ? 0.01 : (i === 1 ? LOAD_PRIOR_SD : KNOB_PRIOR_SD) ** 2;
  }

  #predict(setting: Setting): { readonly mean: number; readonly sd: number } {
    const highest = this.#loads.length === 0 ? 0 : Math.max(...this.#loads);
    const z = this.#features(setting, highest + LOAD_HEADROOM);
    let mean = 0;
    let variance = this.#noiseVariance;
    for (let i = 0; i < z.length; i++) {
      mean += z[i] * this.#mean[i];
      for (let j = 0; j < z.length; j++) variance += z[i] * this.#covariance[i][j] * z[j];
    }
    return { mean, sd: Math.sqrt(Math.max(variance, this.#noiseVariance)) };
  }

  /** Differences from where the first reading was taken, so that the constant is what was read there. */
  #features(setting: Setting, load: number): readonly number[] {
    const x = this.#axes.flatMap((axis) => {
      const value = Number(setting[axis.id]);
      return [encode(axis, value), value / axis.max];
    });
    this.#origin ??= { x, load };
    const { x: from, load: fromLoad } = this.#origin;
    return [1, load - fromLoad, ...x.map((at, i) => at - from[i])];
  }
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
