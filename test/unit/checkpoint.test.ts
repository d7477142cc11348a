import { describe, expect, test } from 'vitest';
import type { KnobMode } from '../../agent/core/model.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { CHECKPOINT, checkDue } from '../../agent/core/tune/checkpoint.ts';
import { replay } from '../../agent/core/tune/replay.ts';
import { EMPTY_STANDING } from '../../agent/core/tune/standing.ts';
import type { Strategy } from '../../agent/core/tune/strategy.ts';
import { intKnob, Loop, type LoopOptions } from './engine_loop.ts';

const START_MS = 1_700_000_000_000;
const WINDOW_MS = 10_000;
const HOUR_S = 3_600;
const batch = intKnob('batch', { max: 256, baseline: 4 });

/** A batch of 64 is much the best at first; `later` is what holds after two hours. */
function drifting(later: LoopOptions['latencyS'], more: Partial<LoopOptions> = {}): Loop {
  const loop: Loop = new Loop({
    seed: 5,
    knobs: [batch],
    latencyS: (setting) =>
      later !== undefined && loop.nowMs - START_MS > 2 * HOUR_S * 1_000
        ? later(setting)
        : 0.05 * Math.exp(0.1 * (Math.log2(setting.batch ?? 1) - 6) ** 2),
    ...more,
  });
  return loop.open();
}

/** When each check began, in windows. */
function checksOf(loop: Loop): number[] {
  const begun = loop.decisions.filter(({ kind, strategy }) => kind === 'trial_started' && strategy === CHECKPOINT);
  return begun.map(({ atMs }) => (atMs - START_MS) / WINDOW_MS);
}

