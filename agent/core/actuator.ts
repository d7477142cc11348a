import type {
  Command,
  Effect,
  HeldKnob,
  KnobChange,
  KnobResult,
  KnobSpec,
  KnobValue,
  Manifest,
  Rationale,
  Setting,
} from './model.ts';
import type { EngineSettings } from './settings.ts';

/**
 * The arm of the loop: what a process should hold (`desired`), what it holds as far as we know (`effective`), and the one
 * command that is under way between the two.
 *
 * Values are absolute and every command has an id, so an unanswered one is simply sent again. When that fails too, belief is
 * `uncertain`: renewals stop, and once the lease must have run out at the process, the baseline is what it holds: the
 * lease is what makes belief recover without an answer. Each renewal is answered with what is held, so that belief recovers within one
 * renewal where a value has gone and no word of it has come.
 *
 * A process that can check a value without taking it is asked first about each value of a trial that it has not taken before: what it
 * refuses is then never tried, not even on its way to all or none.
 */
export type ActuatorState =
  | { readonly state: 'closed' }
  | { readonly state: 'settled'; readonly sinceMs: number }
  | { readonly state: 'applying'; readonly command: Command; readonly deadlineMs: number; readonly sends: number }
  | { readonly state: 'uncertain'; readonly untilMs: number }
  | { readonly state: 'failed'; readonly failure: Failure; readonly sinceMs: number };

export interface Failure {
  readonly cause: 'rejected' | 'mismatch' | 'unanswered' | 'expired';
  readonly detail: string;
}

/** One knob as it stands: what was asked for, what is in force, and what last went wrong, apart from each other. */
export interface KnobStanding {
  readonly spec: KnobSpec;
  readonly desired: KnobValue;
  readonly effective: KnobValue;
  readonly attemptedRevision: number;
  readonly effectiveRevision: number;
  readonly lastError?: string;
}

interface Knob {
  readonly spec: KnobSpec;
  desired: KnobValue;
  attemptedRevision: number;
  lastError: string | undefined;
  effective: KnobValue;
  /** 0: the baseline, or a value set by hand; otherwise the command that set it, which a lease keeps alive. */
  revision: number;
  /** Set by hand at the process: moves only on a command that names the present value. */
  manual: boolean;
  /**
   * It must be commanded anew: it is held on the word of an earlier agent, whose leases are not ours to renew, or what the session
   * before had under way may yet reach it, after the process has said what it holds.
   */
  inherited: boolean;
}

const RENEWALS_PER_TTL = 3;
/** A process that says it is draining gets this many deadlines. */
const DRAIN_DEADLINES = 10;
const MAX_REJECTED = 256;
/** Beyond it is forgotten what was taken, which costs a question. */
const MAX_TAKEN = 1_024;

export class Actuator {
  readonly #component: string;
  readonly #epoch: number;
  readonly #lease: EngineSettings['lease'];
  readonly #knobs = new Map<string, Knob>();
  readonly #rejected = new Map<string, string>();
  /** Values that the process has taken, or said that it would. */
  readonly #taken = new Set<string>();
  #validates = false;
  /** What is sent when the process has agreed to the check that is under way. */
  #checked: Command | undefined;
  #state: ActuatorState = { state: 'closed' };
  #awaiting = new Set<string>();
  /** Knobs of commands that nobody will answer any more, and that may yet be obeyed. */
  readonly #underWay = new Set<string>();
  #failure: Failure | undefined;
  #revision = 0;
  #renewedMs = Number.NEGATIVE_INFINITY;

  constructor(component: string, epoch: number, lease: EngineSettings['lease']) {
    this.#component = component;
    this.#epoch = epoch;
    this.#lease = lease;
  }

  get state(): ActuatorState {
    return this.#state;
  }

  /** What the process holds, as far as we know. */
  get effective(): Setting {
    return Object.fromEntries([...this.#knobs].map(([id, knob]) => [id, knob.effective]));
  }

  get standing(): readonly KnobStanding[] {
    return [...this.#knobs.values()].map(({ spec, desired, effective, attemptedRevision, revision, lastError }) => ({
      spec,
      desired,
      effective,
      attemptedRevision,
      effectiveRevision: revision,
      ...(lastError !== undefined && { lastError }),
    }));
  }

  /** Why a value must not be sent again, if the process refused it for good. */
  rejection(knob: string, value: KnobValue): string | undefined {
    return this.#rejected.get(valueKey(knob, value));
  }

