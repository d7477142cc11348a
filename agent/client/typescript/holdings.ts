/**
 * What a process does on the agent's word: the client's half of the control contract, without I/O.
 *
 * Fencing: only commands of the epoch that the session was welcomed with are obeyed, and only above the highest
 * (epoch, revision) obeyed so far. One command is applied at a time; of those that arrive meanwhile only the latest is
 * kept. A command_id that was answered is answered again, and not applied again. A knob set by hand moves only on a
 * command that knows the value set by hand (it names it as `expectedCurrent`).
 *
 * An agent that lost its state counts epochs from 1 again. While anything is leased from a higher epoch its commands are
 * refused; once nothing is (the leases see to that), the fence is lowered to the epoch that the session is in.
 */
import type { Command, HeldKnob, KnobChange, KnobResult, KnobSpec, KnobValue } from '../../core/model.ts';
import { Answers } from './answers.ts';
import type { Clock } from './clock.ts';
import { type Fence, isBelow } from './fence.ts';
import type { KnobRecord, Origin } from './knob.ts';
import { KnobTable, type Refusal } from './knob_table.ts';
import type { SavedValues } from './saved_values.ts';
import { announce, ask } from './tell.ts';

/** A change that needs a drain or a reload may take this many deadlines, once the agent has been told. */
const DRAIN_DEADLINES = 10;
/** What is said of a change that takes its time, before its listeners are asked. */
const SLOW_STATES = { hot: undefined, drain: 'draining', reload: 'applying', restart: undefined } as const;

const SIBLING: Refusal = {
  state: 'rolled_back',
  error: 'another change of the same command was refused, and it is all or none',
};
const OVERTAKEN: Refusal = { state: 'superseded', error: 'a hand, a revocation or the end of a lease came first' };
const NEWER: Refusal = { state: 'superseded', error: 'a newer command came first' };

export type ClientCommand = Omit<Command, 'component'>;

/** What the client tells the agent about commands and knobs. */
export type Report =
  | {
      readonly kind: 'result';
      readonly nonce: string;
      readonly commandId: string;
      readonly results: readonly KnobResult[];
    }
  | { readonly kind: 'override'; readonly knob: string; readonly value: KnobValue }
  | { readonly kind: 'holding'; readonly held: readonly HeldKnob[] };

interface Pending {
  readonly command: ClientCommand;
  /** The one object that all its values share: by it they are reported together. */
  readonly origin: Origin;
  readonly arrivedMs: number;
  /** Of the last time that it was received. */
  nonce: string;
  /** Raised by a renewal that comes while it is being applied. */
  leaseUntilMs: number;
  /** Something newer came: what has not begun is not begun any more. */
  overtaken: boolean;
}

/** What became of one change so far: refused, or agreed to by all listeners. */
interface Step {
  readonly change: KnobChange;
  refusal: Refusal | undefined;
  /** The knob's generation when this last was the whole truth; a later one means that something else came. */
  generation: number;
}

export class Holdings {
  readonly #clock: Clock;
  readonly #report: (report: Report) => void;
  readonly #table: KnobTable;
  readonly #answers = new Answers();
  #sessionEpoch: number | undefined;
  #fence: Fence = { epoch: 0, revision: 0 };
  #lastSeenRevision = 0;
  #current: Pending | undefined;
  #waiting: Pending | undefined;

  constructor(clock: Clock, report: (report: Report) => void, saved?: SavedValues) {
    this.#clock = clock;
    this.#report = report;
    this.#table = new KnobTable(clock, (...news) => this.#tellTakenBack(...news), saved);
  }

