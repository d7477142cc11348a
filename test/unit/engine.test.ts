import { describe, expect, test } from 'vitest';
import { createEngine } from '../../agent/core/engine.ts';
import type { Command, Decision } from '../../agent/core/model.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { applied, intKnob, Loop, type LoopOptions } from './engine_loop.ts';

/** Larger batches help, with an optimum around 16. */
const helped: LoopOptions = { latencyS: ({ batch }) => 0.05 * Math.exp(0.3 * (Math.log2(batch) - 4) ** 2 * 0.2) };
const timeout = intKnob('timeout_ms', { role: 'timeout', unit: 'ms', min: 10, max: 60_000, baseline: 10_000 });

function optimization(more: Partial<typeof DEFAULT_ENGINE_SETTINGS.optimization>) {
  return { settings: { optimization: { ...DEFAULT_ENGINE_SETTINGS.optimization, ...more } } };
}

test('an engine that has not taken a step yet can be asked anything', () => {
  const engine = createEngine({ settings: DEFAULT_ENGINE_SETTINGS, seed: 1, epoch: 1 });
  expect(engine.machine()).toMatchObject({ metrics: {}, resources: {} });
  expect(engine.view('nobody')).toBeUndefined();
});

test('a component whose service level burns is told apart from one that keeps it', () => {
  const burning = (responseTimeMs: number): string | undefined => {
    const loop = new Loop({ settings: { slo: { responseTimeMs, targetRatio: 0.99 } }, latencyS: () => 0.1 }).open();
    loop.run(300);
    expect(loop.engine.burning('nobody')).toBeUndefined();
    return loop.engine.burning('c');
  };
  expect(burning(10)).toContain('burns 100.0 times too fast');
  expect(burning(1_000)).toBeUndefined();
});

describe('the loop', () => {
  test('finds, proves and keeps a better setting, and says on which evidence', () => {
    const loop = new Loop(helped).open();
    const promoted = loop.run(3_000, ({ kind }) => kind === 'promoted');
    expect(promoted?.evidence?.effect?.high).toBeLessThan(0);
    expect(promoted?.evidence?.recorded).toEqual({ batch: 1 });
    expect(loop.setting.batch).toBe(promoted?.changes[0]?.to);
    const applied = loop.events.find(({ type }) => type === 'optimization_applied');
    expect(applied?.data).toMatchObject({ strategy: 'Configuration Optimization', result: { applied: true } });
    expect(loop.engine.view('c')?.profile?.optimization.lastOptimized).toBe(promoted?.atMs);
  });

  test('is deterministic: the same inputs and seed give the same effects', () => {
    const [one, two] = [new Loop(helped).open(), new Loop(helped).open()];
    one.run(2_000);
    two.run(2_000);
    expect(one.effects.length).toBeGreaterThan(100);
    expect(JSON.stringify(two.effects)).toBe(JSON.stringify(one.effects));
  });

  test('goes on after saving and loading exactly as it would have without', () => {
    const loop = new Loop(helped).open();
    loop.run(1_500, ({ kind }) => kind === 'promoted');
    const saved = JSON.parse(JSON.stringify(loop.engine.save()));
    loop.restart(saved);
    expect(JSON.parse(JSON.stringify(loop.engine.save()))).toEqual(saved);
  });

  test('every trial ends, and a rollback restores the recorded values exactly', () => {
    const loop = new Loop({
      latencyS: ({ batch }) => 0.05 * batch ** 0.3,
      knobs: [intKnob('batch', { baseline: 3 })],
    }).open();
    loop.run(6_000);
    const started = loop.decisions.filter(({ kind }) => kind === 'trial_started');
    expect(started.length).toBeGreaterThan(0);
    for (const { trialId } of started.slice(0, -1)) {
      const ends = loop.decisions.filter((end) => end.trialId === trialId && end.kind !== 'trial_started');
      expect(ends.length).toBe(1);
    }
    loop.operator({ action: 'freeze', reason: 'audit' });
    loop.run(5);
    expect(loop.setting.batch).toBe(loop.engine.view('c')?.tuning?.incumbent.batch);
  });

  test('renews the leases of what it holds, and of nothing else', () => {
    const loop = new Loop(helped).open();
    expect(loop.effects.filter(({ kind }) => kind === 'renewal')).toEqual([]);
    loop.run(3_000, ({ kind }) => kind === 'promoted');
    const before = loop.effects.length;
    loop.run(60);
    const renewals = loop.effects.slice(before).filter(({ kind }) => kind === 'renewal');
    // Three per time to live of 15 s.
    expect(renewals.length).toBeGreaterThanOrEqual(11);
  });
});

