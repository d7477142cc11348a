import type { Setting } from '../../../agent/core/model.ts';
import { baselineSetting, sameSetting } from '../../sim/knob_space.ts';
import { type Oracle, oracleAt } from '../../sim/plant/oracle.ts';
import { realEngine } from '../../sim/real_engine.ts';
import { knobSpecs, type Scenario } from '../../sim/scenario.ts';
import type { Belief } from '../../sim/seam.ts';
import { settingsFor } from '../../sim/settings.ts';
import { type Watcher, World } from '../../sim/world.ts';
import type { Round } from './round.ts';

/**
 * Where the regret of our engine goes: what it was doing, for how much of the time, and how much of the regret fell there.
 *
 * At every tick the true excess of the setting in force over the oracle's is charged to the engine's activity; shares of regret are of
 * the whole distance between default and oracle, so that they sum to the regret ratio of the run (up to the ticks' grid).
 */
export interface WhereRow {
  readonly activity: string;
  /** Of all time, in percent. */
  readonly timePercent: number;
  /** Its part of the regret ratio. */
  readonly regret: number;
}

class WhereWatcher implements Watcher {
  readonly #excess: (setting: Setting, over: Setting, atMs: number) => number;
  readonly #oracle: Oracle;
  readonly #baseline: Setting;
  readonly #charged = new Map<string, { ticks: number; excess: number }>();
  #ticks = 0;
  #reach = 0;

  constructor(scenario: Scenario, oracle: Oracle, excess: (setting: Setting, over: Setting, atMs: number) => number) {
    this.#excess = excess;
    this.#oracle = oracle;
    this.#baseline = baselineSetting(knobSpecs(scenario));
  }

  ticked(atMs: number, belief: Belief | undefined, actual: Setting | undefined): void {
    if (actual === undefined) return;
    const best = oracleAt(this.#oracle, atMs);
    this.#ticks++;
    this.#reach += this.#excess(this.#baseline, best, atMs);
    const activity = activityOf(belief, actual, this.#baseline);
    const row = this.#charged.get(activity) ?? { ticks: 0, excess: 0 };
    row.ticks++;
    row.excess += this.#excess(actual, best, atMs);
    this.#charged.set(activity, row);
  }

  get rows(): readonly WhereRow[] {
    return [...this.#charged].map(([activity, { ticks, excess }]) => ({
      activity,
      timePercent: (100 * ticks) / Math.max(1, this.#ticks),
      regret: excess / this.#reach,
    }));
  }
}

/** In words: before or after something was kept, and what the engine is at. */
function activityOf(belief: Belief | undefined, actual: Setting, baseline: Setting): string {
  if (belief?.activity === undefined) return 'not known to the engine';
  const kept = sameSetting(belief.incumbent, baseline) ? 'at the default' : 'after a gain';
  if (belief.activity !== 'proving') return `${kept}: ${belief.activity}`;
  return `${kept}: ${belief.activity} at ${sameSetting(actual, belief.incumbent) ? 'the incumbent' : 'the candidate'}`;
}

/** Means over the seeds, largest regret first. */
export function whereOnAverage(
  roundOf: (seed: number) => Round,
  seeds: readonly number[],
  windows: number,
): readonly WhereRow[] {
  const sums = new Map<string, WhereRow>();
  for (const seed of seeds) {
    const { scenario, oracle } = roundOf(seed);
    const runMs = windows * scenario.windowMs;
    const where = new WhereWatcher(scenario, oracle, (setting, over, atMs) => world.excess(setting, over, atMs));
    const world = new World({
      ...{ scenario, seed, runMs, oracle, settings: settingsFor(scenario), createEngine: realEngine },
      ...{ watchers: [where], compareEveryTicks: 1 },
    });
    world.run();
    for (const { activity, timePercent, regret } of where.rows) {
      const sum = sums.get(activity);
      sums.set(activity, {
        activity,
        timePercent: (sum?.timePercent ?? 0) + timePercent / seeds.length,
        regret: (sum?.regret ?? 0) + regret / seeds.length,
      });
    }
  }
  return [...sums.values()].sort((a, b) => b.regret - a.regret);
}
