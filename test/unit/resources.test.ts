import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { DEFAULT_HEALTH_THRESHOLDS as THRESHOLDS } from '../../agent/core/health.ts';
import { TIERS, type Tier } from '../../agent/core/model.ts';
import type { Level } from '../../agent/core/profile/level_window.ts';
import type { PerformanceProfile } from '../../agent/core/profile/performance_profile.ts';
import type { ResourceUsage } from '../../agent/core/profile/resource_window.ts';
import { bottlenecksOf } from '../../agent/core/resources/bottleneck.ts';
import { demandOf, weightOf } from '../../agent/core/resources/demand.ts';
import { type Claim, waterFill } from '../../agent/core/resources/water_filling.ts';
import { DEFAULT_RESOURCE_SETTINGS, ResourceManager, type ResourceSettings } from '../../agent/core/resources.ts';

interface Facts {
  readonly component?: string;
  readonly metrics?: PerformanceProfile['metrics'];
  readonly resources?: PerformanceProfile['resources'];
  readonly stalls?: PerformanceProfile['stalls'];
}

function profile({ component = 'chat', metrics = {}, resources = {}, stalls = {} }: Facts): PerformanceProfile {
  return {
    ...{ component, atMs: 0, windowMs: 500_000, metrics, resources, stalls },
    optimization: { lastOptimized: 0, optimizations: 0 },
  };
}

function level(current: number, average = current): Level {
  return { current, average, peak: Math.max(current, average), measuredAtMs: 0 };
}

/** CPU in percent of `cores`. */
function cpu(usage: number, cores: number, peak = usage): ResourceUsage {
  return {
    ...{ usage, average: usage, peak, scope: 'process', capacity: cores },
    utilizationRatio: Math.min(1, usage / 100),
  };
}

function memory(mebibytes: number, of: number, peak = mebibytes): ResourceUsage {
  return {
    ...{ usage: mebibytes, average: mebibytes, peak, scope: 'process', capacity: of },
    utilizationRatio: Math.min(1, mebibytes / of),
  };
}

describe('water-filling', () => {
  const claim = fc
    .record({
      weight: fc.double({ min: 0.01, max: 100, noNaN: true }),
      min: fc.double({ min: 0, max: 50, noNaN: true }),
      more: fc.double({ min: 0, max: 100, noNaN: true }),
    })
    .map(({ weight, min, more }): Claim => ({ weight, min, max: min + more }));
  const claims = fc.array(claim, { minLength: 1, maxLength: 12 });
  const capacity = fc.double({ min: 0, max: 400, noNaN: true });
  const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
  const close = 1e-6;

  test.each([
    [[9, 4], [1, 3], 10, [6, 4]],
    [[10, 10], [1, 3], 8, [2, 6]],
    [[10, 10, 10], [1, 1, 2], 100, [10, 10, 10]],
    [[10, 10], [1, 1], 0, [0, 0]],
  ])('wanting %o with weights %o of %d gives %o', (max, weights, available, expected) => {
    const given = waterFill(
      max.map((most, i) => ({ weight: weights[i]!, min: 0, max: most })),
      available,
    );
    for (const [i, share] of given.entries()) expect(share).toBeCloseTo(expected[i]!, 9);
  });

  test('shares the minima out where they do not fit, by weight', () => {
    const wanted = [
      { weight: 1, min: 6, max: 9 },
      { weight: 2, min: 6, max: 9 },
    ];
    expect(waterFill(wanted, 6).map((share) => Number(share.toFixed(9)))).toEqual([2, 4]);
  });

  it('gives nobody less than the minimum or more than the maximum, and no more than there is', () => {
    fc.assert(
      fc.property(claims, capacity, (all, available) => {
        const given = waterFill(all, available);
        expect(total(given)).toBeLessThanOrEqual(available + close);
        const minimaFit = total(all.map(({ min }) => min)) <= available;
        for (const [i, { min, max }] of all.entries()) {
          expect(given[i]).toBeLessThanOrEqual(max + close);
          if (minimaFit) expect(given[i]).toBeGreaterThanOrEqual(min - close);
        }
      }),
    );
  });

  it('wastes nothing while anybody wants it', () => {
    fc.assert(
      fc.property(claims, capacity, (all, available) => {
        fc.pre(total(all.map(({ min }) => min)) <= available);
        const wanted = total(all.map(({ max }) => max));
        expect(total(waterFill(all, available))).toBeCloseTo(Math.min(available, wanted), 6);
      }),
    );
  });

  it('leaves no envy: who could use more has no less per weight than anybody above their minimum', () => {
    fc.assert(
      fc.property(claims, capacity, (all, available) => {
        fc.pre(total(all.map(({ min }) => min)) <= available);
        const given = waterFill(all, available);
        for (const [i, mine] of all.entries()) {
          if (given[i]! >= mine.max - close) continue;
          for (const [j, theirs] of all.entries()) {
            if (given[j]! <= theirs.min + close) continue;
            expect(given[j]! / theirs.weight).toBeLessThanOrEqual(given[i]! / mine.weight + close / mine.weight + 1e-4);
          }
        }
      }),
    );
  });

  it('takes nothing from anybody when there is more', () => {
    fc.assert(
      fc.property(claims, capacity, capacity, (all, available, more) => {
        const before = waterFill(all, available);
        const after = waterFill(all, available + more);
        for (const [i, share] of before.entries()) expect(after[i]).toBeGreaterThanOrEqual(share - close);
      }),
    );
  });

  it('gives nobody less for a larger weight', () => {
    fc.assert(
      fc.property(claims, capacity, fc.double({ min: 1, max: 10, noNaN: true }), (all, available, times) => {
        const [first, ...rest] = all;
        const before = waterFill(all, available)[0]!;
        const after = waterFill([{ ...first!, weight: first!.weight * times }, ...rest], available)[0]!;
        expect(after).toBeGreaterThanOrEqual(before - close);
      }),
    );
  });
});

