import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { patternImpact } from '../../agent/core/analytics/impact.ts';
import { performanceScore } from '../../agent/core/analytics/performance.ts';
import {
  adaptationRatePerHour,
  confidenceOf,
  expectedImprovement,
  type MeasuredResult,
  MeasuredResults,
  optimizationScore,
} from '../../agent/core/analytics/results.ts';
import {
  averageThinkTimeMs,
  resourceEfficiency,
  systemHealth,
  totalThroughputPerSecond,
} from '../../agent/core/analytics/system.ts';
import { SEVERITIES, severityOf } from '../../agent/core/detect/anomaly.ts';
import { type Health, DEFAULT_HEALTH_THRESHOLDS as THRESHOLDS } from '../../agent/core/health.ts';
import type { Decision } from '../../agent/core/model.ts';
import type { PerformanceProfile } from '../../agent/core/profile/performance_profile.ts';
import type { ResourceUsage } from '../../agent/core/profile/resource_window.ts';
import { TrafficWindow } from '../../agent/core/profile/traffic_window.ts';
import { kendallTau } from '../../agent/core/profile/trend.ts';
import { FIGURES, figuresIn, renderFormulas } from '../formulas.ts';

interface Facts {
  readonly averageMs?: number;
  readonly count?: number;
  readonly perSecond?: number;
  readonly reliability?: number;
  readonly resources?: PerformanceProfile['resources'];
}

function profile({ averageMs, count = 1, perSecond, reliability, resources = {} }: Facts): PerformanceProfile {
  return {
    component: 'chat',
    atMs: 0,
    windowMs: 500_000,
    metrics: {
      ...(averageMs !== undefined && {
        responseTime: { current: averageMs, average: averageMs, p95: averageMs, p99: averageMs, count },
      }),
      ...(perSecond !== undefined && { throughput: { current: perSecond, average: perSecond, peak: perSecond } }),
      ...(reliability !== undefined && { reliability: { current: reliability, average: reliability } }),
    },
    resources,
    optimization: { lastOptimized: 0, optimizations: 0 },
  };
}

function usage(facts: Partial<ResourceUsage>): ResourceUsage {
  return { usage: 1, average: 1, peak: 1, scope: 'process', ...facts };
}

function result(estimate: number, facts: Partial<MeasuredResult> = {}): MeasuredResult {
  return {
    component: 'chat',
    strategy: 'Batch Optimization',
    trialId: `t${estimate}`,
    atMs: 0,
    kept: estimate < 0,
    knobs: ['batch_size'],
    effect: { estimate, low: estimate - 0.05, high: estimate + 0.05, confidence: 0.9, blocks: 6 },
    ...facts,
  };
}

const ratio = fc.double({ min: 0, max: 1, noNaN: true });
const milliseconds = fc.double({ min: 0, max: 1e6, noNaN: true });
const rate = fc.double({ min: 0, max: 1e6, noNaN: true });
/** Relative effects as trials measure them: −1 is "nothing left of it". */
const effect = fc.double({ min: -0.99, max: 3, noNaN: true });

describe('average think time', () => {
  test('is what a request chosen at random met', () => {
    expect(averageThinkTimeMs([profile({ averageMs: 10, count: 90 }), profile({ averageMs: 110, count: 10 })])).toBe(
      20,
    );
  });

  test('is absent where no request was measured', () => {
    expect(averageThinkTimeMs([])).toBeUndefined();
    expect(averageThinkTimeMs([profile({}), profile({ averageMs: 5, count: 0 })])).toBeUndefined();
  });

  it('lies between the averages and never falls when a component slows down', () => {
    const facts = fc.record({ averageMs: milliseconds, count: fc.integer({ min: 1, max: 1e6 }) });
    fc.assert(
      fc.property(fc.array(facts, { minLength: 1, maxLength: 8 }), milliseconds, (all, moreMs) => {
        const averages = all.map(({ averageMs }) => averageMs);
        const whole = averageThinkTimeMs(all.map(profile)) ?? Number.NaN;
        expect(whole).toBeGreaterThanOrEqual(Math.min(...averages) * (1 - 1e-9));
        expect(whole).toBeLessThanOrEqual(Math.max(...averages) * (1 + 1e-9));
        const [first, ...rest] = all;
        const slower = [{ ...first!, averageMs: first!.averageMs + moreMs }, ...rest];
        expect(averageThinkTimeMs(slower.map(profile))).toBeGreaterThanOrEqual(whole * (1 - 1e-9));
      }),
    );
  });
});

