import type { Decision, Effect } from '../../../agent/core/model.ts';
import type { EngineSettings } from '../../../agent/core/settings.ts';
import { RULE_STRATEGY } from '../../../agent/core/tune/rules.ts';
import { Rule } from './rule.ts';

/** A learned rule is tried only with the confidence that the threshold asks for, and each of its trials is told as adaptive. */
export class RulesChecker extends Rule {
  readonly rule = 'rules earn their trials';
  readonly #threshold: number;
  readonly #untold = new Set<string>();
  tried = 0;

  constructor({ optimization }: EngineSettings) {
    super();
    this.#threshold = optimization.adaptationThreshold;
  }

  agentKilled(): void {
    // What was decided but not yet sent is lost with the agent.
    this.#untold.clear();
  }

  decided(atMs: number, { kind, strategy, trialId, evidence }: Decision): void {
    if (kind !== 'trial_started' || strategy !== RULE_STRATEGY || trialId === undefined) return;
    this.tried++;
    this.#untold.add(trialId);
    const confidence = evidence?.signals.ruleConfidence ?? Number.NaN;
    if (!(confidence >= this.#threshold && confidence < 1)) {
      this.report(atMs, `${trialId} tries a rule with a confidence of ${confidence}; needed is ${this.#threshold}`);
    }
  }

  emitted(_atMs: number, effect: Effect): void {
    if (effect.kind !== 'event' || effect.event.type !== 'adaptive_optimization') return;
    this.#untold.delete(String(effect.event.data.trialId));
  }

  ticked(atMs: number): void {
    for (const trialId of this.#untold) this.report(atMs, `${trialId} tries a rule and was not told as adaptive`);
    this.#untold.clear();
  }
}
