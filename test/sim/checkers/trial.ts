import type { Decision } from '../../../agent/core/model.ts';
import { endsTrial, Rule } from './rule.ts';

/** Every trial that starts ends, once, and not too late. */
export class TrialChecker extends Rule {
  readonly rule = 'every trial ends';
  readonly #trialMs: number;
  readonly #open = new Map<string, number>();
  readonly #ended = new Set<string>();
  started = 0;

  constructor(trialMs: number) {
    super();
    this.#trialMs = trialMs;
  }

  decided(atMs: number, decision: Decision): void {
    const { trialId, kind } = decision;
    if (trialId === undefined) return;
    if (kind === 'trial_started') {
      if (this.#open.has(trialId) || this.#ended.has(trialId)) this.report(atMs, `${trialId} started twice`);
      this.#open.set(trialId, atMs);
      this.started++;
    } else if (endsTrial(kind)) {
      const startedMs = this.#open.get(trialId);
      if (startedMs === undefined) {
        const what = this.#ended.has(trialId) ? 'ended twice' : 'ended without a start';
        this.report(atMs, `${trialId} ${what} (${kind})`);
      } else if (atMs - startedMs > this.#trialMs) {
        this.report(atMs, `${trialId} took ${atMs - startedMs} ms; allowed are ${this.#trialMs}`);
      }
      this.#open.delete(trialId);
      this.#ended.add(trialId);
    }
  }

  finished(atMs: number): void {
    for (const [trialId, startedMs] of this.#open) {
      if (atMs - startedMs > this.#trialMs) this.report(atMs, `${trialId}, started at ${startedMs} ms, never ended`);
    }
  }
}
