import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  dominates,
  MAX_POINTS,
  type ParetoPoint,
  type ProvenSetting,
  withPoint,
} from '../../agent/core/tune/pareto.ts';
import { intKnob, Loop } from './engine_loop.ts';

const around = (estimate: number) => ({ estimate, low: estimate - 0.01, high: estimate + 0.01 });
const proven = (k: number, mean: number, p95: number, recorded = 0): ProvenSetting => ({
  ...{ id: `o-${k}`, atMs: k, trialId: `t${k}`, strategy: 's', setting: { k }, recorded: { k: recorded } },
  effects: { responseTimeMean: around(mean), responseTimeP95: around(p95) },
});
const baselines = { k: 0 };

describe('the archive of proven settings', () => {
  test('keeps what trades one objective for another, drops what is worse in all, and adds up along the way', () => {
    const one = withPoint([], proven(1, -0.2, 0.1), baselines);
    const both = withPoint(one, proven(2, 0.1, -0.3), baselines);
    expect(both.map(({ id }) => id)).toEqual(['o-1', 'o-2']);
    const further = withPoint(both, proven(3, -0.1, -0.05, 1), baselines);
    // Against the baselines: −.3 and +.05, better than the first in both.
    expect(further.map(({ id }) => id)).toEqual(['o-2', 'o-3']);
    expect(further[1]?.objectives.responseTimeMean?.estimate).toBeCloseTo(-0.3, 12);
    expect(further[1]?.objectives.responseTimeMean?.high).toBeCloseTo(-0.28, 12);
  });

  test('has no place for what was proven better in nothing, or starts from where nothing was measured', () => {
    expect(withPoint([], proven(1, -0.005, 0.2), baselines)).toEqual([]);
    expect(withPoint([], proven(2, -0.2, -0.2, 7), baselines)).toEqual([]);
  });

  test('never holds two of which one dominates the other, nor more than it may', () => {
    const effect = fc.double({ min: -0.5, max: 0.5, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(effect, effect, fc.nat(30)), { maxLength: 60 }), (trials) => {
        let points: readonly ParetoPoint[] = [];
        for (const [i, [mean, p95, from]] of trials.entries()) {
          points = withPoint(points, proven(i + 1, mean, p95, from), baselines);
          expect(points.length).toBeLessThanOrEqual(MAX_POINTS);
        }
        for (const a of points) for (const b of points) expect(a !== b && dominates(a, b)).toBe(false);
      }),
    );
  });
});

describe('an operator', () => {
  test('lists what was proven and chooses from it; pinned knobs stay, and what is unknown is named', () => {
    const loop = new Loop({
      latencyS: ({ batch = 1 }) => 0.05 / batch ** 0.5,
      knobs: [intKnob('batch'), intKnob('wait', { role: 'queue', min: 1, max: 9, baseline: 3 })],
    }).open();
    const { proposalId } = loop.operator({
      action: 'propose',
      component: 'c',
      changes: { batch: 3 },
      reason: 'to see',
    });
    const promoted = loop.run(2_000, (it) => it.proposalId === proposalId && it.kind === 'promoted');
    const [point] = loop.engine.tuning('c')?.pareto ?? [];
    expect(point).toMatchObject({ id: `o-${promoted?.trialId}`, setting: { batch: 3, wait: 3 } });
    expect(point?.objectives.responseTimeP95?.high).toBeLessThan(0);
    expect(point?.objectives.responseTimeMean?.estimate).toBeCloseTo(Math.log(3 ** -0.5), 1);
    loop.operator({ action: 'rollback', component: 'c', toRevision: 1 });
    expect(loop.setting.batch).toBe(1);
    const choose = (id: string) => loop.operator({ action: 'choose', component: 'c', point: id });
    expect(choose('o-t9-9').message).toContain(`no proven setting o-t9-9; known: ${point?.id}`);
    expect(choose(point?.id ?? '')).toMatchObject({ ok: true, message: expect.stringContaining('batch 1 → 3') });
    expect(loop.setting.batch).toBe(3);
    expect(loop.decisions.at(-1)).toMatchObject({
      kind: 'chosen',
      by: 'eve',
      changes: [{ knob: 'batch', from: 1, to: 3 }],
    });
    expect(choose(point?.id ?? '').message).toContain('in force already');
    loop.operator({ action: 'pin', component: 'c', knob: 'batch', value: 9 });
    expect(choose(point?.id ?? '').message).toContain('pinned and left alone: batch');
    loop.restart(loop.engine.save());
    loop.open();
    expect(loop.engine.tuning('c')?.pareto).toEqual([point]);
  });
});