describe('bottlenecks', () => {
  const rules = { thresholds: THRESHOLDS, pressureRatio: 0.1 };
  const found = (facts: Facts) => bottlenecksOf('chat', profile(facts), rules);

  test('are none where nothing was measured, or all is well', () => {
    expect(found({})).toEqual([]);
    expect(found({ resources: { cpu: cpu(79, 4) }, stalls: { cpuPressure: level(0.05) } })).toEqual([]);
  });

  test('a resource beyond its threshold', () => {
    expect(found({ resources: { cpu: cpu(90, 4) } })).toEqual([
      {
        ...{ component: 'chat', kind: 'utilization', resource: 'cpu', score: expect.closeTo(0.5, 9) },
        reason: 'chat uses 90 % of its cpu, above the threshold of 80 %',
        signals: { utilizationRatio: 0.9, thresholdRatio: 0.8 },
      },
    ]);
  });

  test('waiting, throttling, a growing queue, starvation and overload, worst first', () => {
    const all = found({
      stalls: { memoryPressure: level(0.2), cpuThrottled: level(0.25) },
      metrics: {
        queueDepth: { ...level(40, 10), trend: 0.8 },
        throughput: { current: 2_000, average: 5, peak: 2_000 },
      },
    });
    expect(all.map(({ kind, resource, score }) => [kind, resource, Number(score.toFixed(3))])).toEqual([
      ['queue_growth', undefined, 0.6],
      ['starved', undefined, 0.5],
      ['overload', undefined, 0.5],
      ['throttling', 'cpu', 0.25],
      ['pressure', 'memory', 0.2],
    ]);
  });

  test("the machine's GPU is the machine's", () => {
    const resources = { gpu: { ...cpu(99, 1), scope: 'host' as const } };
    expect(found({ resources })).toEqual([]);
    expect(bottlenecksOf('@host', profile({ resources }), rules)[0]?.reason).toContain(
      'the machine uses 99 % of its gpu',
    );
  });

  test('little traffic without anybody waiting is no bottleneck', () => {
    expect(found({ metrics: { throughput: { current: 1, average: 1, peak: 1 } } })).toEqual([]);
  });

  it('score in [0, 1], and no less when it gets worse', () => {
    const ratio = fc.double({ min: 0, max: 1, noNaN: true });
    const worst = (used: number, stalled: number): number =>
      Math.max(
        0,
        ...found({ resources: { cpu: cpu(used * 100, 2) }, stalls: { cpuPressure: level(stalled) } }).map(
          ({ score }) => score,
        ),
      );
    fc.assert(
      fc.property(ratio, ratio, ratio, ratio, (a, b, c, d) => {
        const less = worst(Math.min(a, b), Math.min(c, d));
        const more = worst(Math.max(a, b), Math.max(c, d));
        expect(more).toBeLessThanOrEqual(1);
        expect(more).toBeGreaterThanOrEqual(less);
      }),
    );
  });
});

