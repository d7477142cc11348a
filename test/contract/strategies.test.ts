import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_HEALTH_THRESHOLDS } from '../../agent/core/health.ts';
import { KNOB_MODES, KNOB_ROLES, type NumericKnobSpec, type Setting, TIERS } from '../../agent/core/model.ts';
import type { PerformanceProfile } from '../../agent/core/profile/performance_profile.ts';
import { Distribution } from '../../agent/core/series/distribution.ts';
import { axisOf, decode, isAllowed } from '../../agent/core/tune/space.ts';
import { STRATEGIES } from '../../agent/core/tune/strategies/strategies.ts';
import type { Plan, StrategyContext, TunableKnob } from '../../agent/core/tune/strategy.ts';
import { UsageHistogram } from '../../agent/core/tune/usage_histogram.ts';
import { NO_GROUNDS, NO_INSIGHTS, NO_MEMORY_USE } from '../unit/strategy_inputs.ts';

const NOW_MS = 1_790_000_000_000;
const UNITS = ['1', 'ms', 's', 'MiBy', 'By', '{request}', '{nice}', ''];
/** Measured values as they come, and as they should not. */
const measured = fc.oneof(
  fc.double({ min: 0, max: 1e6, noNaN: true }),
  fc.constantFrom(0, -1, Number.NaN, Number.POSITIVE_INFINITY, Number.MIN_VALUE, 1e300),
);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 4 });

const knob: fc.Arbitrary<TunableKnob & { readonly now: number }> = fc
  .record({
    type: fc.constantFrom('int' as const, 'double' as const, 'duration' as const),
    role: fc.constantFrom(...KNOB_ROLES),
    unit: fc.constantFrom(...UNITS),
    scale: fc.constantFrom('linear' as const, 'log' as const),
    min: fc.integer({ min: 1, max: 50 }),
    span: fc.integer({ min: 1, max: 100_000 }),
    step: maybe(fc.integer({ min: 1, max: 7 })),
    mode: fc.constantFrom(...KNOB_MODES.slice(1)),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ span, step, mode, at, ...rest }) => {
    const spec: NumericKnobSpec = {
      ...{ id: 'k', description: '', applyClass: 'hot', settleMs: 0, ceilingAtBoot: false },
      ...rest,
      max: rest.min + span,
      baseline: rest.min,
      ...(step !== undefined && { step }),
    };
    const axis = axisOf(spec);
    return { spec, mode, ...(axis !== undefined && { axis }), now: axis === undefined ? rest.min : decode(axis, at) };
  });

const profile: fc.Arbitrary<PerformanceProfile> = fc
  .record({
    ms: maybe(measured),
    perSecond: maybe(measured),
    ok: maybe(measured),
    inFlight: maybe(measured),
    mib: maybe(measured),
    efficiency: maybe(measured),
  })
  .map(({ ms, perSecond, ok, inFlight, mib, efficiency }) => ({
    component: 'c',
    atMs: NOW_MS,
    windowMs: 500_000,
    metrics: {
      ...(ms !== undefined && { responseTime: { count: 1_000, current: ms, average: ms, p95: ms, p99: ms } }),
      ...(perSecond !== undefined && { throughput: { current: perSecond, average: perSecond, peak: perSecond } }),
      ...(ok !== undefined && { reliability: { current: ok, average: ok } }),
      ...(inFlight !== undefined && {
        inFlight: { current: inFlight, average: inFlight, peak: inFlight, measuredAtMs: NOW_MS },
      }),
    },
    resources: {
      ...(mib !== undefined && {
        memory: {
          usage: mib,
          average: mib,
          peak: mib,
          scope: 'process' as const,
          ...(efficiency !== undefined && { efficiency }),
        },
      }),
    },
    stalls: {},
    optimization: { lastOptimized: 0, optimizations: 0 },
  }));

const context: fc.Arbitrary<StrategyContext> = fc
  .record({
    knobs: fc.array(knob, { maxLength: 5 }),
    tier: fc.constantFrom(...TIERS),
    profile: maybe(profile),
    latencies: fc.array(fc.double({ min: 1e-3, max: 1e5, noNaN: true }), { maxLength: 12 }),
    perBucket: fc.constantFrom(0, 1, 1_000),
    memory: maybe(fc.array(measured, { minLength: 1, maxLength: 8 })),
    lastKeptMs: maybe(fc.integer({ min: 0, max: NOW_MS + 1_000_000 })),
  })
  .map(({ knobs: many, tier, latencies, perBucket, memory, lastKeptMs, ...rest }) => {
    const named = many.map((one, i) => {
      const id = `${one.spec.role}_${i}`;
      const { now, axis, mode } = one;
      const spec = { ...one.spec, id };
      return { id, now, knob: { spec, mode, ...(axis !== undefined && { axis: { ...axis, id } }) } };
    });
    const histogram = new UsageHistogram();
    for (const [i, mib] of (memory ?? []).entries()) histogram.add(mib, NOW_MS - 7_200_000 + i * 290_000);
    return {
      nowMs: NOW_MS,
      component: 'c',
      tier,
      knobs: named.map((entry) => entry.knob),
      incumbent: Object.fromEntries(named.map(({ id, now }) => [id, now])),
      responseTimes: distribution(latencies, perBucket),
      memory: memory === undefined ? NO_MEMORY_USE : histogram,
      insights: NO_INSIGHTS,
      thresholds: DEFAULT_HEALTH_THRESHOLDS,
      limits: { errorRatio: 0.02 },
      profile: rest.profile,
      circumstances: 'here',
      ...(lastKeptMs !== undefined && { lastKept: { strategy: 'x', atMs: lastKeptMs } }),
      rejection: () => undefined,
      judgedMs: () => undefined,
      opened: () => [],
      foresee: () => undefined,
      grounds: () => ({ ...NO_GROUNDS, noise: 0.05, won: 0.2, isInVain: () => true }),
    };
  });

