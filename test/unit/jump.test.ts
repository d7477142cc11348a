import { describe, expect, test } from 'vitest';
import type { NumericKnobSpec, Setting } from '../../agent/core/model.ts';
import { Jump, type JumpProgress, type JumpRule } from '../../agent/core/tune/jump.ts';
import { Looked, unseen } from '../../agent/core/tune/looked.ts';
import { type Axis, axisOf } from '../../agent/core/tune/space.ts';
import { jumpStrategy } from '../../agent/core/tune/strategies/jump.ts';
import type { Grounds, StrategyContext } from '../../agent/core/tune/strategy.ts';
import { Random } from '../sim/random.ts';
import { NO_GROUNDS } from './strategy_inputs.ts';

function axis(id: string, more: Partial<NumericKnobSpec> = {}): Axis {
  const made = axisOf({
    ...{ id, description: '', unit: '1', role: 'other', applyClass: 'hot', settleMs: 0, ceilingAtBoot: false },
    ...{ type: 'double', min: 0, max: 1, scale: 'linear', baseline: 0.5 },
    ...more,
  });
  if (made === undefined) throw new Error('no axis');
  return made;
}

const AXES = [axis('a'), axis('b')];
const HERE = { a: 0.2, b: 0.2, other: 'x' };
const THERE = { a: 0.8, b: 0.8 };
const RULE: JumpRule = {
  ...{ maxStepRatio: 0.1, room: 0.4, noise: 0.05, standardError: 0.01, minimumEffect: 0.015 },
  isBanned: () => false,
};

/** Walks over a surface, and says where it was. */
function walk(
  surface: (a: number, b: number) => number,
  rule: Partial<JumpRule> = {},
  noise: () => number = () => 0,
): { readonly end: JumpProgress; readonly path: readonly Setting[] } {
  const jump = new Jump(AXES, HERE, THERE, { ...RULE, ...rule });
  const path: Setting[] = [];
  for (let i = 0; i < 100; i++) {
    const { target } = jump;
    path.push(target);
    jump.observe(surface(Number(target.a), Number(target.b)) + noise());
    const end = jump.next();
    if (end.state !== 'measure') return { end, path };
  }
  throw new Error('it never ends');
}

/** A hill of `height` between here and a valley of `depth` at (.75, .75). */
const hill = (height: number, depth: number) => (a: number, b: number) => {
  const along = (a + b) / 2;
  return height * Math.exp(-(((along - 0.4) / 0.1) ** 2)) - depth * Math.exp(-(((along - 0.75) / 0.15) ** 2));
};

describe('a jump', () => {
  test('goes in steps of the tier, all its knobs at once, and leaves the others alone', () => {
    const { path } = walk(() => 0.1);
    let before: Setting = HERE;
    for (const at of path) {
      expect(Number(at.a) - Number(before.a)).toBeCloseTo(0.1, 6);
      expect(Number(at.b) - Number(before.b)).toBeCloseTo(0.1, 6);
      expect(at.other).toBe('x');
      before = at;
    }
    expect(path.length).toBe(6);
  });

  test('never takes more than a tenth of a range at once, however bold the tier', () => {
    const { path } = walk(() => 0.1, { maxStepRatio: 0.2 });
    expect(path[0]).toMatchObject({ a: expect.closeTo(0.3, 6), b: expect.closeTo(0.3, 6) });
  });

  test('finds the valley behind a hill that is bearable, and proposes its bottom', () => {
    const { end } = walk(hill(0.25, 0.5));
    expect(end).toMatchObject({ state: 'found' });
    if (end.state === 'found') expect(Math.abs(Number(end.setting.a) - 0.75)).toBeLessThan(0.1);
  });

  test('finds it through noise as well, nearly always', () => {
    let found = 0;
    for (let seed = 0; seed < 200; seed++) {
      const random = new Random(seed);
      const { end } = walk(hill(0.25, 0.5), { noise: 0.1 }, () => 0.1 * random.normal());
      if (end.state === 'found') found++;
    }
    expect(found).toBeGreaterThan(180);
  });

  test('does not climb a wall: it turns round before a step is beyond the bound by more than the step', () => {
    const { end, path } = walk((a) => 2 * (a - 0.2));
    expect(end).toMatchObject({ state: 'in_vain', why: expect.stringMatching(/^the way leads to \d+ % worse$/) });
    expect(path.length).toBeLessThan(4);
  });

  test('one wild window is looked at again, and does not end it', () => {
    let windows = 0;
    const { end, path } = walk((a, b) => hill(0.2, 0.5)(a, b) + (++windows === 2 ? 0.25 : 0), { noise: 0.1 });
    expect(path[2]).toEqual(path[1]);
    expect(end.state).toBe('found');
  });

  test('ends at its destination where all of the way was somewhat worse, without having been better', () => {
    expect(walk(() => 0.1).end).toEqual({ state: 'in_vain', why: 'nothing better on the way' });
  });

  test('takes nothing for a find that noise may explain', () => {
    let found = 0;
    for (let seed = 0; seed < 200; seed++) {
      const random = new Random(seed);
      if (
        walk(
          () => 0.05,
          { noise: 0.1 },
          () => 0.1 * random.normal(),
        ).end.state === 'found'
      )
        found++;
    }
    // What it finds is proposed for a proof, not kept.
    expect(found).toBeLessThan(10);
  });

  test('stops in front of what must not be tried', () => {
    const { end, path } = walk(() => 0, { isBanned: ({ a }) => Number(a) > 0.45 });
    expect(path.every(({ a }) => Number(a) <= 0.45)).toBe(true);
    expect(end).toMatchObject({ state: 'in_vain', why: 'a limit or an old scar is in the way' });
  });

  test('goes on beyond its destination while that pays, up to the end of the range', () => {
    const { end } = walk((a) => -(a - 0.2));
    expect(end).toMatchObject({ state: 'found', setting: { a: 1, b: 1 } });
  });
});