describe('demand', () => {
  const demand = (facts: Facts, forecastHigh?: number) =>
    demandOf({ component: 'chat', tier: 'stable', priority: 50, profile: profile(facts) }, 'cpu', 0.2, forecastHigh);

  test('is the forecast, or the peak and headroom, made larger by what was waited for', () => {
    expect(demand({ resources: { cpu: cpu(25, 4, 30) } }).amount).toBeCloseTo(1.44, 9);
    const stalls = { cpuThrottled: level(0.25) };
    expect(demand({ resources: { cpu: cpu(25, 4, 30) }, stalls }, 1.5)).toEqual({
      ...{ component: 'chat', weight: 8, amount: 2, used: 1 },
      reason: 'uses 1 (peak 1.2, a forecast of up to 1.5, waiting 25 % of the time)',
    });
  });

  test('has no amount where the component’s own use is not measured', () => {
    expect(demand({})).not.toHaveProperty('amount');
    expect(demand({ resources: { cpu: { ...cpu(50, 4), scope: 'host' } } })).not.toHaveProperty('amount');
  });

  it('is never below what is used, and grows with use, forecast and waiting', () => {
    const cores = fc.double({ min: 0, max: 100, noNaN: true });
    const ratio = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(cores, cores, ratio, ratio, cores, (a, b, c, d, forecast) => {
        const of = (usage: number, stalled: number, high?: number): number =>
          demand({ resources: { cpu: cpu(usage, 100) }, stalls: { cpuPressure: level(stalled) } }, high).amount ?? -1;
        const less = of(Math.min(a, b), Math.min(c, d));
        expect(less).toBeGreaterThanOrEqual(Math.min(a, b) * (1 - 1e-9));
        expect(of(Math.max(a, b), Math.max(c, d))).toBeGreaterThanOrEqual(less * (1 - 1e-9));
        expect(of(a, c, forecast + 1)).toBeGreaterThanOrEqual(of(a, c, forecast) * (1 - 1e-9));
      }),
    );
  });

  test('weighs by tier, and within a tier by priority', () => {
    const weights = TIERS.map((tier) => weightOf(tier, 50));
    expect(weights).toEqual([...weights].sort((a, b) => b - a));
    expect(weightOf('stable', 100)).toBeGreaterThan(weightOf('stable', 0));
    expect(weightOf('stable', 0)).toBeGreaterThanOrEqual(weightOf('advanced', 50));
    expect(weightOf('research', -5)).toBe(0.5);
  });
});

