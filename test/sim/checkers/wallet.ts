import type { Setting } from '../../../agent/core/model.ts';
import type { EngineSettings } from '../../../agent/core/settings.ts';
import { baselineSetting, sameSetting } from '../knob_space.ts';
import { knobSpecs, type Scenario } from '../scenario.ts';
import type { Belief } from '../seam.ts';
import { Rule } from './rule.ts';

/**
 * What exploring really cost stays within the tier's wallet: the true excess over the incumbent, window by window, positive
 * parts only, against the credit of `harmRatio` a window plus the hundred windows saved. The engine sees noise only, so the truth
 * gets half as much again and two full blocks.
 */
export class WalletChecker extends Rule {
  readonly rule = 'harm wallet';
  readonly #windowMs: number;
  readonly #harmRatio: number;
  readonly #excess: (setting: Setting, over: Setting, atMs: number) => number;
  readonly #baseline: Setting;
  #incumbent: Setting;
  #setting: Setting | undefined;
  #sinceMs = 0;
  harm = 0;
  #worstExcess = 0;
  #isConnected = true;

  constructor(
    scenario: Scenario,
    settings: EngineSettings,
    excess: (setting: Setting, over: Setting, atMs: number) => number,
  ) {
    super();
    this.#windowMs = settings.window.minMs;
    this.#harmRatio = settings.tiers[scenario.tier].harmRatio;
    this.#excess = excess;
    this.#baseline = baselineSetting(knobSpecs(scenario));
    this.#incumbent = this.#baseline;
  }

  agentKilled(): void {
    this.#isConnected = false;
  }

  agentStarted(): void {
    this.#isConnected = true;
  }

  setting(atMs: number, setting: Setting): void {
    this.#settle(atMs);
    this.#setting = setting;
  }

  ticked(atMs: number, belief: Belief | undefined): void {
    this.#settle(atMs);
    const incumbent = belief?.incumbent;
    // The same object while nothing changes: what is remembered per setting stays remembered.
    if (incumbent !== undefined && !sameSetting(incumbent, this.#incumbent)) this.#incumbent = incumbent;
  }

  finished(atMs: number): void {
    this.#settle(atMs);
    const allowed = 1.5 * this.#harmRatio * (atMs / this.#windowMs + 100) + 8 * this.#worstExcess;
    if (this.harm > allowed) {
      this.report(atMs, `harm of ${this.harm.toFixed(2)} log units × windows; allowed are ${allowed.toFixed(2)}`);
    }
  }

  #settle(atMs: number): void {
    const setting = this.#setting;
    const spanMs = atMs - this.#sinceMs;
    const fromMs = this.#sinceMs;
    this.#sinceMs = atMs;
    // At the baseline nobody explores: that is where a lease leaves the process.
    if (setting === undefined || spanMs <= 0 || !this.#isConnected) return;
    if (sameSetting(setting, this.#baseline) || sameSetting(setting, this.#incumbent)) return;
    const excess = this.#excess(setting, this.#incumbent, fromMs);
    this.#worstExcess = Math.max(this.#worstExcess, excess);
    this.harm += (Math.max(0, excess) * spanMs) / this.#windowMs;
  }
}