function distribution(values: readonly number[], each: number): Distribution {
  const made = new Distribution();
  const bounds = [...new Set(values)].sort((a, b) => a - b);
  if (bounds.length === 0 || each === 0) return made;
  const counts = [...bounds.map(() => each), 0];
  made.addHistogram(bounds, counts, each * bounds.length, each * bounds.reduce((sum, value) => sum + value, 0), 1);
  return made;
}

function settingOf(plan: Exclude<Plan, { kind: 'explore' }>): Setting {
  return plan.kind === 'jump' ? plan.to : plan.setting;
}

for (const strategy of STRATEGIES) {
  describe(strategy.name, () => {
    test('says what it is: a name of its own, tiers, roles, a priority', () => {
      expect(STRATEGIES.filter(({ name }) => name === strategy.name).length).toBe(1);
      expect(strategy.applicableTiers.length).toBeGreaterThan(0);
      expect(strategy.roles.length).toBeGreaterThan(0);
      expect(strategy.priority).toBeGreaterThan(0);
    });

    test('is pure: the same context gives the same plan, and is left as it was', () => {
      fc.assert(
        fc.property(context, (given) => {
          const before = JSON.stringify([given.knobs, given.incumbent, given.profile]);
          const first = strategy.plan(given, ['auto']);
          expect(strategy.plan(given, ['auto'])).toEqual(first);
          expect(JSON.stringify([given.knobs, given.incumbent, given.profile])).toBe(before);
        }),
      );
    });

    test('plans only values that the process can take, for knobs of its roles in the modes asked for', () => {
      fc.assert(
        fc.property(context, fc.subarray([...KNOB_MODES]), (given, modes) => {
          const plan = strategy.plan(given, modes);
          if (plan === undefined) return;
          expect(strategy.canApply(given)).toBe(true);
          expect(plan.reason).not.toMatch(/NaN|undefined|Infinity/);
          for (const value of Object.values(plan.signals)) expect(value).not.toBeNaN();
          const ids = plan.kind === 'explore' ? plan.axes.map(({ id }) => id) : Object.keys(settingOf(plan));
          expect(ids.length).toBeGreaterThan(0);
          for (const id of ids) {
            const moved = given.knobs.find(({ spec }) => spec.id === id);
            if (moved === undefined) throw new Error(`${id} is not among the knobs`);
            expect(strategy.roles).toContain(moved.spec.role);
            expect(modes).toContain(moved.mode);
            if (plan.kind === 'explore') continue;
            const value = settingOf(plan)[id];
            expect(isAllowed(moved.spec, value ?? Number.NaN)).toBe(true);
            if (plan.kind === 'candidate') expect(value).not.toBe(given.incumbent[id]);
          }
        }),
        { numRuns: 300 },
      );
    });

    test('has nothing to say of what was not measured, or is not there', () => {
      const empty: StrategyContext = {
        ...{
          nowMs: NOW_MS,
          component: 'c',
          tier: 'advanced',
          knobs: [],
          incumbent: {},
          memory: NO_MEMORY_USE,
          insights: NO_INSIGHTS,
        },
        ...{ responseTimes: new Distribution(), thresholds: DEFAULT_HEALTH_THRESHOLDS, limits: { errorRatio: 0.02 } },
        ...{ profile: undefined, circumstances: 'here' },
        rejection: () => undefined,
        judgedMs: () => undefined,
        opened: () => [],
        foresee: () => undefined,
        grounds: () => NO_GROUNDS,
      };
      expect(strategy.plan(empty, ['auto'])).toBeUndefined();
      expect(strategy.plan(empty, [])).toBeUndefined();
    });

    test('does not plan what the process has refused', () => {
      fc.assert(
        fc.property(context, (given) => {
          const plan = strategy.plan({ ...given, rejection: () => 'no' }, ['auto']);
          expect(plan?.kind).not.toBe('candidate');
        }),
      );
    });
  });
}
