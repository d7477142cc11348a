import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_HEALTH_THRESHOLDS } from '../../agent/core/health.ts';
import type { NumericKnobSpec, Setting } from '../../agent/core/model.ts';
import { Distribution } from '../../agent/core/series/distribution.ts';
import { beliefOf } from '../../agent/core/tune/belief.ts';
import { BurnRate } from '../../agent/core/tune/burn_rate.ts';
import { density, upperTail } from '../../agent/core/tune/normal.ts';
import { objectiveOf } from '../../agent/core/tune/objective.ts';
import { Probe, type ProbeRule } from '../../agent/core/tune/probe.ts';
import { Random } from '../../agent/core/tune/random.ts';
import { Response } from '../../agent/core/tune/response.ts';
import { isBanned, withScar } from '../../agent/core/tune/scars.ts';
import { type Axis, axisOf, decode, encode, isAllowed, neighbour } from '../../agent/core/tune/space.ts';
import { timeoutStrategy } from '../../agent/core/tune/strategies/timeout.ts';
import { BadWindows, errorTrigger } from '../../agent/core/tune/triggers.ts';
import { Wallet } from '../../agent/core/tune/wallet.ts';
import { intKnob } from './engine_loop.ts';
import { NO_GROUNDS, NO_INSIGHTS, NO_MEMORY_USE } from './strategy_inputs.ts';

function knob(id: string, more: Partial<NumericKnobSpec> = {}): NumericKnobSpec {
  return intKnob(id, { role: 'other', settleMs: 0, ...more });
}

const SIGNALS = 'latency';
const RULE = { perturbation: 0.06, gain: 0.1, maxStepRatio: 0.1 };

/** A search around a setting, and what it learns. */
function searchAround(axes: readonly Axis[], start: Setting, noise: number, rule: Partial<ProbeRule> = {}) {
  const response = new Response(axes, noise, 10_000);
  response.open(start, SIGNALS, noise);
  return { response, probe: new Probe(response, start, { ...RULE, ...rule }) };
}

function axis(id: string, more: Partial<NumericKnobSpec> = {}) {
  const made = axisOf(knob(id, more));
  if (made === undefined) throw new Error('no axis');
  return made;
}

const numeric = fc
  .record({
    type: fc.constantFrom('int' as const, 'double' as const, 'duration' as const),
    scale: fc.constantFrom('linear' as const, 'log' as const),
    min: fc.integer({ min: 1, max: 50 }),
    span: fc.integer({ min: 1, max: 500 }),
    step: fc.option(fc.integer({ min: 1, max: 7 }), { nil: undefined }),
  })
  .map(({ span, step, ...rest }) =>
    axis('k', { ...rest, max: rest.min + span, baseline: rest.min, ...(step !== undefined && { step }) }),
  );
const unit = fc.double({ min: 0, max: 1, noNaN: true });

describe('space', () => {
  test('every coordinate decodes to a value that the process can take', () => {
    fc.assert(
      fc.property(numeric, unit, (on, u) => {
        const value = decode(on, u);
        expect(isAllowed(on.spec, value)).toBe(true);
        if (on.spec.step !== undefined) expect(Math.abs((value - on.spec.min) % on.spec.step)).toBeLessThan(1e-9);
      }),
    );
  });

  test('a decoded value is its own nearest: encoding and decoding it again changes nothing', () => {
    fc.assert(
      fc.property(numeric, unit, (on, u) => {
        const value = decode(on, u);
        expect(decode(on, encode(on, value))).toBeCloseTo(value, 9);
      }),
    );
  });

  test('neighbours differ, except at the edge', () => {
    const on = axis('k', { min: 1, max: 4 });
    expect([neighbour(on, 2, 1), neighbour(on, 2, -1), neighbour(on, 4, 1)]).toEqual([3, 1, 4]);
  });

  test('a ceiling at boot and a policy narrow the range', () => {
    const on = axisOf(knob('k', { ceilingAtBoot: true, baseline: 16 }), { min: 4, max: 32 });
    expect([on?.min, on?.max]).toEqual([4, 16]);
    expect(axisOf(knob('k'), { min: 9, max: 9 })).toBeUndefined();
  });
});

