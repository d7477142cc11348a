import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_HEALTH_THRESHOLDS } from '../../agent/core/health.ts';
import type { Forecast, ObservedPattern } from '../../agent/core/insight/finding.ts';
import type { KnobMode, NumericKnobSpec } from '../../agent/core/model.ts';
import type { PerformanceProfile } from '../../agent/core/profile/performance_profile.ts';
import { Distribution } from '../../agent/core/series/distribution.ts';
import { beliefOf, evidenceOf, rewardOf, withReward } from '../../agent/core/tune/arms.ts';
import { drawBeta } from '../../agent/core/tune/beta.ts';
import { contextOf } from '../../agent/core/tune/context.ts';
import { Random } from '../../agent/core/tune/random.ts';
import { select } from '../../agent/core/tune/select.ts';
import { axisOf } from '../../agent/core/tune/space.ts';
import { EMPTY_STANDING, type Standing } from '../../agent/core/tune/standing.ts';
import { batchStrategy } from '../../agent/core/tune/strategies/batch.ts';
import { concurrencyStrategy, gradientOf } from '../../agent/core/tune/strategies/concurrency.ts';
import { configurationStrategy } from '../../agent/core/tune/strategies/configuration.ts';
import { memoryStrategy } from '../../agent/core/tune/strategies/memory.ts';
import { priorityStrategy } from '../../agent/core/tune/strategies/priority.ts';
import { STRATEGIES } from '../../agent/core/tune/strategies/strategies.ts';
import { timeoutStrategy } from '../../agent/core/tune/strategies/timeout.ts';
import type { Strategy, StrategyContext, TunableKnob } from '../../agent/core/tune/strategy.ts';
import { UsageHistogram } from '../../agent/core/tune/usage_histogram.ts';
import { intKnob } from './engine_loop.ts';
import { NO_GROUNDS, NO_INSIGHTS, NO_MEMORY_USE } from './strategy_inputs.ts';

const NOW_MS = 1_790_000_000_000;
const HOUR_MS = 3_600_000;

function tunable(id: string, more: Partial<NumericKnobSpec>, mode: KnobMode = 'auto'): TunableKnob {
  const spec = intKnob(id, { scale: 'linear', min: 1, max: 100_000, ...more });
  const axis = axisOf(spec);
  return { spec, mode, ...(axis !== undefined && { axis }) };
}

function context(knob: TunableKnob, now: number, more: Partial<StrategyContext> = {}): StrategyContext {
  return {
    ...{ nowMs: NOW_MS, component: 'c', tier: 'advanced', knobs: [knob], incumbent: { [knob.spec.id]: now } },
    ...{
      responseTimes: new Distribution(),
      memory: NO_MEMORY_USE,
      insights: NO_INSIGHTS,
      thresholds: DEFAULT_HEALTH_THRESHOLDS,
    },
    limits: { errorRatio: 0.02 },
    ...{ profile: undefined, circumstances: 'here' },
    rejection: () => undefined,
    judgedMs: () => undefined,
    opened: () => [],
    foresee: () => undefined,
    grounds: () => NO_GROUNDS,
    ...more,
  };
}

const forecast: Forecast = {
  ...{ component: 'c', signal: 'memoryMiB', at: NOW_MS, value: 0, low: 0, high: 0, path: [], samples: 30 },
  ...{ coverage: { nominal: 0.95, samples: 0 }, madeAtMs: NOW_MS, horizonMs: 1, stepMs: 1 },
};
const leak: ObservedPattern = {
  ...{ component: 'c', metric: 'memoryMiB', type: 'memory_leak', confidence: 0.999, samples: 16, sinceMs: 0 },
  evidence: { growthPerHour: 12 },
};

interface Figures {
  readonly ms?: number;
  readonly latestMs?: number;
  readonly perSecond?: number;
  readonly reliability?: number;
  readonly mib?: number;
  readonly efficiency?: number;
}

