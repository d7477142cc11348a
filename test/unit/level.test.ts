import { describe, expect, test } from 'vitest';
import { Level } from '../../agent/core/tune/level.ts';
import { Random } from '../../agent/core/tune/random.ts';

const NOISE = 0.06;
const AT = { batch: 8 };

/** Windows with a little noise, whose level is `level(i)` under the log load `load(i)`. */
function show(level: Level, count: number, y: (i: number) => number, x: (i: number) => number = () => 0): void {
  const random = Random.seeded(7);
  for (let i = 0; i < count; i++) {
    level.observe({ x: x(i), y: y(i) + NOISE * (random.next() - 0.5) }, 'y', AT, NOISE);
  }
}

describe('the level of what is in force', () => {
  test('a sudden rise is seen after two windows, and stays until it was looked into', () => {
    const level = new Level();
    show(level, 20, () => 0);
    expect(level.risen).toBeUndefined();
    show(level, 1, () => 0.5);
    expect(level.risen).toBeUndefined();
    show(level, 1, () => 0.5);
    expect(level.risen).toContain('worse than it was');
    show(level, 100, () => 0.5);
    expect(level.risen).toBeDefined();
    level.renew();
    show(level, 20, () => 0.5);
    expect(level.risen).toBeUndefined();
  });

  test('a rise is no noise that hides it', () => {
    const level = new Level();
    show(level, 20, () => 0);
    // Whoever looks back on windows of which some have risen takes their spread for noise.
    for (const noise of [0.12, 0.25]) level.observe({ x: 0, y: 0.4 }, 'y', AT, noise);
    expect(level.risen).toContain('worse than it was');
  });

  test('one window is enough where what was tried before it was far worse', () => {
    const level = new Level();
    show(level, 20, () => 0);
    level.suspect();
    show(level, 1, () => 0);
    show(level, 1, () => 0.5);
    expect(level.risen).toBeUndefined();
    show(level, 10, () => 0);
    level.suspect();
    show(level, 1, () => 0.5);
    expect(level.risen).toContain('worse than it was');
  });

  test('a check that was due anyway leaves the level known', () => {
    const level = new Level();
    show(level, 20, () => 0);
    level.renew();
    show(level, 2, () => 0.5);
    expect(level.risen).toContain('worse than it was');
  });

  test('one wild window is no rise', () => {
    const level = new Level();
    show(level, 40, (i) => (i % 8 === 7 ? 1 : 0));
    expect(level.risen).toBeUndefined();
  });

  test('what the load explains is no rise, what it does not explain is one', () => {
    const day = (i: number) => 0.5 * Math.sin(i / 6);
    const level = new Level();
    show(level, 120, (i) => 0.6 * day(i), day);
    expect(level.risen).toBeUndefined();
    const queue = new Level();
    show(queue, 20, () => 0);
    show(
      queue,
      3,
      () => 0.8,
      () => 0.3,
    );
    expect(queue.risen).toBeDefined();
  });

  test('a load far from those of the proof is strange, for as long as nothing was compared at it', () => {
    const level = new Level();
    for (const x of [-0.1, 0, 0.1]) level.note({ x, y: 0 }, 'y', AT);
    const far = -0.6;
    show(level, 20, () => 0);
    expect(level.strange).toBeUndefined();
    const loads = (x: number, count: number) => {
      for (let i = 0; i < count; i++) level.load(x);
    };
    loads(far, 3);
    expect(level.strange).toBeUndefined();
    loads(far, 8);
    expect(level.strange).toMatch(/^the load is .* below any it was compared at$/);
    level.renew();
    loads(far, 20);
    expect(level.strange).toBeUndefined();
    loads(0.6, 8);
    expect(level.strange).toContain('above');
  });

  test('another setting has another level', () => {
    const level = new Level();
    show(level, 20, () => 0);
    level.observe({ x: 0, y: 1 }, 'y', { batch: 16 }, NOISE);
    show(level, 3, () => 1);
    expect(level.risen).toBeUndefined();
  });
});
