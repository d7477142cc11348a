import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { optimizerConfig } from '../../agent/config/optimizer.ts';
import {
  ComponentRegistry,
  ComponentTier,
  PerformanceOptimizer,
  type PerformanceOptimizerConfig,
  RequestTimeoutError,
} from '../../agent/library.ts';
import { LocalAgent } from '../../agent/optimizer/local-agent.ts';
import { ALLOCATION, Embedder, embedded, next, QUICK, requests, underLoad } from './optimizer_rig.ts';

// Trials take seconds, and longer on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

/** Until the end of the first trial, which comes sooner. */
const LONG = { waitMs: 50_000 };
const folder = mkdtempSync(join(tmpdir(), 'perfopt-embedded-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('the loop, embedded', () => {
  test('finds a better setting of a component object, proves it, and puts everything back at the end', async () => {
    const component = new Embedder({ batch: 1, port: 8080 }, { batch: { min: 1, max: 64, settleMs: 0 } });
    const path = join(folder, 'state.db');
    const { optimizer } = await embedded([component], { ...QUICK, state: { path } });
    const heard: string[] = [];
    optimizer.on('*', ({ type }) => heard.push(type));
    optimizer.on('optimization_applied', () => {
      throw new Error('a listener of no use');
    });
    const waited = optimizer.optimizePerformance(component, {}, LONG);
    const [applied, first] = await underLoad(
      optimizer,
      component,
      Promise.all([next(optimizer, 'optimization_applied'), waited]),
    );

    // Of the trial that ended first, kept or not.
    expect(first.reason).not.toContain('is open');
    expect(applied).toMatchObject({ component: 'embedder', type: 'optimization_applied' });
    expect(applied.data).toMatchObject({ strategy: 'Configuration Optimization', result: { applied: true } });
    const { improvement, interval } = applied.data.result.results;
    expect(improvement).toBeGreaterThan(0);
    expect(interval?.low).toBeLessThanOrEqual(improvement);
    expect(interval?.high).toBeGreaterThanOrEqual(improvement);
    expect(component.config.batch).toBeGreaterThan(1);
    expect(component.config.port).toBe(8080);
    expect(heard).toEqual(expect.arrayContaining(['trial_started', 'optimization_applied']));

    const result = await optimizer.optimizePerformance(component, { id: 'q' });
    expect(result).toMatchObject({
      applied: true,
      optimization: 'Configuration Optimization',
      results: { improvement },
    });
    const snapshot = await optimizer.getPerformanceSnapshot();
    expect(snapshot.optimizationScore).toBeCloseTo(improvement, 6);
    expect(snapshot.adaptationRate).toBe(1);
    const { optimization } = await optimizer.getComponentProfile('embedder');
    expect(optimization).toMatchObject({ optimizations: 1, lastImprovement: improvement });

    const kept = applied.data.changes.find(({ knob }) => knob === 'batch')?.to;
    await optimizer.shutdown();
    expect(component.config).toEqual({ batch: 1, port: 8080 });
    expect(component).toMatchObject({ timeout: 1_000, memoryLimit: 512, priority: 50 });

    // With `state.path` what was proven outlives the process.
    const { optimizer: again } = await embedded([component], { ...QUICK, state: { path } });
    while (component.config.batch === 1) await requests(again, component, 5);
    expect(component.config.batch).toBe(kept);
    expect((await again.getPerformanceSnapshot()).optimizationScore).toBeCloseTo(improvement, 6);
  });

  test('a value set by hand is a human’s: announced, left alone, and still there at the end', async () => {
    const component = new Embedder({ batch: 4 }, { batch: { min: 1, max: 64 } });
    const { optimizer } = await embedded([component]);
    const override = next(optimizer, 'manual_override');
    component.config.batch = 32;
    await optimizer.updatePerformanceProfile(component);
    expect((await override).data).toMatchObject({ knob: 'batch', value: 32 });
    await optimizer.shutdown();
    expect(component.config.batch).toBe(32);
  });

  test('a value set by hand beyond what its knob can have declares the component anew', async () => {
    const component = new Embedder({ batch: 4 }, { batch: { min: 1 } });
    const { optimizer } = await embedded([component]);
    const opened = next(optimizer, 'session_opened');
    component.timeout = 1e6;
    await optimizer.updatePerformanceProfile(component);
    await opened;
    await optimizer.shutdown();
    expect(component.timeout).toBe(1e6);
  });
});