describe('what may be touched', () => {
  test('observe: nothing at all', () => {
    const loop = new Loop({ ...helped, ...optimization({ enabled: false }) }).open();
    loop.run(1_000);
    expect(loop.commands).toEqual([]);
    expect(loop.decisions).toEqual([]);
  });

  test('critical: recommendations only, judged from the latency distribution, each once', () => {
    const loop = new Loop({ tier: 'critical', knobs: [timeout] }).open();
    loop.run(2_000);
    expect(loop.commands).toEqual([]);
    expect(loop.kinds()).toEqual(['recommended']);
    expect(loop.decisions[0]?.changes[0]?.to).toBeLessThan(10_000);
    // The tier keeps its strategies (the document's table), so it is told; it is never applied.
    expect(loop.events.filter(({ type }) => type === 'recommendation').length).toBe(1);
  });

  test('approve: nothing before a human has said yes, the proven value after', () => {
    const settings = { components: { c: { mode: 'approve' as const } } };
    const loop = new Loop({ ...helped, settings }).open();
    const proposed = loop.run(200, ({ kind }) => kind === 'proposed');
    expect(loop.commands).toEqual([]);
    expect(loop.operator({ action: 'approve', proposalId: 'p9-9' })).toMatchObject({ ok: false });
    expect(loop.operator({ action: 'approve', proposalId: proposed?.proposalId ?? '' })).toMatchObject({ ok: true });
    expect(loop.run(2_000, ({ kind }) => kind === 'promoted')).toBeDefined();
    expect(loop.kinds()).toContain('approved');
  });

  test('declined: the strategy waits before it asks again', () => {
    const settings = { components: { c: { mode: 'approve' as const } } };
    const loop = new Loop({ ...helped, settings }).open();
    const proposed = loop.run(200, ({ kind }) => kind === 'proposed');
    loop.operator({ action: 'reject', proposalId: proposed?.proposalId ?? '', reason: 'not today' });
    const again = ({ kind, strategy }: Decision) => kind === 'proposed' && strategy === proposed?.strategy;
    expect(loop.run(60, again)).toBeUndefined();
    // Another strategy may ask meanwhile; it is turned down as well.
    for (const { id } of loop.engine.tuning('c')?.proposals ?? []) {
      loop.operator({ action: 'reject', proposalId: id, reason: 'not today' });
    }
    expect(loop.run(600, again)).toBeDefined();
  });

  test('without rollback nothing is tried unattended: auto asks', () => {
    const loop = new Loop({ ...helped, ...optimization({ rollbackEnabled: false }) }).open();
    loop.run(300);
    expect(loop.commands).toEqual([]);
    expect(loop.kinds()).toEqual(['proposed']);
  });

  test('aggressiveness 0 moves nothing; a knob that needs a restart is never moved', () => {
    const still = new Loop({ ...helped, ...optimization({ aggressiveness: 0 }) }).open();
    still.run(500);
    expect(still.commands).toEqual([]);
    const restart = new Loop({ ...helped, knobs: [intKnob('batch', { applyClass: 'restart' })] }).open();
    restart.run(500);
    expect(restart.commands).toEqual([]);
  });

  test('a policy and a ceiling at boot bound every value ever sent', () => {
    const settings = { components: { c: { knobs: { batch: { max: 8 } } } } };
    const bounded = new Loop({ ...helped, settings }).open();
    bounded.run(3_000);
    const ceiling = new Loop({ ...helped, knobs: [intKnob('batch', { baseline: 4, ceilingAtBoot: true })] }).open();
    ceiling.run(1_000);
    const sent = (loop: Loop) => loop.commands.flatMap(({ changes }) => changes.map(({ value }) => Number(value)));
    expect(Math.max(...sent(bounded))).toBeLessThanOrEqual(8);
    expect(Math.max(...sent(ceiling))).toBeLessThanOrEqual(4);
  });
});

