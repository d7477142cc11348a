import { pino } from 'pino';
import { describe, expect, test, vi } from 'vitest';
import { optimizerConfig } from '../../agent/config/optimizer.ts';
import {
  type AdaptationRule,
  type AIComponent,
  ComponentTier,
  type OptimizationResult,
  type OptimizationStrategy,
} from '../../agent/library.ts';
import { knobsOf } from '../../agent/optimizer/component-knobs.ts';
import { Consent } from '../../agent/optimizer/consent.ts';
import { LocalAgent } from '../../agent/optimizer/local-agent.ts';
import { StandIn } from '../../agent/optimizer/stand-in.ts';
import { UserStrategies } from '../../agent/optimizer/user-strategies.ts';
import { Embedder, embedded, next, QUICK, requests, underLoad } from './optimizer_rig.ts';

// Trials take seconds, and longer on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const DONE: OptimizationResult = { applied: true, optimization: 'mine', results: { improvement: 0 } };
const ALL_TIERS = Object.values(ComponentTier);
/** The engine's own search stands aside, so that only what the user's strategies ask for is tried. */
const OWN_ONLY = { batch: { min: 1, max: 64, settleMs: 0, role: 'priority' } } as const;

function strategy(name: string, apply: OptimizationStrategy['apply'], more: Partial<OptimizationStrategy> = {}) {
  const rollback = async (): Promise<void> => undefined;
  return {
    ...{ name, description: `${name} of the test`, applicableTiers: ALL_TIERS, priority: 1 },
    ...{ canApply: () => true, apply, rollback, ...more },
  } satisfies OptimizationStrategy;
}