describe('what is answered', () => {
  test('after requests: the document’s numbers, with its units', async () => {
    const component = new Embedder({ batch: 16 });
    const { optimizer, resourceManager } = await embedded([component]);
    await requests(optimizer, component, 50);
    const snapshot = await optimizer.getPerformanceSnapshot();
    expect(snapshot.averageThinkTime).toBeGreaterThanOrEqual(1);
    expect(snapshot).toMatchObject({ optimizationScore: 0, adaptationRate: 0, components: ['embedder'] });

    const profile = await optimizer.getComponentProfile('embedder');
    expect(profile.metrics.responseTime.average).toBe(snapshot.averageThinkTime);
    expect(profile.metrics.responseTime.p95).toBeGreaterThanOrEqual(1);
    expect(profile.metrics.responseTime.p99).toBeGreaterThanOrEqual(profile.metrics.responseTime.p95);
    expect(profile.metrics.reliability.current).toBe(1);
    expect(profile.metrics.throughput.average).toBeGreaterThan(0);
    expect(profile.optimization.lastOptimized).toBeLessThan(Date.now() - 300_000);
    expect(JSON.stringify(profile)).not.toMatch(/NaN|null/);
    // Of its own limit of 512 MiB.
    const { average, efficiency } = profile.resources.memory;
    expect(efficiency).toBeCloseTo(Math.min(1, average / 512), 9);

    const analytics = await optimizer.getPerformanceAnalytics();
    expect(analytics.system.totalThroughput).toBeGreaterThan(0);
    expect(analytics.system.resourceEfficiency).toBeGreaterThan(0);
    expect(analytics.system.resourceEfficiency).toBeLessThanOrEqual(1);
    expect(analytics.components).toMatchObject([{ component: 'embedder', tier: 'research', errorRate: 0 }]);

    const health = await optimizer.healthCheck();
    expect(health.score).toBeGreaterThan(0);
    expect(['healthy', 'degraded', 'unhealthy']).toContain(health.status);
    expect(health.metrics?.responseTime).toBe(snapshot.averageThinkTime);

    const usage = await resourceManager.getCurrentResourceUsage();
    expect(usage.components).toMatchObject([{ component: 'embedder', tier: 'research', priority: 50 }]);
    expect(await optimizer.optimizeResourceAllocation(usage)).toBeInstanceOf(Array);
  });

  test('before any request: nothing is made up', async () => {
    const component = new Embedder({ batch: 1 }, { batch: { fixed: true } });
    const { optimizer } = await embedded([component]);
    expect(await optimizer.getPerformanceSnapshot()).toEqual({
      at: expect.any(Number),
      optimizationScore: 0,
      adaptationRate: 0,
      components: ['embedder'],
    });
    const profile = await optimizer.initializeComponentProfile(component);
    expect(profile).toMatchObject({ component: 'embedder', optimization: { lastOptimized: 0, optimizations: 0 } });
    expect(profile.metrics).not.toHaveProperty('responseTime');
    const { system } = await optimizer.getPerformanceAnalytics();
    expect(system).toMatchObject({ totalThroughput: 0, optimizationScore: 0 });
    expect(system).not.toHaveProperty('averageThinkTime');
    const health = await optimizer.healthCheck();
    expect(health).not.toHaveProperty('metrics');
    const result = await optimizer.optimizePerformance(component, {}, { waitMs: 1 });
    expect(result).toMatchObject({ applied: false, optimization: 'none', results: { improvement: 0 } });
  });

  test('an unknown component is refused with those that are known', async () => {
    const { optimizer, registry } = await embedded([new Embedder()]);
    const message = /unknown component "nobody"; known: embedder/;
    await expect(optimizer.getComponentProfile('nobody')).rejects.toThrow(message);
    const nobody = registry.getComponent('nobody');
    expect(nobody).toBeUndefined();
    const unknown = /unknown component "undefined"; known: embedder/;
    await expect(optimizer.optimizePerformance(nobody, {})).rejects.toThrow(unknown);
    await expect(optimizer.executeWithMonitoring(nobody, {}, ALLOCATION)).rejects.toThrow(unknown);
    await expect(optimizer.updatePerformanceProfile(nobody)).rejects.toThrow(unknown);
  });

  test('nothing before initialize, nothing after shutdown, and both may be called twice', async () => {
    const optimizer = new PerformanceOptimizer(QUICK);
    await expect(optimizer.getPerformanceSnapshot()).rejects.toThrow('call initialize() first');
    await Promise.all([optimizer.initialize(), optimizer.initialize()]);
    await optimizer.initialize();
    await optimizer.shutdown();
    await optimizer.shutdown();
    await expect(optimizer.healthCheck()).rejects.toThrow('has shut down');
    await expect(optimizer.initialize()).rejects.toThrow('make a new one');
  });

  test('a start that fails leaves nothing behind, and may be tried again', async () => {
    const registry = new ComponentRegistry();
    registry.register(new Embedder({ batch: 4 }, { batch: { min: 8, max: 64 } }));
    const state = { path: join(folder, 'failing.db') };
    const optimizer = new PerformanceOptimizer({ ...QUICK, state }, registry);
    await expect(optimizer.initialize()).rejects.toThrow('knob batch: baseline 4 is outside 8 to 64');
    await expect(optimizer.getPerformanceSnapshot()).rejects.toThrow('call initialize() first');
    registry.unregister('embedder');
    await optimizer.initialize();
    expect(await optimizer.getPerformanceSnapshot()).toMatchObject({ components: [] });
    const other = new PerformanceOptimizer({ ...QUICK, state });
    await expect(other.initialize()).rejects.toThrow(/another agent is using it/);
    await optimizer.shutdown();
    const early = new PerformanceOptimizer(QUICK);
    const starting = early.initialize();
    await early.shutdown();
    await expect(starting).rejects.toThrow('was shut down while it started');
  });

  test('a configuration that cannot be meant is refused whole', () => {
    expect(() => new PerformanceOptimizer({ optimization: { aggressiveness: 2 } })).toThrow(
      /optimization\.aggressiveness: 2 is not allowed/,
    );
  });
});