  declare(spec: KnobSpec, readBack: (() => KnobValue) | undefined): KnobRecord {
    const knob = this.#table.declare(spec, readBack);
    // What an earlier process obeyed is behind the fence of this one, too.
    if (knob.origin && isBelow(this.#fence, knob.origin)) this.#fence = knob.origin;
    return knob;
  }

  get specs(): readonly KnobSpec[] {
    return this.#table.specs;
  }

  spec(knob: string): KnobSpec | undefined {
    return this.#table.get(knob)?.spec;
  }

  /** For a Hello, and for the answer to a renewal. */
  get held(): readonly HeldKnob[] {
    return this.#table.held;
  }

  /** For a Hello. */
  get lastSeenRevision(): number {
    return this.#lastSeenRevision;
  }

  /** A session began. */
  welcome(epoch: number): void {
    this.#sessionEpoch = epoch;
  }

  /** The session is over: nobody stands by what is still being applied. */
  part(): void {
    this.#sessionEpoch = undefined;
  }

  /** A command arrived. */
  obey(command: ClientCommand, nonce: string): void {
    const { commandId, epoch, revision } = command;
    const results = this.#answers.get(commandId);
    if (results) {
      this.#report({ kind: 'result', nonce, commandId, results });
      return;
    }
    const open = [this.#current, this.#waiting].find((pending) => pending?.command.commandId === commandId);
    if (open) {
      open.nonce = nonce;
      return;
    }
    const arrivedMs = this.#clock.nowMs();
    const leaseUntilMs = arrivedMs + command.leaseTtlMs;
    const origin: Origin = { commandId, epoch, revision };
    const pending: Pending = { command, origin, arrivedMs, nonce, leaseUntilMs, overtaken: false };
    const stale = this.#whyStale(command);
    if (stale !== undefined) {
      this.#refuse(pending, { state: 'superseded', error: stale });
      return;
    }
    this.#lastSeenRevision = command.revision;
    if (!command.validateOnly) this.#fence = { epoch: command.epoch, revision: command.revision };
    if (this.#current === undefined) {
      void this.#run(pending);
      return;
    }
    this.#current.overtaken = true;
    this.#dropWaiting(NEWER.error);
    this.#waiting = pending;
  }

  /** The agent still stands by what it commanded up to this revision. It is told what is held, unless a result will tell. */
  renew(epoch: number, revision: number, leaseTtlMs: number): void {
    if (epoch !== this.#sessionEpoch) return;
    const expiresAtMs = this.#clock.nowMs() + leaseTtlMs;
    this.#table.renew({ epoch, revision }, expiresAtMs);
    for (const pending of [this.#current, this.#waiting])
      if (pending && pending.command.revision <= revision) pending.leaseUntilMs = expiresAtMs;
    if (!this.#current) this.#report({ kind: 'holding', held: this.held });
  }

  /** The agent takes values back. */
  revoke(epoch: number, revision: number, knobs: readonly string[], reason: string): void {
    if (epoch !== this.#sessionEpoch) return;
    const upTo: Fence = { epoch, revision };
    if (isBelow(this.#fence, upTo)) this.#fence = upTo;
    if (this.#current && !isBelow(upTo, this.#current.command)) this.#current.overtaken = true;
    if (this.#waiting && !isBelow(upTo, this.#waiting.command)) this.#dropWaiting(reason);
    this.#table.revoke(upTo, knobs, reason);
  }

  /** The host program set a value itself. Throws when it is not allowed or a listener refuses; nothing changed then. */
  override(knob: KnobRecord, value: KnobValue): void {
    this.#table.override(knob, value);
    this.#report({ kind: 'override', knob: knob.spec.id, value });
  }

  /** Gives everything up that is held on the agent's word, as if every lease had run out. For a client that closes. */
  release(): void {
    this.part();
    this.#table.release('the client was closed');
  }

  #whyStale(command: ClientCommand): string | undefined {
    const { epoch, revision } = command;
    if (epoch !== this.#sessionEpoch)
      return `stale: epoch ${epoch} is not this session's (${this.#sessionEpoch ?? 'none yet'})`;
    if (epoch < this.#fence.epoch && !this.#current && !this.#table.leased) this.#fence = { epoch, revision: 0 };
    if (isBelow(this.#fence, command)) return undefined;
    return `stale: (${epoch}, ${revision}) is not above (${this.#fence.epoch}, ${this.#fence.revision})`;
  }

  async #run(pending: Pending): Promise<void> {
    this.#current = pending;
    const { command } = pending;
    const steps = command.changes.map(
      (change): Step => ({ change, refusal: this.#table.whyRefused(change), generation: -1 }),
    );
    const all = command.atomicity === 'all';
    const blocked = (): boolean => all && steps.some(({ refusal }) => refusal !== undefined);
    if (!command.validateOnly)
      for (const step of steps) {
        if (blocked()) break;
        if (step.refusal) continue;
        await this.#ask(pending, step);
        // All or none are put in force together, when the last has agreed.
        if (!all && !step.refusal) this.#commit(pending, step);
      }
    if (all && !command.validateOnly) this.#commitAll(pending, steps);
    if (blocked()) for (const step of steps) step.refusal ??= SIBLING;
    this.#current = undefined;
    this.#answer(
      pending,
      steps.map((step) => this.#resultOf(pending, step)),
    );
    const next = this.#waiting;
    this.#waiting = undefined;
    if (next) await this.#run(next);
  }

  /** Asks the knob's listeners, unless something newer has come; leaves in the step what they said. */
  async #ask(pending: Pending, step: Step): Promise<void> {
    const { command } = pending;
    const { change } = step;
    // Others may have changed what this rests on while an earlier knob was asked.
    step.refusal = pending.overtaken ? NEWER : this.#table.whyRefused(change);
    const knob = this.#table.get(change.knob);
    if (step.refusal || !knob) return;
    const slow = knob.listeners.size > 0 && SLOW_STATES[knob.spec.applyClass];
    if (slow) {
      const results = [this.#table.result(command.revision, change.knob, slow)];
      this.#report({ kind: 'result', nonce: pending.nonce, commandId: command.commandId, results });
    }
    step.generation = knob.generation;
    const deadlineMs = pending.arrivedMs + command.applyDeadlineMs * (slow ? DRAIN_DEADLINES : 1);
    const verdict = await ask(knob, change.value, command.rationale, deadlineMs, this.#clock);
    if (!verdict.ok)
      step.refusal = { state: verdict.transient ? 'rejected_transient' : 'rejected_permanent', error: verdict.reason };
    else if (knob.generation !== step.generation) {
      step.refusal = OVERTAKEN;
      announce(knob, { strategy: 'client', reason: OVERTAKEN.error });
    }
  }

  #commitAll(pending: Pending, steps: readonly Step[]): void {
    const agreed = steps.filter(({ generation, refusal }) => generation >= 0 && !refusal);
    for (const step of agreed)
      if (this.#table.get(step.change.knob)?.generation !== step.generation) step.refusal = OVERTAKEN;
    if (steps.every(({ refusal }) => !refusal)) {
      for (const step of agreed) this.#commit(pending, step);
      return;
    }
    // Their listeners have let the new value in: they hear what is in force after all.
    for (const { change } of agreed) {
      const knob = this.#table.get(change.knob);
      if (knob) announce(knob, { strategy: 'client', reason: SIBLING.error });
    }
  }

  #commit({ command, origin, leaseUntilMs }: Pending, step: Step): void {
    const knob = this.#table.get(step.change.knob);
    if (!knob) return;
    const { epoch, leaseTtlMs, onExpiry } = command;
    // While the agent is there the lease begins now: draining may have taken longer than a lease lasts.
    const fromNowMs = this.#sessionEpoch === epoch ? this.#clock.nowMs() + leaseTtlMs : 0;
    const lease = { expiresAtMs: Math.max(leaseUntilMs, fromNowMs), onExpiry, renewed: false };
    this.#table.commit(knob, step.change.value, origin, lease);
    step.generation = knob.generation;
  }

  /** Read last of all: a sibling that took its time must not let a value be reported that is gone by now. */
  #resultOf({ command }: Pending, { change, refusal, generation }: Step): KnobResult {
    const isGone = !refusal && !command.validateOnly && this.#table.get(change.knob)?.generation !== generation;
    const final = isGone ? OVERTAKEN : refusal;
    return this.#table.result(command.revision, change.knob, final?.state ?? 'applied', final?.error);
  }

  #refuse(pending: Pending, { state, error }: Refusal): void {
    const { changes, revision } = pending.command;
    this.#answer(
      pending,
      changes.map(({ knob }) => this.#table.result(revision, knob, state, error)),
    );
  }

  #dropWaiting(reason: string): void {
    const dropped = this.#waiting;
    this.#waiting = undefined;
    if (dropped) this.#refuse(dropped, { state: 'superseded', error: reason });
  }

  #answer({ command: { commandId }, nonce }: Pending, results: readonly KnobResult[]): void {
    const ordered = causesFirst(results);
    this.#answers.set(commandId, ordered);
    this.#report({ kind: 'result', nonce, commandId, results: ordered });
  }

  #tellTakenBack(
    { commandId, revision }: Origin,
    knobs: readonly string[],
    state: 'expired' | 'rolled_back' | 'superseded',
    error: string,
  ): void {
    const results = knobs.map((knob) => this.#table.result(revision, knob, state, error));
    this.#answers.amend(commandId, results);
    // A hand is reported as such; the agent needs no second word for it.
    if (state !== 'superseded') this.#report({ kind: 'result', nonce: '', commandId, results });
  }
}

/** Of an all-or-none command, the refusal that spoilt it is what a reader should meet first. */
function causesFirst(results: readonly KnobResult[]): readonly KnobResult[] {
  const isConsequence = ({ state }: KnobResult): boolean => state === 'rolled_back';
  return [...results.filter((result) => !isConsequence(result)), ...results.filter(isConsequence)];
}