describe('checkpoints', () => {
  test('what has become harmful out of sight of the search is found and given back', () => {
    // Nothing near what is held is better; only the baseline is, beyond a ridge. The difference is too small to be noticed by itself.
    const loop = drifting(({ batch: at = 1 }) => (at <= 5 ? 0.047 : at <= 16 ? 0.16 : 0.055));
    loop.run(2 * HOUR_S);
    expect(loop.setting.batch).toBeGreaterThan(32);
    const back = loop.run(
      10 * HOUR_S,
      ({ kind, strategy }) => ['promoted', 'rolled_back'].includes(kind) && strategy === CHECKPOINT,
    );
    expect(back?.changes).toEqual([{ knob: 'batch', from: expect.any(Number), to: 4 }]);
    expect(loop.engine.tuning('c')?.knobs.map(({ heldBy }) => heldBy)).toEqual([undefined]);
    expect(loop.setting).toEqual({ batch: 4 });
    expect(replay(loop.decisions).mismatches).toEqual([]);
  });

  test('what is far worse all at once is looked into at once, and two windows at the baselines are enough', () => {
    const loop = drifting(({ batch: at = 1 }) => (at <= 5 ? 0.05 : at <= 16 ? 0.16 : 0.1));
    loop.run(2 * HOUR_S);
    expect(loop.setting.batch).toBeGreaterThan(32);
    const back = loop.run(HOUR_S, ({ kind, strategy }) => kind === 'rolled_back' && strategy === CHECKPOINT);
    // Two windows to see it, a search that has just begun, and four windows of a block.
    expect(loop.nowMs - START_MS - 2 * HOUR_S * 1_000).toBeLessThan(20 * WINDOW_MS);
    expect(back?.changes).toEqual([{ knob: 'batch', from: expect.any(Number), to: 4 }]);
    expect(back?.reason).toMatch(/^2 windows at the baselines were .* better than what was held; gave back batch/);
    loop.run(60);
    expect(loop.setting).toEqual({ batch: 4 });
    expect(loop.engine.tuning('c')?.knobs.map(({ heldBy }) => heldBy)).toEqual([undefined]);
    expect(replay(loop.decisions).mismatches).toEqual([]);
  });

  test('an audit does not keep what is far worse all at once from being looked into', () => {
    let isLate = false;
    const loop = drifting(undefined, {
      latencyS: ({ batch: at = 1 }) =>
        isLate ? (at > 5 ? 0.15 : 0.05) : 0.05 * Math.exp(0.1 * (Math.log2(at) - 6) ** 2),
    });
    loop.run(2 * HOUR_S);
    for (let s = 0; s < HOUR_S && loop.engine.tuning('c')?.phase !== 'auditing'; s++) loop.run(1);
    expect(loop.engine.tuning('c')?.phase).toBe('auditing');
    isLate = true;
    const lateMs = loop.nowMs;
    loop.run(HOUR_S, ({ kind, strategy }) => kind === 'rolled_back' && strategy === CHECKPOINT);
    expect(loop.nowMs - lateMs).toBeLessThan(12 * WINDOW_MS);
    expect(loop.engine.tuning('c')?.knobs.map(({ heldBy }) => heldBy)).toEqual([undefined]);
  });

  test('where everything has become slower what is held stays, and is not looked into again for it', () => {
    const loop = drifting(({ batch: at = 1 }) => 0.12 * Math.exp(0.1 * (Math.log2(at) - 6) ** 2));
    loop.run(2 * HOUR_S);
    const checks = checksOf(loop).length;
    loop.run(HOUR_S / 2);
    const held = loop.engine.tuning('c')?.knobs.map(({ heldBy }) => heldBy);
    expect(checksOf(loop).length).toBe(checks + 1);
    expect(held).not.toEqual([undefined]);
    expect(loop.setting.batch).toBeGreaterThan(32);
  });

  test('what has risen is looked into at once, also where a check was passed not long ago', () => {
    const isLate = () => loop.nowMs - START_MS > 2 * HOUR_S * 1_000;
    const loop: Loop = drifting(undefined, {
      errorRatio: ({ batch: at = 1 }) => (isLate() && at > 5 ? 0.05 : 0),
    });
    loop.run(2 * HOUR_S);
    expect((loop.nowMs - START_MS) / WINDOW_MS - (checksOf(loop).at(-1) ?? 0)).toBeLessThan(20);
    const check = loop.run(HOUR_S, ({ kind, strategy }) => kind === 'trial_started' && strategy === CHECKPOINT);
    expect(check?.reason).toContain('worse than it was for long');
    expect(check?.atMs).toBeLessThan(START_MS + 2 * HOUR_S * 1_000 + 6 * WINDOW_MS);
  });

  test('what is still good stays, and is checked less and less often', () => {
    const loop = drifting(undefined);
    loop.run(9 * HOUR_S);
    const checks = checksOf(loop);
    expect(checks.length).toBeGreaterThan(1);
    expect(checks.length).toBeLessThan(5);
    const ends = loop.decisions.filter(({ kind, strategy }) => kind !== 'trial_started' && strategy === CHECKPOINT);
    expect(
      ends.every(({ kind, reason }) => kind === 'futile' && reason.startsWith('checked, and what is held stays')),
    ).toBe(true);
    expect(loop.setting.batch).toBeGreaterThan(32);
    // The last change that was kept starts the count afresh.
    const keptMs = loop.decisions.filter(({ kind }) => kind === 'promoted').map(({ atMs }) => atMs);
    for (const [i, at] of checks.entries()) {
      const before = Math.max(
        checks[i - 1] ?? 0,
        ...keptMs.map((atMs) => (atMs - START_MS) / WINDOW_MS).filter((kept) => kept < at),
      );
      expect(at - before).toBeGreaterThanOrEqual(200);
    }
  });

  test('held values that cross a limit are checked soon, not only when it is their turn', () => {
    const isLate = () => loop.nowMs - START_MS > 2 * HOUR_S * 1_000;
    const loop: Loop = drifting(undefined, {
      // So few errors are no sudden rise of the objective: that would be looked into for itself.
      errorRatio: ({ batch: at = 1 }) => (isLate() && at > 5 ? 0.008 : 0),
      settings: { limits: { ...DEFAULT_ENGINE_SETTINGS.limits, errorRatio: 0.005 } },
    });
    loop.run(2 * HOUR_S);
    expect(loop.setting.batch).toBeGreaterThan(32);
    const check = loop.run(
      HOUR_S,
      ({ kind, strategy, reason }) =>
        kind === 'trial_started' && strategy === CHECKPOINT && reason.includes('error ratio'),
    );
    expect(check?.atMs).toBeLessThan(START_MS + 2 * HOUR_S * 1_000 + 100 * WINDOW_MS);
  });

  test('a check is what goes back to the baselines, whatever a strategy calls itself', () => {
    const namesake: Strategy = {
      name: CHECKPOINT,
      description: 'would have a batch of 64',
      applicableTiers: ['research'],
      roles: ['batch'],
      priority: 1,
      canApply: ({ incumbent }) => incumbent.batch !== 64,
      plan: () => ({ kind: 'candidate', setting: { batch: 64 }, reason: 'larger is better', signals: {} }),
    };
    const loop = drifting(undefined, { strategies: [namesake] });
    const kept = loop.run(2 * HOUR_S, ({ kind }) => kind === 'promoted');
    expect(kept?.changes).toMatchObject([{ knob: 'batch', from: 4 }]);
    expect(loop.engine.tuning('c')?.knobs.map(({ heldBy }) => heldBy)).toEqual([kept?.trialId]);
    expect(loop.setting.batch).toBeGreaterThan(4);
  });

  test('what a human holds is not questioned, nor a knob that may not be moved', () => {
    const standing = { ...EMPTY_STANDING, lastKept: { strategy: 's', atMs: 0 } };
    const window = { minMs: WINDOW_MS, maxMs: WINDOW_MS, minRequests: 1 };
    const due = (by: string, mode: KnobMode) => {
      const context = { nowMs: HOUR_S * 1_000, incumbent: { batch: 64 }, knobs: [{ spec: batch, mode }] };
      return checkDue(context, { ...standing, held: { batch: { value: 64, by } } }, window, undefined)?.setting;
    };
    expect(due('t1', 'auto')).toEqual({ batch: 4 });
    expect(due('human', 'auto')).toBeUndefined();
    expect(due('t1', 'recommend')).toBeUndefined();
  });
});