describe('the configuration has an effect', () => {
  const asked = async (config: PerformanceOptimizerConfig): Promise<number> => {
    const component = new Embedder({ batch: 8 }, { batch: { min: 1, max: 64 } });
    const { optimizer } = await embedded([component], { ...QUICK, ...config });
    let times = 0;
    optimizer.registerStrategy({
      ...{ name: 'counts', applicableTiers: ['research'], canApply: () => true },
      apply: async () => {
        times += 1;
      },
    });
    await requests(optimizer, component, 5);
    await optimizer.optimizePerformance(component, {});
    return times;
  };

  test('optimization.enabled, monitoring.enabled', async () => {
    expect(await asked({})).toBe(1);
    expect(await asked({ optimization: { enabled: false } })).toBe(0);
    expect(await asked({ monitoring: { enabled: false } })).toBe(0);
  });

  test('monitoring.enabled: false measures nothing, and still answers requests', async () => {
    const component = new Embedder({ batch: 8 });
    const { optimizer } = await embedded([component], { ...QUICK, monitoring: { enabled: false } });
    expect((await optimizer.executeWithMonitoring(component, { id: 'a' }, ALLOCATION)).result).toBe('vector of a');
    expect(await optimizer.getPerformanceSnapshot()).not.toHaveProperty('averageThinkTime');
  });

  test('thresholds: what is healthy', async () => {
    const status = async (poor: number): Promise<string> => {
      const component = new Embedder({ batch: 1 });
      const responseTime = { excellent: poor / 8, good: poor / 4, acceptable: poor / 2, poor };
      const { optimizer } = await embedded([component], { ...QUICK, thresholds: { responseTime } });
      await requests(optimizer, component, 5);
      return (await optimizer.healthCheck()).status;
    };
    expect(await status(10_000)).toBe('healthy');
    expect(await status(1)).toBe('unhealthy');
  });
});

