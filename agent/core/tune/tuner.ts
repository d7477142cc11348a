import { Actuator, type ActuatorState, type KnobStanding } from '../actuator.ts';
import type {
  Block,
  Decision,
  DecisionKind,
  Effect,
  EventType,
  KnobMode,
  KnobResult,
  KnobValue,
  Manifest,
  OperatorAction,
  Setting,
  Tier,
} from '../model.ts';
import { Distribution } from '../series/distribution.ts';
import type { Increment } from '../series/store.ts';
import type { ComponentPolicy, EngineSettings, TierPolicy } from '../settings.ts';
import type { SignalRole } from '../signals.ts';
import { BurnRate } from './burn_rate.ts';
import { ErrorBudget } from './error_budget.ts';
import { Meter, type Reading } from './meter.ts';
import { type ObjectiveWeights, objectiveOf } from './objective.ts';
import { obey } from './operator.ts';
import { Probe, type ProbePair } from './probe.ts';
import { blockOf, judge, prove } from './proof.ts';
import type { Random } from './random.ts';
import { isBanned, withScar } from './scars.ts';
import { select } from './select.ts';
import { axisOf, decode, encode } from './space.ts';
import { incumbentOf, isActive, modeOf, type Proposal, type Standing } from './standing.ts';
import type { Plan, Strategy, StrategyContext, TunableKnob } from './strategy.ts';
import {
  changesBetween,
  describe,
  describeChanges,
  describeEffect,
  effectOf,
  evidenceOf,
  Reference,
  type Trial,
} from './trial.ts';
import { BadWindows, errorTrigger } from './triggers.ts';
import { Wallet } from './wallet.ts';
import type { Measurement } from './window.ts';

/**
 * One component's loop: measure the incumbent → let a strategy plan → probe or walk there → prove it against the
 * incumbent in interleaved blocks → keep it, or restore the recorded values exactly → wait → again.
 *
 *   absent ─session→ restoring → waiting → reference ─┬→ probing ─┬→ proving ─better→ promoting → waiting
 *                        ▲                            └→ walking ─┘      │
 *                        └────────── anything else, at any point ────────┘
 *
 * All change of state is here; the files beside it are pure leaves.
 */
type Phase =
  | { readonly state: 'absent' }
  | { readonly state: 'restoring'; readonly attempt: number; readonly retryAtMs: number }
  | { readonly state: 'waiting'; readonly untilMs: number }
  | { readonly state: 'reference'; readonly plan: Plan; readonly strategy: string }
  | { readonly state: 'probing'; readonly pair: ProbePair; readonly first?: number }
  | { readonly state: 'walking'; readonly step: number; readonly steps: number }
  | {
      readonly state: 'proving';
      readonly order: Block['order'];
      readonly y: readonly number[];
      readonly fromMs: number;
    }
  | { readonly state: 'promoting' };

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

export interface TunerView {
  readonly tier: Tier;
  readonly phase: Phase['state'];
  /** A session is open. */
  readonly connected: boolean;
  readonly actuator: ActuatorState['state'];
  /** Nothing is under way: `effective` is what the process holds. */
  readonly settled: boolean;
  readonly incumbent: Setting;
  readonly effective: Setting;
  readonly knobs: readonly KnobView[];
  readonly openTrial?: OpenTrialView;
  readonly proposal?: Proposal;
  readonly frozen?: string;
  readonly walletBalance: number;
  /** Level of the next proof. */
  readonly alpha: number;
  /** Of the process, where it has said so. */
  readonly pid?: number;
}

export interface OpenTrialView {
  readonly id: string;
  readonly strategy: string;
  readonly startedMs: number;
  /** What will be restored, whatever happens. */
  readonly recorded: Setting;
  /** What the window under way measures. */
  readonly trying: Setting;
  readonly blocks: number;
  readonly candidate?: Setting;
}

export interface KnobView extends KnobStanding {
  readonly mode: KnobMode;
  readonly pinned: boolean;
  readonly incumbent: KnobValue;
  /** The trial that proved the incumbent's value, `human`, or absent for the baseline. */
  readonly heldBy?: string;
}

const REFERENCE_WINDOWS = 3;
const MAX_THIN_WINDOWS = 3;
/** A candidate farther away than this many of the tier's steps is approached over several trials. */
const MAX_WALK_STEPS = 4;
const MAX_RESTORE_ATTEMPTS = 6;
const MAX_RESTORE_PAUSE_MS = 300_000;
/** Two restarts of the process within this time under tuned values: the values are suspect. */
const CRASH_MEMORY_MS = 1_800_000;
const SAY_AGAIN_MS = 86_400_000;
const PROPOSAL_LIFE_MS = 86_400_000;
/** A trial opens with at least this share of the wallet, so that it is not cut short by an empty one. */
const WALLET_TO_START = 0.25;

export class Tuner {
  readonly #options: TunerOptions;
  readonly #settings: EngineSettings;
  readonly #policy: ComponentPolicy;
  readonly #weights: ObjectiveWeights;
  readonly #limits: EngineSettings['limits'];
  readonly #actuator: Actuator;
  readonly #meter: Meter;
  readonly #reference = new Reference();
  readonly #burn: BurnRate | undefined;
  readonly #errorBudget: ErrorBudget;
  #badWindows = new BadWindows();
  #wallet: Wallet | undefined;
  #walletMs: number | undefined;
  #standing: Standing;
  #manifest: Manifest | undefined;
  #phase: Phase = { state: 'absent' };
  #trial: Trial | undefined;
  #out: Effect[] = [];

