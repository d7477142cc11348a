import type { Command, HeldKnob, KnobResult, KnobSpec, KnobValue, Manifest, Setting } from '../../agent/core/model.ts';
import type { ClientFactory, ClientIdentity, ClientMessage, SimClient } from './client.ts';
import { allows, valueAt } from './knob_space.ts';
import type { Random } from './random.ts';
import type { Faults } from './scenario.ts';

interface Held {
  readonly spec: KnobSpec;
  value: KnobValue;
  epoch: number;
  revision: number;
  commandId: string;
  manual: boolean;
  expiresAtMs: number;
  onExpiry: Command['onExpiry'];
  lastGood: KnobValue;
}

interface Pending {
  readonly command: Command;
  readonly atMs: number;
}

const REMEMBERED_COMMANDS = 64;

/**
 * The knobs of one process as our client libraries keep them, in virtual time: absolute values under leases, fenced by
 * (epoch, revision), replayed commands answered from memory, expiry back to the baseline without anyone's help. It also
 * misbehaves on request: refuses, stays silent, or applies something else than it was told.
 *
 * `nextMs` says when it wants `advance` next; what it has to say is collected by `takeMessages`.
 */
export class ClientModel implements SimClient {
  readonly identity: ClientIdentity;
  readonly #knobs = new Map<string, Held>();
  readonly #faults: Faults['client'];
  readonly #random: Random;
  readonly #answers = new Map<string, readonly KnobResult[]>();
  readonly #refusedForGood = new Set<string>();
  #pending: Pending | undefined;
  #epoch = 0;
  #revision = 0;
  #messages: ClientMessage[] = [];
  #setting: Setting | undefined;