function profile({
  ms,
  latestMs = ms,
  perSecond = 100,
  reliability = 1,
  mib,
  efficiency,
}: Figures): PerformanceProfile {
  return {
    ...{ component: 'c', atMs: NOW_MS, windowMs: 500_000, stalls: {} },
    metrics: {
      ...(ms !== undefined && {
        responseTime: { count: 1_000, current: latestMs ?? ms, average: ms, p95: ms, p99: ms },
      }),
      throughput: { current: perSecond, average: perSecond, peak: perSecond },
      reliability: { current: reliability, average: reliability },
    },
    resources: {
      ...(mib !== undefined && {
        memory: {
          usage: mib,
          average: mib,
          peak: mib,
          scope: 'process',
          ...(efficiency !== undefined && { efficiency }),
        },
      }),
    },
    optimization: { lastOptimized: 0, optimizations: 0 },
  };
}

/** Requests that all take about `ms`. */
function steady(ms: number, requests: number): Distribution {
  const distribution = new Distribution();
  distribution.addHistogram([ms * 0.99, ms * 1.01], [0, requests, 0], requests, requests * ms);
  return distribution;
}

const plannedValue = (strategy: Strategy, given: StrategyContext) => {
  const plan = strategy.plan(given, ['auto']);
  return plan?.kind === 'candidate' ? Object.values(plan.setting)[0] : plan?.kind;
};

