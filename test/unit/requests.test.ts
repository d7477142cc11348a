import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Decision, OperatorAction } from '../../agent/core/model.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { findRevision, MAX_REVISIONS, withRevision } from '../../agent/core/tune/revisions.ts';
import { intKnob, Loop, type LoopOptions } from './engine_loop.ts';

/** A larger batch helps much, a wait does nothing. */
const plant: LoopOptions = {
  latencyS: ({ batch }) => 0.05 / batch ** 0.5,
  knobs: [intKnob('batch'), intKnob('wait', { min: 1, max: 8, step: 2, scale: 'linear', baseline: 3, role: 'queue' })],
};
const manual = { ...plant, settings: { components: { c: { mode: 'approve' as const } } } };

type Change = Omit<OperatorAction & { action: 'propose' }, 'action' | 'component'>;
const propose = (loop: Loop, more: Partial<Change> & Pick<Change, 'changes'>) =>
  loop.operator({ action: 'propose', component: 'c', reason: 'a hunch', ...more });
const ended = ({ kind }: Decision) => kind === 'promoted' || kind === 'rolled_back' || kind === 'futile';
const about = (loop: Loop, proposalId: string | undefined) =>
  loop.decisions.filter((decision) => decision.proposalId === proposalId);

describe('what somebody proposes', () => {
  test('is tried and proven like any plan, and whoever asked can follow it by its id', () => {
    const loop = new Loop({ ...plant, tier: 'research' }).open();
    const { ok, proposalId } = propose(loop, { changes: { batch: 3 }, strategy: 'Nightly', rule: 'at night' });
    expect(ok).toBe(true);
    const end = loop.run(2_000, (decision) => decision.proposalId === proposalId && ended(decision));
    expect(end).toMatchObject({ kind: 'promoted', strategy: 'Nightly', changes: [{ knob: 'batch', from: 1, to: 3 }] });
    expect(end?.evidence?.effect?.high).toBeLessThan(0);
    expect(about(loop, proposalId).map(({ kind }) => kind)).toEqual(['proposed', 'trial_started', 'promoted']);
    const told = loop.events.filter(({ data }) => data.proposalId === proposalId).map(({ type }) => type);
    expect(told).toEqual(['recommendation', 'trial_started', 'adaptive_optimization', 'optimization_applied']);
    expect(loop.engine.tuning('c')?.proposals).toEqual([]);
  });

  test('goes before a plan of the engine’s own for which the incumbent is still being measured', () => {
    const loop = new Loop({ ...plant, tier: 'research' }).open();
    while (loop.engine.tuning('c')?.phase !== 'reference') loop.second();
    const { proposalId } = propose(loop, { changes: { batch: 3 } });
    expect(loop.run(600, ({ kind }) => kind === 'trial_started')?.proposalId).toBe(proposalId);
  });

  test('is taken back when it does harm, and not taken up again for a while', () => {
    const loop = new Loop({ ...plant, knobs: [intKnob('batch', { baseline: 8 })] }).open();
    const { proposalId } = propose(loop, { changes: { batch: 5 }, strategy: 'Bad idea' });
    expect(loop.run(2_000, (decision) => decision.proposalId === proposalId && ended(decision))?.kind).toBe(
      'rolled_back',
    );
    loop.run(3);
    expect(loop.setting.batch).toBe(loop.engine.tuning('c')?.incumbent.batch);
    expect(propose(loop, { changes: { batch: 12 }, strategy: 'Bad idea' }).message).toContain(
      'has failed not long ago',
    );
  });

  test.each<[string, Partial<Change> & Pick<Change, 'changes'>, string]>([
    ['nothing', { changes: {} }, 'at least one knob'],
    ['an unknown knob', { changes: { size: 1 } }, 'unknown knob size; known: batch, wait'],
    ['a value out of range', { changes: { batch: 65 } }, 'batch cannot be 65: int from 1 to 64'],
    ['a value of another type', { changes: { batch: 'many' } }, 'batch cannot be many'],
    ['no number at all', { changes: { batch: Number.NaN } }, 'batch cannot be NaN'],
    ['what is in force', { changes: { batch: 1 } }, 'in force already'],
    ['what rounds to what is in force', { changes: { wait: 2.1 } }, 'in force already'],
  ])('is refused at once: %s', (_, asked, message) => {
    const loop = new Loop(plant).open();
    expect(propose(loop, asked)).toMatchObject({ ok: false, message: expect.stringContaining(message) });
    expect(loop.decisions).toEqual([]);
  });

  test('waits for approval where the mode says so; declined, it is gone', () => {
    const loop = new Loop(manual).open();
    const asked = propose(loop, { changes: { batch: 2 } });
    expect(asked.message).toContain('waits for approval');
    expect(propose(loop, { changes: { batch: 2 } }).message).toContain(`proposed already: ${asked.proposalId}`);
    loop.run(200);
    expect(loop.commands).toEqual([]);
    expect(loop.operator({ action: 'approve', proposalId: asked.proposalId ?? '' }).ok).toBe(true);
    expect(loop.run(600, ({ proposalId }) => proposalId === asked.proposalId)?.kind).toBe('trial_started');
    const other = propose(loop, { changes: { wait: 5 } });
    expect(loop.operator({ action: 'reject', proposalId: other.proposalId ?? '', reason: 'no' }).ok).toBe(true);
    expect(loop.engine.tuning('c')?.proposals.map(({ id }) => id)).not.toContain(other.proposalId);
    expect(about(loop, other.proposalId).map(({ kind }) => kind)).toEqual(['proposed', 'declined']);
    const before = loop.engine.save();
    expect(
      loop.operator({ action: 'propose', component: 'c', changes: { wait: 7 }, reason: '', dryRun: true }).ok,
    ).toBe(true);
    expect(loop.operator({ action: 'rollback', component: 'c', dryRun: true }).ok).toBe(false);
    expect(loop.engine.save()).toEqual(before);
  });

  test('is only told where the mode is recommend, and refused in observe, while pinned and while frozen', () => {
    const loop = new Loop({ ...plant, tier: 'critical' }).open();
    const told = propose(loop, { changes: { batch: 2 } });
    expect(told).toMatchObject({ ok: true, message: expect.stringContaining('recommended, not tried') });
    expect(told.proposalId).toBeUndefined();
    loop.operator({ action: 'set_mode', component: 'c', mode: 'observe' });
    expect(propose(loop, { changes: { batch: 2 } }).message).toContain('mode observe');
    const other = new Loop(plant).open();
    other.operator({ action: 'pin', component: 'c', knob: 'batch' });
    expect(propose(other, { changes: { batch: 2 } }).message).toContain('pinned at 1 by eve');
    other.operator({ action: 'freeze', component: 'c', reason: 'audit' });
    expect(propose(other, { changes: { wait: 5 } }).message).toContain('frozen: audit');
    other.operator({ action: 'freeze', reason: 'incident' });
    expect(propose(other, { changes: { wait: 5 } }).message).toContain('everything is frozen: incident');
  });

  test('survives the agent, and is called off when its knob is pinned while it waits', () => {
    const loop = new Loop(manual).open();
    const { proposalId = '' } = propose(loop, { changes: { batch: 2 } });
    loop.restart(loop.engine.save());
    loop.open();
    loop.operator({ action: 'pin', component: 'c', knob: 'batch' });
    loop.operator({ action: 'approve', proposalId });
    expect(loop.run(100, ({ kind }) => kind === 'declined')?.reason).toContain('batch may not be moved now');
    expect(loop.events.at(-1)).toMatchObject({ type: 'optimization_failed', data: { proposalId } });
  });

  test('runs out, and says so', () => {
    const settings = { ...manual.settings, tickMs: 60_000 };
    const loop = new Loop({ ...manual, settings }).open();
    const { proposalId } = propose(loop, { changes: { batch: 2 } });
    loop.nowMs += 90_000_000;
    loop.run(60);
    expect(about(loop, proposalId).map(({ kind }) => kind)).toEqual(['proposed', 'declined']);
  });

  test('finds no room beyond a limit', () => {
    const loop = new Loop(manual).open();
    const answers = Array.from({ length: 9 }, (_, i) => propose(loop, { changes: { batch: 10 + i } }));
    expect(answers.map(({ ok }) => ok)).toEqual([...Array<boolean>(8).fill(true), false]);
    expect(answers.at(-1)?.message).toContain('8 proposals are waiting');
  });
});

