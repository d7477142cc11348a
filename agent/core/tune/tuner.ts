import { Actuator } from '../actuator.ts';
import type { Effect, HeldKnob, KnobResult, KnobValue, Manifest, Rationale, Setting, TuningAction } from '../model.ts';
import type { PerformanceProfile } from '../profile/performance_profile.ts';
import { Distribution } from '../series/distribution.ts';
import type { Increment } from '../series/store.ts';
import type { EngineSettings } from '../settings.ts';
import type { ResourceRole, SignalRole } from '../signals.ts';
import { isAuditDue } from './audit.ts';
import { reachable, scopeOf } from './candidate.ts';
import { contextOf } from './context.ts';
import { Dossier } from './dossier.ts';
import { Measuring } from './measuring.ts';
import { objectivesOf } from './objectives.ts';
import { once } from './once.ts';
import { obey } from './operator.ts';
import { type Next, Planner } from './planner.ts';
import { Proving } from './proving.ts';
import { type Random, seedFrom } from './random.ts';
import { Records } from './records.ts';
import { responseWindow } from './response.ts';
import { Restoring } from './restoring.ts';
import { choiceKey, type Proposal, type Standing } from './standing.ts';
import type { Strategy, StrategyContext, StrategyInsights } from './strategy.ts';
import { Terms } from './terms.ts';
import { type Progress, Trial } from './trial.ts';
import type { Trouble } from './triggers.ts';
import { UsageHistogram } from './usage_histogram.ts';
import { type TunerView, viewOf } from './view.ts';
import type { Measurement } from './window.ts';

/**
 * One component's loop: measure the incumbent → plan → try and prove → keep, or restore the recorded values → wait → again.
 *
 *   absent ─session→ restoring → waiting → reference → trying ─proven→ promoting → waiting
 *                        ▲                                │
 *                        └──── anything else, at any point┘
 *
 * It owns what the process should hold and when it is measured; `Planner` knows what to begin with, `Trial` what to try next,
 * `Measuring` how it does, and `Dossier` what is known and told of it.
 */
type Phase =
  | { readonly state: 'absent' }
  | { readonly state: 'restoring'; readonly restoring: Restoring }
  | { readonly state: 'waiting'; readonly untilMs: number }
  | { readonly state: 'reference'; readonly next: Next }
  | { readonly state: 'auditing'; readonly proving: Proving; signals: string | undefined }
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
  readonly profile: (nowMs: number) => PerformanceProfile | undefined;
  readonly okPerSecond: (nowMs: number) => number | undefined;
  readonly insights: StrategyInsights;
  /** Why another component's experiment goes first; undefined: this one may begin. */
  readonly mayBegin: (nowMs: number) => string | undefined;
  readonly standing: Standing;
}

export interface OperatorAnswer {
  readonly ok: boolean;
  readonly message: string;
  readonly proposalId?: string;
  readonly decisionId?: string;
  readonly effects: readonly Effect[];
}

const MAX_THIN_WINDOWS = 3;

export class Tuner {
  readonly #options: TunerOptions;
  readonly #settings: EngineSettings;
  readonly #terms: Terms;
  readonly #actuator: Actuator;
  readonly #measuring: Measuring;
  readonly #records: Records;
  readonly #planner: Planner;
  readonly #dossier: Dossier;
  readonly #memory: UsageHistogram;
  #waitsFor: string | undefined;
  #phase: Phase = { state: 'absent' };