describe('the document’s own proposals', () => {
  test('tiers are the document’s', () => {
    const tiersOf = (name: string) => STRATEGIES.find((strategy) => strategy.name === name)?.applicableTiers;
    expect(tiersOf('Timeout Optimization')).toEqual(['stable', 'advanced', 'experimental']);
    expect(tiersOf('Memory Optimization')).toEqual(['advanced', 'experimental', 'research']);
    expect(tiersOf('Priority Optimization')).toEqual(['critical', 'stable', 'advanced']);
    // Research is ours: there is no tier below it to try things in.
    expect(tiersOf('Configuration Optimization')).toEqual(['stable', 'advanced', 'experimental', 'research']);
  });

  test('memory: 1.2 × usage, at least 256 MiB, below an efficiency of 0.8, and never below the remembered peak', () => {
    const limit = tunable('memory_limit', { role: 'memory', unit: 'MiBy' });
    const steady = (mib: number, peak = mib) => {
      const memory = new UsageHistogram();
      for (let at = 0; at <= 2 * HOUR_MS; at += 60_000)
        memory.add(at === HOUR_MS ? peak : mib, NOW_MS - 2 * HOUR_MS + at);
      return memory;
    };
    const given = (mib: number, more: Partial<StrategyContext> & { efficiency?: number } = {}) =>
      context(limit, 4_000, {
        profile: profile({ ms: 10, mib, efficiency: more.efficiency ?? 0.3 }),
        memory: steady(mib),
        ...more,
      });
    expect(plannedValue(memoryStrategy, given(1_000))).toBe(1_200);
    expect(plannedValue(memoryStrategy, given(100))).toBe(256);
    expect(plannedValue(memoryStrategy, given(1_000, { efficiency: 0.8 }))).toBeUndefined();
    const peaked = Number(plannedValue(memoryStrategy, given(1_000, { memory: steady(1_000, 2_000) })));
    expect(peaked).toBeGreaterThanOrEqual(2_000 * 1.15);
    expect(peaked).toBeLessThan(2_000 * 1.15 * 1.06);
    expect(plannedValue(memoryStrategy, given(1_000, { memory: steady(1_000, 3_500) }))).toBe('shadow_rejected');
    // What is coming counts like what was; what leaks has no use to size a limit by.
    const path = [{ atMs: NOW_MS, value: 1_500, low: 1_200, high: 1_800 }];
    const growing = { patterns: () => [], forecast: () => ({ ...forecast, path }) };
    expect(plannedValue(memoryStrategy, given(1_000, { insights: growing }))).toBe(1_800 * 1.15);
    const leaking = { ...NO_INSIGHTS, patterns: () => [leak] };
    expect(memoryStrategy.plan(given(1_000, { insights: leaking }), ['auto'])).toMatchObject({
      kind: 'shadow_rejected',
      reason: expect.stringMatching(/leaks, by 12.0 MiB an hour/),
    });
    // An hour of use at least.
    const short = new UsageHistogram();
    short.add(1_000, NOW_MS);
    expect(plannedValue(memoryStrategy, given(1_000, { memory: short }))).toBeUndefined();
    const bytes = tunable('memory_limit', { role: 'memory', unit: 'By', max: 2 ** 40 });
    const inBytes = { ...given(1_000), knobs: [bytes], incumbent: { memory_limit: 4_000 * 2 ** 20 } };
    expect(plannedValue(memoryStrategy, inBytes)).toBe(1_200 * 2 ** 20);
  });

  test('priority: + 10 × performance score, at most 100, above a reliability of 0.9', () => {
    const priority = tunable('priority', { role: 'priority', max: 200 });
    const good = profile({ ms: 1, perSecond: 1_000 });
    expect(plannedValue(priorityStrategy, context(priority, 50, { profile: good }))).toBe(60);
    expect(plannedValue(priorityStrategy, context(priority, 95, { profile: good }))).toBe(100);
    expect(plannedValue(priorityStrategy, context(priority, 100, { profile: good }))).toBeUndefined();
    const failing = profile({ ms: 1, perSecond: 1_000, reliability: 0.9 });
    expect(plannedValue(priorityStrategy, context(priority, 50, { profile: failing }))).toBeUndefined();
    const nice = tunable('nice', { role: 'priority', unit: '{nice}', max: 200 });
    expect(plannedValue(priorityStrategy, context(nice, 50, { profile: good }))).toBeUndefined();
  });

  test('configuration: nothing kept within 300,000 ms, but for its own search that goes on', () => {
    const queue = tunable('queue', { role: 'queue' });
    const kept = (strategy: string, agoMs: number) =>
      configurationStrategy.plan(context(queue, 5, { lastKept: { strategy, atMs: NOW_MS - agoMs } }), ['auto'])?.kind;
    expect(kept('Timeout Optimization', 300_000)).toBeUndefined();
    expect(kept('Timeout Optimization', 300_001)).toBe('explore');
    expect(kept('Configuration Optimization', 1)).toBe('explore');
    expect(configurationStrategy.plan(context(queue, 5), ['auto'])?.kind).toBe('explore');
  });

  test('a search may give memory; where there is no more to give it leaves memory alone', () => {
    const cache = tunable('cache', { role: 'memory', baseline: 100 });
    expect(configurationStrategy.plan(context(cache, 100), ['auto'])).toMatchObject({ axes: [{ id: 'cache' }] });
    const full = tunable('cache', { role: 'memory', baseline: 100, ceilingAtBoot: true });
    expect(configurationStrategy.plan(context(full, 100), ['auto'])).toBeUndefined();
  });

  test('a timeout is doubled where requests fail that take until it is over, and nowhere else', () => {
    const timeout = tunable('timeout', { role: 'timeout', unit: 'ms' });
    const seen = (now: number, reliability: number) =>
      plannedValue(
        timeoutStrategy,
        context(timeout, now, { responseTimes: steady(100, 2_000), profile: profile({ ms: 100, reliability }) }),
      );
    expect(seen(110, 0.95)).toBe(220);
    expect(seen(110, 0.99)).toBeUndefined();
    expect(seen(2_000, 0.95)).toBe(150);
  });
});