describe('total throughput', () => {
  test('adds up, and is absent where none was measured', () => {
    expect(totalThroughputPerSecond([profile({ perSecond: 40 }), profile({}), profile({ perSecond: 2.5 })])).toBe(42.5);
    expect(totalThroughputPerSecond([profile({ averageMs: 3 })])).toBeUndefined();
  });

  it('is never below one component, and a component more never lowers it', () => {
    fc.assert(
      fc.property(fc.array(rate, { minLength: 1, maxLength: 8 }), rate, (rates, another) => {
        const total = totalThroughputPerSecond(rates.map((perSecond) => profile({ perSecond }))) ?? Number.NaN;
        expect(total).toBeGreaterThanOrEqual(Math.max(...rates));
        const more = [...rates, another].map((perSecond) => profile({ perSecond }));
        expect(totalThroughputPerSecond(more)).toBeGreaterThanOrEqual(total);
      }),
    );
  });
});

describe('resource efficiency', () => {
  test('is the mean of what is set aside and used; the share of the machine where nothing is set aside', () => {
    const resources = { cpu: usage({ efficiency: 0.3, utilizationRatio: 0.9 }), memory: usage({ efficiency: 0.7 }) };
    expect(resourceEfficiency([profile({ resources })])).toBeCloseTo(0.5, 12);
    expect(resourceEfficiency([profile({ resources: { cpu: usage({ utilizationRatio: 0.2 }) } })])).toBe(0.2);
  });

  test("counts the machine's GPU once", () => {
    const gpu = usage({ efficiency: 1, scope: 'host' });
    const one = profile({ resources: { gpu, cpu: usage({ efficiency: 0 }) } });
    expect(resourceEfficiency([one, one])).toBeCloseTo(1 / 3, 12);
  });

  test('is absent where no resource was measured', () => {
    expect(resourceEfficiency([profile({ averageMs: 1 })])).toBeUndefined();
    expect(resourceEfficiency([profile({ resources: { cpu: usage({}) } })])).toBeUndefined();
  });

  it('lies in [0, 1] and never falls when more of what is set aside is used', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(ratio, ratio), { minLength: 1, maxLength: 6 }), (pairs) => {
        const of = (pick: (pair: readonly [number, number]) => number): number =>
          resourceEfficiency(pairs.map((p) => profile({ resources: { cpu: usage({ efficiency: pick(p) }) } }))) ??
          Number.NaN;
        const less = of(([a, b]) => Math.min(a, b));
        expect(less).toBeGreaterThanOrEqual(0);
        expect(of(([a, b]) => Math.max(a, b))).toBeLessThanOrEqual(1);
        expect(of(([a, b]) => Math.max(a, b))).toBeGreaterThanOrEqual(less);
      }),
    );
  });
});

describe('system health', () => {
  const health = (score: number): Health => ({ status: 'healthy', score, worst: 'cpu', parts: { cpu: score } });

  test('is unknown where no component is known', () => {
    expect(systemHealth([])).toEqual({ status: 'unknown' });
    expect(systemHealth([{ status: 'unknown' }])).toEqual({ status: 'unknown' });
  });

  it('is that of the least healthy component, and no component more makes it better', () => {
    fc.assert(
      fc.property(fc.array(ratio, { minLength: 1, maxLength: 8 }), ratio, (scores, another) => {
        const whole = systemHealth([{ status: 'unknown' }, ...scores.map(health)]);
        expect(whole).toMatchObject({ score: Math.min(...scores) });
        const more = systemHealth([...scores, another].map(health));
        expect(more.status === 'unknown' ? 2 : more.score).toBeLessThanOrEqual(Math.min(...scores));
      }),
    );
  });

  test.each([
    [0.8, 'healthy'],
    [0.79, 'degraded'],
    [0.49, 'unhealthy'],
  ])('a score of %d is %s', (score, status) => {
    expect(systemHealth([health(1), health(score)]).status).toBe(status);
  });
});

