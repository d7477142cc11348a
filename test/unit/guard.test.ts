import { describe, expect, test } from 'vitest';
import type { NumericKnobSpec, Setting } from '../../agent/core/model.ts';
import { Guard } from '../../agent/core/tune/guard.ts';
import { Limit, type LimitRule, placeOf } from '../../agent/core/tune/limit.ts';
import { Random } from '../../agent/core/tune/random.ts';
import { axisOf, decode } from '../../agent/core/tune/space.ts';
import type { Measurement } from '../../agent/core/tune/window.ts';
import { intKnob } from './engine_loop.ts';

function isUnsafe(guard: Guard, setting: Setting, incumbent: Setting): boolean {
  return guard.whyUnsafe(setting, incumbent) !== undefined;
}

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
function learned(around: number, readings: number, from = around): Guard {
  const random = Random.seeded(3);
  const memory = plant(random);
  const guard = new Guard({ errorRatio: 0.02 });
  guard.open(axes);
  guard.limitBytes = 8 * GB;
  for (let i = 0; i < readings; i++) {
    const place = from + ((around - from) * i) / readings;
    const batch = decode(axes[0], place + 0.06 * random.sign());
    const setting = { batch, buffers: 0.5 + 0.06 * random.sign() };
    guard.load(100 * (1 + 0.05 * random.sign()));
    guard.observe(memory(setting), setting);
  }
  return guard;
}

describe('the guard of the memory limit', () => {
  const incumbent = { batch: 8, buffers: 0.5 };

  test('knows nothing and forbids nothing until it has a limit and a reading', () => {
    const guard = new Guard({ errorRatio: 0.02 });
    guard.open(axes);
    expect(isUnsafe(guard, { batch: 256, buffers: 1 }, incumbent)).toBe(false);
    guard.observe(5 * GB, incumbent);
    expect(isUnsafe(guard, { batch: 256, buffers: 1 }, incumbent)).toBe(false);
    expect(guard.alarm()).toBeUndefined();
  });

  test('allows a short step at first and not a long one', () => {
    const guard = learned(0.375, 1);
    expect(isUnsafe(guard, { batch: 11, buffers: 0.5 }, incumbent)).toBe(false);
    expect(isUnsafe(guard, { batch: 200, buffers: 0.5 }, incumbent)).toBe(true);
  });

  test('forbids what would run out of memory and allows what would not, once it has seen some', () => {
    const guard = learned(0.6, 60);
    // 6.6 GB, and 8.3 GB.
    expect(isUnsafe(guard, { batch: 32, buffers: 0.5 }, incumbent)).toBe(false);
    expect(isUnsafe(guard, { batch: 240, buffers: 0.5 }, incumbent)).toBe(true);
    expect(isUnsafe(guard, { batch: 150, buffers: 1 }, incumbent)).toBe(true);
  });

  test('lets an incumbent that is too close come down, but not go up', () => {
    const guard = learned(0.95, 60);
    const tight = { batch: 200, buffers: 0.5 };
    expect(isUnsafe(guard, { batch: 60, buffers: 0.5 }, tight)).toBe(false);
    expect(isUnsafe(guard, { batch: 256, buffers: 0.5 }, tight)).toBe(true);
    expect(guard.alarm()).toContain('of its limit of 8.00 GB');
  });

  test('is more careful after the process has died of what was tried', () => {
    const guard = learned(0.7, 60);
    const far = { batch: 38, buffers: 0.5 };
    const before = isUnsafe(guard, far, incumbent);
    for (let i = 0; i < 10; i++) {
      guard.observe(7.8 * GB, { batch: 150, buffers: 0.5 });
      guard.gone();
    }
    expect([before, isUnsafe(guard, far, incumbent)]).toEqual([false, true]);
  });
});

test('a process that goes close to its memory limit is suspected to have died of it, any other is not', () => {
  const guard = learned(0.4, 30);
  expect(guard.gone()).toBeUndefined();
  guard.observe(7.8 * GB, { batch: 150, buffers: 0.5 });
  expect(guard.gone()).toBe('the process went with 7.80 GB of 8.00 GB in use');
  expect(guard.gone()).toBeUndefined();
});