describe('load-informed proposals', () => {
  test('concurrency: grows by √limit while used up, falls with the gradient, and says nothing when app-limited', () => {
    const limit = tunable('workers', { role: 'concurrency', max: 1_000 });
    const at = (now: number, figures: Figures) =>
      plannedValue(concurrencyStrategy, context(limit, now, { profile: profile(figures) }));
    // 100/s × 150 ms = 15 in the system.
    expect(at(16, { ms: 150 })).toBe(20);
    expect(at(64, { ms: 150 })).toBeUndefined();
    expect(at(16, { ms: 150, latestMs: 450 })).toBe(12);
    expect(gradientOf(100, 1_000)).toBe(0.5);
  });

  test('batch: sizes grow to the work there is, waits shrink where batches do not fill', () => {
    const size = tunable('size', { max: 512 });
    const wait = tunable('wait', { unit: 'ms', max: 1_000 });
    const both = (incumbent: Record<string, number>, figures: Figures) => {
      const plan = batchStrategy.plan(
        { ...context(size, 1, { profile: profile(figures) }), knobs: [size, wait], incumbent },
        ['auto'],
      );
      return plan?.kind === 'candidate' ? plan.setting : undefined;
    };
    expect(both({ size: 8, wait: 10 }, { ms: 400 })).toEqual({ size: 16 });
    expect(both({ size: 30, wait: 10 }, { ms: 400 })).toEqual({ size: 40 });
    expect(both({ size: 64, wait: 100 }, { ms: 400 })).toEqual({ wait: 50 });
    expect(both({ size: 64, wait: 10 }, { ms: 400 })).toBeUndefined();
  });
});

describe('memory in use', () => {
  test('remembers a peak for nine half-lives, then forgets it', () => {
    const histogram = new UsageHistogram();
    histogram.add(2_000, NOW_MS);
    for (let day = 1; day <= 8; day++) histogram.add(500, NOW_MS + day * 24 * HOUR_MS);
    expect(histogram.peakMib).toBeGreaterThanOrEqual(2_000);
    histogram.add(500, NOW_MS + 10 * 24 * HOUR_MS);
    expect(histogram.peakMib).toBeLessThan(530);
  });

  test('never below what was seen last, survives saving, time going backwards and nonsense', () => {
    const step = fc.tuple(fc.double({ min: 0, max: 1e9 }), fc.integer({ min: -HOUR_MS, max: 48 * HOUR_MS }));
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
        let histogram = new UsageHistogram();
        let atMs = NOW_MS;
        for (const [mib, passedMs] of steps) {
          atMs += passedMs;
          histogram.add(mib, atMs);
          const { peakMib = 0 } = histogram;
          if (mib >= 1) expect(peakMib * 1.000001).toBeGreaterThanOrEqual(mib);
          const reloaded = new UsageHistogram(JSON.parse(JSON.stringify(histogram.state() ?? null)) ?? undefined);
          expect(reloaded.peakMib).toBe(histogram.peakMib);
          expect(reloaded.fractionAbove(100)).toBeCloseTo(histogram.fractionAbove(100), 12);
          histogram = reloaded;
        }
      }),
    );
  });
});