  constructor(options: TunerOptions) {
    const { settings, component, epoch, standing } = options;
    this.#options = options;
    this.#settings = settings;
    this.#standing = standing;
    this.#policy = settings.components[component] ?? {};
    this.#weights = { ...settings.objective, ...this.#policy.objective };
    this.#limits = { ...settings.limits, ...this.#policy.limits };
    this.#actuator = new Actuator(component, epoch, settings.lease);
    this.#meter = new Meter(settings.window);
    this.#burn = settings.slo === undefined ? undefined : new BurnRate(settings.slo.targetRatio);
    this.#errorBudget = new ErrorBudget(settings.proof.alpha, standing.errorBudget);
  }

  // -------------------------------------------------------------------------------------------------------------
  // Inputs

  open(manifest: Manifest, nowMs: number): readonly Effect[] {
    if (this.#trial !== undefined) this.#endTrial('rolled_back', 'the process declared its knobs anew', nowMs, false);
    this.#manifest = manifest;
    // Only now is the tier known, and with it the size of the wallet.
    this.#wallet = new Wallet(this.#harmRatio, this.#wallet?.balance ?? this.#standing.walletBalance);
    this.#actuator.open(manifest, nowMs);
    this.#meter.cancel();
    this.#reference.clear();
    this.#emit('session_opened', nowMs, { instanceUid: manifest.instanceUid, knobs: manifest.knobs.length });
    this.#noteRestart(manifest, nowMs);
    for (const { knob, value, manual } of manifest.held) {
      if (manual && this.#standing.pins[knob]?.value !== value) this.#pinByHand(knob, value, nowMs);
    }
    const interrupted = this.#standing.openTrial;
    const changes = changesBetween(this.#actuator.effective, this.#incumbent);
    if (interrupted !== undefined) {
      const { openTrial: _, ...rest } = this.#standing;
      this.#standing = rest;
      const what =
        changes.length === 0
          ? 'the process is already back at the recorded values'
          : `restoring the recorded values: ${describeChanges(changes)}`;
      const reason = `trial ${interrupted.id} was interrupted by a restart of the agent; ${what}`;
      this.#decide('rolled_back', nowMs, reason, { changes, trialId: interrupted.id, strategy: interrupted.strategy });
    } else if (changes.length > 0) {
      this.#decide('restored', nowMs, `the process came back; ${describeChanges(changes)}, as was proven`, { changes });
    }
    this.#phase = { state: 'restoring', attempt: 0, retryAtMs: nowMs };
    this.#restore(nowMs);
    return this.#flush();
  }

  close(nowMs: number, reason: string): readonly Effect[] {
    if (this.#manifest === undefined) return [];
    if (this.#trial !== undefined) {
      // It may have died of the setting, or not; staying away from it for a while costs little.
      if (this.#isTrying) this.#scar(this.#trial.recorded, this.#target, nowMs);
      this.#endTrial('rolled_back', `the session ended: ${reason}`, nowMs, false);
    }
    this.#actuator.close();
    this.#meter.cancel();
    this.#manifest = undefined;
    this.#phase = { state: 'absent' };
    this.#emit('session_closed', nowMs, { reason });
    return this.#flush();
  }

  result(commandId: string, results: readonly KnobResult[], nowMs: number): void {
    this.#actuator.onResult(commandId, results, nowMs);
  }

  override(knob: string, value: KnobValue, nowMs: number): readonly Effect[] {
    this.#actuator.override(knob, value);
    if (this.#trial !== undefined) this.#endTrial('rolled_back', `${knob} was set by hand to ${value}`, nowMs, false);
    this.#pinByHand(knob, value, nowMs);
    if (this.#manifest !== undefined) this.#toRestoring(nowMs);
    return this.#flush();
  }

  operator(
    action: OperatorAction,
    by: string,
    nowMs: number,
  ): { ok: boolean; message: string; effects: readonly Effect[] } {
    const before = this.#incumbent;
    const outcome = obey(this.#standing, action, by, nowMs, this.#specs, this.#actuator.effective);
    if (!outcome.ok) return { ok: false, message: outcome.message, effects: [] };
    const reason = `${by}: ${outcome.message}`;
    if (outcome.endsTrial && this.#trial !== undefined) this.#endTrial('rolled_back', reason, nowMs, false);
    // A declined proposal counts as a failure of its strategy: it waits before it asks again.
    const declined = action.action === 'reject' ? this.#standing.proposal : undefined;
    const { openTrial: _, ...standing } = outcome.standing;
    this.#standing = { ...standing, strategies: this.#standing.strategies };
    if (declined !== undefined) this.#recordFailure(declined.strategy, nowMs);
    const proposalId = action.action === 'approve' || action.action === 'reject' ? action.proposalId : undefined;
    const changes = changesBetween(before, this.#incumbent);
    this.#decide(outcome.kind, nowMs, reason, { by, changes, ...(proposalId !== undefined && { proposalId }) });
    if (outcome.kind === 'frozen' || outcome.kind === 'unfrozen') this.#emit(outcome.kind, nowMs, { reason, by });
    if (this.#manifest !== undefined && (changes.length > 0 || outcome.endsTrial)) this.#toRestoring(nowMs);
    return { ok: true, message: outcome.message, effects: this.#flush() };
  }

  observe(role: SignalRole, increment: Increment): void {
    this.#meter.observe(role, increment);
    const { slo } = this.#settings;
    if (this.#burn === undefined || slo === undefined) return;
    if (role.signal !== 'responseTime' || increment.kind !== 'histogram') return;
    const bad = role.outcome === 'error' ? increment.count : slower(increment, slo.responseTimeMs / role.msPerUnit);
    this.#burn.observe(increment.endMs, increment.count, bad);
  }

  /** A better source of the response time has replaced the one that the window was collecting. */
  restartWindow(nowMs: number): void {
    this.#meter.restart(nowMs);
  }

  /** `frozen`: why the whole agent must not try anything now. */
  tick(nowMs: number, frozen?: string): readonly Effect[] {
    this.#out.push(...this.#actuator.tick(nowMs));
    this.#earn(nowMs);
    if (this.#manifest === undefined) return this.#flush();
    const { state } = this.#actuator.state;
    const troubled = state === 'failed' || state === 'uncertain';
    if (troubled && this.#trial !== undefined) {
      const failure = this.#actuator.state.state === 'failed' ? this.#actuator.state.failure.detail : undefined;
      this.#endTrial('rolled_back', failure ?? 'the process does not answer commands', nowMs, true);
    } else if (troubled && this.#phase.state !== 'restoring') {
      this.#meter.cancel();
      this.#phase = { state: 'restoring', attempt: 0, retryAtMs: nowMs };
    }
    switch (this.#phase.state) {
      case 'absent':
        break;
      case 'restoring':
        this.#restore(nowMs);
        break;
      case 'waiting':
        if (frozen === undefined) this.#consider(nowMs);
        break;
      case 'promoting':
        if (this.#actuator.state.state === 'settled') this.#promote(nowMs);
        break;
      default:
        this.#measure(nowMs);
    }
    return this.#flush();
  }

  /** Time did not pass as it should (a stalled agent, a stepped clock): nothing measured or believed now holds. */
  disturb(nowMs: number, reason: string): readonly Effect[] {
    this.#meter.cancel();
    this.#reference.clear();
    if (this.#manifest === undefined) return this.#flush();
    if (this.#trial !== undefined) this.#endTrial('rolled_back', reason, nowMs, false);
    this.#out.push(...this.#actuator.doubt(nowMs, reason));
    this.#phase = { state: 'restoring', attempt: 0, retryAtMs: nowMs };
    return this.#flush();
  }

  /** Ends what is open because of a freeze of the whole agent. */
  halt(nowMs: number, reason: string): readonly Effect[] {
    if (this.#trial !== undefined) this.#endTrial('rolled_back', reason, nowMs, true);
    return this.#flush();
  }

  /** What must outlive the agent. */
  get standing(): Standing {
    const errorBudget = this.#errorBudget.state();
    const walletBalance = this.#wallet?.balance;
    return { ...this.#standing, errorBudget, ...(walletBalance !== undefined && { walletBalance }) };
  }

  view(): TunerView {
    const { standing } = this;
    const incumbent = this.#incumbent;
    const effective = this.#actuator.effective;
    const trial = this.#trial;
    return {
      tier: this.#tier,
      phase: this.#phase.state,
      connected: this.#manifest !== undefined,
      actuator: this.#actuator.state.state,
      settled: this.#actuator.state.state === 'settled',
      incumbent,
      effective,
      knobs: this.#actuator.standing.map((knob) => {
        const { id } = knob.spec;
        const heldBy = standing.held[id]?.by;
        return {
          ...knob,
          mode: this.#modeOf(id),
          pinned: standing.pins[id] !== undefined,
          incumbent: incumbent[id],
          ...(heldBy !== undefined && { heldBy }),
        };
      }),
      ...(trial !== undefined && {
        openTrial: {
          id: trial.id,
          strategy: trial.strategy,
          startedMs: trial.startedMs,
          recorded: trial.recorded,
          trying: this.#target,
          blocks: trial.blocks.length,
          ...(trial.candidate !== undefined && { candidate: trial.candidate }),
        },
      }),
      ...(standing.proposal !== undefined && { proposal: standing.proposal }),
      ...(standing.frozen !== undefined && { frozen: standing.frozen }),
      walletBalance: this.#wallet?.balance ?? 0,
      alpha: this.#errorBudget.alpha,
      ...(this.#manifest?.pid !== undefined && { pid: this.#manifest.pid }),
    };
  }

  // -------------------------------------------------------------------------------------------------------------
  // Waiting: what to do next

  #consider(nowMs: number): void {
    if (this.#phase.state !== 'waiting' || nowMs < this.#phase.untilMs) return;
    this.#phase = { state: 'waiting', untilMs: nowMs + this.#settings.window.minMs };
    if (this.#standing.frozen !== undefined) return;
    const context = this.#context(nowMs);
    this.#recommend(context);
    this.#propose(context);
    if (this.#maxStep === 0 || !this.#canStart) return;
    const approved = this.#approved();
    if (approved !== undefined) return this.#toReference(approved.plan, approved.strategy, nowMs);
    const selection = select(this.#options.strategies, context, ['auto'], this.#standing);
    if (selection === undefined) return;
    const { plan, strategy } = selection;
    if (plan.kind === 'shadow_rejected') {
      this.#recordTry(strategy.name, nowMs, nowMs + this.#settings.cooldown.maxWindows * this.#settings.window.minMs);
      if (!this.#sayOnce(`shadow:${strategy.name}`, describe(plan.setting), nowMs)) return;
      const changes = changesBetween(this.#incumbent, plan.setting);
      this.#decide('shadow_rejected', nowMs, plan.reason, { changes, strategy: strategy.name, signals: plan.signals });
      return;
    }
    this.#toReference(plan, strategy.name, nowMs);
  }

  #toReference(plan: Plan, strategy: string, nowMs: number): void {
    this.#reference.clear();
    this.#phase = { state: 'reference', plan, strategy };
    this.#take(this.#incumbent, nowMs);
  }

  /** For knobs in mode `recommend`: what could be judged without touching is told, once per value and day. */
  #recommend(context: StrategyContext): void {
    for (const strategy of this.#options.strategies) {
      // A recommendation harms nobody, so the tiers that may not be touched get them as well.
      const plan = strategy.plan(context, ['recommend']);
      if (plan?.kind !== 'candidate') continue;
      if (!this.#sayOnce(`recommend:${strategy.name}`, describe(plan.setting), context.nowMs)) continue;
      const changes = changesBetween(this.#incumbent, plan.setting);
      const { reason, signals } = plan;
      this.#decide('recommended', context.nowMs, reason, { changes, strategy: strategy.name, signals });
      this.#emit('recommendation', context.nowMs, { strategy: strategy.name, changes, reason });
    }
  }

  #propose(context: StrategyContext): void {
    const open = this.#standing.proposal;
    if (open !== undefined && open.expiresMs > context.nowMs) return;
    const selection = select(this.#options.strategies, context, ['approve'], this.#standing);
    if (selection === undefined || selection.plan.kind === 'shadow_rejected') return;
    const { strategy, plan } = selection;
    const knobs = plan.kind === 'explore' ? plan.axes.map((axis) => axis.id) : Object.keys(plan.setting);
    const proposal: Proposal = {
      id: this.#options.nextId('proposal'),
      strategy: strategy.name,
      atMs: context.nowMs,
      expiresMs: context.nowMs + PROPOSAL_LIFE_MS,
      ...(plan.kind === 'candidate' && { setting: plan.setting }),
      knobs,
      reason: plan.reason,
    };
    this.#standing = { ...this.#standing, proposal };
    const changes = plan.kind === 'candidate' ? changesBetween(this.#incumbent, plan.setting) : [];
    const reason = `waiting for approval of ${proposal.id}: ${plan.reason}`;
    this.#decide('proposed', context.nowMs, reason, {
      changes,
      strategy: strategy.name,
      proposalId: proposal.id,
      signals: plan.signals,
    });
    this.#emit('recommendation', context.nowMs, { strategy: strategy.name, changes, reason, proposalId: proposal.id });
  }

  /** The plan that an operator has approved, made anew from the present knobs; the approval is used up by it. */
  #approved(): { readonly plan: Plan; readonly strategy: string } | undefined {
    const proposal = this.#standing.proposal;
    if (proposal?.approvedBy === undefined) return undefined;
    const { proposal: _, ...rest } = this.#standing;
    this.#standing = rest;
    const knobs = this.#tunable().filter((knob) => proposal.knobs.includes(knob.spec.id));
    const signals = {};
    const reason = `${proposal.reason} (approved by ${proposal.approvedBy})`;
    if (proposal.setting !== undefined) {
      return { strategy: proposal.strategy, plan: { kind: 'candidate', setting: proposal.setting, reason, signals } };
    }
    const axes = knobs.flatMap(({ axis }) => axis ?? []);
    if (axes.length === 0) return undefined;
    return { strategy: proposal.strategy, plan: { kind: 'explore', axes, reason, signals } };
  }

  // -------------------------------------------------------------------------------------------------------------
  // Measuring

  /** Brings the process to a setting and takes one window there. */
  #take(target: Setting, nowMs: number): void {
    const changes = this.#actuator.difference(target);
    for (const { knob, value } of changes) {
      const refused = this.#actuator.rejection(knob, value);
      if (refused === undefined || this.#trial === undefined) continue;
      this.#endTrial('rolled_back', `the process has refused ${knob} = ${value} before: ${refused}`, nowMs, true);
      return;
    }
    this.#out.push(...this.#actuator.apply(target, this.#rationale(), nowMs));
    this.#meter.begin(target, changes.length > 0, this.#actuator.settleMs(changes));
  }

  #measure(nowMs: number): void {
    if (this.#trial !== undefined && this.#isTrying) {
      const counts = this.#meter.counts();
      const trouble =
        (counts && errorTrigger(counts, this.#limits.errorRatio, this.#reference.errorRatio)) ?? this.#newAlarm(nowMs);
      if (trouble !== undefined) {
        this.#chargePartial(this.#meter.partial());
        return this.#abandon(trouble, nowMs);
      }
    }
    const reading = this.#meter.collect(nowMs, this.#actuator.state);
    if (reading === undefined) return;
    const objective = reading.state === 'complete' ? objectiveOf(reading.measurement, this.#weights) : undefined;
    const comparable = this.#trial === undefined || objective?.signals === this.#trial.objectiveSignals;
    if (reading.state !== 'complete' || objective === undefined || !comparable) return this.#unusable(reading, nowMs);
    this.#onWindow(objective.y, objective.signals, reading.measurement, nowMs);
  }

  /** A window that says nothing: silence ends an experiment at once, thin traffic after a few tries. */
  #unusable(reading: Reading, nowMs: number): void {
    if (this.#trial === undefined) {
      this.#phase = { state: 'waiting', untilMs: nowMs + this.#settings.window.minMs };
      return;
    }
    if (reading.state === 'silent') return this.#endTrial('rolled_back', 'telemetry is missing', nowMs, true);
    this.#trial.thinWindows++;
    if (this.#trial.thinWindows >= MAX_THIN_WINDOWS) {
      return this.#endTrial('futile', 'too few requests to tell settings apart', nowMs, true);
    }
    this.#take(this.#target, nowMs);
  }

  /** A window cut short costs what it was worse, by the share of it that had passed. */
  #chargePartial(partial: Measurement | undefined): void {
    const y = partial === undefined ? undefined : objectiveOf(partial, this.#weights)?.y;
    if (partial === undefined || y === undefined || this.#trial === undefined) return;
    const share = Math.min(1, (partial.endMs - partial.startMs) / this.#settings.window.minMs);
    const excess = Math.max(0, y - this.#reference.y) * share;
    this.#trial.harmSpent += excess;
    this.#wallet?.settle(excess);
  }

  /** The setting under trial hurts: back at once, and not there again for a while. */
  #abandon(why: string, nowMs: number): void {
    const trial = this.#trial;
    if (trial !== undefined) this.#scar(trial.recorded, this.#target, nowMs);
    this.#endTrial('rolled_back', why, nowMs, true);
  }

  #scar(from: Setting, at: Setting, nowMs: number): void {
    const untilMs = nowMs + this.#settings.cooldown.maxWindows * this.#settings.window.minMs;
    this.#standing = { ...this.#standing, scars: withScar(this.#standing.scars, { from, at, untilMs }, nowMs) };
  }

  #onWindow(y: number, signals: string, measurement: Measurement, nowMs: number): void {
    const phase = this.#phase;
    const trial = this.#trial;
    if (phase.state === 'reference') {
      this.#reference.push(y, measurement);
      if (this.#reference.size < REFERENCE_WINDOWS) return this.#take(this.#incumbent, nowMs);
      return this.#start(phase.plan, phase.strategy, signals, nowMs);
    }
    if (trial === undefined) throw new Error(`a window ended in phase ${phase.state} without a trial`);
    if (this.#isTrying) {
      const excess = Math.max(0, y - this.#reference.y);
      trial.harmSpent += excess;
      this.#wallet?.settle(excess);
      this.#walletMs = nowMs;
      const trouble =
        this.#badWindows.observe(
          y,
          this.#reference.y,
          measurement,
          this.#limits.responseTimeMsP95,
          this.#reference.latencyMsP95,
        ) ?? errorTrigger(measurement, this.#limits.errorRatio, this.#reference.errorRatio);
      if (trouble !== undefined) return this.#abandon(trouble, nowMs);
    } else {
      this.#reference.push(y, measurement);
    }
    switch (phase.state) {
      case 'probing':
        return this.#onProbe(trial, phase, y, nowMs);
      case 'walking':
        return phase.step >= phase.steps
          ? this.#beginProof(trial, nowMs)
          : this.#walk(phase.step + 1, phase.steps, nowMs);
      case 'proving':
        return this.#onProof(trial, phase, y, nowMs);
      default:
        throw new Error(`a window ended in phase ${phase.state}`);
    }
  }

  // -------------------------------------------------------------------------------------------------------------
  // A trial, from its start to its proof

  #start(plan: Plan, strategy: string, objectiveSignals: string, nowMs: number): void {
    if (plan.kind === 'shadow_rejected') throw new Error('a plan rejected in shadow must not be tried');
    const recorded = this.#incumbent;
    const candidate = plan.kind === 'candidate' ? this.#reachable(recorded, plan.setting) : undefined;
    const pointless =
      candidate !== undefined &&
      (changesBetween(recorded, candidate).length === 0 ||
        isBanned(this.#standing.scars, this.#axes(), candidate, nowMs));
    if (pointless) {
      this.#recordFailure(strategy, nowMs);
      this.#phase = { state: 'waiting', untilMs: nowMs };
      return;
    }
    const probe =
      plan.kind === 'explore'
        ? new Probe(plan.axes, recorded, this.#reference.noise, {
            perturbation: this.#settings.probe.perturbation,
            gain: this.#settings.optimization.learningRate,
            maxStepRatio: this.#maxStep,
            isBanned: (setting) => isBanned(this.#standing.scars, plan.axes, setting, nowMs),
          })
        : undefined;
    const trial: Trial = {
      id: this.#options.nextId('trial'),
      strategy,
      reason: plan.reason,
      startedMs: nowMs,
      recorded,
      signals: plan.signals,
      objectiveSignals,
      alarmAtStart: this.#burn?.alarm(nowMs),
      ...(probe !== undefined && { probe }),
      ...(candidate !== undefined && { candidate }),
      blocks: [],
      pairs: 0,
      thinWindows: 0,
      harmSpent: 0,
    };
    this.#trial = trial;
    this.#badWindows = new BadWindows();
    this.#standing = { ...this.#standing, openTrial: { id: trial.id, strategy, recorded } };
    this.#recordTry(strategy, nowMs);
    const changes = candidate === undefined ? [] : changesBetween(recorded, candidate);
    this.#decide('trial_started', nowMs, `${plan.reason}; recorded to restore: ${describe(recorded)}`, {
      changes,
      ...this.#ofTrial(trial),
    });
    this.#emit('trial_started', nowMs, { trialId: trial.id, strategy, recorded });
    if (candidate === undefined) return this.#nextPair(trial, nowMs);
    const steps = Math.ceil(this.#distance(recorded, candidate) / this.#maxStep);
    return steps <= 1 ? this.#beginProof(trial, nowMs) : this.#walk(1, steps, nowMs);
  }

  #nextPair(trial: Trial, nowMs: number): void {
    if (trial.probe === undefined) throw new Error(`trial ${trial.id} does not probe`);
    this.#phase = { state: 'probing', pair: trial.probe.next(this.#options.random) };
    this.#take(this.#target, nowMs);
  }

  #onProbe(trial: Trial, phase: Phase & { state: 'probing' }, y: number, nowMs: number): void {
    if (trial.probe === undefined) throw new Error(`trial ${trial.id} does not probe`);
    if (phase.first === undefined) {
      this.#phase = { ...phase, first: y };
      return this.#take(this.#target, nowMs);
    }
    const [plus, minus] = phase.pair.plusFirst ? [phase.first, y] : [y, phase.first];
    trial.probe.observe(plus, minus);
    trial.pairs++;
    if (!this.#canGoOn) return this.#endTrial('rolled_back', 'the harm wallet is empty', nowMs, true);
    if (trial.pairs < this.#settings.probe.pairsPerProof) return this.#nextPair(trial, nowMs);
    trial.candidate = { ...trial.recorded, ...trial.probe.candidate() };
    const worthwhile = Math.log(1 - this.#settings.proof.minimumEffect);
    if (changesBetween(trial.recorded, trial.candidate).length === 0 || trial.probe.predictedGain > worthwhile) {
      return this.#endTrial('futile', `${trial.pairs} probe pairs show no slope worth following`, nowMs, true);
    }
    return this.#beginProof(trial, nowMs);
  }

  #walk(step: number, steps: number, nowMs: number): void {
    this.#phase = { state: 'walking', step, steps };
    this.#take(this.#target, nowMs);
  }

  #beginProof(trial: Trial, nowMs: number): void {
    trial.alpha = this.#errorBudget.alpha;
    this.#nextBlock(nowMs);
  }

  #nextBlock(nowMs: number): void {
    const order = this.#options.random.sign() === 1 ? 'ABBA' : 'BAAB';
    this.#phase = { state: 'proving', order, y: [], fromMs: nowMs };
    this.#take(this.#target, nowMs);
  }

  #onProof(trial: Trial, phase: Phase & { state: 'proving' }, value: number, nowMs: number): void {
    const y = [...phase.y, value];
    if (y.length < 4) {
      this.#phase = { ...phase, y };
      return this.#take(this.#target, nowMs);
    }
    const alpha = trial.alpha ?? this.#errorBudget.alpha;
    trial.blocks = [...trial.blocks, blockOf(phase.order, y, phase.fromMs, nowMs)];
    trial.proof = prove(trial.blocks, alpha);
    const { maxBlocks, minimumEffect } = this.#settings.proof;
    switch (judge(trial.proof, trial.blocks.length, { alpha, maxBlocks, minimumEffect })) {
      case 'better':
        this.#phase = { state: 'promoting' };
        this.#out.push(...this.#actuator.apply(this.#target, this.#rationale(), nowMs));
        return;
      case 'worse':
        return this.#endTrial('rolled_back', 'proven worse', nowMs, true);
      case 'futile':
        return this.#endTrial('futile', 'not proven to help', nowMs, true);
      case 'undecided':
        if (!this.#canGoOn) return this.#endTrial('rolled_back', 'the harm wallet is empty', nowMs, true);
        return this.#nextBlock(nowMs);
    }
  }

  /** The process has acknowledged the proven setting: it is the incumbent now. */
  #promote(nowMs: number): void {
    const trial = this.#trial;
    if (trial?.candidate === undefined) throw new Error('promoting without a candidate');
    const changes = changesBetween(trial.recorded, trial.candidate);
    const held = { ...this.#standing.held };
    for (const { knob, to } of changes) held[knob] = { value: to, by: trial.id };
    const { openTrial: _, ...rest } = this.#standing;
    const done = { failures: 0, retryAtMs: nowMs, triedAtMs: nowMs };
    this.#standing = { ...rest, held, strategies: { ...rest.strategies, [trial.strategy]: done } };
    this.#errorBudget.spend(true);
    const effect = effectOf(trial);
    const told = effect === undefined ? '' : `: ${describeEffect(effect)}`;
    this.#decide('promoted', nowMs, `kept ${describeChanges(changes)}${told}`, { changes, ...this.#ofTrial(trial) });
    this.#emit('optimization_applied', nowMs, {
      strategy: trial.strategy,
      trialId: trial.id,
      changes,
      result: {
        applied: true,
        optimization: trial.strategy,
        ...(effect !== undefined && {
          results: { improvement: -effect.estimate, low: -effect.high, high: -effect.low },
        }),
      },
    });
    this.#trial = undefined;
    this.#meter.cancel();
    this.#phase = { state: 'waiting', untilMs: nowMs };
  }

  /** The trial is over without a gain: records why, and restores what was recorded (unless the caller does). */
  #endTrial(kind: 'futile' | 'rolled_back', why: string, nowMs: number, restore: boolean): void {
    const trial = this.#trial;
    if (trial === undefined) return;
    this.#trial = undefined;
    this.#meter.cancel();
    if (trial.alpha !== undefined) this.#errorBudget.spend(false);
    const { openTrial: _, ...rest } = this.#standing;
    this.#standing = rest;
    this.#recordFailure(trial.strategy, nowMs);
    const changes = changesBetween({ ...this.#actuator.effective, ...trial.candidate }, trial.recorded);
    const effect = effectOf(trial);
    const told = effect === undefined ? '' : `; ${describeEffect(effect)}`;
    const back = changes.length === 0 ? '' : `; restored ${describeChanges(changes)}`;
    this.#decide(kind, nowMs, `${why}${told}${back}`, { changes, ...this.#ofTrial(trial) });
    const data = { strategy: trial.strategy, trialId: trial.id, error: why, changes };
    this.#emit('optimization_rolled_back', nowMs, data);
    if (kind === 'rolled_back') this.#emit('optimization_failed', nowMs, data);
    if (restore) this.#toRestoring(nowMs);
  }

  // -------------------------------------------------------------------------------------------------------------
  // Restoring the incumbent

  #toRestoring(nowMs: number): void {
    this.#meter.cancel();
    this.#phase = { state: 'restoring', attempt: 0, retryAtMs: nowMs };
    this.#restore(nowMs);
  }

  #restore(nowMs: number): void {
    const phase = this.#phase;
    const actuator = this.#actuator.state;
    if (phase.state !== 'restoring' || actuator.state === 'uncertain') return;
    // On the way to another setting: turn round at once. On the way back already: wait for the answer.
    if (actuator.state === 'applying' && phase.attempt > 0) return;
    if (actuator.state !== 'applying' && this.#actuator.difference(this.#incumbent).length === 0) {
      if (actuator.state === 'failed') this.#actuator.apply(this.#incumbent, this.#rationale(), nowMs);
      this.#phase = { state: 'waiting', untilMs: nowMs };
      return;
    }
    if (nowMs < phase.retryAtMs) return;
    if (phase.attempt >= MAX_RESTORE_ATTEMPTS) return this.#giveUp(nowMs);
    this.#dropRefused(nowMs);
    const pauseMs = this.#settings.lease.applyDeadlineMs * 2 ** phase.attempt;
    this.#phase = {
      state: 'restoring',
      attempt: phase.attempt + 1,
      retryAtMs: nowMs + Math.min(pauseMs, MAX_RESTORE_PAUSE_MS),
    };
    this.#out.push(...this.#actuator.apply(this.#incumbent, this.#rationale(), nowMs, true));
  }

  /** Values that were proven once but that the process now refuses for good are given up. */
  #dropRefused(nowMs: number): void {
    for (const [knob, { value }] of Object.entries(this.#standing.held)) {
      const refused = this.#actuator.rejection(knob, value);
      if (refused === undefined) continue;
      const { [knob]: _, ...held } = this.#standing.held;
      this.#standing = { ...this.#standing, held };
      this.#decide(
        'value_rejected',
        nowMs,
        `the process refuses ${knob} = ${value}: ${refused}; back to its baseline`,
        {
          changes: [{ knob, from: value, to: this.#incumbent[knob] }],
        },
      );
    }
  }

  /** The process does not take back what it should hold: let the lease do it, and leave it alone. */
  #giveUp(nowMs: number): void {
    const reason = `the process did not take its values back after ${MAX_RESTORE_ATTEMPTS} attempts`;
    this.#standing = { ...this.#standing, frozen: reason };
    this.#out.push(...this.#actuator.doubt(nowMs, reason));
    this.#decide('frozen', nowMs, reason, { changes: [] });
    this.#emit('frozen', nowMs, { reason });
    this.#phase = { state: 'waiting', untilMs: nowMs };
  }

  /** A new incarnation under tuned values may be a crash that they caused; the second one soon after is taken for it. */
  #noteRestart(manifest: Manifest, nowMs: number): void {
    const { incarnation, crashesMs, held } = this.#standing;
    const restarted = incarnation !== undefined && incarnation !== manifest.incarnation;
    const recent = crashesMs.filter((atMs) => nowMs - atMs < CRASH_MEMORY_MS);
    if (restarted && Object.keys(held).length > 0) recent.push(nowMs);
    this.#standing = { ...this.#standing, incarnation: manifest.incarnation, crashesMs: recent };
    if (recent.length < 2) return;
    const before = this.#incumbent;
    this.#standing = { ...this.#standing, held: {}, crashesMs: [] };
    const changes = changesBetween(before, this.#incumbent);
    const reason = `the process restarted ${recent.length} times within 30 minutes under tuned values; back to the baselines`;
    this.#decide('rolled_back', nowMs, reason, { changes });
    this.#emit('optimization_failed', nowMs, { strategy: '', error: reason, changes });
  }

  #pinByHand(knob: string, value: KnobValue, nowMs: number): void {
    this.#standing = { ...this.#standing, pins: { ...this.#standing.pins, [knob]: { value, by: 'process' } } };
    const reason = `${knob} was set to ${value} by hand at the process; pinned, the tuner leaves it alone until it is unpinned`;
    this.#decide('pinned', nowMs, reason, { changes: [], by: 'process' });
    this.#emit('manual_override', nowMs, { knob, value });
  }

  // -------------------------------------------------------------------------------------------------------------
  // Derived

  get #specs() {
    return this.#manifest?.knobs ?? [];
  }

  get #tier(): Tier {
    return this.#policy.tier ?? this.#manifest?.tier ?? 'stable';
  }

  get #tierPolicy(): TierPolicy {
    return this.#settings.tiers[this.#tier];
  }

  /** `aggressiveness` 0.5 is the tier's own figure; 1 doubles it. */
  get #maxStep(): number {
    return Math.min(1, this.#tierPolicy.maxStepRatio * 2 * this.#settings.optimization.aggressiveness);
  }

  get #harmRatio(): number {
    return this.#tierPolicy.harmRatio * 2 * this.#settings.optimization.aggressiveness;
  }

  get #canStart(): boolean {
    return this.#wallet !== undefined && this.#wallet.balance >= this.#wallet.ceiling * WALLET_TO_START;
  }

  get #canGoOn(): boolean {
    return this.#wallet?.canExplore === true;
  }

  get #incumbent(): Setting {
    return incumbentOf(this.#specs, this.#standing, this.#policy);
  }

  /** The setting that the phase measures. */
  get #target(): Setting {
    const trial = this.#trial;
    const phase = this.#phase;
    if (trial === undefined) return this.#incumbent;
    const candidate = trial.candidate ?? trial.recorded;
    switch (phase.state) {
      case 'probing': {
        const isPlus = (phase.first === undefined) === phase.pair.plusFirst;
        return { ...trial.recorded, ...(isPlus ? phase.pair.plus : phase.pair.minus) };
      }
      case 'walking':
        return this.#between(trial.recorded, candidate, phase.step / phase.steps);
      case 'proving': {
        const isCandidate = phase.order[phase.y.length] === 'B';
        return isCandidate ? candidate : trial.recorded;
      }
      case 'promoting':
        return candidate;
      default:
        return trial.recorded;
    }
  }

  /** Whether the window under way is at another setting than the incumbent's. */
  get #isTrying(): boolean {
    const trial = this.#trial;
    return trial !== undefined && changesBetween(trial.recorded, this.#target).length > 0;
  }

  #newAlarm(nowMs: number): string | undefined {
    const alarm = this.#burn?.alarm(nowMs);
    return this.#trial?.alarmAtStart === undefined ? alarm : undefined;
  }

  #modeOf(knob: string): KnobMode {
    const spec = this.#specs.find((known) => known.id === knob);
    if (spec === undefined) return 'observe';
    return modeOf(spec, this.#standing, this.#policy, this.#tierPolicy, this.#settings.optimization);
  }

  #tunable(): readonly TunableKnob[] {
    const incumbent = this.#incumbent;
    return this.#specs.flatMap((spec) => {
      const mode = this.#modeOf(spec.id);
      if (mode === 'observe' || this.#standing.pins[spec.id] !== undefined || !isActive(spec, incumbent)) return [];
      const axis = axisOf(spec, this.#policy.knobs?.[spec.id]);
      return [{ spec, mode, ...(axis !== undefined && { axis }) }];
    });
  }

  #context(nowMs: number): StrategyContext {
    return {
      nowMs,
      component: this.#options.component,
      tier: this.#tier,
      knobs: this.#tunable(),
      incumbent: this.#incumbent,
      responseTimes: this.#options.responseTimes(nowMs) ?? new Distribution(),
      limits: this.#limits,
      rejection: (knob, value) => this.#actuator.rejection(knob, value),
    };
  }

  /** The largest distance of any knob, as a share of its range. */
  #distance(from: Setting, to: Setting): number {
    return this.#axes().reduce((most, axis) => {
      return Math.max(most, Math.abs(encode(axis, Number(to[axis.id])) - encode(axis, Number(from[axis.id]))));
    }, 0);
  }

  /** A candidate no farther away than a walk of `MAX_WALK_STEPS` steps. */
  #reachable(from: Setting, wanted: Setting): Setting {
    const to = { ...from, ...wanted };
    const limit = MAX_WALK_STEPS * this.#maxStep;
    const distance = this.#distance(from, to);
    return distance <= limit ? to : this.#between(from, to, limit / distance);
  }

  #between(from: Setting, to: Setting, share: number): Setting {
    if (share >= 1) return to;
    const moved = this.#axes().flatMap((axis) => {
      const start = encode(axis, Number(from[axis.id]));
      const end = encode(axis, Number(to[axis.id]));
      return from[axis.id] === to[axis.id] ? [] : [[axis.id, decode(axis, start + share * (end - start))] as const];
    });
    return { ...to, ...Object.fromEntries(moved) };
  }

