import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Decision } from '../../agent/core/model.ts';
import { LoadShift } from '../../agent/core/tune/load_shift.ts';
import { intKnob, Loop } from './engine_loop.ts';

const START_MS = 1_700_000_000_000;

describe('a load that moves', () => {
  test('fluctuations, spikes and what is within a third of the usual are no shift', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -0.2, max: 0.2, noNaN: true }), { maxLength: 200 }), (wander) => {
        const shift = new LoadShift();
        wander.forEach((by, i) => {
          const spike = i % 20 === 19 ? 1 : 0;
          expect(shift.observe(5 + by + spike, i)).toBe(0);
        });
      }),
    );
  });

  test('one for good is noticed, by as much as it is, and only once', () => {
    const shift = new LoadShift();
    for (let i = 0; i < 20; i++) expect(shift.observe(5, i)).toBe(0);
    const noticed = Array.from({ length: 100 }, (_, i) => shift.observe(6.6, 100 + i)).filter((by) => by > 0);
    const total = noticed.reduce((sum, by) => sum + by, 0);
    expect(noticed.length).toBeLessThan(5);
    expect(total).toBeGreaterThan(1.1);
    expect(total).toBeLessThanOrEqual(1.6);
    expect(shift.noticedMs).toBeGreaterThanOrEqual(100);
  });
});

describe('when the load has moved', () => {
  /** At 100 requests a second small batches are best, at 500 large ones. The load changes after 90 minutes. */
  const isBusy = (nowMs: number) => nowMs - START_MS >= 5_400_000;
  const loop: Loop = new Loop({
    seed: 4,
    knobs: [intKnob('batch', { baseline: 8 })],
    requests: (nowMs) => (isBusy(nowMs) ? 500 : 100),
    latencyS: ({ batch = 1 }) => 0.05 * Math.exp(0.12 * (Math.log2(batch) - (isBusy(loop.nowMs) ? 5 : 1)) ** 2),
    settings: { cooldown: { windows: 2, maxWindows: 16 } },
  });
  loop.open();
  loop.run(2 * 5_400);
  const atNight = loop.decisions.filter(({ atMs }) => !isBusy(atMs));
  const byDay = loop.decisions.filter(({ atMs }) => isBusy(atMs));

  test('what has become far worse than the default is given up at once, and the best of the other load is proven after', () => {
    const minutes = (found: Decision | undefined) => ((found?.atMs ?? Number.NaN) - START_MS) / 60_000 - 90;
    expect(minutes(byDay.find(({ reason }) => reason.startsWith('the check is over')))).toBeLessThan(5);
    expect(minutes(byDay.find(({ kind }) => kind === 'promoted'))).toBeLessThan(45);
    expect(Number(loop.setting.batch)).toBeGreaterThan(16);
  });

  test('what others would try is judged by what was measured around, and told with its chance', () => {
    const rejected = atNight.filter(({ kind }) => kind === 'shadow_rejected');
    expect(rejected.length).toBeGreaterThan(0);
    for (const { reason, evidence } of rejected) {
      expect(reason).toMatch(/what was measured around says .* a chance of .* that it helps/);
      expect(evidence?.signals.hope).toBeLessThan(0.5);
    }
    const [first] = rejected;
    const tried = atNight.filter(({ kind, strategy }) => kind === 'trial_started' && strategy === first?.strategy);
    expect(tried.filter(({ atMs }) => atMs > (first?.atMs ?? 0))).toEqual([]);
  });
});
