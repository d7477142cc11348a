import type { Setting } from '../../agent/core/model.ts';
import { baselineSetting } from './knob_space.ts';
import { type Oracle, oracleAt } from './plant/oracle.ts';
import { crosses, objectiveOf, type Plant } from './plant/plant.ts';
import { knobSpecs, type Scenario } from './scenario.ts';

/** What a run cost and won, by the truth of the plant rather than by what anyone measured. */
export interface Account {
  /** (applied − oracle) / (default − oracle), time-weighted: 0 = the oracle, 1 = staying at the default. */
  readonly regretRatio: number | undefined;
  /** Mean of (applied − default) in log units: negative is a gain. */
  readonly meanExcess: number;
  readonly windows: number;
  /** Share of time in which limits were crossed, less that of the default in the same time, not below 0. */
  readonly extraViolationRatio: number;
  readonly kills: number;
  /** Share of windows more than 25 % worse than the default would have been. */
  readonly farWorseRatio: number;
  /** Windows until ten in a row are on average within 5 % of the oracle; undefined: never. */
  readonly windowsToOptimum: number | undefined;
  /** The same after each change of phase. */
  readonly readaptWindows: readonly (number | undefined)[];
}

/** Charged for the time that a process is down because its setting killed it: as if it answered ten times slower. */
const DOWN_PENALTY = Math.log(10);
const FAR_WORSE = Math.log(1.25);
const NEAR = Math.log(1.05);
const NEAR_WINDOWS = 10;

/** Keeps the books of one run, span by span. */
export class Ledger {
  readonly #scenario: Scenario;
  readonly #plant: Plant;
  readonly #oracle: Oracle;
  readonly #baseline: Setting;
  readonly #windowMs: number;
  #applied = 0;
  #default = 0;
  #best = 0;
  #totalMs = 0;
  #violationMs = 0;
  #defaultViolationMs = 0;
  #kills = 0;
  #farWorse = 0;
  #windowEndMs: number;
  #windowMsSoFar = 0;
  #windowExcess = 0;
  #windowGap = 0;
  readonly #gaps: number[] = [];

  constructor(scenario: Scenario, plant: Plant, oracle: Oracle) {
    this.#scenario = scenario;
    this.#plant = plant;
    this.#oracle = oracle;
    this.#baseline = baselineSetting(knobSpecs(scenario));
    this.#windowMs = scenario.windowMs;
    this.#windowEndMs = this.#windowMs;
  }

  get kills(): number {
    return this.#kills;
  }

  /** Excess of a setting over another at an instant, in log units. */
  excess(setting: Setting, over: Setting, atMs: number): number {
    const { objective } = this.#scenario;
    return (
      objectiveOf(this.#plant.truth(setting, atMs), objective) - objectiveOf(this.#plant.truth(over, atMs), objective)
    );
  }

  /** The process ran with `setting`, or was down through its own fault. Call it after the plant has reached `fromMs`. */
  span(fromMs: number, toMs: number, setting: Setting, isDown: boolean): void {
    const lengthMs = toMs - fromMs;
    if (lengthMs <= 0) return;
    const { objective, limits } = this.#scenario;
    const base = this.#plant.truth(this.#baseline, fromMs);
    const applied = setting === this.#baseline ? base : this.#plant.truth(setting, fromMs);
    const yDefault = objectiveOf(base, objective);
    const yApplied = isDown ? yDefault + DOWN_PENALTY : objectiveOf(applied, objective);
    const yBest = objectiveOf(this.#plant.truth(oracleAt(this.#oracle, fromMs), fromMs), objective);
    this.#applied += yApplied * lengthMs;
    this.#default += yDefault * lengthMs;
    this.#best += yBest * lengthMs;
    this.#totalMs += lengthMs;
    if (isDown || crosses(applied, limits)) this.#violationMs += lengthMs;
    if (crosses(base, limits)) this.#defaultViolationMs += lengthMs;

    while (fromMs >= this.#windowEndMs) this.#closeWindow();
    this.#windowMsSoFar += lengthMs;
    this.#windowExcess += (yApplied - yDefault) * lengthMs;
    this.#windowGap += (yApplied - yBest) * lengthMs;
  }

  killed(): void {
    this.#kills++;
  }

  close(): Account {
    this.#closeWindow();
    const reach = this.#default - this.#best;
    const perMs = 1 / Math.max(this.#totalMs, 1);
    // Where the default is within a thousandth of the best, the ratio would be noise over nothing.
    const isFlat = reach * perMs < 1e-3;
    const starts = this.#oracle.phases.slice(1).map(({ startMs }) => Math.round(startMs / this.#windowMs));
    return {
      regretRatio: isFlat ? undefined : (this.#applied - this.#best) / reach,
      meanExcess: (this.#applied - this.#default) * perMs,
      windows: this.#gaps.length,
      extraViolationRatio: Math.max(0, this.#violationMs - this.#defaultViolationMs) * perMs,
      kills: this.#kills,
      farWorseRatio: this.#farWorse / Math.max(1, this.#gaps.length),
      windowsToOptimum: windowsUntilNear(this.#gaps, 0, starts[0] ?? this.#gaps.length),
      readaptWindows: starts.map((start, i) => windowsUntilNear(this.#gaps, start, starts[i + 1] ?? this.#gaps.length)),
    };
  }

  #closeWindow(): void {
    if (this.#windowMsSoFar > 0) {
      if (this.#windowExcess / this.#windowMsSoFar > FAR_WORSE) this.#farWorse++;
      this.#gaps.push(this.#windowGap / this.#windowMsSoFar);
    }
    this.#windowMsSoFar = 0;
    this.#windowExcess = 0;
    this.#windowGap = 0;
    this.#windowEndMs += this.#windowMs;
  }
}

function windowsUntilNear(gaps: readonly number[], start: number, end: number): number | undefined {
  let sum = 0;
  for (let i = start; i < end; i++) {
    sum += gaps[i];
    if (i - start >= NEAR_WINDOWS) sum -= gaps[i - NEAR_WINDOWS];
    if (i - start >= NEAR_WINDOWS - 1 && sum / NEAR_WINDOWS <= NEAR) return i - start + 1;
  }
  return undefined;
}