describe('requests', () => {
  test('the answer, how long it took, and what it was allocated', async () => {
    const component = new Embedder({ batch: 16 });
    const { optimizer } = await embedded([component]);
    const response = await optimizer.executeWithMonitoring(component, { id: 'a' }, ALLOCATION);
    const words: string = response.result;
    expect(words).toBe('vector of a');
    expect(response.executionTime).toBeGreaterThanOrEqual(1);
    expect(response).toMatchObject({ optimized: false, allocation: ALLOCATION });
  });

  test('one that throws is thrown on, and counts as failed', async () => {
    const component = new Embedder({ batch: 16 });
    const { optimizer } = await embedded([component]);
    await expect(optimizer.executeWithMonitoring(component, { type: 'bad' }, ALLOCATION)).rejects.toThrow(
      'it cannot be embedded',
    );
    await requests(optimizer, component, 3);
    expect((await optimizer.getComponentProfile('embedder')).metrics.errorRate).toBeCloseTo(0.25);
  });

  test('one that outlasts the component’s timeout ends there, with the component told', async () => {
    const signals: AbortSignal[] = [];
    const component = {
      ...{ name: 'stuck', tier: ComponentTier.STABLE, timeout: 20, memoryLimit: 256, priority: 1, config: {} },
      execute: (_request: unknown, { signal }: { signal: AbortSignal }) => {
        signals.push(signal);
        return new Promise<never>(() => undefined);
      },
    };
    const { optimizer } = await embedded([component]);
    const late = optimizer.executeWithMonitoring(component, {}, ALLOCATION);
    await expect(late).rejects.toThrow(RequestTimeoutError);
    await expect(late).rejects.toThrow('stuck did not answer within its timeout of 20 ms');
    expect(signals[0]?.aborted).toBe(true);
    expect((await optimizer.getComponentProfile('stuck')).metrics.reliability.average).toBe(0);
  });

  test('what a request may use is what its efficiency is measured by', async () => {
    const component = new Embedder({ batch: 16 });
    const { optimizer } = await embedded([component]);
    const cpu = async () => (await optimizer.getComponentProfile('embedder')).resources.cpu;
    // A rate needs two samples of the process.
    while ((await cpu()) === undefined) await requests(optimizer, component, 5);
    const { average, efficiency } = await cpu();
    expect(efficiency).toBeCloseTo(Math.min(1, average / 50), 9);
  });

  test('a component that cannot answer, and an allocation that cannot be meant', async () => {
    const dumb = { name: 'dumb', tier: ComponentTier.STABLE, timeout: 9, memoryLimit: 1, priority: 0, config: {} };
    const { optimizer } = await embedded([dumb]);
    await expect(optimizer.executeWithMonitoring(dumb, {}, ALLOCATION)).rejects.toThrow('neither process nor execute');
    for (const wrong of [{ cpu: 101 }, { gpu: -1 }, { memory: Number.NaN }]) {
      const allocation = { ...ALLOCATION, ...wrong };
      const [name = ''] = Object.keys(wrong);
      await expect(optimizer.executeWithMonitoring(dumb, {}, allocation)).rejects.toThrow(`allocation.${name} is`);
    }
  });
});

