import type { KnobSpec, Setting } from '../../../agent/core/model.ts';
import type { QueueingPlantSpec, Scenario } from '../scenario.ts';
import { createRecorder, type Plant, type Truth } from './plant.ts';
import type { Model } from './surface.ts';

const WARMUP_REQUESTS = 500;
const MEASURED_REQUESTS = 4_000;
const LOAD_STEPS_PER_E = 20;
const DIGITS = 4;
const MAX_REMEMBERED = 20_000;

/** What a calm server gave, in ratio to its own load. */
type Remembered = Omit<Truth, 'requestsPerSecond'> & { readonly answeredRatio: number };

/**
 * The truth of the request-level server: the mean of a calm run of some thousand requests at a constant load (same seed for all, so that
 * settings are compared under the same arrivals), remembered by setting (four digits) and by load in steps of 5 %. Good to
 * about 2 % below saturation; beyond it a run has no steady state and the figure only says "bad". Some milliseconds per new point.
 */
export class QueueingTruth implements Model {
  readonly spread = 0.5;
  readonly #scenario: Scenario;
  readonly #spec: QueueingPlantSpec;
  readonly #knobs: readonly KnobSpec[];
  readonly #newServer: (calm: Scenario, spec: QueueingPlantSpec) => Plant;
  readonly #remembered = new Map<string, Remembered>();

  constructor(
    scenario: Scenario,
    spec: QueueingPlantSpec,
    knobs: readonly KnobSpec[],
    newServer: (calm: Scenario, spec: QueueingPlantSpec) => Plant,
  ) {
    this.#scenario = scenario;
    this.#spec = spec;
    this.#knobs = knobs;
    this.#newServer = newServer;
  }

  evaluate(
    _u: ArrayLike<number>,
    natural: ArrayLike<number>,
    loadFactor: number,
    _shifts: ArrayLike<number>,
    latencyShift: number,
    out: Truth,
  ): void {
    const loadStep = Math.round(Math.log(loadFactor) * LOAD_STEPS_PER_E);
    const slowStep = Math.round(latencyShift * LOAD_STEPS_PER_E);
    // Measured as it is remembered, or the order of the questions would decide the answers.
    const setting = Array.from(natural, (value) => Number(value.toPrecision(DIGITS)));
    const key = `${setting.join('|')}@${loadStep}/${slowStep}`;
    let known = this.#remembered.get(key);
    if (known === undefined) {
      known = this.#measure(setting, Math.exp(loadStep / LOAD_STEPS_PER_E), Math.exp(slowStep / LOAD_STEPS_PER_E));
      if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
      this.#remembered.set(key, known);
    }
    const { answeredRatio, ...truth } = known;
    Object.assign(out, truth);
    out.requestsPerSecond = this.#scenario.load.requestsPerSecond * loadFactor * answeredRatio;
  }

  #measure(natural: readonly number[], loadFactor: number, slowdown: number): Remembered {
    const requestsPerSecond = this.#scenario.load.requestsPerSecond * loadFactor;
    const { service, warmup: _, ...rest } = this.#spec;
    const { batchMs, itemMs, variation } = service;
    const spec = { ...rest, service: { batchMs: batchMs * slowdown, itemMs: itemMs * slowdown, variation } };
    const { carryOver: __, drift: ___, ...scenario } = this.#scenario;
    const calm: Scenario = {
      ...scenario,
      ...{ plant: spec, load: { requestsPerSecond }, noise: { latencySd: 0, correlationMs: 0 }, phases: [] },
    };
    const server = this.#newServer(calm, spec);
    const setting: Setting = Object.fromEntries(this.#knobs.map(({ id }, i) => [id, natural[i]]));
    server.apply(setting);
    const warmMs = (WARMUP_REQUESTS * 1_000) / requestsPerSecond;
    const recorder = createRecorder(FINE_BOUNDS);
    server.advance(warmMs, createRecorder(FINE_BOUNDS));
    server.advance(warmMs + (MEASURED_REQUESTS * 1_000) / requestsPerSecond, recorder);
    const requests = recorder.count + recorder.errorCount;
    let left = 0.95 * recorder.count;
    const bucket = recorder.counts.findIndex((count) => {
      left -= count;
      return left <= 0;
    });
    return {
      // A server that answers nothing is as slow as its timeouts.
      latencyMsMean: recorder.count > 0 ? (1_000 * recorder.sumS) / recorder.count : 10_000,
      latencyMsP95: recorder.count > 0 ? 1_000 * (FINE_BOUNDS[bucket] ?? 100) : 10_000,
      errorRatio: requests === 0 ? 1 : recorder.errorCount / requests,
      memoryBytes: recorder.memoryBytes,
      answeredRatio: requests === 0 ? 0 : recorder.count / requests,
    };
  }
}

/** 2 % apart, from a tenth of a millisecond to a minute and a half. */
const FINE_BOUNDS = Array.from({ length: 700 }, (_, i) => 1e-4 * 1.02 ** i);