describe('a strategy of the user’s own', () => {
  test('is put to trial like any other, and kept when proven', async () => {
    const component = new Embedder({ batch: 1 }, OWN_ONLY);
    const { optimizer } = await embedded([component]);
    const seen: unknown[] = [];
    optimizer.registerStrategy(
      strategy('Larger batches', async (handed, profile) => {
        handed.config.batch = 32;
        seen.push(handed.config.batch, component.config.batch, profile.component);
        return DONE;
      }),
    );
    const applied = await underLoad(optimizer, component, next(optimizer, 'optimization_applied'));
    expect(seen.slice(0, 3)).toEqual([32, 1, 'embedder']);
    expect(applied.data).toMatchObject({ strategy: 'Larger batches', changes: [{ knob: 'batch', from: 1, to: 32 }] });
    expect(component.config.batch).toBe(32);
    const result = await optimizer.optimizePerformance(component, {});
    expect(result).toMatchObject({ applied: true, optimization: 'Larger batches' });
    expect(result.results.improvement).toBeGreaterThan(0.3);
  });

  test('that makes it worse is taken back, and its rollback called with what apply returned', async () => {
    const component = new Embedder({ batch: 32 }, OWN_ONLY);
    const { optimizer } = await embedded([component]);
    const undone = new Promise<readonly unknown[]>((resolve) => {
      optimizer.registerStrategy(
        strategy(
          'Smaller batches',
          async (handed) => {
            handed.config.batch = 1;
            return DONE;
          },
          {
            rollback: async (handed, optimization) => {
              handed.config.batch = 7;
              resolve([optimization, component.config.batch]);
            },
          },
        ),
      );
    });
    const [rolledBack, told] = await underLoad(
      optimizer,
      component,
      Promise.all([next(optimizer, 'optimization_rolled_back'), undone]),
    );
    expect(rolledBack.data).toMatchObject({ strategy: 'Smaller batches', proposalId: expect.any(String) });
    expect(told).toEqual([DONE, expect.any(Number)]);
    await optimizer.shutdown();
    expect(component.config.batch).toBe(32);
  });

  test('may turn what nobody has declared, within four times what it was', async () => {
    const component = new Embedder({ batch: 16 });
    const { optimizer } = await embedded([component]);
    optimizer.registerStrategy(
      strategy('Undeclared', async (handed) => {
        handed.config = { ...handed.config, batch: 64 };
        return DONE;
      }),
    );
    const started = await underLoad(optimizer, component, next(optimizer, 'trial_started'));
    expect(started.data).toMatchObject({ strategy: 'Undeclared' });
  });

  test('that throws, hangs, or sets what cannot be set harms nobody and is told why', async () => {
    const component = new Embedder({ batch: 16, labels: { a: 1 } }, OWN_ONLY);
    const { optimizer } = await embedded([component], { ...QUICK, debug: false });
    const failures = new Map<string, string>();
    const all = new Promise<void>((resolve) => {
      optimizer.on('optimization_failed', ({ component: name, data }) => {
        failures.set(`${name}/${data.strategy}`, data.error);
        if (failures.size === 6) resolve();
      });
    });
    const bad: Record<string, (handed: AIComponent) => unknown> = {
      throws: () => {
        throw new Error('no idea');
      },
      rejects: () => Promise.reject('no words'),
      beyond: (handed) => {
        handed.config.batch = 65;
        handed.timeout = Number.NaN;
      },
      type: (handed) => {
        handed.config.batch = 'many';
      },
      noKnob: (handed) => {
        handed.config.labels = { a: 2 };
      },
      strange: (handed) => Object.defineProperty(handed, 'timeout', { value: 1 }),
    };
    for (const [name, act] of Object.entries(bad)) {
      optimizer.registerStrategy({ ...strategy(name, async () => DONE), apply: async (handed) => act(handed) });
    }
    const result = await optimizer.optimizePerformance(component, { id: 'x' });
    await all;
    expect(Object.fromEntries(failures)).toEqual({
      'embedder/throws': 'no idea',
      'embedder/rejects': 'no words',
      'embedder/beyond': 'embedder: timeout: NaN is not a finite number; batch: 65 is outside 1 to 64',
      'embedder/type': 'embedder: batch: "many" is not a finite number',
      'embedder/noKnob': 'embedder: labels is not a knob; knobs: timeout, memoryLimit, priority, batch',
      'embedder/strange': 'embedder: timeout can be set by a strategy, and nothing else',
    });
    expect(result.applied).toBe(false);
    expect(result.reason).toContain('throws failed: no idea');
    expect(component).toMatchObject({ timeout: 1_000, config: { batch: 16, labels: { a: 1 } } });
    await requests(optimizer, component, 3);
    expect((await optimizer.getPerformanceSnapshot()).averageThinkTime).toBeGreaterThan(0);
  });

  test('whose condition reads what was not measured does not apply; nor does one of another tier', async () => {
    const component = new Embedder({ batch: 16 });
    const { optimizer } = await embedded([component]);
    const asked: string[] = [];
    const apply = (name: string) => async () => {
      asked.push(name);
      return DONE;
    };
    optimizer.registerStrategy(
      strategy('gpu', apply('gpu'), { canApply: (profile) => profile.resources.gpu.usage >= 0 || true }),
    );
    optimizer.registerStrategy(strategy('tier', apply('tier'), { applicableTiers: [ComponentTier.CRITICAL] }));
    optimizer.registerStrategy(strategy('fits', apply('fits'), { applicableTiers: [ComponentTier.RESEARCH] }));
    await optimizer.optimizePerformance(component, {});
    expect(asked).toEqual(['fits']);
  });

  test('that hangs is given up at its deadline, what it sets later is refused, and it is asked again after a pause', async () => {
    const component = new Embedder({ batch: 16 });
    let nowMs = 0;
    let late: (value: OptimizationResult) => void = () => undefined;
    const writes: unknown[] = [];
    const failures: string[] = [];
    const agent = new LocalAgent({
      ...{ config: optimizerConfig({}), log: pino({ level: 'silent' }), tell: () => undefined },
    });
    await agent.start();
    agent.open(component);
    const strategies = new UserStrategies({
      ...{
        knobs: (name) => agent.knobs(name) ?? [],
        consent: new Consent(() => agent),
        isEnabled: true,
        adaptationThreshold: 0.8,
      },
      ...{ deadlineMs: 5, pauseMs: 100, maxPauseMs: 1_000, nowMs: () => nowMs, log: pino({ level: 'silent' }) },
      failed: (name, author, error) => failures.push(`${name}/${author}: ${error}`),
    });
    strategies.register(
      strategy('hangs', async (handed) => {
        const result = await new Promise<OptimizationResult>((resolve) => {
          late = resolve;
        });
        try {
          handed.timeout = 1;
        } catch (error) {
          writes.push(error);
        }
        return result;
      }),
    );
    const profile = JSON.parse('{}');
    const error = 'has not finished within 5 ms';
    expect(await strategies.ask(component, profile)).toEqual([{ author: 'hangs', outcome: 'failed', error }]);
    late(DONE);
    await agent.stop();
    expect(writes).toEqual([new Error('embedder: too late, the proposal is closed')]);
    expect(await strategies.ask(component, profile)).toEqual([]);
    nowMs = 100;
    expect(await strategies.ask(component, profile)).toHaveLength(1);
    nowMs = 299;
    expect(await strategies.ask(component, profile)).toEqual([]);
    expect(failures).toEqual([`embedder/hangs: ${error}`, `embedder/hangs: ${error}`]);
  });

  test('is refused where it makes no sense', async () => {
    const { optimizer } = await embedded([]);
    const sound = strategy('once', async () => DONE);
    optimizer.registerStrategy(sound);
    expect(() => optimizer.registerStrategy(sound)).toThrow('named "once" is registered already');
    expect(() => optimizer.registerStrategy({ ...sound, name: ' ' })).toThrow('needs a name');
    expect(() => optimizer.registerStrategy({ ...sound, name: 'x', ...JSON.parse('{"canApply":1}') })).toThrow(
      'canApply and apply must be functions',
    );
    const strange = { ...sound, name: 'y', ...JSON.parse('{"applicableTiers":["best"]}') };
    expect(() => optimizer.registerStrategy(strange)).toThrow('"best" is no tier; allowed: critical, stable');
  });
});