test('a clock that goes back: answers go on, and nothing is made up', async () => {
  let nowMs = 1_700_000_000_000;
  const log = pino({ level: 'silent' });
  const agent = new LocalAgent({
    ...{ config: optimizerConfig(QUICK), log, tell: () => undefined, clock: { nowMs: () => nowMs, steps: 0 } },
  });
  await agent.start();
  await agent.open(new Embedder({ batch: 8 }));
  for (const stepMs of [1_000, -3_600_000, 1_000, 0, -1, 500]) {
    nowMs += stepMs;
    agent.record('embedder', 12, 'ok', ALLOCATION);
    await agent.settle();
    expect(JSON.stringify([await agent.profile('embedder'), await agent.analytics()])).not.toMatch(/NaN|null/);
  }
  await agent.stop();
});

describe('the parts work together', () => {
  test('registered later, unregistered, and health that changes', async () => {
    const { optimizer, registry, healthMonitor } = await embedded([]);
    const component = new Embedder({ batch: 16 });
    const registered = new Promise((resolve) => registry.on('component_registered', resolve));
    const opened = next(optimizer, 'session_opened');
    registry.register(component);
    expect(await registered).toBe(component);
    await opened;
    const changed = new Promise((resolve) => healthMonitor.on('health_changed', resolve));
    await requests(optimizer, component, 20);
    expect(await changed).toMatchObject({ component: 'embedder', before: 'unknown', score: expect.any(Number) });
    const closed = next(optimizer, 'session_closed');
    registry.unregister('embedder');
    await closed;
    expect(healthMonitor.getHealth('embedder')).toEqual({ status: 'unknown' });
  });

  test('what nobody has declared is searched only once that is approved', async () => {
    const component = new Embedder({ batch: 8 });
    const { optimizer } = await embedded([component]);
    const asking = next(optimizer, 'recommendation', ({ data }) => data.proposalId !== undefined);
    const proposalId = String((await underLoad(optimizer, component, asking)).data.proposalId);
    const { recommendations } = await optimizer.getPerformanceAnalytics();
    expect(recommendations).toMatchObject([
      { component: 'embedder', optimization: 'Configuration Optimization', expectedImprovement: 0, proposalId },
    ]);
    expect(recommendations[0]).not.toHaveProperty('evidence');
    await expect(optimizer.approve('nothing')).rejects.toThrow(`no proposal nothing; open proposals: ${proposalId}`);
    expect(await optimizer.approve(proposalId)).toContain('approved');
    await underLoad(optimizer, component, next(optimizer, 'trial_started'));
  });

  test('an agent that is not there harms nobody: requests are answered, and questions refused', async () => {
    const component = new Embedder({ batch: 8 });
    const { optimizer } = await embedded([component], { ...QUICK, agent: { address: '127.0.0.1:9' } });
    const response = await optimizer.executeWithMonitoring(component, { id: 'a' }, ALLOCATION);
    expect(response).toMatchObject({ result: 'vector of a', optimized: false });
    await expect(optimizer.healthCheck()).rejects.toThrow(/UNAVAILABLE/);
    const wrong = { agent: { address: 'nowhere' } };
    expect(() => new PerformanceOptimizer(wrong)).toThrow('expected unix:/absolute/path, host:port');
  });

  test('two components of one name are refused', async () => {
    const { optimizer, registry } = await embedded([new Embedder()]);
    expect(() => registry.register(new Embedder())).toThrow('a component named "embedder" is registered already');
    await expect(optimizer.initializeComponentProfile(new Embedder())).rejects.toThrow('is being optimised already');
  });

  test('a knob that makes no sense is refused where it is declared', async () => {
    const { optimizer } = await embedded([]);
    const open = (knobs: Embedder['knobs']) =>
      optimizer.initializeComponentProfile(new Embedder({ batch: 4, model: 'a' }, knobs));
    await expect(open({ btach: { min: 1 } })).rejects.toThrow(
      'embedder: knobs names btach, which is no field of it; known: timeout, memoryLimit, priority, batch, model',
    );
    await expect(open({ batch: { min: 8, max: 64 } })).rejects.toThrow('knob batch: baseline 4 is outside 8 to 64');
    await expect(open({ model: { values: ['b', 'c'] } })).rejects.toThrow('"a" is not one of b, c');
  });
});
