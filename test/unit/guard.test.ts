import { describe, expect, test } from 'vitest';
import type { NumericKnobSpec, Setting } from '../../agent/core/model.ts';
import { Guard } from '../../agent/core/tune/guard.ts';
import { Random } from '../../agent/core/tune/random.ts';
import { axisOf, decode } from '../../agent/core/tune/space.ts';
import { intKnob } from './engine_loop.ts';

const GB = 1e9;
const specs: readonly NumericKnobSpec[] = [
  intKnob('batch', { max: 256, baseline: 8 }),
  intKnob('buffers', { type: 'double', scale: 'linear', min: 0, max: 1, baseline: 0.5 }),
];
const axes = specs.flatMap((spec) => axisOf(spec) ?? []);

/** Memory that grows with the logarithm of the batch, 2 % noise. */
function plant(random: Random): (setting: Setting) => number {
  return (setting) => {
    const u = Math.log(Number(setting.batch)) / Math.log(256);
    const noise = Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
    return (3 * GB + 5 * GB * u + GB * Number(setting.buffers)) * (1 + 0.02 * noise);
  };
}

/** Readings from around a place, as probing takes them. */
function learned(around: number, readings: number): Guard {
  const random = Random.seeded(3);
  const memory = plant(random);
  const guard = new Guard();
  guard.open(axes);
  guard.limitBytes = 8 * GB;
  for (let i = 0; i < readings; i++) {
    const batch = decode(axes[0], around + 0.06 * random.sign());
    const setting = { batch, buffers: 0.5 + 0.06 * random.sign() };
    guard.load(100 * (1 + 0.05 * random.sign()));
    guard.observe(memory(setting), setting);
  }
  return guard;
}

describe('the guard of the memory limit', () => {
  const incumbent = { batch: 8, buffers: 0.5 };

  test('knows nothing and forbids nothing until it has a limit and a reading', () => {
    const guard = new Guard();
    guard.open(axes);
    expect(guard.isUnsafe({ batch: 256, buffers: 1 }, incumbent)).toBe(false);
    guard.observe(5 * GB, incumbent);
    expect(guard.isUnsafe({ batch: 256, buffers: 1 }, incumbent)).toBe(false);
    expect(guard.alarm()).toBeUndefined();
  });

  test('allows a short step at first and not a long one', () => {
    const guard = learned(0.375, 1);
    expect(guard.isUnsafe({ batch: 11, buffers: 0.5 }, incumbent)).toBe(false);
    expect(guard.isUnsafe({ batch: 200, buffers: 0.5 }, incumbent)).toBe(true);
  });

  test('forbids what would run out of memory and allows what would not, once it has seen some', () => {
    const guard = learned(0.6, 60);
    // 6.6 GB, and 8.3 GB.
    expect(guard.isUnsafe({ batch: 32, buffers: 0.5 }, incumbent)).toBe(false);
    expect(guard.isUnsafe({ batch: 240, buffers: 0.5 }, incumbent)).toBe(true);
    expect(guard.isUnsafe({ batch: 150, buffers: 1 }, incumbent)).toBe(true);
  });

  test('lets an incumbent that is too close come down, but not go up', () => {
    const guard = learned(0.95, 60);
    const tight = { batch: 200, buffers: 0.5 };
    expect(guard.isUnsafe({ batch: 60, buffers: 0.5 }, tight)).toBe(false);
    expect(guard.isUnsafe({ batch: 256, buffers: 0.5 }, tight)).toBe(true);
    expect(guard.alarm()).toContain('of its limit of 8.00 GB');
  });

  test('is more careful after the process has died of what was tried', () => {
    const guard = learned(0.7, 60);
    const far = { batch: 38, buffers: 0.5 };
    const before = guard.isUnsafe(far, incumbent);
    for (let i = 0; i < 10; i++) {
      guard.observe(7.8 * GB, { batch: 150, buffers: 0.5 });
      guard.gone();
    }
    expect([before, guard.isUnsafe(far, incumbent)]).toEqual([false, true]);
  });
});
