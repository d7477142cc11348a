import { performance } from 'node:perf_hooks';
import type { Decision, Setting } from '../../../agent/core/model.ts';
import { baselineSetting, positionsOf } from '../../sim/knob_space.ts';
import { phaseAt } from '../../sim/plant/load.ts';
import type { Oracle } from '../../sim/plant/oracle.ts';
import { realEngine } from '../../sim/real_engine.ts';
import { knobSpecs, type Scenario } from '../../sim/scenario.ts';
import type { Belief } from '../../sim/seam.ts';
import { settingsFor } from '../../sim/settings.ts';
import { type Watcher, World } from '../../sim/world.ts';
import { type RunScore, zigzags } from './score.ts';

/** Follows what the engine keeps, and judges each promotion by the plant's truth. */
class KeptWatcher implements Watcher {
  readonly #scenario: Scenario;
  readonly #excess: (setting: Setting, over: Setting, atMs: number) => number;
  readonly #runMs: number;
  readonly #trace: number[][] = [];
  #kept: Setting;
  /** The last promotion: what it changed, and the sum of its true effect since, in the phase that it was made in. */
  #onTrial: { readonly before: Setting; readonly after: Setting; readonly phase: number; effect: number } | undefined;
  promotions = 0;
  falseAccepts = 0;

  constructor(scenario: Scenario, runMs: number, excess: (setting: Setting, over: Setting, atMs: number) => number) {
    this.#scenario = scenario;
    this.#runMs = runMs;
    this.#excess = excess;
    this.#kept = baselineSetting(knobSpecs(scenario));
  }

  decided(atMs: number, { kind, changes }: Decision): void {
    if (kind !== 'promoted') return;
    this.#close();
    this.promotions++;
    const after = { ...this.#kept, ...Object.fromEntries(changes.map(({ knob, to }) => [knob, to])) };
    const effect = this.#excess(after, this.#kept, atMs);
    this.#onTrial = { before: this.#kept, after, phase: this.#phaseAt(atMs), effect };
    this.#kept = after;
  }

  ticked(atMs: number, belief: Belief | undefined): void {
    if (this.#onTrial?.phase === this.#phaseAt(atMs)) {
      this.#onTrial.effect += this.#excess(this.#onTrial.after, this.#onTrial.before, atMs);
    }
    if (belief === undefined) return;
    this.#trace.push(positionsOf(knobSpecs(this.#scenario), belief.incumbent));
    this.#kept = belief.incumbent;
  }

  finished(): void {
    this.#close();
  }

  get flaps(): number {
    return this.#scenario.knobs.reduce(
      (sum, _, i) =>
        sum +
        zigzags(
          this.#trace.map((row) => row[i]),
          0.1,
        ),
      0,
    );
  }

  #phaseAt(atMs: number): number {
    return phaseAt(this.#scenario.phases, atMs / this.#runMs);
  }

  /** False: over the time that it was the last word, the change did not make things better. */
  #close(): void {
    if (this.#onTrial !== undefined && this.#onTrial.effect >= -1e-9) this.falseAccepts++;
    this.#onTrial = undefined;
  }
}

/** Our engine through its seam, in the world of the simulation, with the scenario's own faults. */
export function runOurs(scenario: Scenario, oracle: Oracle, seed: number, runMs: number): RunScore {
  const kept = new KeptWatcher(scenario, runMs, (setting, over, atMs) => world.excess(setting, over, atMs));
  const world = new World({
    ...{ scenario, seed, runMs, oracle, settings: settingsFor(scenario), createEngine: realEngine },
    ...{ watchers: [kept], compareEveryTicks: 2, stepClockMs: () => performance.now() },
  });
  const { account, stepMs } = world.run();
  return {
    account,
    flaps: kept.flaps,
    promotions: kept.promotions,
    falseAccepts: kept.falseAccepts,
    cpuUsPerWindow: (1_000 * stepMs) / Math.max(1, account.windows),
  };
}
