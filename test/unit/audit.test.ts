import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { auditView, NO_AUDIT, withRun } from '../../agent/core/tune/audit.ts';
import { replay } from '../../agent/core/tune/replay.ts';
import { wilson } from '../../agent/core/tune/wilson.ts';
import { Loop, type LoopOptions } from './engine_loop.ts';

/** A knob that does nothing: sooner or later nothing is left to try. */
const nothing: LoopOptions = { settings: { cooldown: { windows: 40, maxWindows: 640 } } };

describe('the audit', () => {
  test('compares the incumbent with itself while nothing else is due, touches nothing, and can be replayed', () => {
    const loop = new Loop(nothing).open();
    for (let second = 0; second < 20_000 && loop.engine.tuning('c')?.phase !== 'auditing'; second++) loop.second();
    const sent = loop.commands.length;
    const audited = loop.run(1_000, ({ kind }) => kind === 'audited');
    expect(audited?.reason).toContain('the incumbent compared with itself');
    expect(audited?.changes).toEqual([]);
    expect(loop.commands.length).toBe(sent);
    loop.run(10_000);
    const runs = loop.decisions.filter(({ kind }) => kind === 'audited');
    expect(loop.engine.tuning('c')?.audit.runs).toBe(runs.length);
    const gaps = runs.slice(1).map(({ atMs }, i) => atMs - (runs[i]?.atMs ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThan(3_000_000);
    expect(replay(JSON.parse(JSON.stringify(loop.decisions))).mismatches).toEqual([]);
  });

  test('gives way to what somebody asks for, and what was cut short does not count', () => {
    const loop = new Loop(nothing).open();
    for (let second = 0; second < 20_000 && loop.engine.tuning('c')?.phase !== 'auditing'; second++) loop.second();
    expect(loop.engine.tuning('c')?.phase).toBe('auditing');
    const { proposalId } = loop.operator({ action: 'propose', component: 'c', changes: { batch: 2 }, reason: 'now' });
    expect(loop.run(120, (decision) => decision.proposalId === proposalId)?.kind).toBe('trial_started');
    expect(loop.engine.tuning('c')?.audit.runs).toBe(0);
  });

  test('where it errs more than promised, every level is smaller from then on', () => {
    const loop = new Loop(nothing).open();
    const before = loop.engine.tuning('c')?.alpha ?? Number.NaN;
    const saved = loop.engine.save();
    const { c } = saved.components;
    if (c === undefined) throw new Error('no standing was saved');
    loop.restart({ ...saved, components: { c: { ...c, audit: { runs: 20, accepts: 4 } } } });
    loop.open();
    const { audit, alpha } = loop.engine.tuning('c') ?? {};
    expect(audit?.levelFactor).toBeCloseTo(0.05 / wilson(4, 20, 1.96)[0], 9);
    expect(alpha).toBeCloseTo(before * (audit?.levelFactor ?? Number.NaN), 12);
    // A proof under the smaller level replays as well.
    loop.operator({ action: 'propose', component: 'c', changes: { batch: 2 }, reason: 'to see' });
    loop.run(1_500, ({ kind }) => kind === 'futile');
    const replayed = replay(JSON.parse(JSON.stringify(loop.decisions)));
    expect(replayed.replayed).toBeGreaterThan(0);
    expect(replayed.mismatches).toEqual([]);
  });

  test('its interval holds the rate, narrows with runs, and old runs fade', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 400 }), fc.double({ min: 0, max: 1, noNaN: true }), (runs, ratio) => {
        const accepts = Math.floor(ratio * runs);
        const [low, high] = wilson(accepts, runs, 1.96);
        expect(low).toBeLessThanOrEqual(accepts / runs);
        expect(high).toBeGreaterThanOrEqual(accepts / runs);
        const [low2, high2] = wilson(accepts * 2, runs * 2, 1.96);
        expect(high2 - low2).toBeLessThan(high - low);
        expect(auditView({ runs, accepts }, 0.05).levelFactor).toBeGreaterThan(0);
        expect(auditView({ runs, accepts }, 0.05).levelFactor).toBeLessThanOrEqual(1);
      }),
    );
    let audit = NO_AUDIT;
    for (let i = 0; i < 1_000; i++) audit = withRun(audit, i < 400 && i % 4 === 0);
    expect(audit.runs).toBeLessThanOrEqual(401);
    expect(auditView(audit, 0.05).low).toBeLessThan(0.05);
    expect(auditView(NO_AUDIT, 0.05)).toEqual({ runs: 0, accepts: 0, low: 0, high: 1, levelFactor: 1 });
  });
});