describe('what a declaration says of a knob before anything was measured', () => {
  const span = { type: 'double', min: 0, max: 1, scale: 'linear' } as const;

  test('neither side is favoured, the best is expected within the range and towards its roomier side', () => {
    fc.assert(
      fc.property(unit, (baseline) => {
        const [here, mirrored] = [baseline, 1 - baseline].map(
          (at) => beliefOf(axis('k', { ...span, baseline: at })).best,
        );
        expect(here + mirrored).toBeCloseTo(1, 9);
        expect(Math.abs(here - 0.5)).toBeLessThanOrEqual(Math.abs(baseline - 0.5));
      }),
    );
  });

  test('only of what may go on at once too little is feared: below the baseline, the more the less there is', () => {
    const on = axis('k', { role: 'concurrency', min: 1, max: 16, baseline: 4 });
    const missing = [1, 2, 3, 4, 9].map((value) => beliefOf(on).shortage(encode(on, value)));
    expect(missing.map((share) => Number(share.toFixed(9)))).toEqual([0.75, 0.5, 0.25, 0, 0]);
    for (const role of ['batch', 'queue', 'timeout', 'memory', 'other'] as const) {
      expect(beliefOf(axis('k', { role, min: 1, max: 16, baseline: 4 })).shortage(0)).toBe(0);
    }
    const pause = axis('k', { role: 'threads', type: 'duration', min: 1, max: 16, baseline: 4 });
    expect(beliefOf(pause).shortage(0)).toBe(0);
  });

  test('a search begins with more of it, whatever it draws', () => {
    const on = axis('k', { role: 'concurrency', min: 1, max: 16, baseline: 2 });
    for (let seed = 0; seed < 20; seed++) {
      const { response, probe } = searchAround([on], { k: 2 }, 0.08);
      response.observe({ k: 2 }, SIGNALS, { y: 0, x: 0, atMs: 0 });
      expect(Number(probe.next(Random.seeded(seed)).k)).toBeGreaterThan(2);
    }
  });
});