describe('where was not looked', () => {
  const any = () => true;

  test('is on the other side of the square', () => {
    const found = unseen(AXES, [HERE], 0.3, any);
    expect(Number(found?.setting.a)).toBeGreaterThan(0.6);
    expect(Number(found?.setting.b)).toBeGreaterThan(0.6);
  });

  test('is elsewhere once that was looked at, and nowhere once everything was', () => {
    const looked: Setting[] = [HERE];
    for (;;) {
      const found = unseen(AXES, looked, 0.3, any);
      if (found === undefined) break;
      for (const place of looked) {
        const [a, b] = [Number(found.setting.a) - Number(place.a), Number(found.setting.b) - Number(place.b)];
        expect(Math.hypot(a, b)).toBeGreaterThanOrEqual(0.3);
      }
      looked.push({ ...HERE, ...found.setting });
      expect(looked.length).toBeLessThan(20);
    }
    expect(looked.length).toBeGreaterThan(3);
  });

  test('is nowhere that must not be gone to', () => {
    const found = unseen(AXES, [HERE], 0.3, ({ a }) => Number(a) < 0.5);
    expect(Number(found?.setting.a)).toBeLessThan(0.5);
  });

  test('needs two knobs, and places that have these knobs', () => {
    expect(unseen([AXES[0]], [{ a: 0.2 }], 0.3, any)).toBeUndefined();
    expect(unseen(AXES, [HERE, { gone: 1 }], 0.3, any)).toEqual(unseen(AXES, [HERE], 0.3, any));
  });

  test('places are kept once, for 640 windows, and not without end', () => {
    const looked = new Looked(1_000);
    for (let i = 0; i < 100; i++) looked.add({ a: i % 7 }, i);
    expect(looked.since(100).length).toBe(7);
    expect(looked.since(640_096).length).toBe(3);
    for (let i = 0; i < 100; i++) looked.add({ a: i }, 100 + i);
    expect(looked.since(200).length).toBe(60);
  });
});

describe('the plan of a jump', () => {
  const knobs = AXES.map((one) => ({ spec: one.spec, mode: 'auto' as const, axis: one }));
  const plan = (grounds: Partial<Grounds>, isInVain = true) => {
    const given = {
      ...{ knobs, incumbent: HERE, rejection: () => undefined },
      grounds: () => ({ ...NO_GROUNDS, noise: 0.05, isInVain: () => isInVain, ...grounds }),
    };
    return jumpStrategy.plan(given as unknown as StrategyContext, ['auto']);
  };

  test('allows what was won and a quarter more, and no hill above a half', () => {
    expect(plan({})).toBeUndefined();
    expect(plan({ won: 0.2 })).toMatchObject({ kind: 'jump', room: expect.closeTo(0.2 + Math.log(1.25), 9) });
    expect(plan({ won: 2 })).toMatchObject({ room: 0.5 });
  });

  test('is none while a search nearby pays, where windows are too noisy for the bound, or where all is banned', () => {
    expect(plan({ won: 0.2 }, false)).toBeUndefined();
    expect(plan({ noise: 0.12, won: 0.05 })).toBeUndefined();
    expect(plan({ noise: 0.12, won: 0.2 })).toBeDefined();
    expect(plan({ won: 0.2, isBanned: () => true })).toBeUndefined();
  });

  test('is none where somebody wants to be asked, and none for tiers that want no surprises', () => {
    const asked = knobs.map((one) => ({ ...one, mode: 'approve' as const }));
    const grounds = () => ({ ...NO_GROUNDS, noise: 0.05, won: 0.2, isInVain: () => true });
    const given = { knobs: asked, incumbent: HERE, grounds };
    expect(jumpStrategy.plan(given as unknown as StrategyContext, ['approve'])).toBeUndefined();
    expect(jumpStrategy.applicableTiers).toEqual(['advanced', 'experimental', 'research']);
  });
});
