import type { Block, Decision, Setting } from '../../../agent/core/model.ts';
import { baselineSetting, positionsOf } from '../../sim/knob_space.ts';
import { createPlant } from '../../sim/plant/create.ts';
import { phaseAt } from '../../sim/plant/load.ts';
import type { Oracle } from '../../sim/plant/oracle.ts';
import { objectiveOf } from '../../sim/plant/plant.ts';
import { knobSpecs, type Scenario } from '../../sim/scenario.ts';
import type { Belief } from '../../sim/seam.ts';
import { settingsFor } from '../../sim/settings.ts';
import { EPOCH_MS, type Watcher, World } from '../../sim/world.ts';
import { EngineCost } from './engine_cost.ts';
import { type RunScore, zigzags } from './score.ts';

/**
 * Follows what the engine keeps, and judges each promotion by the plant's truth, twice. False: it did not help in the very
 * blocks that were said to prove it. Regretted: it did not help over the time afterwards, up to the next promotion or the end of
 * the phase; a change that is right at noon can be wrong at midnight.
 */
class KeptWatcher implements Watcher {
  readonly #scenario: Scenario;
  readonly #seed: number;
  readonly #excess: (setting: Setting, over: Setting, atMs: number) => number;
  readonly #runMs: number;
  readonly #trace: number[][] = [];
  #kept: Setting;
  /** The last promotion: what it changed, and the sum of its true effect since, in the phase that it was made in. */
  #latest: { readonly before: Setting; readonly after: Setting; readonly phase: number; effect: number } | undefined;
  promotions = 0;
  falseAccepts = 0;
  regretted = 0;

  constructor(
    scenario: Scenario,
    runMs: number,
    seed: number,
    excess: (setting: Setting, over: Setting, atMs: number) => number,
  ) {
    this.#scenario = scenario;
    this.#runMs = runMs;
    this.#seed = seed;
    this.#excess = excess;
    this.#kept = baselineSetting(knobSpecs(scenario));
  }

  decided(atMs: number, { kind, changes, evidence }: Decision): void {
    if (kind !== 'promoted') return;
    this.#close();
    this.promotions++;
    const before = this.#kept;
    const after = { ...before, ...Object.fromEntries(changes.map(({ knob, to }) => [knob, to])) };
    if (!this.#helped(before, after, evidence?.blocks ?? [])) this.falseAccepts++;
    this.#latest = { before, after, phase: this.#phaseAt(atMs), effect: this.#excess(after, before, atMs) };
    this.#kept = after;
  }

  ticked(atMs: number, belief: Belief | undefined): void {
    if (this.#latest?.phase === this.#phaseAt(atMs)) {
      this.#latest.effect += this.#excess(this.#latest.after, this.#latest.before, atMs);
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

  /** The truth over the blocks of the proof, from a plant of the same seed: what is past cannot be asked of the one that runs. */
  #helped(before: Setting, after: Setting, blocks: readonly Block[]): boolean {
    const plant = createPlant(this.#scenario, this.#runMs, this.#seed);
    let effect = 0;
    for (const { startMs, endMs } of blocks) {
      for (const share of [0.125, 0.375, 0.625, 0.875]) {
        const atMs = startMs + share * (endMs - startMs) - EPOCH_MS;
        const yAfter = objectiveOf(plant.truth(after, atMs), this.#scenario.objective);
        effect += yAfter - objectiveOf(plant.truth(before, atMs), this.#scenario.objective);
      }
    }
    return effect < -1e-9;
  }

  #phaseAt(atMs: number): number {
    return phaseAt(this.#scenario.phases, atMs / this.#runMs);
  }

  #close(): void {
    if (this.#latest !== undefined && this.#latest.effect >= -1e-9) this.regretted++;
    this.#latest = undefined;
  }
}

/**
 * Our engine through its seam, in the world of the simulation, with the scenario's own faults. `isWeighed`: how much memory it holds as
 * well. To collect all garbage for that makes the runtime drop compiled code, so only a last run is weighed.
 */
export function runOurs(scenario: Scenario, oracle: Oracle, seed: number, runMs: number, isWeighed: boolean): RunScore {
  const kept = new KeptWatcher(scenario, runMs, seed, (setting, over, atMs) => world.excess(setting, over, atMs));
  const cost = new EngineCost(scenario.windowMs);
  const world = new World({
    ...{ scenario, seed, runMs, oracle, settings: settingsFor(scenario), createEngine: cost.create },
    ...{ watchers: [kept], compareEveryTicks: 2 },
  });
  const { account } = world.run();
  const { usOfWindows } = cost;
  return {
    account,
    flaps: kept.flaps,
    promotions: kept.promotions,
    falseAccepts: kept.falseAccepts,
    regretted: kept.regretted,
    cpuUsPerWindow: usOfWindows.reduce((sum, us) => sum + us, 0) / Math.max(1, account.windows),
    cpuUsOfWindows: usOfWindows,
    ...(isWeighed && { memoryBytes: cost.release() }),
  };
}
