import type { KnobSpec, SampleBatch, Setting } from '../../agent/core/model.ts';
import type { ClientFactory, SimClient } from './client.ts';
import { baselineSetting } from './knob_space.ts';
import type { Ledger } from './ledger.ts';
import { createRecorder, type Plant, type Recorder, resetRecorder } from './plant/plant.ts';
import { Random, seedFor } from './random.ts';
import { knobSpecs, type Scenario } from './scenario.ts';
import { Exporter } from './telemetry.ts';

export const COMPONENT = 'sim';

/** The AI process: a plant, the client library's knobs, and an exporter, alive or not. Times are those of the run. */
export class SimProcess {
  readonly #scenario: Scenario;
  readonly #knobs: readonly KnobSpec[];
  readonly #plant: Plant;
  readonly #ledger: Ledger;
  readonly #wallMs: (atMs: number) => number;
  readonly #random: Random;
  readonly #newClient: ClientFactory;
  readonly #recorder: Recorder;
  readonly #baseline: Setting;
  readonly #onSetting: (atMs: number, setting: Setting) => void;
  #client: SimClient | undefined;
  #exporter: Exporter | undefined;
  #incarnation = 0;
  #seriesIds = 0;
  #setting: Setting;
  #reachedMs = 0;
  /** Down because its own setting killed it, which its tuner answers for. */
  #downByOwnFault = false;

  constructor(
    scenario: Scenario,
    plant: Plant,
    ledger: Ledger,
    newClient: ClientFactory,
    seed: number,
    wallMs: (atMs: number) => number,
    onSetting: (atMs: number, setting: Setting) => void,
  ) {
    this.#scenario = scenario;
    this.#knobs = knobSpecs(scenario);
    this.#plant = plant;
    this.#ledger = ledger;
    this.#newClient = newClient;
    this.#wallMs = wallMs;
    this.#random = new Random(seedFor(seed, 'client'));
    this.#recorder = createRecorder(scenario.telemetry.boundsS);
    this.#baseline = baselineSetting(this.#knobs);
    this.#setting = this.#baseline;
    this.#onSetting = onSetting;
  }

  get client(): SimClient | undefined {
    return this.#client;
  }

  get isAlive(): boolean {
    return this.#client !== undefined;
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  start(atMs: number): void {
    if (this.#downByOwnFault) this.#ledger.span(this.#reachedMs, atMs, this.#baseline, true);
    this.#downByOwnFault = false;
    this.#incarnation++;
    const identity = {
      ...{ component: COMPONENT, tier: this.#scenario.tier, instanceUid: 'sim-1', incarnation: this.#incarnation },
    };
    this.#client = this.#newClient(identity, this.#knobs, this.#scenario.faults.client, this.#random);
    this.#exporter = this.#newExporter(atMs);
    resetRecorder(this.#recorder);
    this.#plant.restart(atMs);
    this.#reachedMs = atMs;
    this.#setting = this.#baseline;
    this.#plant.apply(this.#setting);
    this.#onSetting(atMs, this.#setting);
  }

  /** Another agent interns series anew. */
  agentChanged(): void {
    this.#seriesIds = 0;
    this.#exporter?.renumber(() => this.#seriesIds++);
  }

  /** Killed from outside; what it was tuned to has nothing to do with it. */
  die(atMs: number): void {
    this.runTo(atMs);
    this.#client = undefined;
    this.#exporter = undefined;
    this.#onSetting(atMs, this.#baseline);
  }

  /** Brings plant and client to an instant: pending applications and leases take effect at their own time on the way. */
  runTo(atMs: number): void {
    while (this.#client !== undefined && this.#reachedMs < atMs) {
      const nextMs = Math.min(atMs, Math.max(this.#client.nextMs, this.#reachedMs));
      this.#runPlant(nextMs);
      this.#client?.advance(nextMs);
      this.adopt(nextMs);
    }
  }

  /** Gives the plant what the client holds now. */
  adopt(atMs: number): void {
    const setting = this.#client?.setting;
    if (setting === undefined || setting === this.#setting) return;
    this.#setting = setting;
    this.#plant.apply(setting);
    this.#onSetting(atMs, setting);
  }

  export(atMs: number): SampleBatch | undefined {
    this.runTo(atMs);
    return this.#exporter?.collect(this.#recorder, this.#wallMs(atMs));
  }

  #runPlant(toMs: number): void {
    const fromMs = this.#reachedMs;
    if (toMs <= fromMs) return;
    // The weather, which the books need, cannot be asked for instants that lie behind the plant's clock.
    this.#ledger.span(fromMs, toMs, this.#setting, false);
    const died = this.#plant.advance(toMs, this.#recorder);
    this.#reachedMs = toMs;
    if (!died) return;
    this.#ledger.killed();
    this.#downByOwnFault = true;
    this.#client = undefined;
    this.#exporter = undefined;
    this.#onSetting(toMs, this.#baseline);
  }

  #newExporter(atMs: number): Exporter {
    const { telemetry, limits } = this.#scenario;
    const startMs = this.#wallMs(atMs);
    const identity = [COMPONENT, 'sim-1', this.#incarnation] as const;
    return new Exporter(...identity, telemetry.temporality, startMs, limits.memoryBytes, () => this.#seriesIds++);
  }
}