describe('going back', () => {
  test('to a revision, to what a decision left, and to the one before: exact recorded values', () => {
    const loop = new Loop(plant).open();
    const first = propose(loop, { changes: { batch: 3 } });
    const promoted = loop.run(2_000, ({ proposalId, kind }) => proposalId === first.proposalId && kind === 'promoted');
    const to = (more: object) => loop.operator({ action: 'rollback', component: 'c', ...more });
    loop.operator({ action: 'set_mode', component: 'c', mode: 'observe' });
    const after = loop.setting.batch;
    expect(loop.engine.tuning('c')?.revisions.map(({ setting }) => setting.batch)).toEqual([1, after]);
    expect(to({})).toMatchObject({ ok: true, message: expect.stringContaining('back to revision 1') });
    expect(loop.setting).toEqual({ batch: 1, wait: 3 });
    expect(loop.decisions.at(-1)).toMatchObject({
      kind: 'rolled_back',
      by: 'eve',
      changes: [{ knob: 'batch', to: 1 }],
    });
    expect(to({ toDecision: promoted?.id })).toMatchObject({ ok: true });
    expect(loop.setting.batch).toBe(after);
    expect(to({ toRevision: 1 })).toMatchObject({ ok: true });
    expect(loop.setting.batch).toBe(1);
    expect(to({ toRevision: 1 }).message).toContain('in force already');
    expect(to({ toRevision: 99 }).message).toContain('no revision 99; known: 1 to 5');
    expect(to({ toDecision: 'd9-9' }).message).toContain('has not changed the setting');
    expect(to({ toDecision: 'd9-9', toRevision: 1 }).message).toContain('not both');
  });

  test('ends what is being tried, outlives the agent, and leaves pins alone', () => {
    const loop = new Loop(plant).open();
    loop.operator({ action: 'pin', component: 'c', knob: 'batch', value: 4 });
    loop.operator({ action: 'unpin', component: 'c', knob: 'batch' });
    loop.operator({ action: 'pin', component: 'c', knob: 'wait', value: 5 });
    expect(loop.run(200, ({ kind }) => kind === 'trial_started')).toBeDefined();
    const back = loop.operator({ action: 'rollback', component: 'c', toRevision: 1 });
    expect(back.message).toContain('batch 4 → 1; pinned and left alone: wait');
    expect(loop.kinds().slice(-2)).toEqual(['rolled_back', 'rolled_back']);
    loop.run(2);
    expect(loop.setting).toEqual({ batch: 1, wait: 5 });
    const revisions = loop.engine.tuning('c')?.revisions;
    loop.restart(loop.engine.save());
    loop.open();
    expect(loop.engine.tuning('c')?.revisions).toEqual(revisions);
  });

  test('is refused where the value is no longer allowed, or nothing is known', () => {
    const loop = new Loop({
      ...plant,
      settings: {
        components: { c: { knobs: { batch: { max: 8 } } } },
        optimization: { ...DEFAULT_ENGINE_SETTINGS.optimization, enabled: false },
      },
    }).open();
    expect(loop.operator({ action: 'rollback', component: 'c' }).message).toContain('no earlier setting');
    loop.operator({ action: 'pin', component: 'c', knob: 'batch', value: 32 });
    loop.operator({ action: 'pin', component: 'c', knob: 'batch', value: 2 });
    loop.operator({ action: 'unpin', component: 'c', knob: 'batch' });
    expect(loop.operator({ action: 'rollback', component: 'c' }).message).toContain(
      'can no longer be 32: int from 1 to 8',
    );
  });

  test('revisions rise by one, never repeat their neighbour, and are bounded', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 200 }), (values) => {
        let revisions = withRevision([], { a: -1 }, 0, undefined);
        for (const a of values) revisions = withRevision(revisions, { a }, 1, 'd');
        expect(revisions.length).toBeLessThanOrEqual(MAX_REVISIONS);
        for (const [i, { revision, setting }] of revisions.entries()) {
          const before = revisions[i - 1];
          if (before === undefined) continue;
          expect(revision).toBe(before.revision + 1);
          expect(setting).not.toEqual(before.setting);
          expect(findRevision(revisions, { toRevision: revision })).toEqual(revisions[i]);
        }
      }),
    );
  });
});
