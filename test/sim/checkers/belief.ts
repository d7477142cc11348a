import type { Setting } from '../../../agent/core/model.ts';
import type { Belief } from '../seam.ts';
import { differenceOf, Rule } from './rule.ts';

/** What the engine believes to be settled is what the process runs with, up to news under way. */
export class BeliefChecker extends Rule {
  readonly rule = 'belief = plant';
  readonly #staleMs: number;
  #differsSinceMs: number | undefined;
  #reported = false;
  checkedTicks = 0;
  settledTicks = 0;

  constructor(staleMs: number) {
    super();
    this.#staleMs = staleMs;
  }

  agentKilled(): void {
    this.#differsSinceMs = undefined;
  }

  ticked(atMs: number, belief: Belief | undefined, actual: Setting | undefined): void {
    this.checkedTicks++;
    if (belief?.isSettled) this.settledTicks++;
    const difference = belief?.isSettled ? differenceOf(belief.setting, actual) : undefined;
    if (difference === undefined) {
      this.#differsSinceMs = undefined;
      this.#reported = false;
      return;
    }
    this.#differsSinceMs ??= atMs;
    if (atMs - this.#differsSinceMs <= this.#staleMs || this.#reported) return;
    this.#reported = true;
    this.report(atMs, `settled since ${this.#differsSinceMs} ms on what is not: ${difference}`);
  }
}
