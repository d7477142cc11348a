import type { Actuator } from '../actuator.ts';
import type { Decision, HeldKnob, KnobValue, Manifest, Setting } from '../model.ts';
import type { EngineSettings } from '../settings.ts';
import { auditView, withRun } from './audit.ts';
import { changed, changesBetween, describe, describeChanges, describeEffect } from './changes.ts';
import { withGivenBack } from './checkpoint.ts';
import type { ContextKey } from './context.ts';
import { ErrorBudget } from './error_budget.ts';
import type { Guard } from './guard.ts';
import type { Measuring } from './measuring.ts';
import { weighed } from './objectives.ts';
import type { OperatorContext, OperatorOutcome } from './operator.ts';
import { withPoint } from './pareto.ts';
import type { ProofTerms, Proving } from './proving.ts';
import type { Failure, Purpose } from './purpose.ts';
import type { Records } from './records.ts';
import type { Reference } from './reference.ts';
import { MAX_RESTORE_ATTEMPTS } from './restoring.ts';
import { withRevision } from './revisions.ts';
import { withLesson, withoutRule } from './rules.ts';
import { isBanned, withScar } from './scars.ts';
import { sameSetting } from './setting.ts';
import { settleMsOf, withTransient } from './settling.ts';
import {
  isInVain,
  type Proposal,
  type Standing,
  withChoices,
  withFailure,
  withIncarnation,
  withoutHeld,
  withoutProposal,
  withoutTrial,
  withPin,
  withTry,
} from './standing.ts';
import type { Grounds } from './strategy.ts';
import type { Terms } from './terms.ts';
import type { Trial } from './trial.ts';
import { percent } from './triggers.ts';

export interface DossierParts {
  readonly settings: EngineSettings;
  readonly terms: Terms;
  readonly actuator: Actuator;
  readonly records: Records;
  readonly standing: Standing;
}

/**
 * What is known of a component and must outlive the agent, and the words for each change of it: every entry here is a change of
 * the standing together with the decision and the event that tell of it. It decides nothing.
 */
export class Dossier {
  readonly #settings: EngineSettings;
  readonly #terms: Terms;
  readonly #actuator: Actuator;
  readonly #records: Records;
  readonly #errorBudget: ErrorBudget;
  standing: Standing;

  constructor({ settings, terms, actuator, records, standing }: DossierParts) {
    this.#settings = settings;
    this.#terms = terms;
    this.#actuator = actuator;
    this.#records = records;
    this.standing = standing;
    this.#errorBudget = new ErrorBudget(settings.proof.alpha, standing.errorBudget);
  }

  /** As it is saved. */
  saved(walletBalance: number | undefined): Standing {
    const errorBudget = this.#errorBudget.state();
    return { ...this.standing, errorBudget, ...(walletBalance !== undefined && { walletBalance }) };
  }

  /** The setting that should be in force when nothing is being tried. */
  get incumbent(): Setting {
    return this.#terms.incumbent(this.standing);
  }

  /** Log units that the incumbent is better than the baselines, by what was proven on the way; 0 where it came there otherwise. */
  get won(): number {
    const { won } = this.standing;
    return won !== undefined && sameSetting(won.setting, this.incumbent) ? won.gain : 0;
  }

  /** The level of the next proof. */
  get alpha(): number {
    return new ErrorBudget(this.#q, this.#errorBudget.state()).alpha;
  }

  /** Of everything ever kept, the share that may be false: as configured, less where the audit found that too much slips through. */
  get #q(): number {
    const { alpha } = this.#settings.proof;
    return alpha * auditView(this.standing.audit, alpha).levelFactor;
  }

