/**
 * The knobs, what each holds, on whose word, and until when. A value whose lease is not renewed in time is given up
 * without being asked: to the baseline, unless its command said otherwise.
 */
import type { HeldKnob, KnobChange, KnobResult, KnobSpec, KnobState, KnobValue } from '../../core/model.ts';
import { whyNotAllowed, whyNotTunable } from '../../rpc/knob_domain.ts';
import type { Clock } from './clock.ts';
import { type Fence, isBelow } from './fence.ts';
import { type KnobRecord, type Lease, newRecord, type Origin } from './knob.ts';
import type { SavedValue, SavedValues } from './saved_values.ts';
import { announce, demand } from './tell.ts';

export interface Refusal {
  readonly state: 'rejected_permanent' | 'rejected_transient' | 'superseded' | 'rolled_back';
  readonly error: string;
}

/** Values that commands had set are in force no more (or, on hold, under no lease any more). */
export type TakenBack = (
  origin: Origin,
  knobs: readonly string[],
  state: 'expired' | 'rolled_back' | 'superseded',
  reason: string,
) => void;

export class KnobTable {
  readonly #clock: Clock;
  readonly #takenBack: TakenBack;
  readonly #saved: SavedValues | undefined;
  readonly #knobs = new Map<string, KnobRecord>();
  #callOffExpiry = (): void => {};

  constructor(clock: Clock, takenBack: TakenBack, saved?: SavedValues) {
    this.#clock = clock;
    this.#takenBack = takenBack;
    this.#saved = saved;
  }