describe('whose turn it is', () => {
  const made = (name: string, priority: number): Strategy => ({
    ...{ name, description: '', applicableTiers: ['advanced'], roles: ['other'], priority },
    canApply: () => true,
    plan: () => ({ kind: 'candidate', setting: { k: 2 }, reason: `${name} would`, signals: {} }),
  });
  const given = context(tunable('k', { role: 'other' }), 1);
  const turn = (standing: Standing, seed: number, strategies = [made('low', 1), made('high', 9)]) =>
    select(strategies, given, ['auto'], standing, Random.seeded(seed));
  const taught = (lessons: readonly (readonly [string, number])[]): Standing => {
    let { arms } = EMPTY_STANDING;
    for (const [name, reward] of lessons) arms = withReward(arms, name, 'here', reward);
    return { ...EMPTY_STANDING, arms };
  };

  test('by priority while nothing is known; then mostly by what has paid; the same seed draws the same', () => {
    expect(turn(EMPTY_STANDING, 1)?.strategy.name).toBe('high');
    const standing = taught([...Array(6).fill(['low', 0.9]), ...Array(6).fill(['high', 0])]);
    const chosen = Array.from({ length: 200 }, (_, seed) => turn(standing, seed)?.strategy.name);
    expect(chosen.filter((name) => name === 'low').length).toBeGreaterThan(160);
    expect(Array.from({ length: 200 }, (_, seed) => turn(standing, seed)?.strategy.name)).toEqual(chosen);
  });

  test('nobody starves: what has failed long ago is drawn again', () => {
    const faded = taught([...Array(10).fill(['low', 0]), ...Array(40).fill(['high', 0.5])]);
    const share = (standing: Standing) =>
      Array.from({ length: 400 }, (_, seed) => turn(standing, seed)).filter((it) => it?.strategy.name === 'low').length;
    expect(share(faded)).toBeGreaterThan(10);
  });

  test('says what else was considered and why not', () => {
    const idle: Strategy = { ...made('idle', 5), canApply: () => false };
    const foreign: Strategy = { ...made('foreign', 5), applicableTiers: ['critical'] };
    const waiting = {
      ...EMPTY_STANDING,
      strategies: { tired: { failures: 1, retryAtMs: NOW_MS + 5_000, triedAtMs: 0 } },
    };
    const chosen = turn(waiting, 1, [made('low', 1), made('high', 9), idle, foreign, made('tired', 10)]);
    expect(chosen?.strategy.name).toBe('high');
    expect(chosen?.alternatives).toEqual([
      'low: priority 1 against 9; its plan: low would',
      'idle: its condition does not hold',
      'foreign: not for tier advanced',
      'tired: waits 5 s after its last trial',
    ]);
  });

  test('a reward grows with the gain, falls with harm and time, and stays in [0, 1)', () => {
    const positive = fc.double({ min: 0, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(positive, positive, positive, (gain, harm, windows) => {
        const reward = rewardOf({ gain, harm, windows, minimumEffect: 0.015 });
        expect(reward).toBeGreaterThanOrEqual(0);
        expect(reward).toBeLessThanOrEqual(1);
        expect(rewardOf({ gain: gain * 2, harm, windows, minimumEffect: 0.015 })).toBeGreaterThanOrEqual(reward);
        expect(rewardOf({ gain, harm: harm + 1, windows, minimumEffect: 0.015 })).toBeLessThanOrEqual(reward);
      }),
    );
    expect(rewardOf({ gain: 0, harm: 0, windows: 0, minimumEffect: 0 })).toBe(0);
    expect(rewardOf({ gain: 0.22, harm: 0, windows: 40, minimumEffect: 0.015 })).toBeCloseTo(0.973, 3);
  });

  test('evidence is bounded, contexts too, and a new context leans on the others', () => {
    let { arms } = EMPTY_STANDING;
    for (let i = 0; i < 300; i++) arms = withReward(arms, 's', `c${i}`, 1);
    expect(Object.keys(arms.s ?? {}).length).toBeLessThanOrEqual(49);
    expect(evidenceOf(arms, 's')).toBeLessThan(20.1);
    const [a, b] = beliefOf(arms, 's', 'new');
    expect([a, b]).toEqual([3, 2]);
  });

  test('draws follow the distribution: mean and variance of Beta(a, b)', () => {
    const random = Random.seeded(5);
    for (const [a, b] of [
      [1, 1],
      [2, 5],
      [30, 10],
    ] as const) {
      const draws = Array.from({ length: 20_000 }, () => drawBeta(a, b, random));
      const mean = draws.reduce((sum, value) => sum + value, 0) / draws.length;
      const variance = draws.reduce((sum, value) => sum + (value - mean) ** 2, 0) / draws.length;
      expect(mean).toBeCloseTo(a / (a + b), 2);
      expect(variance).toBeCloseTo((a * b) / ((a + b) ** 2 * (a + b + 1)), 2);
    }
  });

  test('a context is the load to a power of two and the quarter of the day', () => {
    expect(contextOf(190, Date.UTC(2026, 0, 1, 14, 30))).toBe('load 2^8 · 12-18 h');
    expect(contextOf(undefined, Date.UTC(2026, 0, 1, 0, 0))).toBe('load unknown · 0-6 h');
    expect(contextOf(0, -1)).toBe('load unknown · 18-24 h');
  });
});
