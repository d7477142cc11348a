/**
 * What a process holds on the agent's word, and until when: the client's half of the control contract, without I/O.
 *
 * Fencing: only commands of the epoch that the session was welcomed with are obeyed, and only above the highest
 * (epoch, revision) obeyed so far. Leases: a value whose lease is not renewed in time is given up without being asked.
 * One command is applied at a time; of those that arrive meanwhile only the latest is kept. A command_id that was
 * answered is answered again, and not applied again. A knob set by hand moves only on a command that knows the value
 * set by hand (it names it as `expectedCurrent`).
 *
 * An agent that lost its state counts epochs from 1 again. While anything is held from a higher epoch its commands are
 * refused; once nothing is (the leases see to that), the fence is lowered to the epoch that the session is in.
 */
import type { Command, HeldKnob, KnobChange, KnobResult, KnobSpec, KnobValue, Rationale } from '../../core/model.ts';
import { whyNotAllowed } from '../../rpc/knob_domain.ts';
import type { Clock } from './clock.ts';
import { type KnobRecord, newRecord, type Origin } from './knob.ts';
import { announce, ask, demand } from './tell.ts';

/** A change that needs a drain or a reload may take this many deadlines, once the agent has been told. */
const DRAIN_DEADLINES = 10;
/** Answers remembered for replays. A replay older than that is behind the fence anyway. */
const MAX_ANSWERS = 64;

export type ClientCommand = Omit<Command, 'component'>;

/** What the client tells the agent about commands and knobs. */
export type Report =
  | {
      readonly kind: 'result';
      readonly nonce: string;
      readonly commandId: string;
      readonly results: readonly KnobResult[];
    }
  | { readonly kind: 'override'; readonly knob: string; readonly value: KnobValue };

interface Pending {
  readonly command: ClientCommand;
  readonly arrivedMs: number;
  /** Of the last time that it was received. */
  nonce: string;
  /** Raised by a renewal that comes while it is being applied. */
  leaseUntilMs: number;
  /** Something newer came: what has not begun is not begun any more. */
  overtaken: boolean;
}

interface Fence {
  readonly epoch: number;
  readonly revision: number;
}

export class Holdings {
  readonly #clock: Clock;
  readonly #report: (report: Report) => void;
  readonly #knobs = new Map<string, KnobRecord>();
  readonly #answers = new Map<string, readonly KnobResult[]>();
  #sessionEpoch: number | undefined;
  #fence: Fence = { epoch: 0, revision: 0 };
  #lastSeenRevision = 0;
  #current: Pending | undefined;
  #waiting: Pending | undefined;
  #callOffExpiry = (): void => {};

  constructor(clock: Clock, report: (report: Report) => void) {
    this.#clock = clock;
    this.#report = report;
  }