describe('an adaptation rule', () => {
  const rule = (confidence: number, more: Partial<AdaptationRule> = {}): AdaptationRule => ({
    condition: (profile) => profile.metrics.responseTime.average > 1,
    action: async (handed) => {
      handed.config.batch = 32;
      return DONE;
    },
    ...{ confidence, priority: 9, ...more },
  });

  test('proposes while its condition holds, in its own name', async () => {
    const component = new Embedder({ batch: 1 }, OWN_ONLY);
    const { optimizer } = await embedded([component]);
    optimizer.addAdaptationRule(rule(0.8));
    const adapted = await underLoad(optimizer, component, next(optimizer, 'adaptive_optimization'));
    expect(adapted).toMatchObject({ component: 'embedder', data: { rule: 'rule 1' } });
  });

  test('is not asked below optimization.adaptationThreshold, and refused where it makes no sense', async () => {
    const component = new Embedder({ batch: 1 }, OWN_ONLY);
    const { optimizer } = await embedded([component]);
    const asked: string[] = [];
    const action = async () => {
      asked.push('asked');
      return DONE;
    };
    optimizer.addAdaptationRule(rule(0.79, { action }));
    await requests(optimizer, component, 5);
    await optimizer.optimizePerformance(component, {});
    expect(asked).toEqual([]);
    expect(() => optimizer.addAdaptationRule(rule(1.1))).toThrow('confidence is 1.1; allowed: 0 to 1');
    const { condition: _, ...without } = rule(1, { name: 'half' });
    expect(() => optimizer.addAdaptationRule({ ...without, ...JSON.parse('{"condition":null}') })).toThrow(
      'half: condition and action must be functions',
    );
  });
});

describe('the stand-in', () => {
  const real = () => new Embedder({ batch: 8, nested: { list: [1, 2] }, on: true }, { batch: { min: 1, max: 64 } });
  const standIn = (component: AIComponent) => new StandIn(component, knobsOf(component));

  test('catches every way of writing, and the component stays as it was', () => {
    const component = real();
    const before = structuredClone({ ...component });
    const stand = standIn(component);
    stand.component.timeout = 500;
    stand.component.memoryLimit *= 2;
    Object.assign(stand.component, { priority: 60 });
    stand.component.config.batch = 16;
    stand.component.config = { ...stand.component.config, on: false };
    expect(stand.component).toMatchObject({ timeout: 500, memoryLimit: 1_024, config: { batch: 16, on: false } });
    expect({ ...component }).toEqual(before);
    expect(stand.close()).toEqual({
      changes: { timeout: 500, memory_limit: 1_024, priority: 60, batch: 16, on: false },
    });
    expect(() => {
      stand.component.timeout = 1;
    }).toThrow('too late, the proposal is closed');
  });

  test('what is set back, or to what it was, is no proposal', () => {
    const stand = standIn(real());
    stand.component.timeout = 1;
    stand.component.timeout = 1_000;
    stand.component.config = { batch: 8, nested: { list: [1, 2] }, on: true };
    expect(stand.close()).toEqual({ changes: {} });
  });

  test('objects within the configuration are copies; changing them is refused with the knobs that there are', () => {
    const component = real();
    const stand = standIn(component);
    const { nested } = stand.component.config;
    if (typeof nested === 'object' && nested !== null) Object.assign(nested, { list: [3] });
    expect(component.config.nested).toEqual({ list: [1, 2] });
    const knobs = 'knobs: timeout, memoryLimit, priority, batch, on';
    expect(stand.close()).toEqual({ refused: `embedder: nested is not a knob; ${knobs}` });
  });

  test('is still the component to whoever asks, frozen or not', async () => {
    const component = Object.freeze(real());
    const { component: handed } = standIn(component);
    expect(handed).toBeInstanceOf(Embedder);
    expect(handed.name).toBe('embedder');
    handed.timeout = 7;
    expect(handed.timeout).toBe(7);
  });
});