describe('probing', () => {
  /** Searches for so many windows; `surface` says what a window at positions shows. */
  function search(
    { probe, response }: ReturnType<typeof searchAround>,
    windows: number,
    surface: (...u: number[]) => number,
  ): void {
    const random = Random.seeded(3);
    for (let window = 0; window < windows; window++) {
      const setting = probe.next(random);
      const y = surface(...response.encode(setting));
      response.observe(setting, SIGNALS, { y, x: 0, atMs: window * 15_000 });
      probe.recenter();
    }
  }

  test('finds the valley of a smooth surface under noise, and how much better it is there', () => {
    const axes = [axis('a'), axis('b', { min: 0, max: 20, scale: 'linear', baseline: 0 })];
    const random = Random.seeded(3);
    const looking = searchAround(axes, { a: 1, b: 0 }, 0.01);
    const { probe } = looking;
    search(looking, 40, (a, b) => 1.5 * (a - 0.7) ** 2 + 0.5 * (b - 0.4) ** 2 + 0.02 * (random.next() - 0.5));
    const [a, b] = axes.map((on) => encode(on, Number(probe.candidate()[on.id])));
    expect(Math.abs(a - 0.7)).toBeLessThan(0.15);
    expect(Math.abs(b - 0.4)).toBeLessThan(0.2);
    expect(Math.abs(probe.predictedGain + 1.5 * 0.49 + 0.5 * 0.16)).toBeLessThan(0.15);
  });

  test('stays where nothing near is worth a window: next to a kink that it has measured', () => {
    const axes = [axis('a', { type: 'double', min: 0, max: 1, scale: 'linear', baseline: 0.5 })];
    const looking = searchAround(axes, { a: 0.5 }, 0.01);
    const { probe, response } = looking;
    let elsewhere = 0;
    // What was seen before the search: the incumbent itself.
    response.observe({ a: 0.5 }, SIGNALS, { y: 0, x: 0, atMs: -15_000 });
    search(looking, 60, (a) => {
      if (a !== 0.5) elsewhere++;
      return 3 * Math.abs(a - 0.5);
    });
    expect(probe.candidate()).toEqual({ a: 0.5 });
    expect(elsewhere).toBeGreaterThan(0);
    expect(elsewhere).toBeLessThan(20);
  });

  test('what the load did is not taken for the work of a knob', () => {
    const axes = [axis('a', { type: 'double', min: 0, max: 1, scale: 'linear', baseline: 0.5 })];
    const random = Random.seeded(3);
    const { probe, response } = searchAround(axes, { a: 0.5 }, 0.01);
    for (let window = 0; window < 30; window++) {
      const setting = probe.next(random);
      const x = Math.sin(window / 3) / 2;
      response.observe(setting, SIGNALS, { y: x, x, atMs: window * 15_000 });
      probe.recenter();
    }
    expect(Math.abs(probe.predictedGain)).toBeLessThan(0.03);
  });

  test('goes on from what an earlier search of the same knobs has learned, also at another level', () => {
    const on = [axis('a', { type: 'double', min: 0, max: 1, scale: 'linear', baseline: 0.2 })];
    const looking = searchAround(on, { a: 0.2 }, 0.01);
    search(looking, 30, (a) => 4 * (a - 0.5) ** 2);
    const { response } = looking;
    response.open({ a: 0.2, model: 'another' }, SIGNALS, 0.01);
    response.observe({ a: 0.2, model: 'another' }, SIGNALS, { y: 7, x: 0, atMs: 31 * 15_000 });
    const probe = new Probe(response, { a: 0.2 }, RULE);
    probe.recenter();
    const { probe: fresh } = searchAround(on, { a: 0.2 }, 0.01);
    fresh.recenter();
    expect(probe.predictedGain).toBeLessThan(4 * fresh.predictedGain);
  });

  test('tries what is allowed, no further than a step from the centre, which moves no further either', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { maxLength: 40 }),
        (seed, ys) => {
          const axes = [axis('a'), axis('b', { type: 'double', min: 0, max: 1, scale: 'linear', baseline: 0 })];
          const random = Random.seeded(seed);
          const { probe, response } = searchAround(axes, { a: 1, b: 0 }, 0.1);
          const far = (from: Setting, to: Setting) =>
            Math.abs(encode(axes[1], Number(to.b)) - encode(axes[1], Number(from.b)));
          for (const [window, y] of ys.entries()) {
            const before = probe.candidate();
            const setting = probe.next(random);
            for (const on of axes) expect(isAllowed(on.spec, setting[on.id])).toBe(true);
            expect(far(before, setting)).toBeLessThanOrEqual(RULE.maxStepRatio + 1e-9);
            response.observe(setting, SIGNALS, { y, x: 0, atMs: window * 15_000 });
            probe.recenter();
            expect(far(before, probe.candidate())).toBeLessThanOrEqual(RULE.maxStepRatio + 1e-9);
          }
        },
      ),
    );
  });

  test('neither tries what is banned nor goes there, however good it looks from here', () => {
    const axes = [axis('a')];
    const random = Random.seeded(1);
    const isForbidden = (setting: Setting) => Number(setting.a) > 4;
    const { probe, response } = searchAround(axes, { a: 4 }, 0.01, { isBanned: isForbidden });
    for (let window = 0; window < 40; window++) {
      const setting = probe.next(random);
      expect(isForbidden(setting)).toBe(false);
      // The forbidden side looks ever better.
      response.observe(setting, SIGNALS, { y: -Number(setting.a), x: 0, atMs: window * 15_000 });
      probe.recenter();
    }
    expect(Number(probe.candidate().a)).toBeLessThanOrEqual(4);
  });

  test('a wild window neither moves the centre far nor blinds the search', () => {
    const axes = [axis('a', { type: 'double', min: 0, max: 1, scale: 'linear', baseline: 0.2 })];
    const looking = searchAround(axes, { a: 0.2 }, 0.02);
    const { probe, response } = looking;
    let window = 0;
    search(looking, 40, (a) => (window++ % 10 === 5 ? 5 : 0) + (a - 0.6) ** 2);
    expect(Math.abs(Number(probe.candidate().a) - 0.6)).toBeLessThan(0.15);
    expect(response.noise).toBeLessThan(0.5);
  });
});