describe('a human wins', () => {
  test('a pin holds a value until it is unpinned; what it left behind stays', () => {
    const loop = new Loop(helped).open();
    loop.run(300);
    expect(loop.operator({ action: 'pin', component: 'c', knob: 'batch', value: 5 })).toMatchObject({ ok: true });
    loop.run(1_000);
    expect(loop.setting.batch).toBe(5);
    expect(loop.operator({ action: 'pin', component: 'c', knob: 'batch', value: 1_000 }).message).toContain('1 to 64');
    expect(loop.operator({ action: 'pin', component: 'c', knob: 'size' }).message).toContain('known: batch');
    expect(loop.operator({ action: 'unpin', component: 'c', knob: 'batch' })).toMatchObject({ ok: true });
    expect(loop.engine.tuning('c')?.incumbent.batch).toBe(5);
    expect(loop.run(3_000, ({ kind }) => kind === 'trial_started')).toBeDefined();
  });

  test('a search gives memory where it helps, none where it does not, and never takes any away', () => {
    const knobs = [intKnob('batch', { baseline: 4 }), intKnob('cache', { role: 'memory', baseline: 8 })];
    const run = (latencyS: (setting: Record<string, number>) => number) => {
      const loop = new Loop({ knobs, latencyS }).open();
      loop.run(8_000);
      const given = loop.commands.flatMap(({ changes }) => changes.filter(({ knob }) => knob === 'cache'));
      expect(Math.min(...given.map(({ value }) => Number(value)))).toBe(8);
      return loop.engine.tuning('c')?.incumbent;
    };
    expect(run(({ cache }) => 0.08 / cache ** 0.3)?.cache).toBeGreaterThan(16);
    const without = run(({ batch }) => 0.08 / batch ** 0.3);
    expect(without?.cache).toBe(8);
    expect(without?.batch).toBeGreaterThan(8);
  });

  test('a pin that the process refuses for good is told once, not sent again and again, and tried again when the process is new', () => {
    let isRefused = true;
    const refuse = (command: Command) =>
      applied(command).map((result) =>
        isRefused && result.knob === 'queue' && result.effectiveValue === 5
          ? {
              ...result,
              state: 'rejected_permanent' as const,
              effectiveValue: 1,
              effectiveRevision: 0,
              error: 'no room',
            }
          : result,
      );
    const loop = new Loop({ knobs: [intKnob('batch', { baseline: 4 }), intKnob('queue')], answer: refuse }).open();
    loop.operator({ action: 'set_mode', component: 'c', mode: 'observe' });
    loop.operator({ action: 'pin', component: 'c', knob: 'batch', value: 8 });
    expect(loop.operator({ action: 'pin', component: 'c', knob: 'queue', value: 5 })).toMatchObject({ ok: true });
    loop.run(3_600);
    const told = loop.decisions.filter(({ kind }) => kind === 'value_rejected');
    expect(told.map(({ reason }) => reason)).toEqual([expect.stringContaining('queue = 5: no room; pinned by eve')]);
    expect(loop.commands.filter(({ changes }) => changes.some(({ knob }) => knob === 'queue'))).toHaveLength(1);
    expect(loop.kinds()).not.toContain('frozen');
    expect(loop.setting).toEqual({ batch: 8, queue: 1 });
    expect(loop.engine.tuning('c')?.knobs.find(({ spec }) => spec.id === 'queue')).toMatchObject({ pinned: true });
    expect(loop.operator({ action: 'pin', component: 'c', knob: 'queue', value: 5 }).message).toContain('no room');

    isRefused = false;
    loop.setting.batch = 4;
    loop.open([], 2);
    loop.run(60);
    expect(loop.setting).toEqual({ batch: 8, queue: 5 });
  });

  test('what was pinned and refused is not held when it is unpinned', () => {
    const loop = new Loop({
      knobs: [intKnob('queue')],
      answer: (command) =>
        applied(command).map((result) => ({
          ...{ ...result, state: 'rejected_permanent', effectiveValue: 1, effectiveRevision: 0, error: 'no room' },
        })),
    }).open();
    loop.operator({ action: 'pin', component: 'c', knob: 'queue', value: 5 });
    loop.run(60);
    expect(loop.operator({ action: 'unpin', component: 'c', knob: 'queue' }).message).toContain('stays at 1');
    expect(loop.engine.tuning('c')?.incumbent).toEqual({ queue: 1 });
  });

  test('a value set by hand at the process ends the trial and is left alone', () => {
    const loop = new Loop(helped).open();
    loop.run(300, ({ kind }) => kind === 'trial_started');
    loop.setting.batch = 7;
    loop.perform(loop.engine.step(loop.nowMs, { kind: 'override', component: 'c', knob: 'batch', value: 7 }));
    expect(loop.kinds()).toEqual(expect.arrayContaining(['rolled_back', 'pinned']));
    loop.run(500);
    expect(loop.setting.batch).toBe(7);
  });

  test('freeze restores at once and stops everything; unfreeze goes on', () => {
    const loop = new Loop(helped).open();
    loop.run(300, ({ kind }) => kind === 'trial_started');
    loop.run(15);
    expect(loop.operator({ action: 'freeze', reason: 'incident' })).toMatchObject({ ok: true });
    expect(loop.setting.batch).toBe(1);
    const before = loop.commands.length;
    loop.run(1_000);
    expect(loop.commands.length).toBe(before);
    expect(loop.operator({ action: 'unfreeze' })).toMatchObject({ ok: true });
    expect(loop.operator({ action: 'unfreeze' })).toMatchObject({ ok: false });
    expect(loop.run(2_000, ({ kind }) => kind === 'trial_started')).toBeDefined();
  });

  test('a dry run answers what would be done, and does nothing', () => {
    const loop = new Loop(helped).open();
    const before = { effects: loop.effects.length, state: loop.engine.save() };
    const dryRun = true;
    expect(loop.operator({ action: 'freeze', reason: 'incident', dryRun }).message).toContain('everything frozen');
    expect(loop.operator({ action: 'pin', component: 'c', knob: 'batch', value: 5, dryRun })).toMatchObject({
      ok: true,
    });
    expect(loop.operator({ action: 'unpin', component: 'c', knob: 'batch', dryRun })).toMatchObject({ ok: false });
    expect(loop.effects.slice(before.effects).filter(({ kind }) => kind !== 'reply')).toEqual([]);
    expect(loop.engine.save()).toEqual(before.state);
  });

  test('a mode set by an operator outlives the agent', () => {
    const loop = new Loop(helped).open();
    loop.operator({ action: 'set_mode', component: 'c', knob: 'batch', mode: 'observe' });
    loop.restart(loop.engine.save());
    loop.open();
    loop.run(1_000);
    expect(loop.commands).toEqual([]);
    expect(loop.operator({ action: 'set_mode', component: 'nobody', mode: 'auto' }).message).toContain('known: c');
  });
});

