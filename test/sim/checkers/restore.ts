import type { Decision, Effect, KnobValue, Setting } from '../../../agent/core/model.ts';
import type { Belief } from '../seam.ts';
import { endsTrial, Rule } from './rule.ts';

/**
 * What a trial that was not kept leaves behind is exactly what was in force when it started: the incumbent of the last
 * tick before, and what the decision itself recorded.
 */
export class RestoreChecker extends Rule {
  readonly rule = 'a rollback restores the recorded value';
  readonly #recorded = new Map<string, Map<string, KnobValue>>();
  /** Ended, not kept, and the values not yet seen back. */
  #due: { readonly trialId: string; readonly values: Map<string, KnobValue> } | undefined;
  #incumbent: Setting = {};
  restoredTotal = 0;

  decided(atMs: number, { kind, trialId, changes, evidence }: Decision): void {
    // What the process refuses for good, what two crashes made suspect, or what a human chose: another value is in order.
    if (
      kind === 'value_rejected' ||
      kind === 'pinned' ||
      kind === 'chosen' ||
      (kind === 'rolled_back' && trialId === undefined)
    ) {
      for (const { knob } of changes) this.#due?.values.delete(knob);
    }
    if (trialId === undefined) return;
    if (kind === 'trial_started') {
      // The next trial begins before a tick was compared: it must begin where the one before was to end.
      for (const [knob, due] of this.#due?.values ?? []) {
        const begins = evidence?.recorded?.[knob];
        if (Object.is(begins, due)) continue;
        this.report(atMs, `after ${this.#due?.trialId} ${trialId} begins at ${knob} = ${begins}, recorded was ${due}`);
      }
      if (this.#due !== undefined) this.#settle();
      // The incumbent of the last compared tick may be older than what an operator or a proof has made of it since.
      const values = new Map(Object.entries({ ...this.#incumbent, ...evidence?.recorded }));
      for (const { knob, from } of changes) values.set(knob, from);
      this.#recorded.set(trialId, values);
      return;
    }
    if (!endsTrial(kind)) return;
    const values = this.#recorded.get(trialId);
    this.#recorded.delete(trialId);
    if (values === undefined || kind === 'promoted') return;
    for (const { knob, to } of changes) {
      const recorded = values.get(knob);
      if (recorded !== undefined && !Object.is(recorded, to)) {
        this.report(atMs, `${trialId} (${kind}) says ${knob} goes back to ${to}, recorded was ${recorded}`);
      }
    }
    this.#due = { trialId, values };
  }

  emitted(atMs: number, effect: Effect): void {
    if (effect.kind !== 'command' || this.#due === undefined) return;
    const { trialId, values } = this.#due;
    for (const { knob, value } of effect.command.changes) {
      const recorded = values.get(knob);
      if (recorded !== undefined && !Object.is(recorded, value)) {
        this.report(atMs, `after ${trialId} the first command sets ${knob} to ${value}, recorded was ${recorded}`);
      }
    }
    this.#settle();
  }

  /** No command was needed: then the values must be there. */
  ticked(atMs: number, belief: Belief | undefined, actual: Setting | undefined): void {
    if (belief !== undefined) this.#incumbent = belief.incumbent;
    if (this.#due === undefined || actual === undefined || !belief?.isSettled) return;
    const { trialId, values } = this.#due;
    for (const [knob, recorded] of values) {
      const believed = belief.setting[knob];
      if (!Object.is(believed, recorded)) {
        this.report(atMs, `after ${trialId} the engine settles on ${knob} = ${believed}, recorded was ${recorded}`);
      }
    }
    this.#settle();
  }

  #settle(): void {
    this.#due = undefined;
    this.restoredTotal++;
  }
}