describe('what is known of how knobs act', () => {
  const on = [axis('a', { type: 'double', min: 0, max: 1, scale: 'linear', baseline: 0.2 })];
  const learned = () => {
    const { response } = searchAround(on, { a: 0.2, other: 1 }, 0.02);
    Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? 0.2 : 0.4)).forEach((a, i) => {
      expect(response.foresee({ a: 0.2, other: 1 }, { a: 0.4 })).toBeUndefined();
      response.observe({ a, other: 1 }, SIGNALS, { y: a === 0.4 ? 0.5 : 0, x: 0, atMs: i * 15_000 });
    });
    return response;
  };

  test('a change that was measured is foreseen, and one beyond it less surely', () => {
    const response = learned();
    const near = response.foresee({ a: 0.2, other: 1 }, { a: 0.4 });
    const far = response.foresee({ a: 0.2, other: 1 }, { a: 0.9 });
    expect(Math.abs((near?.mean ?? 0) - 0.5)).toBeLessThan(0.05);
    expect(near?.sd).toBeLessThan(0.05);
    expect(far?.sd).toBeGreaterThan(3 * (near?.sd ?? 1));
  });

  test('of other knobs it says nothing, and what was measured at other values of theirs teaches it nothing', () => {
    const response = learned();
    expect(response.foresee({ a: 0.2, other: 1 }, { other: 2 })).toBeUndefined();
    const before = response.foresee({ a: 0.2, other: 1 }, { a: 0.4 });
    response.observe({ a: 0.4, other: 2 }, SIGNALS, { y: -3, x: 0, atMs: 900_000 });
    response.observe({ a: 0.4, other: 1 }, 'error ratio', { y: -3, x: 0, atMs: 900_000 });
    expect(response.foresee({ a: 0.2, other: 1 }, { a: 0.4 })).toEqual(before);
  });

  test('where what was best has turned out to be worse, little is believed of it, and a new level is none of its doing', () => {
    const response = learned();
    const foreseen = () => response.foresee({ a: 0.4, other: 1 }, { a: 0.2 })?.mean ?? 0;
    expect(foreseen()).toBeLessThan(-0.45);
    response.overturned(0.1);
    expect(Math.abs(foreseen())).toBeLessThan(0.1);
    // Everything is slower now, and as fast here as there.
    [0.2, 0.4, 0.2, 0.4].forEach((a, i) => {
      response.observe({ a, other: 1 }, SIGNALS, { y: 2, x: 0, atMs: 240_000 + i * 15_000 });
    });
    expect(Math.abs(foreseen())).toBeLessThan(0.05);
  });

  test('what a surface that was wrong took for noise is none in the next search', () => {
    const { response } = searchAround(on, { a: 0.2, other: 1 }, 3);
    response.open({ a: 0.2, other: 1 }, SIGNALS, 0.05);
    expect(response.noise).toBeCloseTo(0.1, 9);
  });

  test('it is of its knobs in their ranges', () => {
    const response = learned();
    expect(response.isOf(on)).toBe(true);
    expect(response.isOf([])).toBe(false);
    expect(response.isOf([axis('a', { type: 'double', min: 0, max: 2, scale: 'linear', baseline: 0.2 })])).toBe(false);
    expect(response.isOf([axis('b', { type: 'double', min: 0, max: 1, scale: 'linear', baseline: 0.2 })])).toBe(false);
  });
});