describe('performance score', () => {
  const score = (facts: Facts): number | undefined => performanceScore(profile(facts), THRESHOLDS);

  test('is absent where nothing was measured', () => {
    expect(score({})).toBeUndefined();
  });

  test.each([
    [{ averageMs: 200, reliability: 1, perSecond: 100 }, Math.sqrt(0.8)],
    [{ averageMs: 5, reliability: 1, perSecond: 500 }, 1],
    [{ averageMs: 5, reliability: 0, perSecond: 500 }, 0],
    [{ perSecond: 10 }, 0.8],
    [{ perSecond: 0 }, 0],
    [{ reliability: 0.5 }, 0.5],
    [{ averageMs: 1e9 }, 0],
  ])('%o scores %d', (facts, expected) => {
    expect(score(facts)).toBeCloseTo(expected, 12);
  });

  it('lies in [0, 1] and is never better when something is worse, whatever was measured', () => {
    const facts = fc.record(
      { averageMs: milliseconds, reliability: ratio, perSecond: rate },
      { requiredKeys: ['averageMs'] },
    );
    fc.assert(
      fc.property(facts, milliseconds, ratio, ratio, (better, moreMs, keptRatio, keptRate) => {
        const { averageMs, reliability, perSecond } = better;
        const worse = {
          averageMs: averageMs + moreMs,
          ...(reliability !== undefined && { reliability: reliability * keptRatio }),
          ...(perSecond !== undefined && { perSecond: perSecond * keptRate }),
        };
        const [high = Number.NaN, low = Number.NaN] = [score(better), score(worse)];
        expect(high).toBeLessThanOrEqual(1);
        expect(low).toBeGreaterThanOrEqual(0);
        expect(low).toBeLessThanOrEqual(high + 1e-12);
      }),
    );
  });
});

describe('measured results', () => {
  const decision: Decision = {
    id: 'd1',
    atMs: 5,
    component: 'chat',
    kind: 'promoted',
    strategy: 'Batch Optimization',
    trialId: 't1',
    changes: [{ knob: 'batch_size', from: 1, to: 8 }],
    reason: '',
    evidence: {
      objective: {},
      blocks: [],
      signals: {},
      alternatives: [],
      effect: { estimate: -0.2, low: -0.3, high: -0.1, confidence: 0.9, blocks: 6 },
    },
  };

  test('are those of decisions that measured an effect, each once', () => {
    const results = new MeasuredResults();
    for (const each of [decision, decision, { ...decision, kind: 'approved' as const, trialId: 't2' }]) {
      results.learn(each);
    }
    const { evidence: _, ...bare } = decision;
    results.learn({ ...bare, trialId: 't3' });
    expect(results.all()).toEqual([
      expect.objectContaining({ trialId: 't1', kept: true, knobs: ['batch_size'], component: 'chat' }),
    ]);
  });

  test('are bounded: the oldest make room, and are counted', () => {
    const results = new MeasuredResults();
    for (let n = 0; n < 4_100; n++) results.learn({ ...decision, trialId: `t${n}` });
    expect(results.all()).toHaveLength(4_096);
    expect(results.all()[0]?.trialId).toBe('t4');
    expect(results.dropped).toBe(4);
  });
});

