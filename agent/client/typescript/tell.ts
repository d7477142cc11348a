import type { KnobValue, Rationale } from '../../core/model.ts';
import type { Clock } from './clock.ts';
import { type ChangeListener, type KnobRecord, TransientRejection } from './knob.ts';

export type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly transient: boolean; readonly reason: string };

const ACCEPTED: Verdict = { ok: true };

/**
 * Asks the listeners, one after the other, whether `value` may be. Those that had agreed before another refused are
 * told the value in force again. A listener that has not answered by the deadline has refused for now; should it agree
 * later, it is told the value in force then.
 */
export async function ask(
  knob: KnobRecord,
  value: KnobValue,
  rationale: Rationale,
  deadlineMs: number,
  clock: Clock,
): Promise<Verdict> {
  const agreed: ChangeListener<KnobValue>[] = [];
  for (const listener of [...knob.listeners]) {
    const verdict = await askOne(knob, listener, value, rationale, deadlineMs, clock);
    if (!verdict.ok) {
      for (const other of agreed) remind(knob, other);
      return verdict;
    }
    agreed.push(listener);
  }
  return ACCEPTED;
}

async function askOne(
  knob: KnobRecord,
  listener: ChangeListener<KnobValue>,
  value: KnobValue,
  rationale: Rationale,
  deadlineMs: number,
  clock: Clock,
): Promise<Verdict> {
  let answer: void | Promise<void>;
  try {
    answer = call(knob, listener, value, rationale);
  } catch (error) {
    return refusal(error);
  }
  if (!isThenable(answer)) return ACCEPTED;
  const settled = Promise.resolve(answer).then(() => ACCEPTED, refusal);
  const waitMs = Math.max(0, deadlineMs - clock.nowMs());
  let callOff = (): void => {};
  const late = new Promise<Verdict>((resolve) => {
    callOff = clock.after(waitMs, () => {
      resolve({ ok: false, transient: true, reason: `the listener has not answered by the deadline` });
      void settled.then((verdict) => {
        if (verdict.ok) remind(knob, listener);
      });
    });
  });
  const verdict = await Promise.race([settled, late]);
  callOff();
  return verdict;
}

/** Tells the listeners what is in force now. None of them can object, and none is waited for. */
export function announce(knob: KnobRecord, rationale: Rationale): void {
  for (const listener of [...knob.listeners]) remind(knob, listener, rationale);
}

/** As `announce`, but the first error that a listener throws is thrown, once those before it know the old value again. */
export function demand(knob: KnobRecord, value: KnobValue, rationale: Rationale): void {
  const told: ChangeListener<KnobValue>[] = [];
  for (const listener of [...knob.listeners]) {
    try {
      quiet(call(knob, listener, value, rationale));
    } catch (error) {
      for (const other of told) remind(knob, other);
      throw error;
    }
    told.push(listener);
  }
}

const STILL: Rationale = { strategy: 'client', reason: 'the value in force did not change after all' };

function remind(knob: KnobRecord, listener: ChangeListener<KnobValue>, rationale: Rationale = STILL): void {
  try {
    quiet(call(knob, listener, knob.value, rationale));
  } catch {
    // The knob has fallen back already; a listener that cannot follow must not harm its host or its siblings.
  }
}

function call(knob: KnobRecord, listener: ChangeListener<KnobValue>, value: KnobValue, rationale: Rationale) {
  const outer = knob.telling;
  knob.telling = true;
  try {
    return listener(value, rationale);
  } finally {
    knob.telling = outer;
  }
}

/** An error that nobody waits for would end the host process. */
function quiet(answer: void | Promise<void>): void {
  if (isThenable(answer)) Promise.resolve(answer).catch(() => {});
}

function isThenable(answer: void | Promise<void>): answer is Promise<void> {
  return typeof answer === 'object' && typeof answer?.then === 'function';
}

function refusal(error: unknown): Verdict {
  const reason = error instanceof Error ? error.message : String(error);
  return { ok: false, transient: error instanceof TransientRejection, reason: reason || 'refused without a reason' };
}