  constructor(options: TunerOptions) {
    const { settings, component, epoch, standing, nextId } = options;
    this.#options = options;
    this.#settings = settings;
    this.#terms = new Terms(settings, component);
    this.#actuator = new Actuator(component, epoch, settings.lease);
    this.#measuring = new Measuring(settings, this.#terms);
    this.#records = new Records(component, this.#terms.weights, () => nextId('decision'));
    this.#planner = new Planner(options.strategies, settings, this.#records, () => nextId('proposal'), options.random);
    this.#memory = new UsageHistogram(standing.memory);
    const [terms, actuator, records] = [this.#terms, this.#actuator, this.#records];
    this.#dossier = new Dossier({ settings, terms, actuator, records, standing });
  }

  open(manifest: Manifest, nowMs: number): readonly Effect[] {
    this.#endTrial('rolled_back', 'the process declared its knobs anew', nowMs);
    this.#terms.manifest = manifest;
    this.#measuring.open(nowMs, this.#dossier.standing.walletBalance);
    this.#actuator.open(manifest, nowMs);
    this.#records.emit('session_opened', nowMs, { instanceUid: manifest.instanceUid, knobs: manifest.knobs.length });
    const wasInterrupted = this.#dossier.noteInterruption(nowMs);
    this.#dossier.noteRestart(manifest, nowMs);
    this.#dossier.pinHands(manifest.held, nowMs);
    if (!wasInterrupted) this.#dossier.noteReturn('the process came back', nowMs);
    this.#toRestoring(nowMs);
    return this.#flush(nowMs);
  }

  close(nowMs: number, reason: string): readonly Effect[] {
    if (!this.#isOpen) return [];
    const trial = this.#trial;
    const isTried = trial?.isTrying === true;
    // It may have died of the setting, or not; staying away costs little.
    if (isTried) this.#dossier.scar(trial.recorded, trial.target, nowMs);
    this.#endTrial('rolled_back', `the session ended: ${reason}`, nowMs);
    const why = this.#measuring.guard.gone();
    if (!isTried && why !== undefined) this.#dossier.retreat(this.#measuring.guard, nowMs, why);
    this.#actuator.close();
    this.#terms.manifest = undefined;
    this.#phase = { state: 'absent' };
    this.#records.emit('session_closed', nowMs, { reason });
    return this.#flush(nowMs);
  }

  result(commandId: string, results: readonly KnobResult[], nowMs: number): readonly Effect[] {
    this.#records.add(this.#actuator.onResult(commandId, results, nowMs));
    return this.#flush(nowMs);
  }

  override(knob: string, value: KnobValue, nowMs: number): readonly Effect[] {
    this.#actuator.override(knob, value);
    this.#endTrial('rolled_back', `${knob} was set by hand to ${value}`, nowMs);
    this.#dossier.pinByHand(knob, value, nowMs);
    if (this.#isOpen) this.#toRestoring(nowMs);
    return this.#flush(nowMs);
  }

  /** What the process says it holds. Where that is not what was believed, nothing measured since its last word holds. */
  holding(held: readonly HeldKnob[], nowMs: number): readonly Effect[] {
    const wrong = this.#actuator.holding(held, nowMs);
    if (wrong === undefined) return [];
    this.#measuring.reference.clear();
    const hadTrial = this.#endTrial('rolled_back', wrong, nowMs);
    this.#dossier.pinHands(held, nowMs);
    if (!hadTrial) this.#dossier.noteReturn(wrong, nowMs);
    this.#toRestoring(nowMs);
    return this.#flush(nowMs);
  }

  operator(action: TuningAction, by: string, nowMs: number, dryRun = false): OperatorAnswer {
    if (action.action === 'optimize') return this.#hurry(nowMs, dryRun);
    const before = this.#dossier.incumbent;
    const nextProposalId = () => (dryRun ? 'p?' : this.#options.nextId('proposal'));
    const context = this.#dossier.operatorContext(nowMs, nextProposalId);
    const outcome = obey(this.#dossier.standing, action, by, context);
    if (!outcome.ok) return { ok: false, message: outcome.message, effects: [] };
    const { message, proposalId, endsTrial } = outcome;
    if (dryRun) return { ok: true, message, effects: [] };
    this.#dossier.standing = outcome.standing;
    if (endsTrial) this.#endTrial('rolled_back', `${by}: ${message}`, nowMs);
    const { decisionId, hasMoved } = this.#dossier.obeyed(outcome, by, before, nowMs);
    if (this.#isOpen && (hasMoved || endsTrial)) this.#toRestoring(nowMs);
    const named = { decisionId, ...(proposalId !== undefined && { proposalId }) };
    return { ok: true, message, ...named, effects: this.#flush(nowMs) };
  }

  /** A strategy that waits after a failure goes on waiting: asking more often makes nothing better. */
  #hurry(nowMs: number, dryRun: boolean): OperatorAnswer {
    if (!this.#isOpen) return { ok: false, message: 'its process is not connected', effects: [] };
    if (this.#phase.state !== 'waiting') return { ok: true, message: `under way: ${this.#phase.state}`, effects: [] };
    if (!dryRun) this.#toWaiting(nowMs);
    return { ok: true, message: 'considered at the next tick', effects: [] };
  }

  observe(role: SignalRole, increment: Increment): void {
    this.#measuring.observe(role, increment);
  }

  observeMemory(role: ResourceRole, increment: Increment): void {
    this.#measuring.observeMemory(role, increment, this.#actuator.state, this.#actuator.effective);
  }

  /** A better source of the response time has replaced the one that the window was collecting. */
  restartWindow(nowMs: number): void {
    this.#measuring.restart(nowMs);
  }

  /** `frozen`: why the whole agent must not try anything now. */
  tick(nowMs: number, frozen?: string): readonly Effect[] {
    this.#records.add(this.#actuator.tick(nowMs));
    this.#measuring.wallet?.earn(nowMs);
    this.#dossier.standing = this.#planner.expire(this.#dossier.standing, nowMs);
    if (this.#isOpen) {
      this.#watchActuator(nowMs);
      this.#advance(nowMs, frozen);
    }
    return this.#flush(nowMs);
  }

  /** Time did not pass as it should (a stalled agent, a stepped clock): nothing measured or believed now holds. */
  disturb(nowMs: number, reason: string): readonly Effect[] {
    this.#measuring.reference.clear();
    this.#endTrial('rolled_back', reason, nowMs);
    if (this.#isOpen) {
      this.#records.add(this.#actuator.doubt(nowMs, reason));
      this.#toRestoring(nowMs);
    }
    return this.#flush(nowMs);
  }

  get isConnected(): boolean {
    return this.#isOpen;
  }

  /** Ends what is open because of a freeze of the whole agent, or of an anomaly. */
  halt(nowMs: number, reason: string): readonly Effect[] {
    if (this.#endTrial('rolled_back', reason, nowMs)) this.#toRestoring(nowMs);
    return this.#flush(nowMs);
  }

  /** Which alarm of the service level's error budget is firing, in words. */
  burning(nowMs: number): string | undefined {
    return this.#measuring.alarm(nowMs);
  }

  /** What must outlive the agent. */
  get standing(): Standing {
    const memory = this.#memory.state();
    return { ...this.#dossier.saved(this.#measuring.wallet?.balance), ...(memory !== undefined && { memory }) };
  }

  /** MiB in use. */
  memoryInUse(mib: number, atMs: number): void {
    this.#memory.add(mib, atMs);
  }

  /** Something is being measured that another experiment would disturb. */
  get isExperimenting(): boolean {
    const { state } = this.#phase;
    return state === 'reference' || state === 'trying' || state === 'promoting';
  }

  view(nowMs: number): TunerView {
    return viewOf({
      phase: this.#phase.state,
      waitsFor: this.#phase.state === 'waiting' ? this.#waitsFor : undefined,
      terms: this.#terms,
      standing: this.#dossier.standing,
      actuator: this.#actuator,
      trial: this.#trial,
      walletBalance: this.#measuring.wallet?.balance ?? 0,
      alpha: this.#dossier.alpha,
      q: this.#settings.proof.alpha,
      nowMs,
      maxWindowMs: this.#settings.window.maxMs,
    });
  }

  #flush(nowMs: number): readonly Effect[] {
    this.#dossier.noteRevision(nowMs);
    return this.#records.flush();
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
        this.#measuring.watch(this.#dossier.incumbent, nowMs, this.#actuator.state);
        return frozen === undefined ? this.#consider(nowMs, this.#phase.untilMs) : undefined;
      case 'reference':
        return frozen === undefined ? this.#measure(undefined, nowMs) : this.#toWaiting(nowMs);
      case 'auditing':
        return this.#audit(this.#phase, frozen, nowMs);
      case 'trying':
        return this.#measure(this.#phase.trial, nowMs);
      case 'promoting':
        return this.#actuator.state.state === 'settled' ? this.#promote(this.#phase.trial, nowMs) : undefined;
    }
  }

  #consider(nowMs: number, untilMs: number): void {
    if (this.#dossier.retreat(this.#measuring.guard, nowMs)) return this.#toRestoring(nowMs);
    if (nowMs < untilMs) return;
    this.#phase = { state: 'waiting', untilMs: nowMs + this.#settings.window.minMs };
    if (this.#dossier.standing.frozen !== undefined) return;
    const mayTry = this.#terms.maxStepRatio > 0 && this.#measuring.wallet?.mayStart === true;
    this.#waitsFor = undefined;
    const [before, { suspicion }] = [this.#dossier.standing, this.#measuring];
    const { standing, next } = this.#planner.plan(this.#context(nowMs), before, mayTry, suspicion);
    this.#dossier.standing = standing;
    if (next === undefined) return mayTry ? this.#considerAudit(nowMs) : undefined;
    this.#waitsFor = this.#options.mayBegin(nowMs);
    if (this.#waitsFor !== undefined) return;
    this.#phase = { state: 'reference', next };
    const { incumbent } = this.#dossier;
    const signals = this.#measuring.yardstick(incumbent, nowMs);
    return signals === undefined ? this.#take(incumbent, nowMs) : this.#start(signals, nowMs);
  }

  /** While nothing else is due: the incumbent against itself. */
  #considerAudit(nowMs: number): void {
    if (!isAuditDue(this.#dossier.standing, nowMs, this.#settings.window.minMs)) return;
    this.#dossier.auditStarted(nowMs);
    this.#measuring.reference.clear();
    const proving = new Proving(this.#dossier.auditTerms(seedFrom(this.#options.random)), nowMs);
    this.#phase = { state: 'auditing', proving, signals: undefined };
    this.#take(this.#dossier.incumbent, nowMs);
  }

  #audit(phase: Phase & { state: 'auditing' }, frozen: string | undefined, nowMs: number): void {
    const isAsked = this.#dossier.standing.proposals.some(({ approvedBy }) => approvedBy !== undefined);
    if (frozen !== undefined || isAsked) return this.#toWaiting(nowMs);
    const reading = this.#measuring.read(this.#dossier.incumbent, nowMs, this.#actuator.state);
    if (reading === undefined) return;
    const isComparable = reading.state === 'measured' && reading.signals === (phase.signals ?? reading.signals);
    if (reading.state !== 'measured' || !isComparable) return this.#toWaiting(nowMs + this.#settings.window.minMs);
    phase.signals = reading.signals;
    this.#measuring.reference.push(reading.y, reading.signals, reading.measurement, this.#dossier.incumbent);
    // What is held is to be looked into: that comes first.
    if (this.#measuring.suspicion?.isNew === true) return this.#toWaiting(nowMs);
    if (phase.proving.onWindow(reading.y, nowMs) === 'undecided') return this.#take(this.#dossier.incumbent, nowMs);
    this.#dossier.audited(phase.proving, this.#measuring.reference, nowMs);
    this.#toWaiting(nowMs);
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
    const knobs = changes.map(({ knob }) => knob);
    const shown = this.#measuring.begin(target, knobs, this.#dossier.settleMs(knobs));
    if (shown !== undefined) this.#dossier.noteTransient(shown.knobs, shown.lengthMs);
  }

  #measure(trial: Trial | undefined, nowMs: number): void {
    if (trial?.isTrying === true) {
      const why = this.#measuring.trouble(trial, nowMs);
      if (why !== undefined) return this.#abandon(trial, { why }, nowMs);
    }
    const reading = this.#measuring.read(this.#dossier.incumbent, nowMs, this.#actuator.state, trial?.isJump);
    if (reading === undefined) return;
    const isComparable =
      trial === undefined || (reading.state === 'measured' && reading.signals === trial.objectiveSignals);
    if (reading.state !== 'measured' || !isComparable) return this.#unusable(trial, reading.state === 'silent', nowMs);
    const { y, signals, measurement } = reading;
    if (trial !== undefined) return this.#onWindow(trial, y, measurement, nowMs);
    const { incumbent } = this.#dossier;
    this.#measuring.reference.push(y, signals, measurement, incumbent);
    const isReady = this.#measuring.yardstick(incumbent, nowMs) !== undefined;
    return isReady ? this.#start(signals, nowMs) : this.#take(incumbent, nowMs);
  }

  /** A window that says nothing: silence ends an experiment at once, thin traffic after a few tries. */
  #unusable(trial: Trial | undefined, isSilent: boolean, nowMs: number): void {
    if (trial === undefined) return this.#toWaiting(nowMs + this.#settings.window.minMs);
    if (isSilent) return this.#giveUpTrial('rolled_back', 'telemetry is missing', nowMs);
    trial.thinWindows++;
    if (trial.thinWindows < MAX_THIN_WINDOWS) return this.#take(trial.target, nowMs);
    this.#giveUpTrial('futile', 'too few requests to tell settings apart', nowMs);
  }

  #onWindow(trial: Trial, y: number, measurement: Measurement, nowMs: number): void {
    trial.learn(responseWindow(y, measurement));
    if (trial.isTrying) {
      const trouble = this.#measuring.judge(trial, y, measurement);
      if (trouble !== undefined) return this.#abandon(trial, trouble, nowMs);
      const relief = this.#measuring.relief(trial, y, measurement);
      if (relief?.isBetter === false) return this.#giveUpTrial('futile', relief.why, nowMs);
      if (relief !== undefined) return this.#giveBack(trial, relief.why, measurement, nowMs);
    } else {
      this.#measuring.reference.push(y, trial.objectiveSignals, measurement, trial.recorded);
    }
    if (trial.isSearch && !trial.isProving && this.#measuring.hasShiftedSince(trial.startedMs)) {
      const known = this.#planner.learned(this.#dossier.standing, this.#context(nowMs));
      if (known !== undefined)
        return this.#giveUpTrial('rolled_back', `the load has moved; ${known.plan.reason}`, nowMs);
    }
    const progress = trial.onWindow(y, nowMs, objectivesOf(measurement));
    const urgent = progress.state === 'measure' ? this.#measuring.urgency(trial) : undefined;
    if (urgent !== undefined && this.#planner.checks(this.#context(nowMs), this.#dossier.standing, urgent)) {
      this.#endTrial('rolled_back', `what is held is to be looked into: ${urgent.why}`, nowMs);
      return this.#toRestoring(nowMs);
    }
    this.#proceed(trial, progress, nowMs);
  }

  #proceed(trial: Trial, progress: Progress, nowMs: number): void {
    // Proven worse is as good a reason to stay away as an alarm.
    if (progress.state === 'ended' && progress.as === 'rolled_back') return this.#abandon(trial, progress, nowMs);
    if (progress.state === 'ended') return this.#giveUpTrial(progress.as, progress.why, nowMs);
    if (progress.state === 'proven') {
      this.#phase = { state: 'promoting', trial };
      return this.#records.add(this.#actuator.apply(trial.candidate, this.#rationale, nowMs));
    }
    if (!this.#measuring.canPay(trial)) return this.#giveUpTrial('rolled_back', 'the harm wallet is empty', nowMs);
    this.#take(trial.target, nowMs);
  }

  #start(objectiveSignals: string, nowMs: number): void {
    if (this.#phase.state !== 'reference') throw new Error(`a trial cannot start in phase ${this.#phase.state}`);
    const [before, { suspicion, guard, reference }] = [this.#dossier.standing, this.#measuring];
    const { standing, next } = this.#planner.afresh(this.#phase.next, this.#context(nowMs), before, suspicion);
    this.#dossier.standing = standing;
    const { plan, strategy, purpose, proposal, context, alternatives, rule } = next;
    // Somebody has called it off while the incumbent was measured.
    if (proposal !== undefined && !this.#dossier.isProposed(proposal)) return this.#toWaiting(nowMs);
    const { probe, proof, optimization } = this.#settings;
    const [recorded, { axes, maxStepRatio }] = [this.#dossier.incumbent, this.#terms];
    const isBanned = (setting: Setting, room: number): boolean => this.#dossier.isBanned(setting, nowMs, room);
    const scope = scopeOf(next, { recorded, maxStepRatio, guard, isBanned });
    const { candidate, whyNot } = reachable(axes, recorded, plan, scope);
    if (whyNot !== undefined) {
      this.#dossier.spared(strategy, purpose, nowMs);
      this.#decline(proposal, whyNot, nowMs);
      return this.#toWaiting(nowMs);
    }
    const trial = new Trial({
      id: this.#options.nextId('trial'),
      strategy,
      proposalId: proposal?.id,
      ...{ purpose, context, alternatives, rule, plan },
      startedMs: nowMs,
      recorded,
      ...(candidate !== undefined && { candidate }),
      objectiveSignals,
      alarmAtStart: this.#measuring.alarm(nowMs),
      axes,
      probe: {
        perturbation: probe.perturbation,
        gain: optimization.learningRate,
        maxStepRatio: scope.maxStepRatio,
        isBanned: (setting) => scope.whyBanned(setting) !== undefined,
        pairs: probe.pairsPerProof,
        windowMs: this.#settings.window.minMs,
        noise: this.#measuring.reference.noise,
        known: this.#measuring.reference.windows.map(({ y, measurement }) => responseWindow(y, measurement)),
        response: (axes) => this.#measuring.responseOf(axes, recorded, objectiveSignals),
      },
      ...{ proof, jump: { won: this.#dossier.won, reference } },
      limits: this.#terms.limits,
      alpha: () => this.#dossier.alpha,
      openProof: () => this.#dossier.proofTerms(seedFrom(this.#options.random)),
      random: this.#options.random,
    });
    this.#measuring.trialBegins();
    this.#phase = { state: 'trying', trial };
    this.#dossier.trialStarted(trial, this.#measuring.reference, proposal, nowMs);
    this.#take(trial.target, nowMs);
  }

  #promote(trial: Trial, nowMs: number): void {
    const { circumstances } = this.#context(nowMs);
    this.#dossier.promoted(trial, this.#measuring.reference, circumstances, nowMs);
    this.#toWaiting(nowMs);
  }

  /** The setting under trial hurts: back at once, and not there again for a while. */
  #abandon(trial: Trial, { why, worseBy }: Trouble, nowMs: number): void {
    if (!trial.purpose.isReturn && !this.#measuring.hasShiftedSince(trial.startedMs))
      this.#dossier.hurt(trial, worseBy, nowMs);
    this.#giveUpTrial('rolled_back', why, nowMs);
  }

  /** A few windows at the baselines were clearly better than what is held. */
  #giveBack(trial: Trial, why: string, { requestsPerSecond = 0, errorRatio = 0 }: Measurement, nowMs: number): void {
    this.#measuring.overturned(this.#dossier.won);
    const context = contextOf(requestsPerSecond * (1 - errorRatio), nowMs);
    this.#dossier.gaveBack(trial, this.#measuring.reference, why, context, nowMs);
    this.#toRestoring(nowMs);
  }

  #giveUpTrial(as: 'futile' | 'rolled_back', why: string, nowMs: number): void {
    this.#endTrial(as, why, nowMs, true);
    this.#toRestoring(nowMs);
  }

  /** Records why the open trial is over without a gain; the caller brings the process back. False: none was open. */
  #endTrial(as: 'futile' | 'rolled_back', why: string, nowMs: number, isVerdict = false): boolean {
    this.#measuring.cancel();
    const trial = this.#trial;
    if (trial === undefined) return false;
    this.#phase = { state: 'waiting', untilMs: nowMs };
    this.#measuring.trialEnded(trial, isVerdict, nowMs);
    this.#dossier.ended(trial, this.#measuring.reference, { as, why, isVerdict }, nowMs);
    return true;
  }

  #decline(proposal: Proposal | undefined, why: string, nowMs: number): void {
    if (proposal === undefined) return;
    this.#dossier.standing = this.#planner.decline(proposal, why, nowMs, this.#dossier.standing);
  }

  #toWaiting(untilMs: number): void {
    this.#measuring.cancel();
    this.#phase = { state: 'waiting', untilMs };
  }

  #toRestoring(nowMs: number): void {
    this.#measuring.cancel();
    const restoring = new Restoring(this.#actuator, this.#settings.lease.applyDeadlineMs, nowMs);
    this.#phase = { state: 'restoring', restoring };
    this.#restore(restoring, nowMs);
  }

  #restore(restoring: Restoring, nowMs: number): void {
    this.#dossier.dropRefused(nowMs);
    const restored = restoring.step(this.#dossier.incumbent, this.#rationale, nowMs);
    if (restored.state === 'under_way') return this.#records.add(restored.effects);
    if (restored.state === 'given_up') this.#dossier.leaveAlone(nowMs);
    this.#toWaiting(nowMs);
  }

  get #trial(): Trial | undefined {
    return this.#phase.state === 'trying' || this.#phase.state === 'promoting' ? this.#phase.trial : undefined;
  }

  get #isOpen(): boolean {
    return this.#terms.manifest !== undefined;
  }

  #context(nowMs: number): StrategyContext {
    const profile = once(() => this.#options.profile(nowMs));
    const responseTimes = once(() => this.#options.responseTimes(nowMs) ?? new Distribution());
    const circumstances = once(() => contextOf(this.#options.okPerSecond(nowMs), nowMs));
    const { lastKept, choices } = this.#dossier.standing;
    return {
      nowMs,
      component: this.#options.component,
      tier: this.#terms.tier,
      knobs: this.#terms.tunable(this.#dossier.standing),
      incumbent: this.#dossier.incumbent,
      get responseTimes() {
        return responseTimes();
      },
      get profile() {
        return profile();
      },
      get circumstances() {
        return circumstances();
      },
      memory: this.#memory,
      insights: this.#options.insights,
      thresholds: this.#settings.thresholds,
      ...(lastKept !== undefined && { lastKept }),
      limits: this.#terms.limits,
      foresee: (setting) => this.#measuring.foresee(this.#dossier.incumbent, setting),
      grounds: () => this.#dossier.grounds(this.#measuring, nowMs),
      judgedMs: (knob, value) => choices[choiceKey(knob, value)],
      opened: (knob, value) => this.#terms.opened(this.#dossier.standing, knob, value),
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
}