test('the normal distribution', () => {
  expect(density(0)).toBeCloseTo(0.3989423, 7);
  for (const [z, beyond] of [
    [0, 0.5],
    [1, 0.1586553],
    [1.96, 0.0249979],
    [3, 0.0013499],
  ] as const) {
    expect(Math.abs(upperTail(z) - beyond)).toBeLessThan(1e-7);
    expect(Math.abs(upperTail(-z) - (1 - beyond))).toBeLessThan(1e-7);
  }
});

describe('scars', () => {
  test('what was merely worse than the incumbent does not ban whom that much more is allowed', () => {
    const axes = [axis('a')];
    const scar = { from: { a: 4 }, at: { a: 16 }, untilMs: 100 };
    const merely = withScar([], { ...scar, worseBy: 0.3 }, 0);
    expect(isBanned(merely, axes, { a: 16 }, 50)).toBe(true);
    expect(isBanned(merely, axes, { a: 16 }, 50, 0.2)).toBe(true);
    expect(isBanned(merely, axes, { a: 16 }, 50, 0.4)).toBe(false);
    expect(isBanned(withScar([], scar, 0), axes, { a: 16 }, 50, 0.4)).toBe(true);
  });

  test('a window that is over the p95 limit as well is not merely worse', () => {
    const window = { startMs: 0, endMs: 1, requests: 1, errors: 0, latencyMsP95: 200 };
    const trouble = new BadWindows().observe(1, { y: 0, noise: 0.02, windows: 8 }, window, 100, 50);
    expect(new BadWindows().observe(1, { y: 0, noise: 0.02, windows: 7 }, window, undefined, 50)).toBeUndefined();
    expect(trouble?.why).toContain('worse');
    expect(trouble?.worseBy).toBeUndefined();
  });

  test('ban what lies beyond the middle, for a while', () => {
    const axes = [axis('a')];
    const scars = withScar([], { from: { a: 4 }, at: { a: 16 }, untilMs: 100 }, 0);
    expect(isBanned(scars, axes, { a: 16 }, 50)).toBe(true);
    expect(isBanned(scars, axes, { a: 64 }, 50)).toBe(true);
    expect(isBanned(scars, axes, { a: 9 }, 50)).toBe(true);
    expect(isBanned(scars, axes, { a: 7 }, 50)).toBe(false);
    expect(isBanned(scars, axes, { a: 1 }, 50)).toBe(false);
    expect(isBanned(scars, axes, { a: 16 }, 100)).toBe(false);
  });

  test('are bounded in number', () => {
    let scars = withScar([], { from: { a: 1 }, at: { a: 2 }, untilMs: 1e9 }, 0);
    for (let i = 0; i < 100; i++) scars = withScar(scars, { from: { a: 1 }, at: { a: 3 }, untilMs: 1e9 }, 0);
    expect(scars.length).toBeLessThanOrEqual(16);
  });
});

describe('the harm wallet', () => {
  test('cannot lose more than its rate allows, plus what was saved and one window', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 2, noNaN: true }), { maxLength: 500 }), (harms) => {
        const rate = 0.01;
        const wallet = new Wallet(rate, 1, 0);
        const saved = wallet.ceiling;
        let spent = 0;
        let windows = 0;
        for (const harm of harms) {
          windows++;
          const excess = wallet.mayGoOn ? harm : 0;
          spent += excess;
          wallet.spend(excess);
          wallet.earn(windows);
        }
        expect(spent).toBeLessThanOrEqual(saved + rate * windows + 2 + 1e-9);
      }),
    );
  });
});

