import type { KnobSpec, Setting } from '../../../agent/core/model.ts';
import { positionsOf } from '../knob_space.ts';
import { normalAt, seedFor } from '../random.ts';
import type { Scenario } from '../scenario.ts';
import { addLogNormal, binomial, poisson } from './histogram.ts';
import { WeatherModel } from './load.ts';
import type { Plant, Recorder, Truth } from './plant.ts';
import type { Model } from './surface.ts';

/**
 * A plant in closed form: a `Model` says what a setting gives, this adds time: weather, measurement noise, carry-over,
 * memory and death. An export interval costs a few microseconds, so that seven virtual days are tens of milliseconds.
 *
 * Carry-over, two kinds. Lag: the position that the model sees follows the knobs, `v ← v + (u − v)(1 − exp(−Δt / lag))`.
 * Warm-up: a move of size |Δu| adds `warmup · |Δu|` log units that fade with `warmupMs`.
 */
export class AnalyticPlant implements Plant {
  readonly #scenario: Scenario;
  readonly #knobs: readonly KnobSpec[];
  readonly #model: Model;
  readonly #weather: WeatherModel;
  readonly #seed: number;
  readonly #truth: Truth = emptyTruth();
  readonly #shifts: readonly Float64Array[];
  readonly #noShift: Float64Array;
  readonly #target: Float64Array;
  readonly #natural: Float64Array;
  readonly #felt: Float64Array;
  readonly #known = new WeakMap<Setting, Coordinates>();
  #cold = 0;
  #nowMs = 0;
  #segment = 0;
  #started = false;

  constructor(scenario: Scenario, knobs: readonly KnobSpec[], model: Model, runMs: number, seed: number) {
    this.#scenario = scenario;
    this.#knobs = knobs;
    this.#model = model;
    this.#weather = new WeatherModel(scenario, runMs, seed);
    this.#seed = seedFor(seed, 'plant');
    this.#shifts = scenario.phases.map((phase) => Float64Array.from(knobs, ({ id }) => phase.optimumShift[id] ?? 0));
    this.#noShift = new Float64Array(knobs.length);
    this.#target = new Float64Array(knobs.length);
    this.#natural = new Float64Array(knobs.length);
    this.#felt = new Float64Array(knobs.length);
  }

  apply(setting: Setting): void {
    const before = this.#target.slice();
    const { u, natural } = this.#coordinates(setting);
    this.#target.set(u);
    this.#natural.set(natural);
    if (!this.#started) {
      this.#felt.set(this.#target);
      this.#started = true;
      return;
    }
    let moved = 0;
    for (let i = 0; i < before.length; i++) moved = Math.max(moved, Math.abs(this.#target[i] - before[i]));
    this.#cold = Math.min(1, this.#cold + moved);
  }

  advance(toMs: number, recorder: Recorder): boolean {
    let died = false;
    const gridMs = this.#scenario.telemetry.intervalMs;
    while (this.#nowMs < toMs && !died) {
      // Weather changes on its grid; a span never crosses a grid line.
      const gridEndMs = (Math.floor(this.#nowMs / gridMs) + 1) * gridMs;
      const endMs = Math.min(toMs, gridEndMs);
      died = this.#span(endMs, recorder);
      this.#nowMs = endMs;
    }
    return died;
  }

  restart(atMs: number): void {
    this.#nowMs = atMs;
    this.#cold = 0;
    this.#started = false;
  }

  truth(setting: Setting, atMs: number): Truth {
    const { u, natural } = this.#coordinates(setting);
    const weather = this.#weather.at(atMs);
    const out = emptyTruth();
    const shifts = this.#shiftsOf(weather.phase);
    this.#model.evaluate(u, natural, weather.loadFactor, shifts, weather.trueLatencyShift, out);
    return out;
  }

  /** Settings are immutable, so that what was worked out for one object stays. */
  #coordinates(setting: Setting): Coordinates {
    const known = this.#known.get(setting);
    if (known !== undefined) return known;
    const made = { u: new Float64Array(this.#knobs.length), natural: new Float64Array(this.#knobs.length) };
    writePositions(this.#knobs, setting, made.u, made.natural);
    this.#known.set(setting, made);
    return made;
  }

  #span(endMs: number, recorder: Recorder): boolean {
    const spanMs = endMs - this.#nowMs;
    const weather = this.#weather.at(this.#nowMs);
    this.#follow(spanMs);
    const truth = this.#truth;
    const shifts = this.#shiftsOf(weather.phase);
    // The shift of the weather, noise included, is added to what is drawn below.
    this.#model.evaluate(this.#felt, this.#natural, weather.loadFactor, shifts, 0, truth);

    // Draws are tied to the instant, not to what was drawn before: every method meets the same luck.
    const index = Math.floor(this.#nowMs / 97) + this.#segment;
    this.#segment = (this.#segment + 1) & 1;
    const { requestsPerSecond } = this.#scenario.load;
    const arrivals = poisson((requestsPerSecond * weather.loadFactor * spanMs) / 1_000, this.#seed, index);
    const failed = binomial(arrivals, truth.errorRatio, this.#seed + 1, index);
    const meanS = (truth.latencyMsMean / 1_000) * Math.exp(weather.latencyShift + this.#coldPenalty());
    addLogNormal(recorder, false, arrivals - failed, meanS, this.#model.spread, this.#seed + 2, index);
    if (failed > 0) addLogNormal(recorder, true, failed, meanS, this.#model.spread, this.#seed + 3, index);

    if (truth.memoryBytes <= 0) return false;
    const noise = this.#memoryNoise();
    const gridIndex = Math.floor(this.#nowMs / this.#scenario.telemetry.intervalMs);
    recorder.memoryBytes = truth.memoryBytes * (1 + noise * normalAt(this.#seed, 5, gridIndex));
    const limit = this.#scenario.limits.memoryBytes;
    return limit !== undefined && recorder.memoryBytes > limit;
  }

  #follow(spanMs: number): void {
    const carry = this.#scenario.carryOver;
    if (carry === undefined || carry.lagMs === 0) this.#felt.set(this.#target);
    else {
      const share = 1 - Math.exp(-spanMs / carry.lagMs);
      for (let i = 0; i < this.#felt.length; i++) this.#felt[i] += (this.#target[i] - this.#felt[i]) * share;
    }
    if (carry !== undefined) this.#cold *= Math.exp(-spanMs / carry.warmupMs);
  }

  #coldPenalty(): number {
    return (this.#scenario.carryOver?.warmup ?? 0) * this.#cold;
  }

  #memoryNoise(): number {
    const { plant } = this.#scenario;
    return plant.memory?.noise ?? 0;
  }

  #shiftsOf(phase: number): Float64Array {
    return phase < 0 ? this.#noShift : (this.#shifts[phase] ?? this.#noShift);
  }
}

interface Coordinates {
  readonly u: Float64Array;
  readonly natural: Float64Array;
}

export function emptyTruth(): Truth {
  return { latencyMsMean: 1, latencyMsP95: 1, errorRatio: 0, requestsPerSecond: 0, memoryBytes: 0 };
}

/** Positions, and the plain numbers where a knob has one. */
export function writePositions(
  knobs: readonly KnobSpec[],
  setting: Setting,
  u: Float64Array,
  natural: Float64Array,
): void {
  u.set(positionsOf(knobs, setting));
  for (let i = 0; i < knobs.length; i++) natural[i] = Number(setting[knobs[i].id] ?? knobs[i].baseline) || 0;
}