  /** What the next proof is held to. */
  proofTerms(coinSeed: number): ProofTerms {
    const rule = { ...this.#settings.proof, alpha: this.alpha };
    return { rule, budget: { q: this.#q, ...this.#errorBudget.state() }, coinSeed };
  }

  /** An audit is a proof at the level that is promised, and on nobody's budget. */
  auditTerms(coinSeed: number): ProofTerms {
    const rule = { ...this.#settings.proof };
    return { rule, budget: { q: rule.alpha, trials: 0, discoveries: [] }, coinSeed };
  }

  auditStarted(nowMs: number): void {
    this.standing = { ...this.standing, audit: { ...this.standing.audit, lastMs: nowMs } };
  }

  /** The incumbent was compared with itself. */
  audited(proving: Proving, reference: Reference, nowMs: number): void {
    const record = proving.record();
    const isAccepted = record.verdict === 'better';
    const audit = withRun(this.standing.audit, isAccepted);
    this.standing = { ...this.standing, audit };
    const { runs, accepts, low, high, levelFactor } = auditView(audit, this.#settings.proof.alpha);
    const found = isAccepted ? 'found a difference that is none' : 'found no difference, as it should';
    const widened = levelFactor < 1 ? `; levels are multiplied by ${levelFactor.toFixed(2)}` : '';
    const reason = `the incumbent compared with itself ${found}: ${accepts} of ${runs} such runs were false accepts (95 % interval ${percent(low)} to ${percent(high)})${widened}`;
    const { effect, blocks } = proving;
    this.#records.decide('audited', nowMs, reason, {
      changes: [],
      evidence: {
        objective: { ...this.#terms.weights },
        blocks,
        ...(effect !== undefined && { effect }),
        proof: record,
        signals: { ...reference.signals(), auditRuns: runs, auditAccepts: accepts, levelFactor },
        alternatives: [],
      },
    });
  }

  /** How long the metrics need after these knobs have changed. */
  settleMs(knobs: readonly string[]): number {
    const { maxMs } = this.#settings.window;
    return this.#terms.specs.reduce((most, { id, settleMs }) => {
      return knobs.includes(id) ? Math.max(most, settleMsOf(this.standing.transients[id], settleMs, maxMs)) : most;
    }, 0);
  }

  /** A change took so long to show. */
  noteTransient(knobs: readonly string[], lengthMs: number): void {
    this.standing = { ...this.standing, transients: withTransient(this.standing.transients, knobs, lengthMs) };
  }

  get longPauseMs(): number {
    return this.#settings.cooldown.maxWindows * this.#settings.window.minMs;
  }

  isBanned(setting: Setting, nowMs: number, room?: number): boolean {
    return isBanned(this.standing.scars, this.#terms.axes, setting, nowMs, room);
  }

  /** What an operator's wish is judged by. */
  operatorContext(nowMs: number, nextProposalId: () => string): OperatorContext {
    return {
      nowMs,
      specs: this.#terms.specs,
      incumbent: this.incumbent,
      effective: this.#actuator.effective,
      modeOf: (spec) => this.#terms.modeOf(spec, this.standing),
      boundsOf: (knob) => this.#terms.boundsOf(knob),
      rejection: (knob, value) => this.#actuator.rejection(knob, value),
      isBanned: (setting) => this.isBanned(setting, nowMs),
      nextProposalId,
    };
  }

  /** What is known of the ground around the incumbent. */
  grounds({ reference, looked }: Measuring, nowMs: number): Grounds {
    return {
      isInVain: (strategy) => isInVain(this.standing, strategy),
      ...{ won: this.won, noise: reference.noise, looked: looked.since(nowMs) },
      isBanned: (setting, room) => this.isBanned(setting, nowMs, room),
    };
  }

  /** What came of an operator's wish, which is the standing already; `before`: what was in force. */
  obeyed(
    outcome: OperatorOutcome & { ok: true },
    by: string,
    before: Setting,
    nowMs: number,
  ): { readonly decisionId: string; readonly hasMoved: boolean } {
    const { kind, message, proposalId, strategy, declined, isRetreat } = outcome;
    // A declined proposal counts as a failure of its strategy: it waits before it asks again.
    if (declined !== undefined) this.fail(declined.strategy, nowMs);
    if (isRetreat === true) this.scar(this.incumbent, before, nowMs);
    const changed = changesBetween(before, this.incumbent);
    const named = { ...(proposalId !== undefined && { proposalId }), ...(strategy !== undefined && { strategy }) };
    const told = { by, changes: outcome.changes ?? changed, ...named };
    const reason = `${by}: ${message}`;
    const decisionId = this.#records.decide(kind, nowMs, reason, told);
    if (kind === 'frozen' || kind === 'unfrozen') this.#records.emit(kind, nowMs, { reason, by });
    if (kind === 'recommended' || kind === 'proposed') this.#records.emit('recommendation', nowMs, { ...told, reason });
    if (kind === 'rolled_back') this.#records.emit('optimization_rolled_back', nowMs, { ...told, error: reason });
    return { decisionId, hasMoved: changed.length > 0 };
  }

  isProposed({ id }: Proposal): boolean {
    return this.standing.proposals.some((open) => open.id === id);
  }

  /** A strategy has failed: it waits. */
  fail(strategy: string, nowMs: number): void {
    const { cooldown, window } = this.#settings;
    this.standing = withFailure(this.standing, strategy, nowMs, cooldown, window.minMs);
  }

  /** Where it hurt: not gone to from there for a while. */
  hurt({ recorded, hurts }: Trial, worseBy: number | undefined, nowMs: number): void {
    this.scar(recorded, hurts, nowMs, worseBy);
  }

  scar(from: Setting, at: Setting, nowMs: number, worseBy?: number): void {
    const scar = { from, at, untilMs: nowMs + this.longPauseMs, ...(worseBy !== undefined && { worseBy }) };
    this.standing = { ...this.standing, scars: withScar(this.standing.scars, scar, nowMs) };
  }

  /** At the end of every input: a changed incumbent is the next revision, and the newest decision is what led to it. */
  noteRevision(nowMs: number): void {
    if (this.#terms.manifest === undefined) return;
    const revisions = withRevision(this.standing.revisions, this.incumbent, nowMs, this.#records.lastId);
    if (revisions !== this.standing.revisions) this.standing = { ...this.standing, revisions };
  }

  /** A trial of this strategy would begin, were its plan not found to be no use. */
  spared(strategy: string, purpose: Purpose, nowMs: number): void {
    this.standing = purpose.begun(this.standing, nowMs);
    this.fail(strategy, nowMs);
  }

  trialStarted(trial: Trial, reference: Reference, proposal: Proposal | undefined, nowMs: number): void {
    const { id: trialId, strategy, recorded, proposalId } = trial;
    const proposed = proposalId !== undefined && { proposalId };
    const waiting = proposal === undefined ? this.standing : withoutProposal(this.standing, proposal.id);
    this.standing = {
      ...trial.purpose.begun(withTry(waiting, strategy, nowMs), nowMs),
      openTrial: { id: trialId, strategy, ...proposed, recorded },
    };
    const changes = trial.hasCandidate ? changesBetween(recorded, trial.candidate) : [];
    const reason = `${trial.reason}; recorded to restore: ${describe(recorded)}`;
    this.#records.decide('trial_started', nowMs, reason, { changes, ...this.#about(trial, reference) });
    const told = { trialId, strategy, ...proposed };
    this.#records.emit('trial_started', nowMs, { ...told, recorded });
    const rule = proposal?.rule ?? trial.rule?.id;
    if (rule !== undefined) this.#records.emit('adaptive_optimization', nowMs, { ...told, rule, changes });
  }

  /** The process has acknowledged the proven setting: it is the incumbent now, and the rule of the context that it was proven in. */
  promoted(trial: Trial, reference: Reference, context: ContextKey, nowMs: number): void {
    const { effect, strategy, candidate, purpose, id: trialId, proposalId } = trial;
    const changes = changesBetween(trial.recorded, candidate);
    const gain = effect === undefined ? 0 : -Math.log1p(effect.estimate);
    // The baselines are no better than themselves.
    const won = purpose.isReturn ? 0 : this.won + gain;
    this.standing = purpose.kept(this.standing, { trial, settings: this.#settings, nowMs }, gain);
    this.standing = { ...this.standing, won: { setting: this.incumbent, gain: won } };
    this.standing = withChoices(this.standing, changed(candidate, trial.recorded), nowMs);
    this.#errorBudget.spend(true);
    const logStake = trial.logStake ?? 0;
    const lesson = {
      id: `r-${trialId}`,
      context,
      setting: candidate,
      strategy,
      trialId,
      effect,
      logStake,
    };
    this.standing = { ...this.standing, rules: withLesson(this.standing.rules, lesson, nowMs) };
    this.#archive(trial, nowMs);
    const told = effect === undefined ? '' : `: ${describeEffect(effect)}`;
    const reason = `kept ${describeChanges(changes)}${told}`;
    this.#records.decide('promoted', nowMs, reason, { changes, ...this.#about(trial, reference) });
    const results = effect && {
      ...{ improvement: -effect.estimate, low: -effect.high, high: -effect.low },
      ...{ confidence: effect.confidence, blocks: effect.blocks },
    };
    this.#records.emit('optimization_applied', nowMs, {
      ...{ strategy, trialId, changes },
      ...(proposalId !== undefined && { proposalId }),
      result: { applied: true, optimization: strategy, ...(results !== undefined && { results }) },
    });
  }

  /** The open trial is over without a gain; the caller brings the process back. */
  ended(trial: Trial, reference: Reference, failure: Failure, nowMs: number): void {
    const { effect, strategy, purpose, id: trialId, proposalId } = trial;
    if (trial.isProving) this.#errorBudget.spend(false);
    const ending = { trial, settings: this.#settings, nowMs };
    const { standing, told } = purpose.failed(withoutTrial(this.standing), ending, failure);
    this.standing = standing;
    if (failure.isVerdict && !purpose.isReturn) this.#archive(trial, nowMs);
    const changes = changesBetween({ ...this.#actuator.effective, ...trial.candidate }, trial.recorded);
    const measured = effect === undefined ? '' : `; ${describeEffect(effect)}`;
    const back = changes.length === 0 ? '' : `; restored ${describeChanges(changes)}`;
    const reason = `${told.why}${measured}${back}`;
    this.#records.decide(told.as, nowMs, reason, { changes, ...this.#about(trial, reference) });
    const data = { strategy, trialId, ...(proposalId !== undefined && { proposalId }), error: told.why, changes };
    this.#records.emit('optimization_rolled_back', nowMs, data);
    if (told.as === 'rolled_back') this.#records.emit('optimization_failed', nowMs, data);
  }

  /**
   * A few windows at the baselines were clearly better than what is held: enough to be there again. That it helped is no rule any more
   * in the present context, which may be another than when the check was planned: the load may have led to both.
   */
  gaveBack(trial: Trial, reference: Reference, why: string, context: ContextKey, nowMs: number): void {
    const changes = changesBetween(trial.recorded, trial.candidate);
    this.#errorBudget.spend(false);
    const standing = withGivenBack(withoutTrial(this.standing), trial.proposed);
    this.standing = { ...standing, rules: withoutRule(standing.rules, context, trial.recorded) };
    // The trial restored nothing; that what it had recorded is given up is a decision of its own, as with a retreat.
    this.#records.decide('futile', nowMs, `the check is over: ${why}`, {
      changes: [],
      ...this.#about(trial, reference),
    });
    const reason = `${why}; gave back ${describeChanges(changes)}`;
    this.#records.decide('rolled_back', nowMs, reason, { changes, strategy: trial.strategy });
    this.#records.emit('optimization_rolled_back', nowMs, {
      ...{ strategy: trial.strategy, trialId: trial.id, error: why, changes },
    });
  }

  /** A setting that was measured may be somebody's choice, also where the weights decide against it. */
  #archive(trial: Trial, atMs: number): void {
    const measured = trial.objectivesWithin(this.#terms.limits);
    if (measured === undefined) return;
    const counted = weighed(this.#terms.weights);
    const effects = Object.fromEntries(
      Object.entries(measured).filter(([name]) => counted.some((one) => one === name)),
    );
    const { id: trialId, strategy, recorded, candidate: setting } = trial;
    const proven = { id: `o-${trialId}`, atMs, trialId, strategy, setting, recorded, effects };
    this.standing = { ...this.standing, pareto: withPoint(this.standing.pareto, proven, this.#terms.baselines) };
  }

  /**
   * Where the incumbent itself comes too close to a hard limit, or died of it and would again as soon as it is back: as far back towards
   * the baselines as is safe, without asking for proof. False: all is well, or there is nothing to give up.
   */
  retreat(guard: Guard, nowMs: number, why = guard.alarm()): boolean {
    if (why === undefined) return false;
    const before = this.incumbent;
    const setting = guard.wayBack(before, this.#terms.baselines);
    const given = changesBetween(before, setting).filter(({ knob }) => this.standing.held[knob] !== undefined);
    if (given.length === 0) return false;
    for (const { knob, to } of given) {
      const isBaseline = this.#terms.specs.some((spec) => spec.id === knob && spec.baseline === to);
      const { held } = this.standing;
      if (isBaseline) this.standing = withoutHeld(this.standing, knob);
      else this.standing = { ...this.standing, held: { ...held, [knob]: { value: to, by: 'guard' } } };
    }
    const changes = changesBetween(before, this.incumbent);
    const reason = `${why}; gave back ${describeChanges(changes)}`;
    this.#records.decide('rolled_back', nowMs, reason, { changes });
    this.#records.emit('optimization_rolled_back', nowMs, { strategy: 'guard', error: why, changes });
    return true;
  }

  /** Hands that were laid on knobs while nobody heard of it. */
  pinHands(held: readonly HeldKnob[], nowMs: number): void {
    for (const { knob, value, manual } of held) {
      if (manual && this.standing.pins[knob]?.value !== value) this.pinByHand(knob, value, nowMs);
    }
  }

  pinByHand(knob: string, value: KnobValue, nowMs: number): void {
    this.standing = withPin(this.standing, knob, value, 'process');
    const reason = `${knob} was set to ${value} by hand at the process; pinned, the tuner leaves it alone until it is unpinned`;
    this.#records.decide('pinned', nowMs, reason, { changes: [], by: 'process' });
    this.#records.emit('manual_override', nowMs, { knob, value });
  }

  /**
   * Values that were proven once but that the process now refuses for good are given up. A pin stays, for whoever pinned it to see and to
   * change; but it is not sent again and again, at the expense of all that the process does take.
   */
  dropRefused(nowMs: number): void {
    for (const [knob, pin] of Object.entries(this.standing.pins)) {
      const refused = this.#actuator.rejection(knob, pin.value);
      if (refused === undefined || pin.refused !== undefined) continue;
      this.standing = { ...this.standing, pins: { ...this.standing.pins, [knob]: { ...pin, refused } } };
      this.#tellRefused(knob, pin.value, `${refused}; pinned by ${pin.by}, and nobody else tunes it`, nowMs);
    }
    for (const [knob, { value }] of Object.entries(this.standing.held)) {
      const refused = this.#actuator.rejection(knob, value);
      if (refused === undefined) continue;
      this.standing = withoutHeld(this.standing, knob);
      this.#tellRefused(knob, value, refused, nowMs);
    }
  }

  #tellRefused(knob: string, value: KnobValue, refused: string, nowMs: number): void {
    const to = this.incumbent[knob];
    const reason = `the process refuses ${knob} = ${value}: ${refused}; back to ${to}`;
    this.#records.decide('value_rejected', nowMs, reason, { changes: [{ knob, from: value, to }] });
  }

  /** The process does not take back what it should hold: let the lease do it, and touch nothing more. */
  leaveAlone(nowMs: number): void {
    const reason = `the process did not take its values back after ${MAX_RESTORE_ATTEMPTS} attempts`;
    this.standing = { ...this.standing, frozen: reason };
    this.#records.add(this.#actuator.doubt(nowMs, reason));
    this.#records.decide('frozen', nowMs, reason, { changes: [] });
    this.#records.emit('frozen', nowMs, { reason });
  }

  noteRestart(manifest: Manifest, nowMs: number): void {
    const before = this.incumbent;
    const { pins } = this.standing;
    const { standing, suspect } = withIncarnation(this.standing, manifest.incarnation, nowMs);
    this.standing = standing;
    for (const [knob, { value, by, refused }] of Object.entries(pins)) {
      if (refused === undefined || standing.pins[knob]?.refused !== undefined) continue;
      const reason = `the process started anew: ${knob} goes to ${value} again, where ${by} pinned it`;
      this.#records.decide('pinned', nowMs, reason, { changes: [{ knob, from: before[knob], to: value }] });
    }
    if (suspect === 0) return;
    const changes = changesBetween(before, this.incumbent);
    const reason = `the process restarted ${suspect} times within 30 minutes under tuned values; back to the baselines`;
    this.#records.decide('rolled_back', nowMs, reason, { changes });
    this.#records.emit('optimization_failed', nowMs, { strategy: 'incumbent', error: reason, changes });
  }

  /** What is different at the process from what should be in force, and why it is put right. */
  noteReturn(why: string, nowMs: number): void {
    const changes = changesBetween(this.#actuator.effective, this.incumbent);
    if (changes.length === 0) return;
    const reason = `${why}; ${describeChanges(changes)}, as was proven`;
    this.#records.decide('restored', nowMs, reason, { changes });
  }

  /** The agent ended in a trial: what was recorded is to be in force again, unless more is found wrong. False: it did not. */
  noteInterruption(nowMs: number): boolean {
    const interrupted = this.standing.openTrial;
    if (interrupted === undefined) return false;
    const changes = changesBetween(this.#actuator.effective, this.incumbent);
    this.standing = withoutTrial(this.standing);
    // Its proof may have begun since the last word of it was saved. A level that served a lost proof and then another would count twice.
    this.#errorBudget.spend(false);
    const { id: trialId, strategy, proposalId } = interrupted;
    const about = { trialId, strategy, ...(proposalId !== undefined && { proposalId }) };
    const what =
      changes.length === 0
        ? 'the process is already back at the recorded values'
        : `restoring the recorded values: ${describeChanges(changes)}`;
    const reason = `trial ${trialId} was interrupted by a restart of the agent; ${what}`;
    this.#records.decide('rolled_back', nowMs, reason, { changes, ...about });
    this.#records.emit('optimization_failed', nowMs, { ...about, error: reason, changes });
    return true;
  }

  #about(trial: Trial, reference: Reference): Pick<Decision, 'trialId' | 'strategy' | 'proposalId' | 'evidence'> {
    const { id: trialId, strategy, proposalId } = trial;
    const evidence = trial.evidence(this.#terms.weights, reference);
    return { trialId, strategy, ...(proposalId !== undefined && { proposalId }), evidence };
  }
}
