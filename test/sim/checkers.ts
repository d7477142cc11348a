import type { Command, Decision, Effect, KnobValue, Setting } from '../../agent/core/model.ts';
import type { EngineSettings } from '../../agent/core/settings.ts';
import { baselineSetting, sameSetting } from './knob_space.ts';
import { knobSpecs, type Scenario } from './scenario.ts';
import type { Belief } from './seam.ts';
import type { Watcher } from './world.ts';

export interface Violation {
  readonly rule: string;
  readonly atMs: number;
  readonly detail: string;
}

/** A checker watches a world and collects what broke its rule; a run may break it many times, the first hundred are kept. */
export interface Checker extends Watcher {
  readonly violations: readonly Violation[];
}

const MAX_KEPT = 100;

abstract class Rule implements Checker {
  readonly violations: Violation[] = [];
  abstract readonly rule: string;

  protected report(atMs: number, detail: string): void {
    if (this.violations.length < MAX_KEPT) this.violations.push({ rule: this.rule, atMs, detail });
  }
}

/** How long what the agent knows may lag behind what is. */
export interface Patience {
  /** A difference between belief and fact that lasts longer is an error, not news under way. */
  readonly staleMs: number;
  /** The longest that one unproven value may stay in force. */
  readonly unprovenMs: number;
  readonly trialMs: number;
}