describe('when things go wrong', () => {
  test('killed in a trial: the next engine restores the recorded values and says so', () => {
    const loop = new Loop(helped).open();
    loop.run(300, ({ kind }) => kind === 'trial_started');
    // The journal holds what was saved with the last decision, however long ago.
    const saved = loop.engine.save();
    const level = loop.engine.tuning('c')?.alpha;
    loop.run(60);
    const value = loop.setting.batch;
    const { revision = 1 } = loop.commands.at(-1) ?? {};
    loop.restart(saved);
    loop.open([{ knob: 'batch', value: value === 1 ? 2 : value, epoch: 1, revision, manual: false }]);
    expect(loop.decisions.at(-1)).toMatchObject({ kind: 'rolled_back', trialId: expect.stringMatching(/^t/) });
    expect(loop.decisions.at(-1)?.reason).toContain('interrupted by a restart of the agent');
    // Its proof may have begun after what was saved: its level is spent.
    expect(loop.engine.tuning('c')?.alpha).toBeLessThan(level ?? 0);
    loop.run(2);
    expect(loop.setting.batch).toBe(1);
  });

  test('a proven value held under the word of an earlier agent is commanded anew, so that its lease lives', () => {
    const loop = new Loop(helped).open();
    const promoted = loop.run(3_000, ({ kind }) => kind === 'promoted');
    const value = Number(promoted?.changes[0]?.to);
    const { revision = 1 } = loop.commands.at(-1) ?? {};
    loop.restart(loop.engine.save());
    const before = loop.commands.length;
    loop.open([{ knob: 'batch', value, epoch: 1, revision, manual: false }]);
    expect(loop.commands.slice(before).flatMap(({ changes }) => changes)).toMatchObject([{ knob: 'batch', value }]);
  });

  describe('a value has gone from the process, and no word of it has come', () => {
    const gone = (loop: Loop): void => {
      loop.setting.batch = 1;
      loop.perform(loop.engine.step(loop.nowMs, { kind: 'holding', component: 'c', held: [] }));
    };

    test('in a trial: it ends, however good it looked, and proves nothing', () => {
      const loop = new Loop(helped).open();
      loop.run(300, ({ kind }) => kind === 'trial_started');
      while (loop.setting.batch === 1) loop.second();
      gone(loop);
      const end = loop.decisions.at(-1);
      expect(end).toMatchObject({ kind: 'rolled_back', trialId: expect.stringMatching(/^t/) });
      expect(end?.reason).toContain('the process holds something else than was believed: batch is 1, not ');
      expect(loop.engine.tuning('c')?.openTrial).toBeUndefined();
    });

    test('between trials: what was proven is in force again, and the journal says why', () => {
      const loop = new Loop(helped).open();
      const value = Number(loop.run(3_000, ({ kind }) => kind === 'promoted')?.changes[0]?.to);
      gone(loop);
      expect(loop.setting.batch).toBe(value);
      expect(loop.decisions.at(-1)).toMatchObject({
        kind: 'restored',
        changes: [{ knob: 'batch', from: 1, to: value }],
      });
      expect(loop.decisions.at(-1)?.reason).toContain('something else than was believed');
    });

    test('a hand took it: that is found out, and left alone', () => {
      const loop = new Loop(helped).open();
      loop.run(3_000, ({ kind }) => kind === 'promoted');
      loop.setting.batch = 5;
      const held = [{ knob: 'batch', value: 5, epoch: 0, revision: 0, manual: true }];
      loop.perform(loop.engine.step(loop.nowMs, { kind: 'holding', component: 'c', held }));
      loop.run(300);
      expect(loop.setting.batch).toBe(5);
      expect(loop.kinds()).toContain('pinned');
    });
  });

  test('a process that crashes twice under tuned values gets its baselines back', () => {
    const loop = new Loop(helped).open();
    loop.run(3_000, ({ kind }) => kind === 'promoted');
    for (const incarnation of [2, 3]) {
      loop.perform(loop.engine.step(loop.nowMs, { kind: 'session', event: 'closed', component: 'c', reason: 'gone' }));
      loop.setting.batch = 1;
      loop.run(5);
      loop.open([], incarnation);
    }
    loop.run(5);
    expect(loop.decisions.some(({ reason }) => reason.includes('restarted 2 times'))).toBe(true);
    expect(loop.engine.tuning('c')?.incumbent.batch).toBe(1);
  });

  test('telemetry that falls silent in a trial restores within two windows', () => {
    const loop = new Loop(helped).open();
    loop.run(300, ({ kind }) => kind === 'trial_started');
    loop.silent = true;
    expect(loop.run(45, ({ kind }) => kind === 'rolled_back')?.reason).toContain('telemetry is missing');
    expect(loop.setting.batch).toBe(1);
  });

  test('too little traffic is no reason to believe anything', () => {
    const settings = { window: { ...DEFAULT_ENGINE_SETTINGS.window, minRequests: 100_000 } };
    const loop = new Loop({ ...helped, settings }).open();
    loop.run(2_000);
    expect(loop.commands).toEqual([]);
  });

  test('errors above the limit restore before the window has ended', () => {
    const loop = new Loop({ ...helped, errorRatio: ({ batch }) => (batch > 1 ? 0.5 : 0) }).open();
    const rolledBack = loop.run(300, ({ kind }) => kind === 'rolled_back');
    expect(rolledBack?.reason).toContain('error ratio');
    expect(loop.setting.batch).toBe(1);
  });

  test('a command that is never answered is sent again, then revoked; the baseline is believed once the lease is over', () => {
    const loop = new Loop({
      ...helped,
      answer: () => undefined,
    }).open();
    const rolledBack = loop.run(300, ({ kind }) => kind === 'rolled_back');
    expect(rolledBack?.reason).toContain('does not answer');
    const ids = loop.commands.map(({ commandId }) => commandId);
    expect(ids.filter((id) => id === ids[0]).length).toBe(1 + DEFAULT_ENGINE_SETTINGS.lease.maxResends);
    expect(loop.effects.some(({ kind }) => kind === 'revoke')).toBe(true);
    loop.run(40);
    expect(loop.engine.tuning('c')).toMatchObject({ settled: true, effective: { batch: 1 } });
  });

  test('a rejected value is remembered and never sent again', () => {
    const loop = new Loop({
      ...helped,
      answer: (command) =>
        applied(command).map((result) =>
          result.effectiveValue === 1
            ? result
            : { ...result, state: 'rejected_permanent', effectiveValue: 1, effectiveRevision: 0, error: 'too large' },
        ),
    }).open();
    loop.run(3_000);
    const refused = loop.commands.flatMap(({ changes }) => changes.filter(({ value }) => value !== 1));
    expect(new Set(refused.map(({ value }) => value)).size).toBe(refused.length);
    expect(loop.decisions.some(({ reason }) => reason.includes('too large'))).toBe(true);
  });

  test('a late acknowledgement of an apply is never taken for that of its rollback', () => {
    let held: { commandId: string; results: ReturnType<typeof applied> } | undefined;
    const loop: Loop = new Loop({
      ...helped,
      answer: (command) => {
        if (command.rationale.trialId === undefined || held !== undefined) return applied(command);
        held = { commandId: command.commandId, results: applied(command) };
        return undefined;
      },
    }).open();
    loop.run(300, () => held !== undefined);
    loop.operator({ action: 'freeze', reason: 'now' });
    const late = held;
    if (late === undefined) throw new Error('no command was held back');
    loop.perform(loop.engine.step(loop.nowMs, { kind: 'result', component: 'c', ...late }));
    expect(loop.engine.tuning('c')).toMatchObject({ settled: true, effective: { batch: 1 } });
  });

  test('a stalled agent or a stepped clock believes nothing it believed before', () => {
    const loop = new Loop(helped).open();
    loop.run(300, ({ kind }) => kind === 'trial_started');
    loop.run(12);
    loop.nowMs += 3_600_000;
    loop.second();
    expect(loop.decisions.at(-1)?.reason).toContain('stalled for 3601 s');
    loop.nowMs -= 7_200_000;
    loop.second();
    expect(loop.engine.stats().disturbances).toBe(2);
    loop.run(40);
    expect(loop.setting.batch).toBe(1);
    expect(loop.engine.tuning('c')?.effective).toEqual({ batch: 1 });
  });

  test('components beyond the capacity are refused and counted, the others live', () => {
    const settings = { capacity: { maxComponents: 1, maxSeries: 100 } };
    const loop = new Loop({ ...helped, settings }).open();
    loop.engine.step(loop.nowMs, {
      kind: 'session',
      event: 'opened',
      manifest: { ...loop.manifest(), component: 'other' },
    });
    expect(loop.engine.tuning('other')).toBeUndefined();
    expect(loop.engine.stats().refusedComponents).toBeGreaterThan(0);
    expect(loop.run(2_000, ({ kind }) => kind === 'promoted')).toBeDefined();
  });
});
