import { Actuator } from '../actuator.ts';
import type {
  Decision,
  Effect,
  KnobResult,
  KnobValue,
  Manifest,
  OperatorAction,
  Rationale,
  Setting,
} from '../model.ts';
import { Distribution } from '../series/distribution.ts';
import type { Increment } from '../series/store.ts';
import type { EngineSettings } from '../settings.ts';
import type { SignalRole } from '../signals.ts';
import { BurnRate } from './burn_rate.ts';
import { ErrorBudget } from './error_budget.ts';
import { Meter, type Reading } from './meter.ts';
import { objectiveOf } from './objective.ts';
import { obey } from './operator.ts';
import { Planner, type TriablePlan } from './planner.ts';
import type { Random } from './random.ts';
import { within } from './reach.ts';
import { Records } from './records.ts';
import { Reference } from './reference.ts';
import { MAX_RESTORE_ATTEMPTS, Restoring } from './restoring.ts';
import { isBanned, withScar } from './scars.ts';
import {
  type Standing,
  withFailure,
  withIncarnation,
  withoutHeld,
  withoutTrial,
  withPin,
  withProven,
  withTry,
} from './standing.ts';
import type { Strategy, StrategyContext } from './strategy.ts';
import { Terms } from './terms.ts';
import { changesBetween, describe, describeChanges, describeEffect, type Progress, Trial } from './trial.ts';
import { BadWindows, errorTrigger } from './triggers.ts';
import { type TunerView, viewOf } from './view.ts';
import { Wallet } from './wallet.ts';
import type { Measurement } from './window.ts';

/**
 * One component's loop: measure the incumbent → plan → try and prove → keep, or restore the recorded values → wait → again.
 *
 *   absent ─session→ restoring → waiting → reference → trying ─proven→ promoting → waiting
 *                        ▲                                │
 *                        └──── anything else, at any point┘
 *
 * It owns what the process should hold and when it is measured; `Trial` knows what to try next, `Planner` what to begin with.
 */
type Phase =
  | { readonly state: 'absent' }
  | { readonly state: 'restoring'; readonly restoring: Restoring }
  | { readonly state: 'waiting'; readonly untilMs: number }
  | { readonly state: 'reference'; readonly plan: TriablePlan; readonly strategy: string }
  | { readonly state: 'trying'; readonly trial: Trial }
  | { readonly state: 'promoting'; readonly trial: Trial };

export interface TunerOptions {
  readonly component: string;
  readonly epoch: number;
  readonly settings: EngineSettings;
  readonly strategies: readonly Strategy[];
  readonly random: Random;
  /** Unique and deterministic names. */
  readonly nextId: (what: 'decision' | 'trial' | 'proposal') => string;
  /** Response times over the profile's window, for strategies that judge without touching. */
  readonly responseTimes: (nowMs: number) => Distribution | undefined;
  readonly standing: Standing;
}

export interface OperatorAnswer {
  readonly ok: boolean;
  readonly message: string;
  readonly effects: readonly Effect[];
}

const REFERENCE_WINDOWS = 3;
const MAX_THIN_WINDOWS = 3;
/** A candidate farther away than this many of the tier's steps is approached over several trials. */
const MAX_WALK_STEPS = 4;

export class Tuner {
  readonly #options: TunerOptions;
  readonly #settings: EngineSettings;
  readonly #terms: Terms;
  readonly #actuator: Actuator;
  readonly #meter: Meter;
  readonly #records: Records;
  readonly #planner: Planner;
  readonly #reference = new Reference();
  readonly #burn: BurnRate | undefined;
  readonly #errorBudget: ErrorBudget;
  #badWindows = new BadWindows();
  #wallet: Wallet | undefined;
  #standing: Standing;
  #phase: Phase = { state: 'absent' };