describe('the resource manager', () => {
  interface Component {
    readonly component: string;
    readonly tier: Tier;
    readonly priority?: number;
    readonly profile: PerformanceProfile;
  }

  function managing(
    components: readonly Component[],
    machine: PerformanceProfile['resources'],
    settings: Partial<ResourceSettings> = {},
    forecasts: Readonly<Record<string, number>> = {},
  ): ResourceManager {
    return new ResourceManager(
      { ...DEFAULT_RESOURCE_SETTINGS, ...settings },
      {
        nowMs: () => 7,
        machine: () => profile({ component: '', resources: machine }),
        components: () => components,
        forecastHigh: (component, resource) => forecasts[`${component} ${resource}`],
      },
    );
  }

  const chat = { component: 'chat', tier: 'stable', profile: profile({ resources: { cpu: cpu(50, 4) } }) } as const;
  const batch = { component: 'batch', tier: 'research', profile: profile({ resources: { cpu: cpu(60, 4) } }) } as const;
  const machine = { cpu: { ...cpu(100, 4), scope: 'host' } } as const;

  test('knows of nothing until it is connected', () => {
    const manager = new ResourceManager();
    expect(manager.getCurrentResourceUsage()).toEqual({ atMs: 0, machine: {}, components: [] });
    expect(manager.bottlenecks()).toEqual([]);
    expect(manager.allocate()).toEqual({ atMs: 0, pools: [], grants: [] });
  });

  test('says who uses what', () => {
    const usage = managing([chat], machine).getCurrentResourceUsage();
    expect(usage).toMatchObject({
      atMs: 7,
      machine: { cpu: { unit: '{cpu}', used: 4, total: 4 } },
      components: [{ component: 'chat', tier: 'stable', priority: 50 }],
    });
  });

  test('gives by tier what there is, after what others use, and says why', () => {
    // 4 cores, 80 % of them usable, all busy: 2 by chat, 2.4 by batch.
    const { pools, grants } = managing([chat, batch], machine).allocate();
    expect(pools).toEqual([
      {
        ...{ resource: 'cpu', unit: '{cpu}', capacity: expect.closeTo(3.2, 9), granted: expect.closeTo(3.2, 9) },
        ...{ free: expect.closeTo(0, 9), reason: 'of 4 {cpu} 80 % may be used' },
      },
    ]);
    expect(grants).toMatchObject([
      { component: 'chat', granted: expect.closeTo(2.4, 9), ratio: expect.closeTo(0.6, 9), boundBy: 'demand' },
      { component: 'batch', granted: expect.closeTo(0.8, 9), demand: expect.closeTo(2.88, 9), boundBy: 'capacity' },
    ]);
    expect(grants[1]?.reason).toBe(
      'uses 2.4 (peak 2.4, 20 % headroom), so asks for 2.88; gets 0.8 by its weight of 1 in 9',
    );
  });

  test('takes what others use off, unless a limit says how much there is to give', () => {
    const roomy = managing([chat], { ...machine, cpu: { ...machine.cpu, usage: 75, average: 75, peak: 75 } });
    expect(roomy.allocate().pools[0]).toMatchObject({
      capacity: expect.closeTo(2.2, 9),
      reason: 'of 4 {cpu} 80 % may be used, and others use 1',
    });
    // 2 of 4 cores are others', and more is used than may be: half of the 3.2 that may.
    expect(managing([chat], machine).allocate().pools[0]).toMatchObject({
      capacity: expect.closeTo(1.6, 9),
      reason: 'of 4 {cpu} 80 % may be used, and others use 2; shared by use, as more is used than may be',
    });
    const limited = managing([chat], machine, { limits: { cpu: 2 } });
    expect(limited.allocate().pools[0]).toMatchObject({ capacity: 2, reason: 'resources.limits.cpu is 2 {cpu}' });
  });

  test('keeps to minima and maxima, the forecast and the priorities it is told', () => {
    const settings = {
      components: {
        chat: { priority: 0, bounds: { cpu: { max: 1 } } },
        batch: { bounds: { cpu: { min: 2 } } },
      },
    };
    const { grants } = managing([chat, batch], machine, settings, { 'batch cpu': 3 }).allocate();
    expect(grants).toMatchObject([
      { granted: 1, weight: 4, boundBy: 'maximum' },
      { granted: expect.closeTo(2.2, 9), demand: 3, boundBy: 'capacity' },
    ]);
  });

  test('takes no memory away that is in use', () => {
    const big = { component: 'big', tier: 'research', profile: profile({ resources: { memory: memory(700, 1_000) } }) };
    const small = {
      component: 'small',
      tier: 'critical',
      profile: profile({ resources: { memory: memory(200, 1_000) } }),
    };
    const { grants } = managing([big, small] as readonly Component[], {
      memory: { ...memory(900, 1_000), scope: 'host' },
    }).allocate();
    // 850 MiB may be used: less than is. What is in use is shared out, by weight.
    expect(grants.map(({ granted }) => granted)).toEqual([650, 200]);
    const roomy = managing([big, small] as readonly Component[], { memory: { ...memory(900, 2_000), scope: 'host' } });
    expect(roomy.allocate().grants.map(({ granted }) => Math.round(granted))).toEqual([840, 240]);
  });

  test('shares a GPU by weight alone where nobody’s own use of it is measured', () => {
    const gpu = { ...cpu(70, 1), scope: 'host' } as const;
    const all = [chat, batch].map((one) => ({ ...one, profile: profile({ resources: { gpu } }) }));
    const { grants } = managing(all, { gpu }).allocate();
    expect(grants).toMatchObject([
      { resource: 'gpu', unit: '%', granted: expect.closeTo(80, 9), boundBy: 'capacity' },
      { resource: 'gpu', granted: expect.closeTo(10, 9) },
    ]);
    expect(grants[0]?.reason).toContain('its own use of gpu is not measured');
  });

  test('finds bottlenecks of the machine and of components, worst first', () => {
    const busy = { ...chat, profile: profile({ resources: { cpu: cpu(84, 4) } }) };
    const found = managing([busy], machine).bottlenecks();
    expect(found.map(({ component }) => component)).toEqual(['@host', 'chat']);
  });

  test('computes the demand by tier and priority', () => {
    const { cpu: demands, gpu } = managing([chat, { ...batch, priority: 100 }], machine).demands();
    expect(demands).toMatchObject([
      { component: 'chat', weight: 8, amount: expect.closeTo(2.4, 9) },
      { component: 'batch', weight: 1.5, amount: expect.closeTo(2.88, 9) },
    ]);
    expect(gpu.every(({ amount }) => amount === undefined)).toBe(true);
  });
});