  declare(spec: KnobSpec, readBack: (() => KnobValue) | undefined): KnobRecord {
    if (this.#knobs.has(spec.id)) throw new Error(`knob "${spec.id}" is declared already`);
    const record = newRecord(spec, readBack);
    this.#knobs.set(spec.id, record);
    const saved = this.#saved?.take(spec.id);
    if (saved !== undefined && whyNotTunable(spec, saved.value) === undefined && spec.applyClass !== 'restart') {
      const { value, origin, onExpiry, leftMs } = saved;
      this.commit(record, value, origin, { expiresAtMs: this.#clock.nowMs() + leftMs, onExpiry, renewed: false });
    }
    return record;
  }

  get(id: string): KnobRecord | undefined {
    return this.#knobs.get(id);
  }

  get specs(): readonly KnobSpec[] {
    return [...this.#knobs.values()].map((knob) => knob.spec);
  }

  /** What is held that is not simply the baseline. */
  get held(): readonly HeldKnob[] {
    const held: HeldKnob[] = [];
    for (const knob of this.#knobs.values()) {
      const { spec, origin, manual } = knob;
      if (origin === undefined && !manual) continue;
      const { epoch, revision } = origin ?? { epoch: 0, revision: 0 };
      held.push({ knob: spec.id, value: readBack(knob), epoch, revision, manual });
    }
    return held;
  }

  get leased(): boolean {
    for (const { lease } of this.#knobs.values()) if (lease) return true;
    return false;
  }

  /** What speaks against a change before anyone is asked. */
  whyRefused({ knob: id, value, expectedCurrent }: KnobChange): Refusal | undefined {
    const knob = this.#knobs.get(id);
    if (knob === undefined) return { state: 'rejected_permanent', error: `there is no knob "${id}"` };
    if (knob.spec.applyClass === 'restart')
      return { state: 'rejected_permanent', error: 'only a restart can change this knob' };
    const problem = whyNotTunable(knob.spec, value);
    if (problem !== undefined) return { state: 'rejected_permanent', error: problem };
    if (knob.manual && expectedCurrent === undefined)
      return { state: 'rejected_transient', error: `was set by hand to ${knob.value}` };
    if (expectedCurrent !== undefined && expectedCurrent !== knob.value)
      return { state: 'rejected_transient', error: `holds ${knob.value}, not ${expectedCurrent} as expected` };
    return undefined;
  }

  /** Puts a command's value in force. */
  commit(knob: KnobRecord, value: KnobValue, origin: Origin, lease: Lease): void {
    knob.lastGood = knob.lease?.renewed && knob.origin ? { value: knob.value, origin: knob.origin } : undefined;
    knob.generation++;
    knob.value = value;
    knob.manual = false;
    knob.origin = origin;
    knob.lease = lease;
    this.#watchLeases();
  }

  /** Gives another lease to the values of an epoch, up to a revision. */
  renew(upTo: Fence, expiresAtMs: number): void {
    for (const knob of this.#knobs.values()) {
      if (!knob.lease || knob.origin?.epoch !== upTo.epoch || knob.origin.revision > upTo.revision) continue;
      knob.lease = { ...knob.lease, expiresAtMs, renewed: true };
    }
    this.#watchLeases();
  }

  /** Returns knobs to their baselines; values newer than `upTo`, and those set by hand, stay. */
  revoke(upTo: Fence, ids: readonly string[], reason: string): void {
    const gone: KnobRecord[] = [];
    for (const id of new Set(ids)) {
      const knob = this.#knobs.get(id);
      if (knob === undefined || (knob.origin && isBelow(upTo, knob.origin))) continue;
      // Also where no command's value is held: a command that is being applied to it right now must not win over this.
      knob.generation++;
      if (knob.origin) gone.push(knob);
    }
    this.#giveUp(gone, 'rolled_back', reason);
  }

  /** The host program sets a value itself. Throws when it is not allowed or a listener refuses; nothing changed then. */
  override(knob: KnobRecord, value: KnobValue): void {
    const { id } = knob.spec;
    const problem = whyNotAllowed(knob.spec, value);
    if (problem !== undefined) throw new RangeError(`knob "${id}": ${problem}`);
    if (knob.telling) throw new Error(`knob "${id}": set() from inside its own onChange listener`);
    demand(knob, value, { strategy: 'manual', reason: 'set by hand in the process' });
    const { origin } = knob;
    fallBack(knob, { value });
    knob.manual = true;
    this.#watchLeases();
    if (origin) this.#takenBack(origin, [id], 'superseded', 'was set by hand');
  }

  /** Gives up everything that is held on an agent's word. */
  release(reason: string): void {
    const tuned = [...this.#knobs.values()].filter((knob) => knob.origin !== undefined);
    this.#giveUp(tuned, 'expired', reason);
  }

  result(revision: number, id: string, state: KnobState, error?: string): KnobResult {
    const knob = this.#knobs.get(id);
    return {
      knob: id,
      state,
      effectiveValue: knob ? readBack(knob) : '',
      attemptedRevision: revision,
      effectiveRevision: knob?.origin?.revision ?? 0,
      ...(error !== undefined && { error }),
    };
  }

  #expire(): void {
    const nowMs = this.#clock.nowMs();
    const due = [...this.#knobs.values()].filter((knob) => knob.lease && knob.lease.expiresAtMs <= nowMs);
    const held = due.filter((knob) => knob.lease?.onExpiry === 'hold');
    for (const knob of held) knob.lease = undefined;
    for (const [origin, knobs] of byOrigin(held)) this.#takenBack(origin, knobs, 'expired', 'the lease ran out; held');
    const gone = due.filter((knob) => !held.includes(knob));
    this.#giveUp(gone, 'expired', 'the lease ran out', (knob) =>
      knob.lease?.onExpiry === 'last_good' ? knob.lastGood : undefined,
    );
  }

  #giveUp(
    knobs: readonly KnobRecord[],
    state: 'expired' | 'rolled_back',
    reason: string,
    fallback: (knob: KnobRecord) => Fallback | undefined = () => undefined,
  ): void {
    const groups = byOrigin(knobs);
    // All values first: whatever listeners do, no read finds a value that is given up.
    for (const knob of knobs) fallBack(knob, fallback(knob) ?? { value: knob.spec.baseline });
    this.#watchLeases();
    for (const knob of knobs) announce(knob, { strategy: 'lease', reason });
    for (const [origin, ids] of groups) this.#takenBack(origin, ids, state, reason);
  }

  /** After every change of a lease. */
  #watchLeases(): void {
    this.#save();
    this.#callOffExpiry();
    let next = Number.POSITIVE_INFINITY;
    for (const { lease } of this.#knobs.values()) if (lease) next = Math.min(next, lease.expiresAtMs);
    this.#callOffExpiry =
      next === Number.POSITIVE_INFINITY
        ? () => {}
        : this.#clock.after(next - this.#clock.nowMs(), () => {
            this.#expire();
            this.#watchLeases();
          });
  }

  #save(): void {
    if (this.#saved === undefined) return;
    const values = new Map<string, SavedValue>();
    for (const { spec, value, origin, lease } of this.#knobs.values()) {
      if (!origin || !lease) continue;
      const expiresAtMs = this.#saved.wallMs() + lease.expiresAtMs - this.#clock.nowMs();
      values.set(spec.id, { value, origin, onExpiry: lease.onExpiry, expiresAtMs });
    }
    this.#saved.put(values);
  }
}

/** Ids of knobs, by the command that had set them. */
function byOrigin(knobs: readonly KnobRecord[]): ReadonlyMap<Origin, readonly string[]> {
  const groups = new Map<Origin, string[]>();
  for (const { origin, spec } of knobs) {
    if (!origin) continue;
    const group = groups.get(origin);
    if (group) group.push(spec.id);
    else groups.set(origin, [spec.id]);
  }
  return groups;
}

interface Fallback {
  readonly value: KnobValue;
  readonly origin?: Origin;
}

function fallBack(knob: KnobRecord, to: Fallback): void {
  knob.generation++;
  knob.value = to.value;
  knob.origin = to.origin;
  knob.lease = undefined;
  knob.lastGood = undefined;
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