describe('a retreat from the memory limit', () => {
  test('gives back the knob that carries the memory, as far as is needed, and leaves the others', () => {
    // As a search comes there, from the baseline on.
    const guard = learned(0.85, 200, 0.375);
    const held = { batch: 120, buffers: 0.7 };
    const back = guard.wayBack(held, { batch: 8, buffers: 0.5 });
    expect(back.buffers).toBe(0.7);
    expect(Number(back.batch)).toBeLessThan(100);
    expect(Number(back.batch)).toBeGreaterThan(8);
    expect(isUnsafe(guard, back, back)).toBe(false);
  });

  test('of two that carry as much, that first which costs less of the objective', () => {
    const [random, guard] = [Random.seeded(5), new Guard({ errorRatio: 0.02 })];
    const linear = ['a', 'b'].flatMap((id) => axisOf(intKnob(id, { ...RATIO, baseline: 0.2 })) ?? []);
    guard.open(linear);
    guard.limitBytes = 8 * GB;
    const held = { a: 0.8, b: 0.8 };
    for (let i = 0; i < 80; i++) {
      const at = { a: 0.8 + 0.1 * random.sign(), b: 0.8 + 0.1 * random.sign() };
      guard.observe((4 + 2.3 * (at.a + at.b)) * GB, at);
      // Less of `a` is worse, less of `b` costs nothing.
      guard.window(shown(), { y: -at.a, signals: 'y' }, at, held);
    }
    const back = guard.wayBack(held, { a: 0.2, b: 0.2 });
    expect(back.a).toBe(0.8);
    expect(Number(back.b)).toBeLessThan(0.8);
  });

  test('gives everything back where that is not enough', () => {
    const guard = learned(0.95, 60);
    const baseline = { batch: 230, buffers: 0.9 };
    expect(guard.wayBack({ batch: 250, buffers: 1 }, baseline)).toEqual(baseline);
  });
});

const RATIO = { type: 'double', scale: 'linear', min: 0, max: 1 } as const;

function shown(values: Partial<Measurement> = {}): Measurement {
  return { startMs: 0, endMs: 10_000, requests: 1_000, errors: 0, requestsPerSecond: 100, ...values };
}

describe('the guard of the soft limits', () => {
  const knobs = ['a', 'b'].flatMap((id) => axisOf(intKnob(id, { ...RATIO, baseline: 0.5 })) ?? []);
  const incumbent = { a: 0.5, b: 0.5 };

  /** Windows from around the incumbent; `a` moves each signal, `b` none. */
  function taught(
    limits: { errorRatio: number; responseTimeMsP95?: number },
    show: (a: number) => Partial<Measurement> & { y?: number },
    windows = 40,
  ): Guard {
    const [random, guard] = [Random.seeded(7), new Guard(limits)];
    guard.open(knobs);
    for (let i = 0; i < windows; i++) {
      const at = i % 3 === 0 ? incumbent : { a: 0.5 + 0.1 * random.sign(), b: 0.5 + 0.1 * random.sign() };
      const { y = 0, ...measured } = show(at.a);
      guard.load(100);
      guard.window(shown(measured), { y: y + 0.02 * random.sign(), signals: 'y' }, at, incumbent);
    }
    return guard;
  }

  test('forbids what is expected to cross the p95 limit and allows the other way', () => {
    const guard = taught({ errorRatio: 0.02, responseTimeMsP95: 120 }, (a) => ({
      latencyMsP95: 100 * Math.exp(a - 0.5),
    }));
    expect(guard.whyUnsafe({ a: 0.8, b: 0.5 }, incumbent)).toContain('p95');
    expect(guard.whyUnsafe({ a: 0.4, b: 0.6 }, incumbent)).toBeUndefined();
    expect(guard.whyUnsafe({ a: 0.8, b: 0.5 }, incumbent, 'hard')).toBeUndefined();
  });

  test('forbids what is expected to cross the limit of errors', () => {
    const guard = taught({ errorRatio: 0.02 }, (a) => ({ errorRatio: 0.012 * Math.exp(2 * (a - 0.5)) }));
    expect(guard.whyUnsafe({ a: 0.9, b: 0.5 }, incumbent)).toContain('error ratio');
    expect(guard.whyUnsafe({ a: 0.4, b: 0.6 }, incumbent)).toBeUndefined();
  });

  test('forbids what is expected to be far worse than now, whatever the limits', () => {
    const guard = taught({ errorRatio: 0.02 }, (a) => ({ y: 2 * (a - 0.5) }));
    expect(guard.whyUnsafe({ a: 0.7, b: 0.5 }, incumbent)).toContain('far worse');
    expect(guard.whyUnsafe({ a: 0.4, b: 0.5 }, incumbent)).toBeUndefined();
  });

  test('repairs: where the incumbent itself is over the limit, what is no worse is allowed and what is worse is not', () => {
    const guard = taught({ errorRatio: 0.02, responseTimeMsP95: 80 }, (a) => ({
      latencyMsP95: 100 * Math.exp(a - 0.5),
    }));
    expect(guard.whyUnsafe({ a: 0.45, b: 0.5 }, incumbent)).toBeUndefined();
    expect(guard.whyUnsafe({ a: 0.7, b: 0.5 }, incumbent)).toContain('p95');
  });

  test('windows at another value of a switch teach it nothing', () => {
    const guard = taught({ errorRatio: 0.02, responseTimeMsP95: 120 }, () => ({ latencyMsP95: 60 }));
    for (let i = 0; i < 20; i++) {
      guard.window(
        shown({ latencyMsP95: 500 }),
        { y: 2, signals: 'y' },
        { ...incumbent, mode: 'b' },
        { ...incumbent, mode: 'a' },
      );
    }
    expect(guard.whyUnsafe({ a: 0.55, b: 0.5 }, incumbent)).toBeUndefined();
  });
});