  constructor(identity: ClientIdentity, specs: readonly KnobSpec[], faults: Faults['client'], random: Random) {
    this.identity = identity;
    this.#faults = faults;
    this.#random = random;
    for (const spec of specs) {
      this.#knobs.set(spec.id, {
        ...{ spec, value: spec.baseline, lastGood: spec.baseline, epoch: 0, revision: 0, commandId: '', manual: false },
        ...{ expiresAtMs: Number.POSITIVE_INFINITY, onExpiry: 'baseline' },
      });
    }
  }

  /** What the process really runs with. The same object until something changes. */
  get setting(): Setting {
    this.#setting ??= Object.fromEntries([...this.#knobs].map(([id, held]) => [id, held.value]));
    return this.#setting;
  }

  get manifest(): Manifest {
    const { component, tier, instanceUid, incarnation } = this.identity;
    const held = this.#held;
    const knobs = [...this.#knobs.values()].map(({ spec }) => spec);
    const resource = { 'service.name': component, 'service.instance.id': instanceUid };
    return { component, tier, instanceUid, incarnation, resource, knobs, held };
  }

  get #held(): readonly HeldKnob[] {
    return [...this.#knobs.values()].map(({ spec, value, epoch, revision, manual }) => {
      return { knob: spec.id, value, epoch, revision, manual };
    });
  }

  /** When something will happen by itself: a pending application or the first lease to run out. */
  get nextMs(): number {
    let next = this.#pending?.atMs ?? Number.POSITIVE_INFINITY;
    for (const held of this.#knobs.values()) next = Math.min(next, held.expiresAtMs);
    return next;
  }

  takeMessages(): readonly ClientMessage[] {
    if (this.#messages.length === 0) return NOTHING;
    const taken = this.#messages;
    this.#messages = [];
    return taken;
  }

  advance(nowMs: number): void {
    if (this.#pending !== undefined && this.#pending.atMs <= nowMs) {
      const { command } = this.#pending;
      this.#pending = undefined;
      this.#finish(command, nowMs);
    }
    for (const held of this.#knobs.values()) {
      if (held.expiresAtMs <= nowMs) this.#expire(held);
    }
  }

  /** It obeys whoever has the highest epoch; a session as such means nothing to it. */
  onWelcome(): void {}

  onParted(): void {}

  /** Everything happens at once. */
  takeBusy(): boolean {
    return false;
  }

  onCommand(command: Command, nowMs: number): void {
    this.advance(nowMs);
    const known = this.#answers.get(command.commandId);
    if (known !== undefined) {
      this.#answer(command.commandId, known);
      return;
    }
    if (this.#pending?.command.commandId === command.commandId) return;
    if (!this.#isNewer(command.epoch, command.revision)) {
      this.#answer(
        command.commandId,
        command.changes.map((change) =>
          this.#result(change.knob, 'superseded', command.revision, 'epoch or revision is not newer'),
        ),
      );
      return;
    }
    if (this.#pending !== undefined) {
      const old = this.#pending.command;
      this.#pending = undefined;
      this.#remember(
        old,
        old.changes.map((change) => this.#result(change.knob, 'superseded', old.revision, 'a later command came')),
      );
    }
    this.#epoch = command.epoch;
    this.#revision = command.revision;
    const [low, high] = this.#faults.applyMs;
    const delayMs = this.#random.between(low, high);
    if (delayMs <= 0) this.#finish(command, nowMs);
    else this.#pending = { command, atMs: nowMs + delayMs };
  }

  /** Extends the lease of everything held from this epoch, up to this revision, and says what is held, unless a result will. */
  onRenewal(epoch: number, revision: number, ttlMs: number, nowMs: number): void {
    this.advance(nowMs);
    for (const held of this.#knobs.values()) {
      if (held.revision === 0 || held.epoch !== epoch || held.revision > revision) continue;
      held.expiresAtMs = Math.max(held.expiresAtMs, nowMs + ttlMs);
    }
    if (this.#pending === undefined) this.#messages.push({ kind: 'holding', held: this.#held });
  }

  onRevoke(epoch: number, revision: number, knobs: readonly string[], nowMs: number): void {
    this.advance(nowMs);
    if (!this.#isNewer(epoch, revision)) return;
    this.#epoch = epoch;
    this.#revision = revision;
    this.#pending = undefined;
    for (const id of knobs) {
      const held = this.#knobs.get(id);
      if (held === undefined || held.revision === 0) continue;
      const { commandId, revision: attempted } = held;
      this.#toBaseline(held);
      this.#say(commandId, [this.#result(id, 'rolled_back', attempted, 'revoked')]);
    }
  }

  /** Somebody at the process turns a knob. */
  override(knob: string, value: KnobValue): void {
    const held = this.#knobs.get(knob);
    if (held === undefined) return;
    this.#toBaseline(held);
    held.value = value;
    held.manual = true;
    this.#setting = undefined;
    this.#messages.push({ kind: 'override', knob, value });
  }

  #finish(command: Command, nowMs: number): void {
    const refusals = new Map<string, KnobResult>();
    for (const { knob, value, expectedCurrent } of command.changes) {
      const refusal = this.#refusal(knob, value, expectedCurrent, command.revision);
      if (refusal !== undefined) refusals.set(knob, refusal);
    }
    const abandonAll = command.atomicity === 'all' && refusals.size > 0;
    const results = command.changes.map(({ knob, value }) => {
      const refusal = refusals.get(knob);
      if (refusal !== undefined) return refusal;
      if (abandonAll)
        return this.#result(knob, 'rejected_transient', command.revision, 'another knob of the command was refused');
      if (!command.validateOnly) this.#take(knob, value, command, nowMs);
      return this.#result(knob, 'applied', command.revision);
    });
    this.#remember(command, results);
  }

  #refusal(knob: string, value: KnobValue, expected: KnobValue | undefined, revision: number): KnobResult | undefined {
    const held = this.#knobs.get(knob);
    if (held === undefined)
      return { ...this.#result(knob, 'rejected_permanent', revision, 'no such knob'), effectiveValue: value };
    if (!allows(held.spec, value)) return this.#result(knob, 'rejected_permanent', revision, 'not an allowed value');
    if (held.manual) return this.#result(knob, 'rejected_permanent', revision, 'set by hand');
    if (expected !== undefined && expected !== held.value) {
      return this.#result(knob, 'rejected_transient', revision, `expected ${expected}, found ${held.value}`);
    }
    // A process always takes its own baseline back.
    if (value === held.spec.baseline) return undefined;
    const key = `${knob}=${value}`;
    if (this.#random.chance(this.#faults.rejectPermanent)) this.#refusedForGood.add(key);
    if (this.#refusedForGood.has(key))
      return this.#result(knob, 'rejected_permanent', revision, 'the process will not have it');
    if (this.#random.chance(this.#faults.rejectTransient))
      return this.#result(knob, 'rejected_transient', revision, 'busy');
    return undefined;
  }

  #take(knob: string, value: KnobValue, command: Command, nowMs: number): void {
    const held = this.#knobs.get(knob);
    if (held === undefined) return;
    const misapplied = value !== held.spec.baseline && this.#random.chance(this.#faults.misapply);
    held.lastGood = held.value;
    held.value = misapplied ? valueAt(held.spec, this.#random.uniform()) : value;
    held.epoch = command.epoch;
    held.revision = command.revision;
    held.commandId = command.commandId;
    held.onExpiry = command.onExpiry;
    held.expiresAtMs = nowMs + command.leaseTtlMs;
    this.#setting = undefined;
  }

  #expire(held: Held): void {
    const { commandId, revision } = held;
    held.expiresAtMs = Number.POSITIVE_INFINITY;
    if (held.onExpiry === 'hold') return;
    const value = held.onExpiry === 'last_good' ? held.lastGood : held.spec.baseline;
    this.#toBaseline(held);
    held.value = value;
    if (this.#random.chance(this.#faults.untoldExpiry)) return;
    this.#say(commandId, [this.#result(held.spec.id, 'expired', revision, 'the lease ran out')]);
  }

  #toBaseline(held: Held): void {
    held.value = held.spec.baseline;
    held.epoch = 0;
    held.revision = 0;
    held.commandId = '';
    held.expiresAtMs = Number.POSITIVE_INFINITY;
    this.#setting = undefined;
  }

  #isNewer(epoch: number, revision: number): boolean {
    return epoch > this.#epoch || (epoch === this.#epoch && revision > this.#revision);
  }

  #result(knob: string, state: KnobResult['state'], attemptedRevision: number, error?: string): KnobResult {
    const held = this.#knobs.get(knob);
    const effective = { effectiveValue: held?.value ?? '', effectiveRevision: held?.revision ?? 0 };
    return { knob, state, attemptedRevision, ...effective, ...(error === undefined ? {} : { error }) };
  }

  #remember(command: Command, results: readonly KnobResult[]): void {
    this.#answers.set(command.commandId, results);
    if (this.#answers.size > REMEMBERED_COMMANDS) {
      const oldest = this.#answers.keys().next().value;
      if (oldest !== undefined) this.#answers.delete(oldest);
    }
    this.#answer(command.commandId, results);
  }

  #answer(commandId: string, results: readonly KnobResult[]): void {
    if (!this.#random.chance(this.#faults.silent)) this.#say(commandId, results);
  }

  #say(commandId: string, results: readonly KnobResult[]): void {
    this.#messages.push({ kind: 'result', commandId, results });
  }
}

const NOTHING: readonly ClientMessage[] = [];

export const modelClient: ClientFactory = (identity, specs, faults, random) =>
  new ClientModel(identity, specs, faults, random);