  /** A session has opened: the process's own word is belief from here on. */
  open(manifest: Manifest, nowMs: number): void {
    this.#abandonAwaited();
    this.#knobs.clear();
    this.#rejected.clear();
    this.#taken.clear();
    this.#validates = manifest.validates === true;
    for (const spec of manifest.knobs) {
      const said = this.#said(spec, manifest.held);
      this.#knobs.set(spec.id, {
        ...said,
        spec,
        desired: said.effective,
        attemptedRevision: said.revision,
        lastError: undefined,
        inherited: said.inherited || (this.#underWay.has(spec.id) && !said.manual),
      });
    }
    this.#underWay.clear();
    this.#failure = undefined;
    this.#checked = undefined;
    // What it still holds was renewed in the session before, and may be about to run out.
    this.#renewedMs = Number.NEGATIVE_INFINITY;
    this.#state = { state: 'settled', sinceMs: nowMs };
  }

  /**
   * What the process says it holds, in answer to a renewal: its latest word. Says what is not as it was believed, where that is so. While a
   * command is under way its result will tell, and what is uncertain is left to the leases.
   */
  holding(held: readonly HeldKnob[], nowMs: number): string | undefined {
    if (this.#state.state !== 'settled' && this.#state.state !== 'failed') return undefined;
    const wrong: string[] = [];
    for (const [id, knob] of this.#knobs) {
      const said = this.#said(knob.spec, held);
      const inherited = knob.inherited || said.inherited;
      if (!Object.is(said.effective, knob.effective)) wrong.push(`${id} is ${said.effective}, not ${knob.effective}`);
      else if (inherited && !knob.inherited) wrong.push(`${id} is ${said.effective} on another word than ours`);
      Object.assign(knob, said, { inherited });
    }
    if (wrong.length === 0) return undefined;
    if (this.#state.state === 'settled') this.#state = { state: 'settled', sinceMs: nowMs };
    return `the process holds something else than was believed: ${wrong.join(', ')}`;
  }

  #said(spec: KnobSpec, held: readonly HeldKnob[]): Pick<Knob, 'effective' | 'revision' | 'manual' | 'inherited'> {
    const entry = held.find(({ knob }) => knob === spec.id);
    const tuned = entry !== undefined && !entry.manual && entry.revision > 0;
    return {
      effective: entry?.value ?? spec.baseline,
      revision: tuned ? entry.revision : 0,
      manual: entry?.manual === true,
      inherited: tuned && entry.epoch !== this.#epoch,
    };
  }

  close(): void {
    this.#checked = undefined;
    this.#state = { state: 'closed' };
    this.#abandonAwaited();
  }

  #abandonAwaited(): void {
    for (const id of this.#awaiting) this.#underWay.add(id);
    this.#awaiting.clear();
  }

  /** A human has changed a knob at the process. */
  override(knob: string, value: KnobValue): void {
    const known = this.#knobs.get(knob);
    if (known === undefined) return;
    known.desired = value;
    known.effective = value;
    known.revision = 0;
    known.manual = true;
    known.inherited = false;
  }

  /** Which knobs differ from a target. */
  difference(target: Setting): readonly KnobChange[] {
    return Object.entries(target).flatMap(([id, value]) => {
      const knob = this.#knobs.get(id);
      if (knob === undefined || (knob.effective === value && !knob.inherited)) return [];
      return [{ knob: id, value, expectedCurrent: knob.effective }];
    });
  }

  /**
   * Makes `target` the desired setting. Nothing is sent when nothing differs. `force` leaves out compare-and-set and lets every knob
   * stand alone: a restoration takes back what it can.
   */
  apply(target: Setting, rationale: Rationale, nowMs: number, force = false): readonly Effect[] {
    if (this.#state.state === 'closed' || this.#state.state === 'uncertain') return [];
    this.#failure = undefined;
    // While a command is under way belief may be behind: send the whole target, absolute values make that harmless.
    const changes = this.#state.state === 'applying' ? this.#all(target) : this.difference(target);
    this.#checked = undefined;
    if (changes.length === 0) {
      this.#state = { state: 'settled', sinceMs: nowMs };
      return [];
    }
    this.#revision++;
    const command: Command = {
      commandId: `${this.#component}/${this.#epoch}/${this.#revision}`,
      component: this.#component,
      epoch: this.#epoch,
      revision: this.#revision,
      changes: force ? changes.map((change) => this.#unconditional(change)) : changes,
      atomicity: force ? 'per_knob' : 'all',
      validateOnly: false,
      leaseTtlMs: this.#lease.ttlMs,
      onExpiry: 'baseline',
      applyDeadlineMs: this.#lease.applyDeadlineMs,
      rationale,
    };
    const isNew = changes.some(({ knob, value }) => !this.#taken.has(valueKey(knob, value)));
    if (!this.#validates || force || rationale.trialId === undefined || !isNew) return this.#send(command, nowMs);
    const check = { ...command, commandId: `${command.commandId}/check`, validateOnly: true };
    const effects = this.#await(check, nowMs);
    this.#checked = command;
    return effects;
  }

  /** Nothing but the answer to a check has effects: what was checked is sent. */
  onResult(commandId: string, results: readonly KnobResult[], nowMs: number): readonly Effect[] {
    const checked = this.#checked;
    this.#hear(commandId, results, nowMs);
    // Of what was refused only the reason is kept; the actuator has failed then.
    if (checked === undefined || this.#checked !== checked || this.#state.state !== 'settled') return [];
    return this.#send(checked, nowMs);
  }

  #send(command: Command, nowMs: number): readonly Effect[] {
    for (const { knob, value } of command.changes) {
      const known = this.#knobs.get(knob);
      if (known === undefined) continue;
      known.desired = value;
      known.attemptedRevision = command.revision;
    }
    return this.#await(command, nowMs);
  }

  #await(command: Command, nowMs: number): readonly Effect[] {
    this.#checked = undefined;
    this.#awaiting = new Set(command.changes.map((change) => change.knob));
    this.#state = { state: 'applying', command, deadlineMs: nowMs + this.#lease.applyDeadlineMs, sends: 1 };
    return [{ kind: 'command', command }];
  }

  #hear(commandId: string, results: readonly KnobResult[], nowMs: number): void {
    const state = this.#state;
    if (state.state === 'closed') return;
    const isCurrent = state.state === 'applying' && state.command.commandId === commandId;
    for (const result of results) {
      if (isCurrent) this.#settleKnob(state.command, result);
      else this.#heardLate(result, nowMs);
    }
    if (!isCurrent || this.#state.state !== 'applying') return;
    if (results.some((result) => result.state === 'applying' || result.state === 'draining')) {
      this.#state = { ...state, deadlineMs: nowMs + DRAIN_DEADLINES * this.#lease.applyDeadlineMs };
    }
    if (this.#awaiting.size > 0) return;
    this.#state =
      this.#failure === undefined
        ? { state: 'settled', sinceMs: nowMs }
        : { state: 'failed', failure: this.#failure, sinceMs: nowMs };
  }

  tick(nowMs: number): readonly Effect[] {
    const effects: Effect[] = [];
    const state = this.#state;
    if (state.state === 'applying' && nowMs >= state.deadlineMs) effects.push(...this.#unanswered(state, nowMs));
    if (state.state === 'uncertain' && nowMs >= state.untilMs) {
      for (const knob of this.#knobs.values()) {
        if (knob.revision > 0) knob.effective = knob.spec.baseline;
        knob.revision = 0;
        knob.inherited = false;
      }
      const detail = 'the process did not answer; its lease has run out, so it is at its baselines';
      this.#fail({ cause: 'unanswered', detail }, nowMs);
    }
    const holdsTuned = [...this.#knobs.values()].some((knob) => knob.revision > 0);
    const mayRenew = this.#state.state !== 'closed' && this.#state.state !== 'uncertain';
    const sinceRenewalMs = nowMs - this.#renewedMs;
    // After a step back of the clock the last renewal lies in the future; the lease at the process runs on meanwhile.
    const isDue = sinceRenewalMs >= this.#lease.ttlMs / RENEWALS_PER_TTL || sinceRenewalMs < 0;
    if (holdsTuned && mayRenew && isDue) {
      this.#renewedMs = nowMs;
      const { ttlMs } = this.#lease;
      effects.push({
        kind: 'renewal',
        component: this.#component,
        epoch: this.#epoch,
        revision: this.#revision,
        leaseTtlMs: ttlMs,
      });
    }
    return effects;
  }

  /**
   * Belief no longer holds (time jumped, values do not stick): everything is revoked, and once no lease can be alive any more
   * the baselines are what the process holds.
   */
  doubt(nowMs: number, reason: string): readonly Effect[] {
    if (this.#state.state === 'closed') return [];
    this.#revision++;
    this.#checked = undefined;
    // What is under way may be in force by now, or may still arrive.
    for (const [id, knob] of this.#knobs) if (this.#awaiting.has(id)) knob.revision = Math.max(knob.revision, 1);
    this.#abandonAwaited();
    // A lease was last renewed at most now, and a message may be under way for as long as an answer may take.
    this.#state = { state: 'uncertain', untilMs: nowMs + this.#lease.ttlMs + this.#lease.applyDeadlineMs };
    return [
      {
        kind: 'revoke',
        component: this.#component,
        epoch: this.#epoch,
        revision: this.#revision,
        knobs: [...this.#knobs.keys()],
        reason,
      },
    ];
  }

  /** Without compare-and-set, except where the process insists on it. */
  #unconditional({ knob, value }: KnobChange): KnobChange {
    const known = this.#knobs.get(knob);
    return known?.manual === true ? { knob, value, expectedCurrent: known.effective } : { knob, value };
  }

  #all(target: Setting): readonly KnobChange[] {
    return Object.entries(target).flatMap(([knob, value]) => (this.#knobs.has(knob) ? [{ knob, value }] : []));
  }

  #settleKnob(command: Command, result: KnobResult): void {
    const knob = this.#knobs.get(result.knob);
    const change = command.changes.find((entry) => entry.knob === result.knob);
    if (knob === undefined || change === undefined || !this.#awaiting.has(result.knob)) return;
    if (result.state === 'applying' || result.state === 'draining') return;
    this.#awaiting.delete(result.knob);
    if (result.state === 'applied') this.#took(result.knob, change.value);
    if (command.validateOnly && result.state === 'applied') return;
    knob.effective = result.effectiveValue;
    knob.revision = result.effectiveRevision;
    if (result.state === 'applied') {
      knob.manual = false;
      knob.inherited = false;
      if (result.effectiveValue === change.value) return;
      knob.lastError = `reads back ${result.effectiveValue} after ${change.value} was acknowledged`;
      const detail = `${result.knob} was acknowledged as ${change.value} but reads back ${result.effectiveValue}`;
      this.#failure = { cause: 'mismatch', detail };
      return;
    }
    knob.lastError = `${change.value}: ${result.error ?? result.state}`;
    if (result.state === 'rejected_permanent') this.#remember(result.knob, change.value, result.error ?? 'no reason');
    const cause = result.state === 'expired' || result.state === 'rolled_back' ? 'expired' : 'rejected';
    this.#failure ??= { cause, detail: `${result.knob} = ${change.value}: ${result.error ?? result.state}` };
  }

  /** A result of an earlier command: an acknowledgement says nothing about now, a lease that ran out does. */
  #heardLate(result: KnobResult, nowMs: number): void {
    const knob = this.#knobs.get(result.knob);
    if (knob === undefined || this.#awaiting.has(result.knob)) return;
    if (result.state !== 'expired' && result.state !== 'rolled_back') return;
    if (knob.revision === 0 || result.attemptedRevision < knob.revision) return;
    knob.effective = result.effectiveValue;
    knob.revision = result.effectiveRevision;
    knob.inherited = false;
    const detail = `${result.knob} is back at ${result.effectiveValue}: ${result.error ?? result.state}`;
    if (this.#state.state === 'settled') this.#fail({ cause: 'expired', detail }, nowMs);
    else this.#failure ??= { cause: 'expired', detail };
  }

  #unanswered(state: ActuatorState & { state: 'applying' }, nowMs: number): readonly Effect[] {
    if (state.sends <= this.#lease.maxResends) {
      this.#state = { ...state, deadlineMs: nowMs + this.#lease.applyDeadlineMs, sends: state.sends + 1 };
      return [{ kind: 'command', command: state.command }];
    }
    return this.doubt(nowMs, `no answer to ${state.command.commandId} after ${state.sends} sends`);
  }

  #fail(failure: Failure, nowMs: number): void {
    this.#state = { state: 'failed', failure, sinceMs: nowMs };
  }

  #remember(knob: string, value: KnobValue, reason: string): void {
    if (this.#rejected.size >= MAX_REJECTED) {
      const oldest = this.#rejected.keys().next().value;
      if (oldest !== undefined) this.#rejected.delete(oldest);
    }
    this.#rejected.set(valueKey(knob, value), reason);
  }

  #took(knob: string, value: KnobValue): void {
    if (this.#taken.size >= MAX_TAKEN) this.#taken.clear();
    this.#taken.add(valueKey(knob, value));
  }
}

function valueKey(knob: string, value: KnobValue): string {
  return `${knob}=${typeof value}:${value}`;
}