describe('the objective', () => {
  const weights = { responseTimeMean: 0.5, responseTimeP95: 0.5, throughput: 0, errorRate: 10 };
  const base = { startMs: 0, endMs: 1, requests: 1000, errors: 0, errorRatio: 0, requestsPerSecond: 100 };

  test('is lower for a faster process, by the logarithm of the ratio', () => {
    const slow = objectiveOf({ ...base, latencyMsMean: 20, latencyMsP95: 40 }, weights);
    const fast = objectiveOf({ ...base, latencyMsMean: 10, latencyMsP95: 20 }, weights);
    expect((fast?.y ?? 0) - (slow?.y ?? 0)).toBeCloseTo(-Math.LN2, 9);
  });

  test('does not reward shedding load: five percent of the requests lost outweigh a third of the latency', () => {
    const honest = objectiveOf({ ...base, latencyMsMean: 15, latencyMsP95: 30 }, weights);
    const shedding = objectiveOf(
      { ...base, errors: 50, errorRatio: 0.05, latencyMsMean: 10, latencyMsP95: 20 },
      weights,
    );
    expect(shedding?.y).toBeGreaterThan(honest?.y ?? Number.POSITIVE_INFINITY);
  });

  test('falls back to throughput where no latency is known, and to nothing where nothing is', () => {
    expect(objectiveOf(base, weights)?.signals).toBe('throughput+errorRate');
    expect(objectiveOf({ startMs: 0, endMs: 1, requests: 0, errors: 0 }, weights)).toBeUndefined();
  });

  test('counts what the process says its work was worth, where it has a weight', () => {
    const fast = { ...base, latencyMsMean: 10, latencyMsP95: 20 };
    const worth = (rewardMean: number, reward: number) => objectiveOf({ ...fast, rewardMean }, { ...weights, reward });
    expect((worth(2, 3)?.y ?? 0) - (worth(1, 3)?.y ?? 0)).toBeCloseTo(-3 * Math.LN2, 9);
    expect(worth(2, 0)).toEqual(objectiveOf(fast, weights));
    expect(worth(2, 3)?.signals).toBe('responseTimeMean+responseTimeP95+reward+errorRate');
  });

  test('stays finite when every request fails', () => {
    const all = objectiveOf({ ...base, errors: 1000, errorRatio: 1, latencyMsMean: 1, latencyMsP95: 1 }, weights);
    expect(Number.isFinite(all?.y)).toBe(true);
  });
});