describe('optimization score', () => {
  const inForce = (...trials: string[]) => new Map([['chat', new Set(trials)]]);

  test('is 0 where no proven change is in force', () => {
    expect(optimizationScore([], new Map())).toBe(0);
    expect(optimizationScore([result(-0.2)], inForce())).toBe(0);
    expect(optimizationScore([result(-0.2, { kept: false })], inForce('t-0.2'))).toBe(0);
  });

  test('multiplies what was gained one after the other', () => {
    expect(optimizationScore([result(-0.2), result(-0.1)], inForce('t-0.2', 't-0.1'))).toBeCloseTo(0.28, 12);
  });

  it('lies in [0, 1), grows with every change kept, and shrinks when one is taken back', () => {
    const gains = fc.array(fc.double({ min: -0.99, max: 0, noNaN: true }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(gains, (estimates) => {
        const results = estimates.map((estimate, n) => result(estimate, { trialId: `t${n}`, kept: true }));
        const ids = results.map(({ trialId }) => trialId);
        const all = optimizationScore(results, inForce(...ids));
        expect(all).toBeGreaterThanOrEqual(0);
        expect(all).toBeLessThan(1);
        expect(optimizationScore(results, inForce(...ids.slice(1)))).toBeLessThanOrEqual(all + 1e-12);
      }),
    );
  });
});

describe('adaptation rate', () => {
  const HOUR = 3_600_000;

  test('is changes kept per hour observed, of at least one and the last 24', () => {
    const results = [1, 2, 3].map((hour) => result(-0.1, { atMs: hour * HOUR, trialId: `t${hour}` }));
    expect(adaptationRatePerHour(results, 6 * HOUR, 0)).toBe(0.5);
    expect(adaptationRatePerHour(results, 3.5 * HOUR, 3.4 * HOUR)).toBe(3);
    expect(adaptationRatePerHour(results, 26.5 * HOUR, 0)).toBeCloseTo(1 / 24, 12);
    expect(adaptationRatePerHour([], 5 * HOUR, 0)).toBe(0);
  });

  it('is never negative nor infinite, also when the clock went backwards, and no trial that failed raises it', () => {
    const times = fc.array(fc.integer({ min: 0, max: 1e9 }), { maxLength: 20 });
    fc.assert(
      fc.property(times, fc.integer({ min: 0, max: 1e9 }), fc.integer({ min: 0, max: 1e9 }), (all, nowMs, sinceMs) => {
        const kept = all.map((atMs, n) => result(-0.1, { atMs, trialId: `t${n}` }));
        const perHour = adaptationRatePerHour(kept, nowMs, sinceMs);
        expect(perHour).toBeGreaterThanOrEqual(0);
        expect(perHour).toBeLessThanOrEqual(all.length);
        expect(adaptationRatePerHour([...kept, result(0.1, { atMs: nowMs })], nowMs, sinceMs)).toBe(perHour);
      }),
    );
  });
});

describe('expected improvement', () => {
  const question = { component: 'chat', strategy: 'Batch Optimization', knobs: ['batch_size'] };

  test('is absent where nothing comparable was measured', () => {
    expect(expectedImprovement([], question)).toBeUndefined();
    expect(expectedImprovement([result(-0.2, { strategy: 'Timeout Optimization' })], question)).toBeUndefined();
  });

  test('is the one result with its own interval, and absent where that has no end', () => {
    expect(expectedImprovement([result(-0.2)], question)).toEqual({
      estimate: 0.2,
      low: expect.closeTo(0.15, 12),
      high: expect.closeTo(0.25, 12),
      samples: 1,
      kept: 1,
      basis: 'knobs',
    });
    const unbounded = { estimate: -0.2, low: -1, high: Number.POSITIVE_INFINITY, confidence: 0.9, blocks: 2 };
    expect(expectedImprovement([result(-0.2, { effect: unbounded })], question)).toBeUndefined();
  });

  test("takes Student's interval of the logarithms", () => {
    const expected = expectedImprovement([result(-0.1), result(-0.2), result(0)], question);
    expect(expected).toMatchObject({ samples: 3, kept: 2, basis: 'knobs' });
    // t(0.975, 2) = 4.3027
    expect(expected?.estimate).toBeCloseTo(0.10371, 4);
    expect(expected?.low).toBeCloseTo(1 - Math.exp(-0.1095 + (4.3027 * 0.11163) / Math.sqrt(3)), 3);
    expect(expected?.high).toBeCloseTo(1 - Math.exp(-0.1095 - (4.3027 * 0.11163) / Math.sqrt(3)), 3);
  });

  test('asks wider only where there is not enough close by', () => {
    const other = (n: number) => result(-0.3, { component: 'ranker', trialId: `r${n}` });
    const here = (n: number, knob: string) => result(-0.1, { knobs: [knob], trialId: `c${n}` });
    expect(expectedImprovement([other(1), other(2), here(1, 'batch_size')], question)?.basis).toBe('strategy');
    const mixed = [here(1, 'batch_size'), here(2, 'queue'), here(3, 'queue'), other(1)];
    expect(expectedImprovement(mixed, question)).toMatchObject({ basis: 'component', samples: 3 });
    const close = [here(1, 'batch_size'), here(2, 'batch_size'), here(3, 'batch_size'), other(1)];
    expect(expectedImprovement(close, question)).toMatchObject({ basis: 'knobs', samples: 3 });
  });

  it('holds its order, stays below 1, and rises with every result that is better', () => {
    const some = fc.array(effect, { minLength: 2, maxLength: 12 });
    fc.assert(
      fc.property(some, ratio, (estimates, share) => {
        const of = (all: readonly number[]) =>
          expectedImprovement(
            all.map((estimate, n) => result(estimate, { trialId: `t${n}` })),
            question,
          );
        const expected = of(estimates);
        if (expected === undefined) throw new Error('there were results');
        expect(expected.low).toBeLessThanOrEqual(expected.estimate + 1e-12);
        expect(expected.estimate).toBeLessThanOrEqual(expected.high + 1e-12);
        expect(expected.high).toBeLessThanOrEqual(1);
        const [first, ...rest] = estimates;
        const better = of([(first! + 1) * share - 1 < -0.999 ? -0.999 : (first! + 1) * share - 1, ...rest]);
        expect(better?.estimate).toBeGreaterThanOrEqual(expected.estimate - 1e-9);
      }),
    );
  });
});

describe('confidence', () => {
  it('lies in (0, 1), rises with what was kept and falls with what was not', () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.nat(1_000), (kept, failed) => {
        const confidence = confidenceOf({ samples: kept + failed, kept });
        expect(confidence).toBeGreaterThan(0);
        expect(confidence).toBeLessThan(1);
        expect(confidenceOf({ samples: kept + failed + 1, kept: kept + 1 })).toBeGreaterThan(confidence);
        expect(confidenceOf({ samples: kept + failed + 1, kept })).toBeLessThan(confidence);
      }),
    );
  });
});