/** Derived from what the settings allow, with the scenario's delays; generous by a factor of about two. */
export function patienceFor(scenario: Scenario, settings: EngineSettings): Patience {
  const { lease, window, proof, tickMs } = settings;
  const { control, client, partitions, agent } = scenario.faults;
  const delayMs = control.delayMs[1] * 12 + client.applyMs[1];
  const staleMs = lease.ttlMs + lease.ttlMs / 3 + 2 * tickMs + 2 * delayMs;
  const settleMs = scenario.knobs.reduce((most, knob) => Math.max(most, knob.settleMs), 0);
  const windowMs = window.maxMs + settleMs + 2 * scenario.telemetry.intervalMs + lease.applyDeadlineMs + 2 * tickMs;
  const outageMs = Math.max(partitions?.downMs[1] ?? 0, agent?.downMs[1] ?? 0, 3 * scenario.restartMs);
  return {
    staleMs,
    unprovenMs: 4 * windowMs + staleMs + lease.ttlMs,
    trialMs: 2 * ((4 * proof.maxBlocks + 8) * windowMs + outageMs + staleMs),
  };
}

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

  decided(atMs: number, { kind, trialId, changes }: Decision): void {
    // What the process refuses for good, or what two crashes made suspect, is given up: another value is in order.
    if (kind === 'value_rejected' || (kind === 'rolled_back' && trialId === undefined)) {
      for (const { knob } of changes) this.#due?.values.delete(knob);
    }
    if (trialId === undefined) return;
    if (kind === 'trial_started') {
      const values = new Map(Object.entries(this.#incumbent));
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

/** A value that was never proven leaves the process in time: when its agent is gone, with its lease. */
export class LeaseChecker extends Rule {
  readonly rule = 'no unproven value outlives its lease';
  readonly #unprovenMs: number;
  readonly #ttlMs: number;
  readonly #proven = new Map<string, Set<KnobValue>>();
  readonly #since = new Map<string, { value: KnobValue; atMs: number }>();
  #leasedMs = 0;

  constructor(scenario: Scenario, settings: EngineSettings, unprovenMs: number) {
    super();
    this.#unprovenMs = unprovenMs;
    this.#ttlMs = settings.lease.ttlMs + settings.lease.applyDeadlineMs + scenario.faults.client.applyMs[1];
    for (const [knob, value] of Object.entries(baselineSetting(knobSpecs(scenario))))
      this.#proven.set(knob, new Set([value]));
  }

  decided(_atMs: number, { kind, changes }: Decision): void {
    if (kind !== 'promoted') return;
    for (const { knob, to } of changes) this.#proven.get(knob)?.add(to);
  }

  leased(atMs: number): void {
    this.#leasedMs = atMs;
  }

  setting(atMs: number, setting: Setting): void {
    for (const [knob, value] of Object.entries(setting)) {
      const before = this.#since.get(knob);
      if (before !== undefined && Object.is(before.value, value)) continue;
      if (before !== undefined) this.#check(atMs, knob, before);
      this.#since.set(knob, { value, atMs });
    }
  }

  ticked(atMs: number): void {
    for (const [knob, held] of this.#since) {
      if (this.#check(atMs, knob, held)) this.#since.set(knob, { value: held.value, atMs });
    }
  }

  finished(atMs: number): void {
    for (const [knob, held] of this.#since) this.#check(atMs, knob, held);
  }

  #check(atMs: number, knob: string, held: { value: KnobValue; atMs: number }): boolean {
    if (this.#proven.get(knob)?.has(held.value)) return false;
    const unleasedMs = atMs - Math.max(this.#leasedMs, held.atMs);
    if (unleasedMs > this.#ttlMs) {
      this.report(
        atMs,
        `${knob} = ${held.value}, unproven, ${unleasedMs} ms after its last lease of ${this.#ttlMs} ms`,
      );
      return true;
    }
    if (atMs - held.atMs > this.#unprovenMs) {
      this.report(atMs, `${knob} = ${held.value}, unproven, in force since ${held.atMs} ms`);
      return true;
    }
    return false;
  }
}

/** Epochs rise at every start, revisions within an epoch, and a command id means one command for ever. */
export class FenceChecker extends Rule {
  readonly rule = 'epoch and revision rise';
  readonly #commands = new Map<string, string>();
  #epoch = 0;
  #revision = 0;

  agentStarted(atMs: number, epoch: number): void {
    if (epoch <= this.#epoch) this.report(atMs, `epoch ${epoch} after ${this.#epoch}`);
    this.#epoch = epoch;
    this.#revision = 0;
    this.#commands.clear();
  }

  emitted(atMs: number, effect: Effect): void {
    if (effect.kind === 'command') this.#command(atMs, effect.command);
    if (effect.kind === 'revoke') this.#raise(atMs, effect.epoch, effect.revision, 'revoke');
    if (effect.kind === 'renewal' && (effect.epoch !== this.#epoch || effect.revision > this.#revision)) {
      this.report(
        atMs,
        `renewal of ${effect.epoch}/${effect.revision}, last sent was ${this.#epoch}/${this.#revision}`,
      );
    }
  }

  #command(atMs: number, command: Command): void {
    const content = JSON.stringify([command.epoch, command.revision, command.changes, command.atomicity]);
    const known = this.#commands.get(command.commandId);
    if (known === undefined) {
      this.#commands.set(command.commandId, content);
      this.#raise(atMs, command.epoch, command.revision, command.commandId);
    } else if (known !== content) {
      this.report(atMs, `${command.commandId} was ${known} and is now ${content}`);
    }
  }

  #raise(atMs: number, epoch: number, revision: number, what: string): void {
    if (epoch !== this.#epoch || revision <= this.#revision) {
      this.report(atMs, `${what} has ${epoch}/${revision} after ${this.#epoch}/${this.#revision}`);
    }
    this.#revision = Math.max(this.#revision, revision);
  }
}

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

/** Counts what was kept; on a plant whose knobs do nothing every one of them is false. */
export class PromotionCounter implements Watcher {
  promoted = 0;
  decided(_atMs: number, { kind }: Decision): void {
    if (kind === 'promoted') this.promoted++;
  }
}

/** A fingerprint of everything the engine said: equal for equal runs. */
export class EffectDigest implements Watcher {
  #hash = 0x811c9dc5;
  effects = 0;

  emitted(atMs: number, effect: Effect): void {
    this.#add(`${atMs}${JSON.stringify(effect)}`);
  }

  decided(atMs: number, decision: Decision): void {
    this.#add(`${atMs}${JSON.stringify(decision)}`);
  }

  get value(): string {
    return (this.#hash >>> 0).toString(16);
  }

  #add(text: string): void {
    this.effects++;
    for (let i = 0; i < text.length; i++) this.#hash = Math.imul(this.#hash ^ text.charCodeAt(i), 0x01000193);
  }
}

function endsTrial(kind: Decision['kind']): boolean {
  return (
    kind === 'promoted' ||
    kind === 'rolled_back' ||
    kind === 'futile' ||
    kind === 'restored' ||
    kind === 'shadow_rejected'
  );
}

/** Where two settings differ, in words; undefined where they do not. A process that is down holds nothing. */
function differenceOf(believed: Setting, actual: Setting | undefined): string | undefined {
  if (actual === undefined) return 'the process is down';
  for (const [knob, value] of Object.entries(believed)) {
    if (!Object.is(value, actual[knob])) return `${knob} is believed ${value} and is ${actual[knob]}`;
  }
  return undefined;
}
