import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createEngine } from '../../agent/core/engine.ts';
import type { Decision, Effect } from '../../agent/core/model.ts';
import type { PerformanceProfile } from '../../agent/core/profile/performance_profile.ts';
import { SampleBatchBuilder } from '../../agent/core/series/batch.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { Random } from '../../agent/core/tune/random.ts';
import { Slots, sharedBottleneck } from '../../agent/core/tune/slots.ts';
import { applied, intKnob } from './engine_loop.ts';

const level = (value: number) => ({ current: value, average: value, peak: value, measuredAtMs: 0 });
const usage = (value: number) => ({ usage: value, average: value, peak: value, scope: 'process' as const });

function profile(more: Partial<Pick<PerformanceProfile, 'resources' | 'stalls'>>): PerformanceProfile {
  return {
    ...{ component: 'c', atMs: 0, windowMs: 1, metrics: {}, resources: {}, stalls: {} },
    optimization: { lastOptimized: 0, optimizations: 0 },
    ...more,
  };
}

describe('what is shared', () => {
  const idle = profile({ resources: { cpu: usage(20) } });
  const busy = profile({ resources: { cpu: usage(75) } });
  const onGpu = profile({ resources: { gpu: usage(40) } });
  const stalled = profile({ stalls: { ioPressure: level(0.2) } });

  test.each([
    ['a machine with room: nothing', idle, idle, idle, undefined],
    ['a busy machine: its CPU', idle, idle, busy, 'the CPU'],
    ['two on the GPU', onGpu, onGpu, idle, 'the GPU'],
    ['one on the GPU alone: nothing', onGpu, idle, idle, undefined],
    ['one that waits for the disk', idle, stalled, idle, 'the disk'],
    ['nothing known: everything, to be safe', profile({}), undefined, undefined, 'a machine of which nothing says'],
  ] as const)('%s', (_, a, b, machine, what) => {
    const found = sharedBottleneck(a, b, machine);
    if (what === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(what);
    expect(sharedBottleneck(b, a, machine)).toBe(found);
  });
});

describe('turns', () => {
  const names = ['a', 'b', 'c', 'd'];

  test('never two at once that share; nobody who keeps asking waits for ever, and the longest waiting goes first', () => {
    const sharing = fc.uniqueArray(fc.tuple(fc.nat(3), fc.nat(3)), { maxLength: 6 });
    fc.assert(
      fc.property(fc.integer(), sharing, (seed, pairs) => {
        const random = Random.seeded(seed);
        const slots = new Slots(30_000);
        const isShared = (x: string, y: string) =>
          pairs.some(([i, j]) => (names[i] === x && names[j] === y) || (names[i] === y && names[j] === x));
        const untilMs = new Map<string, number>();
        const lastMs = new Map(names.map((name) => [name, 0]));
        for (let nowMs = 0; nowMs < 4_000_000; nowMs += 10_000) {
          for (const [name, endMs] of untilMs) if (endMs <= nowMs) untilMs.delete(name);
          for (const name of names) {
            if (untilMs.has(name)) continue;
            const running = [...untilMs.keys()];
            const why = slots.ask(name, running, (x, y) => (isShared(x, y) ? 'it' : undefined), nowMs);
            if (why !== undefined) continue;
            expect(running.filter((other) => isShared(name, other))).toEqual([]);
            expect(nowMs - (lastMs.get(name) ?? 0)).toBeLessThan(1_500_000);
            lastMs.set(name, nowMs);
            untilMs.set(name, nowMs + 50_000 + Math.floor(random.next() * 250_000));
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  test('who stops asking gives up its place', () => {
    const slots = new Slots(30_000);
    expect(slots.ask('a', ['b'], () => 'it', 0)).toContain('b is being measured');
    expect(slots.ask('c', [], () => 'it', 20_000)).toContain('a has waited longer');
    expect(slots.ask('c', [], () => 'it', 60_000)).toBeUndefined();
  });
});

/** Two components, each with a knob of its own, under one engine; `cpuPercent` of the machine, where somebody says. */
/** What goes on beside the tuning is none of this test's business. */
const settings = {
  ...DEFAULT_ENGINE_SETTINGS,
  analytics: {
    ...DEFAULT_ENGINE_SETTINGS.analytics,
    patternRecognition: false,
    predictiveAnalysis: false,
    anomalyDetection: false,
  },
};

function together(cpuUtilization: number | undefined) {
  const engine = createEngine({ settings, seed: 1, epoch: 1 });
  const random = Random.seeded(9);
  const components = ['one', 'two'] as const;
  const setting = { one: 1, two: 1 };
  const decisions: Decision[] = [];
  let nowMs = 1_700_000_000_000;
  const base = { kind: 'histogram', temporality: 'delta', monotonic: true, scope: '' } as const;
  const series = components.map((name, id) => ({
    ...{ ...base, id, name: 'http.server.request.duration', unit: 's' },
    resource: new Map([['service.name', name]]),
    attributes: new Map([['http.response.status_code', 200]]),
  }));
  const machine = {
    ...({ id: 9, name: 'system.cpu.utilization', unit: '1', kind: 'gauge', monotonic: false, scope: '' } as const),
    resource: new Map(),
    attributes: new Map([['cpu.mode', 'user']]),
  };
  const perform = (effects: readonly Effect[]): void => {
    for (const effect of effects) {
      if (effect.kind === 'decision') decisions.push(effect.decision);
      if (effect.kind !== 'command') continue;
      const { command } = effect;
      const { component } = command;
      if (component === 'one' || component === 'two') setting[component] = Number(command.changes[0]?.value);
      perform(
        engine.step(nowMs, { kind: 'result', component, commandId: command.commandId, results: applied(command) }),
      );
    }
  };
  for (const component of components) {
    const manifest = {
      component,
      tier: 'research',
      instanceUid: component,
      incarnation: 1,
      resource: {},
      knobs: [intKnob('batch')],
      held: [],
    } as const;
    perform(engine.step(nowMs, { kind: 'session', event: 'opened', manifest }));
  }
  let most = 0;
  const waited = new Set<string>();
  for (let second = 0; second < 3_000; second++) {
    nowMs += 1_000;
    const builder = new SampleBatchBuilder();
    series.forEach((one, i) => {
      const mean = (0.05 / setting[components[i] ?? 'one'] ** 0.1) * (1 + 0.05 * (random.next() - 0.5));
      builder.histogramOverMs(one, nowMs - 1_000, nowMs, {
        count: 100,
        sum: 100 * mean,
        bounds: [mean * 0.9, mean * 1.1],
        counts: [30, 60, 10],
      });
    });
    if (cpuUtilization !== undefined) builder.gaugeAtMs(machine, nowMs, cpuUtilization);
    perform(engine.step(nowMs, { kind: 'samples', batch: builder.build() }));
    perform(engine.step(nowMs, { kind: 'tick' }));
    const views = components.map((name) => engine.tuning(name));
    most = Math.max(most, views.filter((view) => view?.openTrial !== undefined).length);
    for (const view of views) if (view?.waitsFor !== undefined) waited.add(view.waitsFor);
  }
  const trials = components.map(
    (name) => decisions.filter(({ kind, component }) => kind === 'trial_started' && component === name).length,
  );
  return { most, waited: [...waited], trials };
}

describe('two components on one machine', () => {
  test('that share what is short are tried one at a time, each in its turn', () => {
    const { most, waited, trials } = together(undefined);
    expect(most).toBe(1);
    expect(waited.join()).toContain('is being measured and shares a machine');
    expect(Math.min(...trials)).toBeGreaterThan(1);
  });

  test('go on side by side on a machine with room', () => {
    const { most, waited } = together(0.2);
    expect([most, waited]).toEqual([2, []]);
  });
});
