import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { settleMsOf, transientMs, withTransient } from '../../agent/core/tune/settling.ts';
import { intKnob, Loop } from './engine_loop.ts';

const points = (values: readonly number[]) => values.map((latencyMs, i) => ({ atMs: (i + 1) * 1_000, latencyMs }));

describe('a transient', () => {
  test('ends with the last point that differs from where the level ends up', () => {
    expect(transientMs(points([120, 100, 80, 61, 60, 60, 60, 60, 60, 60]), 0)).toBe(3_000);
    expect(transientMs(points([60, 61, 60, 59, 60, 60, 61, 60]), 0)).toBe(0);
    expect(transientMs(points([30, 40, 60, 60, 60, 60, 60, 60]), 0)).toBe(2_000);
    expect(transientMs(points([120, 100, 80, 60]), 0)).toBeUndefined();
    expect(transientMs(points([500, 120, 100, 60, 60, 60, 60, 60, 60, 60, 60]), 1_000)).toBe(2_000);
  });

  test('is never longer than the earlier half, and survives nonsense', () => {
    const value = fc.oneof(
      fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
      fc.constantFrom(0, -1, Number.NaN, Infinity),
    );
    fc.assert(
      fc.property(fc.array(value, { maxLength: 60 }), (values) => {
        const length = transientMs(points(values), 0) ?? 0;
        expect(length).toBeGreaterThanOrEqual(0);
        expect(length).toBeLessThanOrEqual(values.length * 1_000);
      }),
    );
  });

  test('counts from five changes on, by their median, only where it is longer than declared, and within bounds', () => {
    let transients = {};
    for (const ms of [3_000, 3_000, 0, 9_000]) transients = withTransient(transients, ['k'], ms);
    const settle = (declaredMs: number) =>
      settleMsOf(Object.values<readonly number[]>(transients)[0], declaredMs, 60_000);
    expect(settle(1_000)).toBe(1_000);
    transients = withTransient(transients, ['k'], 3_000);
    expect([settle(1_000), settle(5_000)]).toEqual([3_000, 5_000]);
    for (let i = 0; i < 30; i++) transients = withTransient(transients, ['k'], 500_000);
    expect([settle(100), settle(2_000), settle(50_000)]).toEqual([10_000, 20_000, 50_000]);
    expect(Object.values<readonly number[]>(transients)[0]?.length).toBe(20);
    expect(settleMsOf(undefined, 700, 60_000)).toBe(700);
  });
});

test('a knob that shows later than it declares is given the time that it needs, also after a restart of the agent', () => {
  const loop: Loop = new Loop({
    knobs: [intKnob('batch', { settleMs: 0 })],
    latencyS: () => 0.05 / shown,
    settings: { window: { minMs: 20_000, maxMs: 60_000, minRequests: 200 } },
  });
  // A cache that follows with a time constant of four seconds.
  let shown = 1;
  loop.open();
  for (let second = 0; second < 1_500; second++) {
    shown += ((loop.setting.batch ?? 1) - shown) * (1 - Math.exp(-1 / 4));
    loop.second();
  }
  const settleMs = loop.engine.tuning('c')?.knobs[0]?.settleMs ?? 0;
  expect(settleMs).toBeGreaterThan(3_000);
  expect(settleMs).toBeLessThanOrEqual(10_000);
  loop.restart(loop.engine.save());
  loop.open();
  expect(loop.engine.tuning('c')?.knobs[0]?.settleMs).toBe(settleMs);
});