  constructor(options: TunerOptions) {
    const { settings, component, epoch, standing, nextId } = options;
    this.#options = options;
    this.#settings = settings;
    this.#standing = standing;
    this.#terms = new Terms(settings, component);
    this.#actuator = new Actuator(component, epoch, settings.lease);
    this.#meter = new Meter(settings.window);
    this.#records = new Records(component, this.#terms.weights, () => nextId('decision'));
    this.#planner = new Planner(options.strategies, settings, this.#records, () => nextId('proposal'));
    this.#burn = settings.slo === undefined ? undefined : new BurnRate(settings.slo);
    this.#errorBudget = new ErrorBudget(settings.proof.alpha, standing.errorBudget);
  }

  open(manifest: Manifest, nowMs: number): readonly Effect[] {
    this.#endTrial('rolled_back', 'the process declared its knobs anew', nowMs);
    this.#terms.manifest = manifest;
    // Only now is the tier known, and with it the size of the wallet.
    const balance = this.#wallet?.balance ?? this.#standing.walletBalance;
    this.#wallet = new Wallet(this.#terms.harmRatio, this.#settings.window.minMs, nowMs, balance);
    this.#actuator.open(manifest, nowMs);
    this.#reference.clear();
    this.#records.emit('session_opened', nowMs, { instanceUid: manifest.instanceUid, knobs: manifest.knobs.length });
    this.#noteRestart(manifest, nowMs);
    for (const { knob, value, manual } of manifest.held) {
      if (manual && this.#standing.pins[knob]?.value !== value) this.#pinByHand(knob, value, nowMs);
    }
    this.#noteReturn(nowMs);
    this.#toRestoring(nowMs);
    return this.#records.flush();
  }

  close(nowMs: number, reason: string): readonly Effect[] {
    if (!this.#isOpen) return [];
    const trial = this.#trial;
    // It may have died of the setting, or not; staying away from it for a while costs little.
    if (trial?.isTrying === true) this.#scar(trial, nowMs);
    this.#endTrial('rolled_back', `the session ended: ${reason}`, nowMs);
    this.#actuator.close();
    this.#terms.manifest = undefined;
    this.#phase = { state: 'absent' };
    this.#records.emit('session_closed', nowMs, { reason });
    return this.#records.flush();
  }

  result(commandId: string, results: readonly KnobResult[], nowMs: number): void {
    this.#actuator.onResult(commandId, results, nowMs);
  }

  override(knob: string, value: KnobValue, nowMs: number): readonly Effect[] {
    this.#actuator.override(knob, value);
    this.#endTrial('rolled_back', `${knob} was set by hand to ${value}`, nowMs);
    this.#pinByHand(knob, value, nowMs);
    if (this.#isOpen) this.#toRestoring(nowMs);
    return this.#records.flush();
  }

  operator(action: OperatorAction, by: string, nowMs: number, dryRun = false): OperatorAnswer {
    const before = this.#incumbent;
    const outcome = obey(this.#standing, action, by, nowMs, this.#terms.specs, this.#actuator.effective);
    if (!outcome.ok) return { ok: false, message: outcome.message, effects: [] };
    const { kind, message } = outcome;
    if (dryRun) return { ok: true, message, effects: [] };
    const reason = `${by}: ${message}`;
    this.#standing = outcome.standing;
    if (outcome.endsTrial) this.#endTrial('rolled_back', reason, nowMs);
    // A declined proposal counts as a failure of its strategy: it waits before it asks again.
    if (outcome.declined !== undefined) this.#fail(outcome.declined.strategy, nowMs);
    const proposalId = action.action === 'approve' || action.action === 'reject' ? action.proposalId : undefined;
    const changes = changesBetween(before, this.#incumbent);
    this.#records.decide(kind, nowMs, reason, { by, changes, ...(proposalId !== undefined && { proposalId }) });
    if (kind === 'frozen' || kind === 'unfrozen') this.#records.emit(kind, nowMs, { reason, by });
    if (this.#isOpen && (changes.length > 0 || outcome.endsTrial)) this.#toRestoring(nowMs);
    return { ok: true, message, effects: this.#records.flush() };
  }

  observe(role: SignalRole, increment: Increment): void {
    this.#meter.observe(role, increment);
    this.#burn?.observe(role, increment);
  }

  /** A better source of the response time has replaced the one that the window was collecting. */
  restartWindow(nowMs: number): void {
    this.#meter.restart(nowMs);
  }

  /** `frozen`: why the whole agent must not try anything now. */
  tick(nowMs: number, frozen?: string): readonly Effect[] {
    this.#records.add(this.#actuator.tick(nowMs));
    this.#wallet?.earn(nowMs);
    if (this.#isOpen) {
      this.#watchActuator(nowMs);
      this.#advance(nowMs, frozen);
    }
    return this.#records.flush();
  }

  /** Time did not pass as it should (a stalled agent, a stepped clock): nothing measured or believed now holds. */
  disturb(nowMs: number, reason: string): readonly Effect[] {
    this.#reference.clear();
    this.#endTrial('rolled_back', reason, nowMs);
    if (this.#isOpen) {
      this.#records.add(this.#actuator.doubt(nowMs, reason));
      this.#toRestoring(nowMs);
    }
    return this.#records.flush();
  }

  /** Ends what is open because of a freeze of the whole agent. */
  halt(nowMs: number, reason: string): readonly Effect[] {
    if (this.#endTrial('rolled_back', reason, nowMs)) this.#toRestoring(nowMs);
    return this.#records.flush();
  }

  /** What must outlive the agent. */
  get standing(): Standing {
    const errorBudget = this.#errorBudget.state();
    const walletBalance = this.#wallet?.balance;
    return { ...this.#standing, errorBudget, ...(walletBalance !== undefined && { walletBalance }) };
  }

  view(): TunerView {
    return viewOf({
      phase: this.#phase.state,
      terms: this.#terms,
      standing: this.#standing,
      actuator: this.#actuator,
      trial: this.#trial,
      walletBalance: this.#wallet?.balance ?? 0,
      alpha: this.#errorBudget.alpha,
    });
  }

  #watchActuator(nowMs: number): void {
    const actuator = this.#actuator.state;
    if (actuator.state !== 'failed' && actuator.state !== 'uncertain') return;
    const why = actuator.state === 'failed' ? actuator.failure.detail : 'the process does not answer commands';
    const hadTrial = this.#endTrial('rolled_back', why, nowMs);
    if (hadTrial || this.#phase.state !== 'restoring') this.#toRestoring(nowMs);
  }

  #advance(nowMs: number, frozen: string | undefined): void {
    switch (this.#phase.state) {
      case 'absent':
        return;
      case 'restoring':
        return this.#restore(this.#phase.restoring, nowMs);
      case 'waiting':
        return frozen === undefined ? this.#consider(nowMs, this.#phase.untilMs) : undefined;
      case 'reference':
        return this.#measure(undefined, nowMs);
      case 'trying':
        return this.#measure(this.#phase.trial, nowMs);
      case 'promoting':
        return this.#actuator.state.state === 'settled' ? this.#promote(this.#phase.trial, nowMs) : undefined;
    }
  }

  #consider(nowMs: number, untilMs: number): void {
    if (nowMs < untilMs) return;
    this.#toWaiting(nowMs + this.#settings.window.minMs);
    if (this.#standing.frozen !== undefined) return;
    const mayTry = this.#terms.maxStepRatio > 0 && this.#wallet?.mayStart === true;
    const { standing, next } = this.#planner.plan(this.#context(nowMs), this.#standing, mayTry);
    this.#standing = standing;
    if (next === undefined) return;
    this.#reference.clear();
    this.#phase = { state: 'reference', ...next };
    this.#take(this.#incumbent, nowMs);
  }

  /** Brings the process to a setting and takes one window there. */
  #take(target: Setting, nowMs: number): void {
    const changes = this.#actuator.difference(target);
    for (const { knob, value } of changes) {
      const refused = this.#actuator.rejection(knob, value);
      if (refused === undefined || this.#trial === undefined) continue;
      return this.#giveUpTrial('rolled_back', `the process has refused ${knob} = ${value} before: ${refused}`, nowMs);
    }
    this.#records.add(this.#actuator.apply(target, this.#rationale, nowMs));
    this.#meter.begin(target, changes.length > 0, this.#actuator.settleMs(changes));
  }

  #measure(trial: Trial | undefined, nowMs: number): void {
    if (trial?.isTrying === true) {
      const counts = this.#meter.counts();
      const { errorRatio } = this.#reference;
      const trouble =
        (counts && errorTrigger(counts, this.#terms.limits.errorRatio, errorRatio)) ??
        (trial.alarmAtStart === undefined ? this.#burn?.alarm(nowMs) : undefined);
      if (trouble !== undefined) {
        this.#chargePartial(trial, this.#meter.partial());
        return this.#abandon(trial, trouble, nowMs);
      }
    }
    const reading = this.#meter.collect(nowMs, this.#actuator.state);
    if (reading === undefined) return;
    const objective = reading.state === 'complete' ? objectiveOf(reading.measurement, this.#terms.weights) : undefined;
    const isComparable = trial === undefined || objective?.signals === trial.objectiveSignals;
    if (reading.state !== 'complete' || objective === undefined || !isComparable) {
      return this.#unusable(trial, reading, nowMs);
    }
    if (trial !== undefined) return this.#onWindow(trial, objective.y, reading.measurement, nowMs);
    this.#reference.push(objective.y, reading.measurement);
    if (this.#reference.size < REFERENCE_WINDOWS) return this.#take(this.#incumbent, nowMs);
    this.#start(objective.signals, nowMs);
  }

  /** A window that says nothing: silence ends an experiment at once, thin traffic after a few tries. */
  #unusable(trial: Trial | undefined, reading: Reading, nowMs: number): void {
    if (trial === undefined) return this.#toWaiting(nowMs + this.#settings.window.minMs);
    if (reading.state === 'silent') return this.#giveUpTrial('rolled_back', 'telemetry is missing', nowMs);
    trial.thinWindows++;
    if (trial.thinWindows < MAX_THIN_WINDOWS) return this.#take(trial.target, nowMs);
    this.#giveUpTrial('futile', 'too few requests to tell settings apart', nowMs);
  }

  #onWindow(trial: Trial, y: number, measurement: Measurement, nowMs: number): void {
    if (trial.isTrying) {
      this.#charge(trial, y - this.#reference.y);
      const trouble =
        this.#badWindows.observe(
          y,
          this.#reference,
          measurement,
          this.#terms.limits.responseTimeMsP95,
          this.#reference.latencyMsP95,
        ) ?? errorTrigger(measurement, this.#terms.limits.errorRatio, this.#reference.errorRatio);
      if (trouble !== undefined) return this.#abandon(trial, trouble, nowMs);
    } else {
      this.#reference.push(y, measurement);
    }
    this.#proceed(trial, trial.onWindow(y, nowMs), nowMs);
  }

  #proceed(trial: Trial, progress: Progress, nowMs: number): void {
    if (progress.state === 'ended') return this.#giveUpTrial(progress.as, progress.why, nowMs);
    if (progress.state === 'proven') {
      this.#phase = { state: 'promoting', trial };
      this.#records.add(this.#actuator.apply(trial.candidate, this.#rationale, nowMs));
      return;
    }
    if (this.#wallet?.mayGoOn === false) return this.#giveUpTrial('rolled_back', 'the harm wallet is empty', nowMs);
    this.#take(trial.target, nowMs);
  }

  #start(objectiveSignals: string, nowMs: number): void {
    if (this.#phase.state !== 'reference') throw new Error(`a trial cannot start in phase ${this.#phase.state}`);
    const { plan, strategy } = this.#phase;
    const { probe, proof, optimization } = this.#settings;
    const recorded = this.#incumbent;
    const axes = this.#terms.axes;
    const limit = MAX_WALK_STEPS * this.#terms.maxStepRatio;
    const candidate = plan.kind === 'candidate' ? within(axes, recorded, plan.setting, limit) : undefined;
    const changes = candidate === undefined ? [] : changesBetween(recorded, candidate);
    const banned = (setting: Setting): boolean => isBanned(this.#standing.scars, axes, setting, nowMs);
    if (candidate !== undefined && (changes.length === 0 || banned(candidate))) {
      this.#fail(strategy, nowMs);
      return this.#toWaiting(nowMs);
    }
    const trial = new Trial({
      id: this.#options.nextId('trial'),
      strategy,
      plan,
      startedMs: nowMs,
      recorded,
      ...(candidate !== undefined && { candidate }),
      objectiveSignals,
      alarmAtStart: this.#burn?.alarm(nowMs),
      axes,
      probe: {
        perturbation: probe.perturbation,
        gain: optimization.learningRate,
        maxStepRatio: this.#terms.maxStepRatio,
        isBanned: banned,
        noise: this.#reference.noise,
        pairs: probe.pairsPerProof,
      },
      proof,
      alpha: () => this.#errorBudget.alpha,
      random: this.#options.random,
    });
    this.#badWindows = new BadWindows();
    this.#standing = {
      ...withTry(this.#standing, strategy, nowMs),
      openTrial: { id: trial.id, strategy, recorded },
    };
    this.#phase = { state: 'trying', trial };
    const reason = `${plan.reason}; recorded to restore: ${describe(recorded)}`;
    this.#records.decide('trial_started', nowMs, reason, { changes, ...this.#about(trial) });
    this.#records.emit('trial_started', nowMs, { trialId: trial.id, strategy, recorded });
    this.#take(trial.target, nowMs);
  }

  /** The process has acknowledged the proven setting: it is the incumbent now. */
  #promote(trial: Trial, nowMs: number): void {
    const { effect, strategy, candidate } = trial;
    const changes = changesBetween(trial.recorded, candidate);
    const proven = Object.fromEntries(changes.map(({ knob, to }) => [knob, to]));
    this.#standing = withProven(this.#standing, trial, proven, nowMs);
    this.#errorBudget.spend(true);
    const told = effect === undefined ? '' : `: ${describeEffect(effect)}`;
    const reason = `kept ${describeChanges(changes)}${told}`;
    this.#records.decide('promoted', nowMs, reason, { changes, ...this.#about(trial) });
    const results = effect && { improvement: -effect.estimate, low: -effect.high, high: -effect.low };
    this.#records.emit('optimization_applied', nowMs, {
      strategy,
      trialId: trial.id,
      changes,
      result: { applied: true, optimization: strategy, ...(results !== undefined && { results }) },
    });
    this.#toWaiting(nowMs);
  }

  /** The setting under trial hurts: back at once, and not there again for a while. */
  #abandon(trial: Trial, why: string, nowMs: number): void {
    this.#scar(trial, nowMs);
    this.#giveUpTrial('rolled_back', why, nowMs);
  }

  #giveUpTrial(as: 'futile' | 'rolled_back', why: string, nowMs: number): void {
    this.#endTrial(as, why, nowMs);
    this.#toRestoring(nowMs);
  }

  /** Records why the open trial is over without a gain; the caller brings the process back. False: none was open. */
  #endTrial(as: 'futile' | 'rolled_back', why: string, nowMs: number): boolean {
    this.#meter.cancel();
    const trial = this.#trial;
    if (trial === undefined) return false;
    this.#phase = { state: 'waiting', untilMs: nowMs };
    if (trial.isProving) this.#errorBudget.spend(false);
    this.#standing = withoutTrial(this.#standing);
    this.#fail(trial.strategy, nowMs);
    // A plan made from what is known anyway would be the same again: it made no difference, so it need not come back soon.
    if (as === 'futile' && !trial.isSearch)
      this.#standing = withTry(this.#standing, trial.strategy, nowMs, nowMs + this.#longPauseMs);
    const { effect, strategy, id: trialId } = trial;
    const changes = changesBetween({ ...this.#actuator.effective, ...trial.candidate }, trial.recorded);
    const told = effect === undefined ? '' : `; ${describeEffect(effect)}`;
    const back = changes.length === 0 ? '' : `; restored ${describeChanges(changes)}`;
    this.#records.decide(as, nowMs, `${why}${told}${back}`, { changes, ...this.#about(trial) });
    const data = { strategy, trialId, error: why, changes };
    this.#records.emit('optimization_rolled_back', nowMs, data);
    if (as === 'rolled_back') this.#records.emit('optimization_failed', nowMs, data);
    return true;
  }

  #toWaiting(untilMs: number): void {
    this.#meter.cancel();
    this.#phase = { state: 'waiting', untilMs };
  }

  #toRestoring(nowMs: number): void {
    this.#meter.cancel();
    const restoring = new Restoring(this.#actuator, this.#settings.lease.applyDeadlineMs, nowMs);
    this.#phase = { state: 'restoring', restoring };
    this.#restore(restoring, nowMs);
  }

  #restore(restoring: Restoring, nowMs: number): void {
    this.#dropRefused(nowMs);
    const restored = restoring.step(this.#incumbent, this.#rationale, nowMs);
    if (restored.state === 'done') this.#toWaiting(nowMs);
    else if (restored.state === 'given_up') this.#leaveAlone(nowMs);
    else this.#records.add(restored.effects);
  }

  /** Values that were proven once but that the process now refuses for good are given up. */
  #dropRefused(nowMs: number): void {
    for (const [knob, { value }] of Object.entries(this.#standing.held)) {
      const refused = this.#actuator.rejection(knob, value);
      if (refused === undefined) continue;
      this.#standing = withoutHeld(this.#standing, knob);
      const reason = `the process refuses ${knob} = ${value}: ${refused}; back to its baseline`;
      const changes = [{ knob, from: value, to: this.#incumbent[knob] }];
      this.#records.decide('value_rejected', nowMs, reason, { changes });
    }
  }

  /** The process does not take back what it should hold: let the lease do it, and touch nothing more. */
  #leaveAlone(nowMs: number): void {
    const reason = `the process did not take its values back after ${MAX_RESTORE_ATTEMPTS} attempts`;
    this.#standing = { ...this.#standing, frozen: reason };
    this.#records.add(this.#actuator.doubt(nowMs, reason));
    this.#records.decide('frozen', nowMs, reason, { changes: [] });
    this.#records.emit('frozen', nowMs, { reason });
    this.#toWaiting(nowMs);
  }

  #noteRestart(manifest: Manifest, nowMs: number): void {
    const before = this.#incumbent;
    const { standing, suspect } = withIncarnation(this.#standing, manifest.incarnation, nowMs);
    this.#standing = standing;
    if (suspect === 0) return;
    const changes = changesBetween(before, this.#incumbent);
    const reason = `the process restarted ${suspect} times within 30 minutes under tuned values; back to the baselines`;
    this.#records.decide('rolled_back', nowMs, reason, { changes });
    this.#records.emit('optimization_failed', nowMs, { strategy: 'incumbent', error: reason, changes });
  }

  /** What is different at the process from what should be in force, and why it is put right. */
  #noteReturn(nowMs: number): void {
    const interrupted = this.#standing.openTrial;
    const changes = changesBetween(this.#actuator.effective, this.#incumbent);
    if (interrupted === undefined) {
      if (changes.length === 0) return;
      const reason = `the process came back; ${describeChanges(changes)}, as was proven`;
      return this.#records.decide('restored', nowMs, reason, { changes });
    }
    this.#standing = withoutTrial(this.#standing);
    const { id: trialId, strategy } = interrupted;
    const what =
      changes.length === 0
        ? 'the process is already back at the recorded values'
        : `restoring the recorded values: ${describeChanges(changes)}`;
    const reason = `trial ${trialId} was interrupted by a restart of the agent; ${what}`;
    this.#records.decide('rolled_back', nowMs, reason, { changes, trialId, strategy });
    this.#records.emit('optimization_failed', nowMs, { strategy, trialId, error: reason, changes });
  }

  #pinByHand(knob: string, value: KnobValue, nowMs: number): void {
    this.#standing = withPin(this.#standing, knob, value, 'process');
    const reason = `${knob} was set to ${value} by hand at the process; pinned, the tuner leaves it alone until it is unpinned`;
    this.#records.decide('pinned', nowMs, reason, { changes: [], by: 'process' });
    this.#records.emit('manual_override', nowMs, { knob, value });
  }

  /** A window cut short costs what it was worse, by the share of it that had passed. */
  #chargePartial(trial: Trial, partial: Measurement | undefined): void {
    const y = partial === undefined ? undefined : objectiveOf(partial, this.#terms.weights)?.y;
    if (partial === undefined || y === undefined) return;
    const share = Math.min(1, (partial.endMs - partial.startMs) / this.#settings.window.minMs);
    this.#charge(trial, (y - this.#reference.y) * share);
  }

  #charge(trial: Trial, worseBy: number): void {
    trial.harmSpent += worseBy;
    this.#wallet?.spend(worseBy);
  }

  #scar(trial: Trial, nowMs: number): void {
    const scar = { from: trial.recorded, at: trial.target, untilMs: nowMs + this.#longPauseMs };
    this.#standing = { ...this.#standing, scars: withScar(this.#standing.scars, scar, nowMs) };
  }

  #fail(strategy: string, nowMs: number): void {
    const { cooldown, window } = this.#settings;
    this.#standing = withFailure(this.#standing, strategy, nowMs, cooldown, window.minMs);
  }

  get #trial(): Trial | undefined {
    return this.#phase.state === 'trying' || this.#phase.state === 'promoting' ? this.#phase.trial : undefined;
  }

  get #longPauseMs(): number {
    return this.#settings.cooldown.maxWindows * this.#settings.window.minMs;
  }

  get #isOpen(): boolean {
    return this.#terms.manifest !== undefined;
  }

  get #incumbent(): Setting {
    return this.#terms.incumbent(this.#standing);
  }

  #context(nowMs: number): StrategyContext {
    return {
      nowMs,
      component: this.#options.component,
      tier: this.#terms.tier,
      knobs: this.#terms.tunable(this.#standing),
      incumbent: this.#incumbent,
      responseTimes: this.#options.responseTimes(nowMs) ?? new Distribution(),
      limits: this.#terms.limits,
      rejection: (knob, value) => this.#actuator.rejection(knob, value),
    };
  }

  get #rationale(): Rationale {
    const trial = this.#trial;
    if (trial === undefined) return { strategy: 'incumbent', reason: 'the setting in force' };
    const { effect, strategy, reason, id: trialId } = trial;
    const measured = effect && { expectedEffect: effect.estimate, confidence: effect.confidence };
    return { strategy, reason, trialId, ...measured };
  }

  #about(trial: Trial): Pick<Decision, 'trialId' | 'strategy'> & { readonly evidence: Decision['evidence'] & object } {
    const evidence = trial.evidence(this.#terms.weights, this.#reference);
    return { trialId: trial.id, strategy: trial.strategy, evidence };
  }
}
