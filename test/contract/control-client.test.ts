/**
 * What every client of the control channel must keep, whatever the agent, the network, its host's listeners and its
 * users do, in whatever order:
 *
 * 1. A knob holds its baseline, a value set by hand, or a value that was acknowledged (or, where each knob of a command
 *    stands for itself, is about to be) and whose lease still runs.
 * 2. Nothing at or below what was obeyed, and nothing of another epoch, is ever obeyed.
 * 3. Every command gets one final answer, and every replay the same again.
 * 4. What the client says is in force is in force.
 * 5. Left alone, every tuned knob is back at its baseline when the last lease has run out.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClientCommand } from '../../agent/client/typescript/holdings.ts';
import type { KnobRecord } from '../../agent/client/typescript/knob.ts';
import type { KnobValue } from '../../agent/core/model.ts';
import { ClientRig, clientCommand, intSpec, settle } from './control-client-rig.ts';

const KNOBS = ['a', 'b', 'c'] as const;
const LEASE_MS = 1_000;
const DEADLINE_MS = 500;

const knob = fc.constantFrom(...KNOBS);
const value = fc.integer({ min: -5, max: 110 });
const change = fc.record(
  {
    knob: fc.oneof({ weight: 9, arbitrary: knob }, { weight: 1, arbitrary: fc.constant('nope') }),
    value,
    expectedCurrent: fc.integer({ min: 1, max: 100 }),
  },
  { requiredKeys: ['knob', 'value'] },
);
const action = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('command' as const),
      changes: fc.uniqueArray(change, { minLength: 1, maxLength: 3, selector: (entry) => entry.knob }),
      atomicity: fc.constantFrom('all' as const, 'per_knob' as const),
      skip: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('stale' as const), back: fc.integer({ min: 0, max: 5 }), knob, value }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('wrongEpoch' as const), by: fc.constantFrom(-1, 1, 7), knob, value }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('replay' as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('renew' as const), back: fc.integer({ min: 0, max: 2 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('revoke' as const),
      knobs: fc.uniqueArray(knob),
      back: fc.integer({ min: -1, max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('hand' as const), knob, value }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 700 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('listenersAnswer' as const), refuse: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('restart' as const),
      epoch: fc.constantFrom('higher' as const, 'same' as const),
    }),
  },
);
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never;

/** Values that a listener of the world refuses, answers later, or agrees to at once. */
function moodOf(candidate: KnobValue): 'refuse' | 'later' | 'agree' {
  const rest = Number(candidate) % 7;
  return rest === 0 ? 'refuse' : rest === 1 ? 'later' : 'agree';
}

/** The agent, the host and the hand, and what they know must be so. */
class World {
  readonly rig = new ClientRig();
  readonly knobs = new Map<string, KnobRecord>();
  readonly sent: ClientCommand[] = [];
  /** By knob: the value, and until when at the latest it may be held. */
  readonly acknowledged = new Map<string, { readonly value: KnobValue; readonly revision: number; untilMs: number }>();
  readonly byHand = new Map<string, KnobValue>();
  readonly answers = new Set<string>();
  readonly forbidden = new Set<string>();
  readonly #waiting: ((refuse: boolean) => void)[] = [];
  epoch = 1;
  revision = 0;
  #read = 0;

  constructor() {
    for (const id of KNOBS) {
      const record = this.rig.declare(intSpec(id));
      this.knobs.set(id, record);
      record.listeners.add((candidate) => {
        const mood = moodOf(candidate);
        if (mood === 'refuse') throw new Error('refused by the host');
        if (mood === 'agree') return;
        return new Promise((resolve, reject) =>
          this.#waiting.push((refuse) => (refuse ? reject(new Error('refused later')) : resolve())),
        );
      });
    }
    this.rig.holdings.welcome(this.epoch);
  }