  #axes() {
    return this.#specs.flatMap((spec) => axisOf(spec, this.#policy.knobs?.[spec.id]) ?? []);
  }

  #rationale() {
    const trial = this.#trial;
    if (trial === undefined) return { strategy: 'incumbent', reason: 'the setting in force' };
    const effect = effectOf(trial);
    return {
      strategy: trial.strategy,
      reason: trial.reason,
      trialId: trial.id,
      ...(effect !== undefined && { expectedEffect: effect.estimate, confidence: effect.confidence }),
    };
  }

  #ofTrial(trial: Trial): Pick<Decision, 'trialId' | 'strategy' | 'evidence'> {
    const evidence = evidenceOf(trial, this.#weights, this.#reference);
    return { trialId: trial.id, strategy: trial.strategy, evidence };
  }

  // -------------------------------------------------------------------------------------------------------------
  // Records

  #earn(nowMs: number): void {
    this.#walletMs ??= nowMs;
    while (nowMs - this.#walletMs >= this.#settings.window.minMs) {
      this.#wallet?.settle(0);
      this.#walletMs += this.#settings.window.minMs;
    }
  }

  #recordTry(strategy: string, nowMs: number, retryAtMs = nowMs): void {
    const failures = this.#standing.strategies[strategy]?.failures ?? 0;
    const record = { failures, retryAtMs, triedAtMs: nowMs };
    this.#standing = { ...this.#standing, strategies: { ...this.#standing.strategies, [strategy]: record } };
  }

  #recordFailure(strategy: string, nowMs: number): void {
    const failures = (this.#standing.strategies[strategy]?.failures ?? 0) + 1;
    const { windows, maxWindows } = this.#settings.cooldown;
    const pauseMs = Math.min(windows * 2 ** (failures - 1), maxWindows) * this.#settings.window.minMs;
    const record = { failures, retryAtMs: nowMs + pauseMs, triedAtMs: nowMs };
    this.#standing = { ...this.#standing, strategies: { ...this.#standing.strategies, [strategy]: record } };
  }

  #sayOnce(topic: string, what: string, nowMs: number): boolean {
    const last = this.#standing.told[topic];
    if (last !== undefined && last.what === what && nowMs - last.atMs < SAY_AGAIN_MS) return false;
    this.#standing = { ...this.#standing, told: { ...this.#standing.told, [topic]: { atMs: nowMs, what } } };
    return true;
  }

  #decide(
    kind: DecisionKind,
    nowMs: number,
    reason: string,
    more: Pick<Decision, 'changes' | 'strategy' | 'trialId' | 'proposalId' | 'by' | 'evidence'> & {
      readonly signals?: Readonly<Record<string, number>>;
    },
  ): void {
    const { signals, ...fields } = more;
    const evidence =
      fields.evidence ?? (signals && { objective: this.#weights, blocks: [], signals, alternatives: [] });
    const decision: Decision = {
      id: this.#options.nextId('decision'),
      atMs: nowMs,
      component: this.#options.component,
      kind,
      reason,
      ...fields,
      ...(evidence !== undefined && { evidence }),
    };
    this.#out.push({ kind: 'decision', decision });
  }

  #emit(type: EventType, nowMs: number, data: Readonly<Record<string, unknown>>): void {
    this.#out.push({ kind: 'event', event: { type, component: this.#options.component, atMs: nowMs, data } });
  }

  /** Decisions first: they must be durable before anything they announce is done. */
  #flush(): readonly Effect[] {
    const effects = this.#out;
    this.#out = [];
    if (effects.length < 2) return effects;
    return [...effects.filter((effect) => effect.kind === 'decision'), ...effects.filter((e) => e.kind !== 'decision')];
  }
}

/** Requests of a histogram above a limit in its own unit; the bucket that contains the limit counts in proportion. */
function slower(increment: Increment & { kind: 'histogram' }, limit: number): number {
  const { bounds, counts } = increment;
  let above = 0;
  for (let i = 0; i < counts.length; i++) {
    const low = i === 0 ? 0 : bounds[i - 1];
    const high = i < bounds.length ? bounds[i] : Number.POSITIVE_INFINITY;
    if (low >= limit) above += counts[i];
    else if (high > limit) above += Number.isFinite(high) ? (counts[i] * (high - limit)) / (high - low) : 0;
  }
  return above;
}