describe('impact of a pattern', () => {
  test('is harm, whichever way the metric counts; absent without a logarithm', () => {
    expect(patternImpact({ impactLog: Math.log(2) }, 'responseTime')).toBeCloseTo(1, 12);
    expect(patternImpact({ impactLog: Math.log(2) }, 'throughput')).toBeCloseTo(-0.5, 12);
    expect(patternImpact({}, 'responseTime')).toBeUndefined();
  });

  it('is at least −1 and monotone', () => {
    const log = fc.double({ min: -20, max: 20, noNaN: true });
    fc.assert(
      fc.property(log, log, (a, b) => {
        const [less, more] = [Math.min(a, b), Math.max(a, b)].map((impactLog) => ({ impactLog }));
        expect(patternImpact(less!, 'queueDepth')).toBeGreaterThanOrEqual(-1);
        expect(patternImpact(more!, 'queueDepth')).toBeGreaterThanOrEqual(patternImpact(less!, 'queueDepth') ?? 1);
        expect(patternImpact(more!, 'reliability')).toBeLessThanOrEqual(patternImpact(less!, 'reliability') ?? -1);
      }),
    );
  });
});

describe('severity', () => {
  it('never falls with rarity or with duration', () => {
    const decades = fc.double({ min: 0, max: 10, noNaN: true });
    fc.assert(
      fc.property(decades, decades, fc.nat(10_000), fc.nat(10_000), (a, b, m, n) => {
        const less = severityOf(Math.min(a, b), Math.min(m, n));
        const more = severityOf(Math.max(a, b), Math.max(m, n));
        expect(SEVERITIES.indexOf(more)).toBeGreaterThanOrEqual(SEVERITIES.indexOf(less));
      }),
    );
  });
});

describe('trend', () => {
  it('lies in [−1, 1], turns its sign with the order of time, and is absent below four values', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 30 }), (values) => {
        const trend = kendallTau(values);
        expect(trend === undefined).toBe(values.length < 4);
        if (values.length < 4) return;
        expect(Math.abs(trend ?? 2)).toBeLessThanOrEqual(1);
        expect(kendallTau(values.toReversed())).toBeCloseTo(-(trend ?? 2), 12);
      }),
    );
  });
});

describe('reliability', () => {
  it('is a share of what finished, falls with every failure, and is absent where nothing finished', () => {
    expect(new TrafficWindow(1_000, 10).metrics(5_000).reliability).toBeUndefined();
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), fc.nat(1_000), fc.nat(1_000), (ok, errors, more) => {
        const of = (failed: number): number => {
          const window = new TrafficWindow(1_000, 10);
          window.add('ok', ok, 1_000, 2_000, 5_000);
          if (failed > 0) window.add('error', failed, 1_000, 2_000, 5_000);
          return window.metrics(5_000).reliability?.average ?? Number.NaN;
        };
        expect(of(errors)).toBeCloseTo(ok / (ok + errors), 9);
        expect(of(errors + more)).toBeLessThanOrEqual(of(errors) + 1e-12);
      }),
    );
  });
});

describe('config/formulas.md', () => {
  test('has every figure, once', () => {
    const titles = [...renderFormulas().matchAll(/^## (.+)$/gm)].map(([, title]) => title);
    expect(titles).toEqual(FIGURES);
  });

  test('finds a docstring by its tag, and the name it belongs to', () => {
    const source =
      '/** Not this. */\nlet a;\n/**\n * That.\n *\n * @figure Speed [1/s]\n */\nexport function speed() {}\n';
    expect(figuresIn('a.ts', source)).toEqual([
      { title: 'Speed', unit: '[1/s]', text: 'That.', file: 'a.ts', symbol: 'speed' },
    ]);
  });
});
