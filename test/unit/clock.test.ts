import { expect, test } from 'vitest';
import { createClock } from '../../agent/adapters/clock.ts';

function fake() {
  const at = { wallMs: 1_000_000, monotonicMs: 5 };
  const clock = createClock({ wallMs: () => at.wallMs, monotonicMs: () => at.monotonicMs });
  const pass = (realMs: number, wallMs = realMs): number => {
    at.monotonicMs += realMs;
    at.wallMs += wallMs;
    return clock.nowMs();
  };
  return { clock, pass };
}

test('goes with time, in whole milliseconds', () => {
  const { clock, pass } = fake();
  expect(clock.nowMs()).toBe(1_000_000);
  expect(pass(250.7)).toBe(1_000_250);
});

test('does not follow a small correction back', () => {
  const { clock, pass } = fake();
  expect(pass(10, -900)).toBe(1_000_010);
  expect(pass(10)).toBe(1_000_020);
  expect(clock.steps).toBe(0);
});

test.each([3_600_000, -3_600_000])('follows a jump of %i ms, and counts it once', (jumpMs) => {
  const { clock, pass } = fake();
  expect(pass(10, jumpMs)).toBe(1_000_000 + jumpMs);
  expect(pass(10)).toBe(1_000_010 + jumpMs);
  expect(clock.steps).toBe(1);
});

test('the real one is the system’s', () => {
  const before = Date.now();
  expect(createClock().nowMs()).toBeGreaterThanOrEqual(before - 1);
});
