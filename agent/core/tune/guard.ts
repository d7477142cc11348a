import type { Setting } from '../model.ts';
import type { EngineSettings } from '../settings.ts';
import { Limit, type LimitRule, type Place, placeOf } from './limit.ts';
import { between } from './reach.ts';
import { logLoad } from './reference.ts';
import { sameSetting } from './setting.ts';
import type { Axis } from './space.ts';
import type { Measurement } from './window.ts';

/**
 * The guard of the limits: what is expected to cross one is not tried, and what comes close to running out of memory is left in time.
 *
 * Every declared limit has a model of its signal over the knobs (`limit.ts`), all of the same shape:
 *
 *   memory        bytes in use / first reading                 hard    κ from 5.5, at the highest load seen lately and 10 % more
 *   p95           ln ms                                        soft    κ from 2, at the present load
 *   error ratio   ln(limit / 2 + ratio)                        soft    the same; from half the limit up, so that its noise is even
 *   objective     y(setting) − y(incumbent), limit ln 1.25     soft    the same; what is far worse than now is not tried either
 *
 * A crossed memory limit is a kill, so its κ is large: what is held at the edge must be given up when the load rises (p2, 60 runs:
 * regret .29 at κ = 3.5, .17 at 5, .18 at 5.5, .20 at 6). A crash raises it by a fifth.
 * The memory in force raises the alarm when the mean of the last readings comes within three deviations of the limit.
 *
 * Units: bytes, milliseconds and ratios in. Memory that fills only later than a reading, and spikes within an export interval, are not
 * seen; leave room in the limit for those. Sources and an example: `limit.ts`.
 */
const HARD: LimitRule = {
  isHard: true,
  ...{ knobSd: 0.4, loadSd: 0.3, levelSd: 0.1, firstNoise: 0.03, leastNoise: 0.003, noisePrior: 33 },
  ...{ forgetting: 0.995, memory: Number.POSITIVE_INFINITY },
  confidence: { first: 5.5, least: 5.5, most: 8, step: 1.1, target: 0.001 },
};
const SOFT: LimitRule = {
  isHard: false,
  ...{ knobSd: 0.6, loadSd: 0.7, levelSd: 0.3, firstNoise: 0.08, leastNoise: 0.01, noisePrior: 3 },
  ...{ forgetting: 0.97, memory: 300 },
  confidence: { first: 2, least: 0.5, most: 4, step: 0.1, target: 0.05 },
};
/**
 * A knob that matters much moves the objective by .5 over its range. With .6 first steps of four knobs at once are forbidden: regret on p1-smooth
 * .17 instead of .09, while far worse windows on 100 random scenarios are .17 % instead of .25 % (.30 % without a guard).
 */
const FAR: LimitRule = { ...SOFT, knobSd: 0.4 };
const FAR_WORSE = Math.log(1.25);
const LOADS_KEPT = 32;
const LOAD_HEADROOM = 0.1;
const SUSPECT_SHARE = 0.85;
/** Shares of a knob's way back to its baseline that a retreat tries. */
const RETREATS = [0.2, 0.4, 0.6, 0.8, 1] as const;
/** A way back costs at least so much of the objective: less cannot be told from nothing. */
const LEAST_COST = 0.01;
const ALARM_READINGS = 3;
const ALARM_DEVIATIONS = 3;

export class Guard {
  readonly #memory = new Limit(HARD);
  readonly #p95 = new Limit(SOFT);
  readonly #errors = new Limit(SOFT);
  readonly #objective = new Limit(FAR);
  #axes: readonly Axis[] = [];
  #scale = 0;
  #limitBytes: number | undefined;
  #errorLimit: number;
  #signals: string | undefined;
  #from: { readonly of: Setting; readonly place: Place } | undefined;
  #recent: number[] = [];
  #loads: number[] = [];