  declare(spec: KnobSpec, readBack: (() => KnobValue) | undefined): KnobRecord {
    if (this.#knobs.has(spec.id)) throw new Error(`knob "${spec.id}" is declared already`);
    const record = newRecord(spec, readBack);
    this.#knobs.set(spec.id, record);
    return record;
  }

  get specs(): readonly KnobSpec[] {
    return [...this.#knobs.values()].map((knob) => knob.spec);
  }

  get lastSeenRevision(): number {
    return this.#lastSeenRevision;
  }

  /** For a Hello: what is held that is not simply the baseline. */
  get held(): readonly HeldKnob[] {
    const held: HeldKnob[] = [];
    for (const { spec, value, origin, manual } of this.#knobs.values())
      if (origin !== undefined || manual)
        held.push({ knob: spec.id, value, epoch: origin?.epoch ?? 0, revision: origin?.revision ?? 0, manual });
    return held;
  }

  /** A session began. */
  welcome(epoch: number): void {
    this.#sessionEpoch = epoch;
    this.#watchLeases();
  }

  /** The session is over: nobody stands by what is still being applied. */
  part(): void {
    this.#sessionEpoch = undefined;
  }

  /** A command arrived. */
  obey(command: ClientCommand, nonce: string): void {
    const answer = this.#answers.get(command.commandId);
    if (answer) {
      this.#report({ kind: 'result', nonce, commandId: command.commandId, results: answer });
      return;
    }
    for (const open of [this.#current, this.#waiting]) {
      if (open?.command.commandId !== command.commandId) continue;
      open.nonce = nonce;
      return;
    }
    const now = this.#clock.nowMs();
    const pending: Pending = {
      command,
      arrivedMs: now,
      nonce,
      leaseUntilMs: now + command.leaseTtlMs,
      overtaken: false,
    };
    const stale = this.#whyStale(command);
    if (stale !== undefined) {
      this.#answer(pending, this.#refuseAll(command, 'superseded', stale));
      return;
    }
    this.#lastSeenRevision = command.revision;
    if (!command.validateOnly) this.#fence = { epoch: command.epoch, revision: command.revision };
    if (this.#current === undefined) {
      void this.#run(pending);
      return;
    }
    this.#current.overtaken = true;
    this.#dropWaiting('a newer command came first');
    this.#waiting = pending;
  }

  /** The agent still stands by what it commanded up to this revision. */
  renew(epoch: number, revision: number, leaseTtlMs: number): void {
    if (epoch !== this.#sessionEpoch) return;
    const expiresAtMs = this.#clock.nowMs() + leaseTtlMs;
    for (const knob of this.#knobs.values()) {
      if (knob.lease === undefined || knob.origin === undefined) continue;
      if (knob.origin.epoch !== epoch || knob.origin.revision > revision) continue;
      knob.lease = { ...knob.lease, expiresAtMs, renewed: true };
    }
    for (const pending of [this.#current, this.#waiting])
      if (pending && pending.command.revision <= revision) pending.leaseUntilMs = expiresAtMs;
    this.#watchLeases();
  }

  /** The agent takes values back. */
  revoke(epoch: number, revision: number, knobs: readonly string[], reason: string): void {
    if (epoch !== this.#sessionEpoch) return;
    if (!isBelow({ epoch, revision }, this.#fence)) this.#fence = { epoch, revision };
    if (this.#current && this.#current.command.revision <= revision) this.#current.overtaken = true;
    if (this.#waiting && this.#waiting.command.revision <= revision) this.#dropWaiting(reason);
    const gone: KnobRecord[] = [];
    for (const id of new Set(knobs)) {
      const knob = this.#knobs.get(id);
      if (knob === undefined || knob.manual) continue;
      if (knob.origin && isBelow({ epoch, revision }, knob.origin, true)) continue;
      // Also where the baseline is held: a command that is being applied to it right now must not win over this.
      knob.generation++;
      if (knob.origin !== undefined) gone.push(knob);
    }
    this.#giveUp(gone, 'rolled_back', reason, () => undefined);
    this.#watchLeases();
  }

  /** The host program set a value itself. Throws when it is not allowed or a listener refuses; nothing changed then. */
  override(knob: KnobRecord, value: KnobValue): void {
    const { id } = knob.spec;
    const problem = whyNotAllowed(knob.spec, value);
    if (problem !== undefined) throw new RangeError(`knob "${id}": ${problem}`);
    if (knob.telling) throw new Error(`knob "${id}": set() from inside its own onChange listener`);
    demand(knob, value, { strategy: 'manual', reason: 'set by hand in the process' });
    if (knob.origin) this.#amend(knob.origin, [knob], 'superseded', 'was set by hand');
    knob.generation++;
    knob.value = value;
    knob.manual = true;
    knob.origin = undefined;
    knob.lease = undefined;
    knob.lastGood = undefined;
    this.#watchLeases();
    this.#report({ kind: 'override', knob: id, value });
  }

  /** Gives everything up that is held on the agent's word, as if every lease had run out. For a client that closes. */
  release(): void {
    this.#callOffExpiry();
    const tuned = [...this.#knobs.values()].filter((knob) => knob.origin !== undefined);
    this.#giveUp(tuned, 'expired', 'the client was closed', () => undefined);
  }

  #whyStale({ epoch, revision }: ClientCommand): string | undefined {
    if (epoch !== this.#sessionEpoch)
      return `stale: epoch ${epoch} is not this session's (${this.#sessionEpoch ?? 'none yet'})`;
    if (isBelow({ epoch, revision }, this.#fence))
      return `stale: (${epoch}, ${revision}) is not above (${this.#fence.epoch}, ${this.#fence.revision})`;
    return undefined;
  }

  async #run(pending: Pending): Promise<void> {
    this.#current = pending;
    const { command } = pending;
    const results = causesFirst(command.validateOnly ? this.#validate(command) : await this.#apply(pending));
    this.#current = undefined;
    this.#watchLeases();
    this.#answer(pending, results);
    const next = this.#waiting;
    this.#waiting = undefined;
    if (next) await this.#run(next);
  }

  #validate(command: ClientCommand): KnobResult[] {
    const refusals = command.changes.map((change) => this.#whyRefused(change));
    const blocked = command.atomicity === 'all' && refusals.some((refusal) => refusal !== undefined);
    return command.changes.map((change, i) => {
      const refusal = refusals[i];
      if (refusal) return this.#result(command, change.knob, refusal.state, refusal.error);
      if (blocked) return this.#result(command, change.knob, 'rolled_back', SIBLING);
      return this.#result(command, change.knob, 'applied');
    });
  }

  async #apply(pending: Pending): Promise<KnobResult[]> {
    const { command } = pending;
    const all = command.atomicity === 'all';
    if (all && command.changes.some((change) => this.#whyRefused(change))) return this.#validate(command);
    const results: KnobResult[] = [];
    const undo: (() => void)[] = [];
    let refused = false;
    for (const change of command.changes) {
      const { knob: id } = change;
      if (pending.overtaken) {
        results.push(this.#result(command, id, 'superseded', 'a newer command came first'));
        refused = true;
        continue;
      }
      if (all && refused) {
        results.push(this.#result(command, id, 'rolled_back', SIBLING));
        continue;
      }
      const refusal = this.#whyRefused(change) ?? (await this.#change(pending, change, undo));
      results.push(this.#result(command, id, refusal?.state ?? 'applied', refusal?.error));
      refused ||= refusal !== undefined;
    }
    if (!all || !refused) return results;
    for (const step of undo.reverse()) step();
    return results.map((result) =>
      result.state === 'applied' ? this.#result(command, result.knob, 'rolled_back', SIBLING) : result,
    );
  }

  /** Makes one change that nothing speaks against but, perhaps, a listener. */
  async #change(pending: Pending, change: KnobChange, undo: (() => void)[]): Promise<Refusal | undefined> {
    const { command } = pending;
    const knob = this.#knobs.get(change.knob)!; // `#whyRefused` has looked.
    const { generation } = knob;
    const slow = knob.listeners.size > 0 && SLOW_STATES[knob.spec.applyClass];
    if (slow) this.#sayWorking(pending, change.knob, slow);
    const deadlineMs = pending.arrivedMs + command.applyDeadlineMs * (slow ? DRAIN_DEADLINES : 1);
    const verdict = await ask(knob, change.value, command.rationale, deadlineMs, this.#clock);
    if (knob.generation !== generation) {
      announce(knob, { strategy: 'client', reason: 'a hand, a revocation or the end of a lease came first' });
      return { state: 'superseded', error: 'a hand, a revocation or the end of a lease came first' };
    }
    if (!verdict.ok)
      return { state: verdict.transient ? 'rejected_transient' : 'rejected_permanent', error: verdict.reason };
    const before = { ...knob };
    knob.generation++;
    knob.value = change.value;
    knob.manual = false;
    knob.origin = { commandId: command.commandId, epoch: command.epoch, revision: command.revision };
    knob.lastGood = before.lease?.renewed && before.origin ? { value: before.value, origin: before.origin } : undefined;
    // While the agent is there the lease begins now: draining may have taken longer than a lease lasts.
    const fromNow = this.#sessionEpoch === command.epoch ? this.#clock.nowMs() + command.leaseTtlMs : 0;
    knob.lease = { expiresAtMs: Math.max(pending.leaseUntilMs, fromNow), onExpiry: command.onExpiry, renewed: false };
    const after = knob.generation;
    undo.push(() => {
      if (knob.generation !== after) return;
      const { value, manual, origin, lease, lastGood } = before;
      Object.assign(knob, { value, manual, origin, lease, lastGood, generation: after + 1 });
      announce(knob, { strategy: 'client', reason: SIBLING });
    });
    return undefined;
  }

  #sayWorking({ command, nonce }: Pending, knob: string, state: 'applying' | 'draining'): void {
    const results = [this.#result(command, knob, state)];
    this.#report({ kind: 'result', nonce, commandId: command.commandId, results });
  }

  #whyRefused({ knob: id, value, expectedCurrent }: KnobChange): Refusal | undefined {
    const knob = this.#knobs.get(id);
    if (knob === undefined) return { state: 'rejected_permanent', error: `there is no knob "${id}"` };
    if (knob.spec.applyClass === 'restart')
      return { state: 'rejected_permanent', error: 'only a restart can change this knob' };
    const problem = whyNotAllowed(knob.spec, value);
    if (problem !== undefined) return { state: 'rejected_permanent', error: problem };
    if (knob.manual && expectedCurrent === undefined)
      return { state: 'rejected_transient', error: `was set by hand to ${knob.value}` };
    if (expectedCurrent !== undefined && expectedCurrent !== knob.value)
      return { state: 'rejected_transient', error: `holds ${knob.value}, not ${expectedCurrent} as expected` };
    return undefined;
  }

  /** Returns every knob whose lease has run out to what its command said. */
  #expire(): void {
    const now = this.#clock.nowMs();
    const due = [...this.#knobs.values()].filter((knob) => knob.lease && knob.lease.expiresAtMs <= now);
    const held = due.filter((knob) => knob.lease?.onExpiry === 'hold');
    for (const knob of held) knob.lease = undefined;
    this.#send(held, 'expired', 'the lease ran out; the value is held');
    const gone = due.filter((knob) => !held.includes(knob));
    this.#giveUp(gone, 'expired', 'the lease ran out', (knob) =>
      knob.lease?.onExpiry === 'last_good' ? knob.lastGood : undefined,
    );
    this.#watchLeases();
  }

  /** Sets knobs to their baselines, or to what `fallback` has for them, and says so. */
  #giveUp(
    knobs: readonly KnobRecord[],
    state: 'expired' | 'rolled_back',
    reason: string,
    fallback: (knob: KnobRecord) => { readonly value: KnobValue; readonly origin: Origin } | undefined,
  ): void {
    const reports = groupByCommand(knobs);
    // All values first: whatever listeners do, no read finds a value that is given up.
    for (const knob of knobs) {
      const to = fallback(knob);
      knob.generation++;
      knob.value = to?.value ?? knob.spec.baseline;
      knob.origin = to?.origin;
      knob.lease = undefined;
      knob.lastGood = undefined;
    }
    const rationale: Rationale = { strategy: 'lease', reason };
    for (const knob of knobs) announce(knob, rationale);
    for (const [origin, ids] of reports) this.#sendFor(origin, ids, state, reason);
  }

  #send(knobs: readonly KnobRecord[], state: 'expired', reason: string): void {
    for (const [origin, group] of groupByCommand(knobs)) this.#sendFor(origin, group, state, reason);
  }

  #sendFor(origin: Origin, knobs: readonly KnobRecord[], state: 'expired' | 'rolled_back', error: string): void {
    const results = this.#amend(origin, knobs, state, error);
    this.#report({ kind: 'result', nonce: '', commandId: origin.commandId, results });
  }

  /** A replayed command must not be told that it is in force when it no longer is. */
  #amend(
    origin: Origin,
    knobs: readonly KnobRecord[],
    state: 'expired' | 'rolled_back' | 'superseded',
    error: string,
  ): readonly KnobResult[] {
    const results = knobs.map((knob) => this.#result(origin, knob.spec.id, state, error));
    const answer = this.#answers.get(origin.commandId);
    if (answer) {
      const news = new Map(results.map((result) => [result.knob, result]));
      const amended = answer.map((old) => news.get(old.knob) ?? old);
      this.#answers.set(origin.commandId, amended);
    }
    return results;
  }

  #result(command: { readonly revision: number }, id: string, state: KnobResult['state'], error?: string): KnobResult {
    const knob = this.#knobs.get(id);
    return {
      knob: id,
      state,
      effectiveValue: knob ? readBack(knob) : '',
      attemptedRevision: command.revision,
      effectiveRevision: knob?.origin?.revision ?? 0,
      ...(error !== undefined && { error }),
    };
  }

  #refuseAll(command: ClientCommand, state: 'superseded', error: string): KnobResult[] {
    return command.changes.map((change) => this.#result(command, change.knob, state, error));
  }

  #dropWaiting(reason: string): void {
    const dropped = this.#waiting;
    this.#waiting = undefined;
    if (dropped) this.#answer(dropped, this.#refuseAll(dropped.command, 'superseded', reason));
  }

  #answer({ command, nonce }: Pending, results: readonly KnobResult[]): void {
    this.#answers.set(command.commandId, results);
    if (this.#answers.size > MAX_ANSWERS) {
      const [oldest] = this.#answers.keys();
      if (oldest !== undefined) this.#answers.delete(oldest);
    }
    this.#report({ kind: 'result', nonce, commandId: command.commandId, results });
  }

  #lowerFence(): void {
    if (this.#sessionEpoch === undefined || this.#sessionEpoch >= this.#fence.epoch) return;
    for (const knob of this.#knobs.values()) if (knob.lease !== undefined) return;
    if (this.#current === undefined) this.#fence = { epoch: this.#sessionEpoch, revision: 0 };
  }

  #watchLeases(): void {
    this.#lowerFence();
    this.#callOffExpiry();
    let next = Number.POSITIVE_INFINITY;
    for (const { lease } of this.#knobs.values()) if (lease) next = Math.min(next, lease.expiresAtMs);
    this.#callOffExpiry =
      next === Number.POSITIVE_INFINITY
        ? () => {}
        : this.#clock.after(next - this.#clock.nowMs(), () => this.#expire());
  }
}

interface Refusal {
  readonly state: 'rejected_permanent' | 'rejected_transient' | 'superseded';
  readonly error: string;
}

/** What is said of a change that takes its time, before its listeners are asked. */
const SLOW_STATES = { hot: undefined, drain: 'draining', reload: 'applying', restart: undefined } as const;

const SIBLING = 'another change of the same command was refused, and it is all or none';

/** Of an all-or-none command, the refusal that spoilt it is what a reader should meet first. */
function causesFirst(results: readonly KnobResult[]): readonly KnobResult[] {
  const isConsequence = ({ state }: KnobResult): boolean => state === 'rolled_back';
  return [...results.filter((result) => !isConsequence(result)), ...results.filter(isConsequence)];
}

function isBelow(a: Fence, b: Fence, strictly = false): boolean {
  if (a.epoch !== b.epoch) return a.epoch < b.epoch;
  return strictly ? a.revision < b.revision : a.revision <= b.revision;
}

/** What the process says is in force; what it was told, where it cannot say. */
function readBack(knob: KnobRecord): KnobValue {
  try {
    const value = knob.readBack?.();
    if (typeof value === typeof knob.value && value !== undefined && !Number.isNaN(value)) return value;
  } catch {
    // Reading back is the host's code. It failing says nothing about the value, so the value told stands.
  }
  return knob.value;
}

function groupByCommand(knobs: readonly KnobRecord[]): Map<Origin, KnobRecord[]> {
  const groups = new Map<string, { origin: Origin; knobs: KnobRecord[] }>();
  for (const knob of knobs) {
    if (knob.origin === undefined) continue;
    const group = groups.get(knob.origin.commandId);
    if (group) group.knobs.push(knob);
    else groups.set(knob.origin.commandId, { origin: knob.origin, knobs: [knob] });
  }
  return new Map([...groups.values()].map(({ origin, knobs }) => [origin, knobs]));
}