  async perform(step: Action): Promise<void> {
    const { holdings, clock } = this.rig;
    switch (step.kind) {
      case 'command': {
        this.revision += step.skip;
        const { changes, atomicity } = step;
        const command = clientCommand(this.revision, changes, {
          epoch: this.epoch,
          atomicity,
          leaseTtlMs: LEASE_MS,
          applyDeadlineMs: DEADLINE_MS,
        });
        this.sent.push(command);
        holdings.obey(command, 'n');
        break;
      }
      case 'stale':
      case 'wrongEpoch': {
        const epoch = step.kind === 'stale' ? this.epoch : this.epoch + step.by;
        const revision = step.kind === 'stale' ? Math.max(0, this.revision - step.back) : this.revision + 1;
        const commandId = `forged-${this.forbidden.size}`;
        if (step.kind === 'stale' && this.revision === 0) return;
        this.forbidden.add(commandId);
        holdings.obey(clientCommand(revision, [{ knob: step.knob, value: step.value }], { epoch, commandId }), 'n');
        break;
      }
      case 'replay': {
        const command = this.sent[step.which % Math.max(1, this.sent.length)];
        if (command) holdings.obey(command, 'replay');
        break;
      }
      case 'renew': {
        const upTo = this.revision - step.back;
        holdings.renew(this.epoch, upTo, LEASE_MS);
        for (const entry of this.acknowledged.values())
          if (entry.revision <= upTo) entry.untilMs = Math.max(entry.untilMs, clock.nowMs() + LEASE_MS);
        break;
      }
      case 'revoke':
        if (step.back < 0) this.revision++;
        holdings.revoke(this.epoch, this.revision - Math.max(0, step.back), step.knobs, 'because');
        break;
      case 'hand': {
        const record = this.knobs.get(step.knob)!;
        try {
          holdings.override(record, step.value);
          this.byHand.set(step.knob, step.value);
          this.acknowledged.delete(step.knob);
        } catch {
          // Out of range, or refused by the listener: nothing may have changed, which is what the checks find.
        }
        break;
      }
      case 'time':
        clock.advance(step.ms);
        break;
      case 'listenersAnswer':
        for (const answer of this.#waiting.splice(0)) answer(step.refuse);
        break;
      case 'restart':
        holdings.part();
        if (step.epoch === 'higher') {
          this.epoch++;
          this.revision = 0;
        }
        holdings.welcome(this.epoch);
        break;
    }
    await settle();
    this.#hear();
  }

  /** Listeners answer, time passes, nobody renews. */
  async leaveAlone(): Promise<void> {
    await this.perform({ kind: 'listenersAnswer', refuse: false });
    await this.perform({ kind: 'time', ms: DEADLINE_MS });
    await this.perform({ kind: 'listenersAnswer', refuse: false });
    await this.perform({ kind: 'time', ms: 2 * LEASE_MS + DEADLINE_MS });
  }

  check(): void {
    const nowMs = this.rig.clock.nowMs();
    for (const [id, { value: present, manual, spec }] of this.knobs) {
      const entry = this.acknowledged.get(id);
      if (manual) expect(present).toBe(this.byHand.get(id));
      else if (present !== spec.baseline) {
        const isAcknowledged = entry !== undefined && entry.untilMs > nowMs && entry.value === present;
        expect(isAcknowledged || this.#isUnderWay(id, present)).toBe(true);
      }
    }
  }

  #isUnderWay(id: string, present: KnobValue): boolean {
    const open = this.sent.filter(
      ({ commandId, atomicity }) => atomicity === 'per_knob' && this.rig.answerTo(commandId) === undefined,
    );
    return open.some(({ changes }) => changes.some((entry) => entry.knob === id && entry.value === present));
  }

  #hear(): void {
    const nowMs = this.rig.clock.nowMs();
    // Of several words about a knob in one go the last is about now.
    const lastWords = new Map<string, KnobValue>();
    for (const report of this.rig.reports.slice(this.#read)) {
      if (report.kind === 'override') {
        lastWords.set(report.knob, report.value);
        continue;
      }
      if (report.kind === 'holding') {
        const held = new Map(report.held.map((entry) => [entry.knob, entry.value]));
        for (const [id, { spec }] of this.knobs) lastWords.set(id, held.get(id) ?? spec.baseline);
        continue;
      }
      const { commandId, nonce, results } = report;
      // EXPIRED and ROLLED_BACK come without a nonce; of the rest, the first is the answer and others are its replays.
      const isReplay = nonce !== '' && this.answers.has(commandId);
      if (isReplay) expect(nonce).toBe('replay');
      else if (nonce !== '') this.answers.add(commandId);
      for (const { knob: id, state, error, effectiveValue, attemptedRevision } of results) {
        expect(error === undefined).toBe(state === 'applied');
        if (isReplay) continue;
        lastWords.set(id, effectiveValue);
        if (state !== 'applied') continue;
        expect(this.forbidden).not.toContain(commandId);
        this.acknowledged.set(id, { value: effectiveValue, revision: attemptedRevision, untilMs: nowMs + LEASE_MS });
        this.byHand.delete(id);
      }
    }
    for (const [id, said] of lastWords) {
      const present = this.knobs.get(id)?.value;
      // The next command may have begun already; its own answer tells of it.
      if (present !== undefined && !this.#isUnderWay(id, present)) expect(said).toBe(present);
    }
    this.#read = this.rig.reports.length;
  }
}

describe('the client', () => {
  test('holds only what it may, whatever happens in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (steps) => {
        const world = new World();
        for (const step of steps) {
          await world.perform(step);
          world.check();
        }
        await world.leaveAlone();
        world.check();
        for (const { value: present, manual, spec } of world.knobs.values())
          if (!manual) expect(present).toBe(spec.baseline);
        for (const { commandId } of world.sent) expect(world.answers).toContain(commandId);
      }),
      { numRuns: 2_000 },
    );
  });
});