describe('triggers', () => {
  test('errors above the limit stop at once, a handful of them does not', () => {
    expect(errorTrigger({ requests: 100, errors: 4 }, 0.02, 0)).toBeUndefined();
    expect(errorTrigger({ requests: 100, errors: 12 }, 0.02, 0)).toContain('12 %');
    // Above the limit, but by no more than chance does.
    expect(errorTrigger({ requests: 755, errors: 17 }, 0.02, 0)).toBeUndefined();
    expect(errorTrigger({ requests: 7550, errors: 190 }, 0.02, 0)).toContain('2.5 %');
    // An incumbent that fails 10 % of its requests must not stop every attempt to repair it.
    expect(errorTrigger({ requests: 100, errors: 12 }, 0.02, 0.1)).toBeUndefined();
  });

  test('two windows in a row far worse stop, one with a recovery between does not', () => {
    const window = { startMs: 0, endMs: 1, requests: 1, errors: 0 };
    const calm = { y: 0, noise: 0.02, windows: 8 };
    const bad = new BadWindows();
    expect(bad.observe(0.3, calm, window, undefined, undefined)).toBeUndefined();
    expect(bad.observe(0.1, calm, window, undefined, undefined)).toBeUndefined();
    expect(bad.observe(0.3, calm, window, undefined, undefined)).toBeUndefined();
    expect(bad.observe(0.3, calm, window, undefined, undefined)).toMatchObject({
      why: expect.stringContaining('28 %'),
      worseBy: 0.3,
    });
  });

  test('what the incumbent does by itself is no reason to stop', () => {
    const window = { startMs: 0, endMs: 1, requests: 1, errors: 0 };
    const noisy = { y: 0, noise: 0.3, windows: 8 };
    const bad = new BadWindows();
    expect([0.5, 0.6, 0.5].map((y) => bad.observe(y, noisy, window, undefined, undefined))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect([1.2, 1.2].map((y) => bad.observe(y, noisy, window, undefined, undefined))[1]?.why).toContain('worse');
  });
});

describe('burn rate', () => {
  test('alarms when the short and the long window both burn, and clears when the short one recovers', () => {
    const burn = new BurnRate({ targetRatio: 0.99, responseTimeMs: 100 });
    const minute = 60_000;
    for (let m = 0; m < 70; m++) burn.add(m * minute, 100, 0);
    expect(burn.alarm(70 * minute)).toBeUndefined();
    for (let m = 70; m < 90; m++) burn.add(m * minute, 100, 50);
    expect(burn.alarm(90 * minute)).toContain('too fast');
    for (let m = 90; m < 130; m++) burn.add(m * minute, 100, 0);
    expect(burn.alarm(130 * minute)).toBeUndefined();
  });
});

describe('the timeout strategy', () => {
  const spec = knob('timeout_ms', { role: 'timeout', unit: 'ms', min: 1, max: 60_000, baseline: 10_000 });
  const context = (latencies: Distribution) => ({
    nowMs: 0,
    component: 'c',
    tier: 'stable' as const,
    knobs: [{ spec, mode: 'auto' as const, axis: axis('timeout_ms', { ...spec }) }],
    incumbent: { timeout_ms: 10_000 },
    responseTimes: latencies,
    memory: NO_MEMORY_USE,
    insights: NO_INSIGHTS,
    profile: undefined,
    circumstances: 'here',
    thresholds: DEFAULT_HEALTH_THRESHOLDS,
    limits: { errorRatio: 0.02 },
    rejection: () => undefined,
    judgedMs: () => undefined,
    opened: () => [],
    foresee: () => undefined,
    grounds: () => NO_GROUNDS,
  });
  const bounds = Array.from({ length: 60 }, (_, i) => 1.2 ** i);
  const distribution = (share: (bucket: number) => number, total = 10_000) => {
    const made = new Distribution();
    const counts = Array.from({ length: 61 }, (_, i) => Math.round(share(i) * total));
    const count = counts.reduce((sum, n) => sum + n, 0);
    const sum = counts.reduce((total, n, i) => total + n * (bounds[i] ?? 1e5), 0);
    made.addHistogram(bounds, counts, count, sum);
    return made;
  };

  test('proposes 1.5 × the average where the tail is short', () => {
    // Everything between 83 and 100 ms.
    const plan = timeoutStrategy.plan(context(distribution((i) => (i === 25 ? 1 : 0))), ['auto']);
    expect(plan?.kind).toBe('candidate');
    const value = plan?.kind === 'candidate' ? Number(plan.setting.timeout_ms) : 0;
    expect(value).toBeGreaterThanOrEqual(140);
    expect(value).toBeLessThanOrEqual(160);
  });

  test('raises the proposal above a long tail, so that honest requests are not cut', () => {
    const tailed = distribution((i) => (i === 20 ? 0.95 : i === 40 ? 0.05 : 0));
    const plan = timeoutStrategy.plan(context(tailed), ['auto']);
    const value = plan?.kind === 'candidate' ? Number(plan.setting.timeout_ms) : 0;
    expect(value).toBeGreaterThan(bounds[40]);
    expect(tailed.fractionAbove(value)).toBe(0);
  });

  test('rejects itself in shadow where a safe value is no gain, and says what it would have cut', () => {
    const tailed = distribution((i) => (i === 20 ? 0.9 : i === 50 ? 0.1 : 0));
    const plan = timeoutStrategy.plan(context(tailed), ['auto']);
    expect(plan?.kind).toBe('shadow_rejected');
    expect(plan?.reason).toMatch(/would have cut 10\.\d+ %/);
  });

  test('says nothing on little data, an empty distribution, or knobs in another mode', () => {
    expect(timeoutStrategy.plan(context(distribution((i) => (i === 25 ? 1 : 0), 100)), ['auto'])).toBeUndefined();
    expect(timeoutStrategy.plan(context(new Distribution()), ['auto'])).toBeUndefined();
    expect(timeoutStrategy.plan(context(distribution((i) => (i === 25 ? 1 : 0))), ['approve'])).toBeUndefined();
  });
});