  constructor(limits: EngineSettings['limits']) {
    this.#errorLimit = limits.errorRatio;
    this.#errors.bound = this.#errorSignal(limits.errorRatio);
    this.#p95.bound = limits.responseTimeMsP95 && Math.log(limits.responseTimeMsP95);
  }

  /** The knobs are these from now on; what was learned of others does not hold for them. */
  open(axes: readonly Axis[]): void {
    if (axes.map(({ id }) => id).join() === this.#axes.map(({ id }) => id).join()) return;
    this.#axes = axes;
    this.#scale = 0;
    this.#from = undefined;
    for (const limit of [this.#memory, this.#p95, this.#errors, this.#objective]) limit.open(axes);
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

  /** A reading of the memory in use while `setting` was in force. */
  observe(bytes: number, setting: Setting): void {
    if (bytes <= 0) return;
    if (this.#scale === 0) this.#scale = bytes;
    this.#recent.push(bytes);
    if (this.#recent.length > ALARM_READINGS) this.#recent.shift();
    this.#memory.observe(bytes / this.#scale, placeOf(this.#axes, setting), this.#loads.at(-1) ?? 0);
  }

  /**
   * A window at `setting`; with the objective, where it is whole. `incumbent`: what it is compared with. `isFar`: out of reach of a
   * straight line through what is near, and not let through by it either; of the objective nothing is learned there.
   */
  window(
    measurement: Measurement,
    objective: { y: number; signals: string },
    setting: Setting,
    incumbent: Setting,
    isFar = false,
  ): void {
    if (this.#isElsewhere(setting, incumbent)) return;
    const load = logLoad(measurement);
    const isTried = !sameSetting(setting, incumbent);
    const [at, from] = [placeOf(this.#axes, setting), this.#placeOfIncumbent(incumbent)];
    const { latencyMsP95, errorRatio } = measurement;
    if (latencyMsP95 !== undefined && latencyMsP95 > 0) {
      learn(this.#p95, Math.log(latencyMsP95), at, from, load, isTried);
    }
    if (errorRatio !== undefined) {
      learn(this.#errors, this.#errorSignal(errorRatio), at, from, load, isTried);
    }
    if (isFar) return;
    if (this.#signals !== objective.signals) this.#objective.open(this.#axes);
    this.#signals = objective.signals;
    if (isTried && this.#objective.isKnown) {
      const here = this.#objective.expect(from, load);
      this.#objective.tried(objective.y > here.mean + FAR_WORSE + this.#objective.noise);
    }
    this.#objective.observe(objective.y, at, load);
  }

  /** Of what was learned of the soft limits a share holds now. What kills the process is not forgotten. */
  doubt(kept: number): void {
    for (const limit of [this.#p95, this.#errors, this.#objective]) limit.doubt(kept);
  }

  /** The process is gone: of its memory, if that was not far from its limit. Says so in words. */
  gone(): string | undefined {
    const [most, limit] = [Math.max(...this.#recent, 0), this.#limitBytes ?? Number.POSITIVE_INFINITY];
    if (most < SUSPECT_SHARE * limit) return undefined;
    this.#memory.tried(true);
    this.#recent = [];
    return `the process went with ${gigabytes(most)} of ${gigabytes(limit)} in use`;
  }

  /** Another setting is in force: the last readings say nothing of it. */
  moved(): void {
    this.#recent = [];
  }

  /**
   * What must be given back of `incumbent` towards `baseline` to be safe: knob by knob, that first whose way back saves most
   * memory for what it costs of the objective, each only as far as is needed; all of it where that is not enough. The readings so
   * far say nothing of what is left.
   */
  wayBack(incumbent: Setting, baseline: Setting): Setting {
    this.moved();
    let left = incumbent;
    for (const axis of this.#carriers(incumbent, baseline)) {
      const way = { ...left, [axis.id]: baseline[axis.id] };
      const parts = RETREATS.map((share) => between([axis], left, way, share));
      const found = parts.find((setting) => {
        const at = placeOf(this.#axes, setting);
        return !this.#outgrows(at, at);
      });
      if (found !== undefined) return found;
      left = way;
    }
    return baseline;
  }

  /** Which limit a setting is expected to cross, in words. `limits`: far worse than now is none; `hard`: the soft ones are not asked. */
  whyUnsafe(setting: Setting, incumbent: Setting, which: 'all' | 'limits' | 'hard' = 'all'): string | undefined {
    const [at, from] = [placeOf(this.#axes, setting), this.#placeOfIncumbent(incumbent)];
    if (this.#outgrows(at, from)) return 'it may need more memory than there is';
    if (which === 'hard') return undefined;
    const load = this.#loads.at(-1) ?? 0;
    if (this.#p95.isUnsafe(at, from, load)) return 'its p95 may cross the limit';
    if (this.#errors.isUnsafe(at, from, load)) return 'its error ratio may cross the limit';
    if (which === 'limits' || !this.#objective.isKnown) return undefined;
    const { mean, sd } = this.#objective.difference(at, from);
    return mean + this.#objective.confidence * sd > FAR_WORSE ? 'it may be far worse than what is in force' : undefined;
  }

  /** Why what is in force must be left, in words. */
  alarm(): string | undefined {
    if (this.#limitBytes === undefined || this.#recent.length < ALARM_READINGS) return undefined;
    const level = this.#recent.reduce((sum, bytes) => sum + bytes, 0) / ALARM_READINGS;
    const noise = ALARM_DEVIATIONS * this.#memory.noise * this.#scale;
    if (level + noise <= this.#limitBytes) return undefined;
    return `memory of ${gigabytes(level)} is within ${gigabytes(noise)} of its limit of ${gigabytes(this.#limitBytes)}`;
  }

  /** The knobs that carry memory, that first whose way back saves most for what it costs. */
  #carriers(incumbent: Setting, baseline: Setting): readonly Axis[] {
    const from = placeOf(this.#axes, incumbent);
    const ways = this.#axes.flatMap((axis) => {
      const way = placeOf(this.#axes, { ...incumbent, [axis.id]: baseline[axis.id] ?? incumbent[axis.id] });
      const saved = -this.#memory.difference(way, from).mean;
      const cost = this.#objective.isKnown ? this.#objective.difference(way, from).mean : 0;
      return saved > 0 ? [{ axis, worth: saved / Math.max(cost, LEAST_COST) }] : [];
    });
    return ways.sort((a, b) => b.worth - a.worth).map(({ axis }) => axis);
  }

  #outgrows(at: Place, from: Place): boolean {
    if (this.#limitBytes === undefined || this.#scale === 0) return false;
    this.#memory.bound = this.#limitBytes / this.#scale;
    const highest = this.#loads.length === 0 ? 0 : Math.max(...this.#loads);
    return this.#memory.isUnsafe(at, from, highest + LOAD_HEADROOM);
  }

  /** Switches and enums are not in the models: another value of one of those is another level. */
  #isElsewhere(setting: Setting, incumbent: Setting): boolean {
    const isAxis = (id: string) => this.#axes.some((axis) => axis.id === id);
    return Object.entries(setting).some(([id, value]) => value !== incumbent[id] && !isAxis(id));
  }

  /** Asked for again with every setting that is looked at. */
  #placeOfIncumbent(incumbent: Setting): Place {
    if (this.#from?.of !== incumbent) this.#from = { of: incumbent, place: placeOf(this.#axes, incumbent) };
    return this.#from.place;
  }

  #errorSignal(ratio: number): number {
    return Math.log(this.#errorLimit / 2 + ratio);
  }
}

function learn(limit: Limit, value: number, at: Place, incumbent: Place, load: number, isTried: boolean): void {
  const { bound } = limit;
  // In repair mode crossing the limit is what is there already.
  if (isTried && bound !== undefined && limit.isKnown && limit.expect(incumbent, load).mean <= bound) {
    limit.tried(value > bound);
  }
  limit.observe(value, at, load);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