const rule: LimitRule = {
  isHard: false,
  ...{
    knobSd: 0.6,
    loadSd: 0.7,
    levelSd: 0.3,
    firstNoise: 0.08,
    leastNoise: 0.01,
    noisePrior: 3,
    forgetting: 0.97,
    memory: 300,
  },
  confidence: { first: 2, least: 0.5, most: 4, step: 0.1, target: 0.05 },
};

describe('what a limit has learned under other circumstances', () => {
  const at = (batch: number) => placeOf(axes, { batch, buffers: 0.5 });
  const learnt = () => {
    const limit = new Limit(rule);
    limit.open(axes);
    for (let i = 0; i < 60; i++) limit.observe(i % 2 === 0 ? 0 : -1, at(i % 2 === 0 ? 8 : 16), 5);
    return limit;
  };

  test('is believed by the share that holds, down to nothing', () => {
    const [sure, half, none] = [1, 0.5, 0].map((kept) => {
      const limit = learnt();
      limit.doubt(kept);
      return limit.difference(at(16), at(8));
    });
    const fresh = new Limit(rule);
    fresh.open(axes);
    fresh.observe(0, at(8), 5);
    expect(sure.mean).toBeLessThan(-0.6);
    expect(half.mean).toBeCloseTo(sure.mean / 2, 9);
    expect(half.sd).toBeGreaterThan(sure.sd);
    expect(none.sd).toBeGreaterThan(half.sd);
    expect(none.mean).toBe(0);
    expect(none.sd).toBeCloseTo(fresh.difference(at(16), at(8)).sd, 6);
  });

  test('before anything was read there is nothing to doubt', () => {
    const limit = new Limit(rule);
    limit.open(axes);
    limit.doubt(0.5);
    expect(limit.isKnown).toBe(false);
  });
});

describe('how much doubt a limit leaves room for', () => {
  test('follows the share of tried settings that cross it to its target, from either side', () => {
    for (const ease of [0.5, 2]) {
      const [random, limit] = [Random.seeded(11), new Limit(rule)];
      limit.open([]);
      let crossed = 0;
      for (let i = 0; i < 4_000; i++) {
        // The more doubt is left room for, the rarer: e^(−κ · ease) of what is tried.
        const hasCrossed = random.next() < Math.exp(-limit.confidence * ease);
        limit.tried(hasCrossed);
        if (hasCrossed && i >= 1_000) crossed++;
      }
      const bounds = ease === 2 ? [0.03, 0.07] : [Math.exp(-2) - 0.03, Math.exp(-2) + 0.03];
      expect(crossed / 3_000).toBeGreaterThan(bounds[0]);
      expect(crossed / 3_000).toBeLessThan(bounds[1]);
    }
  });
});
