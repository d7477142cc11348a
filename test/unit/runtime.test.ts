import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { createEngine, type Engine } from '../../agent/core/engine.ts';
import type { Decision, Effect, Input, SampleBatch } from '../../agent/core/model.ts';
import { SampleBatchBuilder } from '../../agent/core/series/batch.ts';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { type DecisionKeeper, Runtime } from '../../agent/runtime.ts';
import { memoryJournal } from '../contract/memory-journal.ts';
import { Loop } from './engine_loop.ts';

const runtimes: Runtime[] = [];
afterEach(() => {
  for (const runtime of runtimes.splice(0)) runtime.stop();
});

/** A journal whose disk can fill up. */
function journal() {
  const kept = memoryJournal();
  const written: string[] = [];
  let full = false;
  const keeper: DecisionKeeper = {
    commit(decisions, state) {
      if (full) throw new Error('disk full');
      kept.commit(decisions, state);
      written.push(...decisions.map(({ id }) => id));
    },
  };
  return { keeper, kept, written, fill: () => (full = true), free: () => (full = false) };
}

function start(engine: Engine, keeper: DecisionKeeper, more: { maxQueuedPoints?: number } = {}) {
  const performed: Effect[] = [];
  const waiting = new Set<() => void>();
  let nowMs = 1_700_000_000_000;
  const runtime = new Runtime({
    engine,
    journal: keeper,
    clock: { nowMs: () => (nowMs += 5) },
    tickMs: 5,
    maxQueuedPoints: more.maxQueuedPoints ?? 1_000,
    perform: (effect) => {
      performed.push(effect);
      for (const wake of waiting) wake();
      waiting.clear();
    },
    log: pino({ level: 'silent' }),
  });
  runtimes.push(runtime);
  const until = async (holds: (effect: Effect) => boolean): Promise<Effect> => {
    for (;;) {
      const found = performed.find(holds);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => waiting.add(resolve));
    }
  };
  return { runtime, performed, until };
}

function points(count: number): SampleBatch {
  const interner = new SeriesInterner({ maxSeries: 10 });
  const series = interner.intern({
    ...{ name: 'requests', unit: '1', kind: 'sum', temporality: 'cumulative', monotonic: true, scope: '' },
    resource: new Map(),
    attributes: new Map(),
  });
  if (series === undefined) throw new Error('no series');
  const builder = new SampleBatchBuilder();
  for (let i = 0; i < count; i++) builder.sumOverMs(series, 1, 2 + i, i);
  return builder.build();
}

/** An engine that does as it is told; what it is told is the inputs' own `by`. */
function scripted(steps: (input: Input) => readonly Effect[]): Engine {
  const real = createEngine({ settings: DEFAULT_ENGINE_SETTINGS, seed: 1, epoch: 1 });
  return {
    epoch: 1,
    frozen: undefined,
    step: (_nowMs, input) => steps(input),
    view: (component) => real.view(component),
    tuning: (component) => real.tuning(component),
    components: () => real.components(),
    machine: () => real.machine(),
    burning: (component) => real.burning(component),
    anomalies: (component) => real.anomalies(component),
    patterns: (component) => real.patterns(component),
    forecast: (component, signal, horizonMs) => real.forecast(component, signal, horizonMs),
    forecastSignals: (component) => real.forecastSignals(component),
    capacity: (component) => real.capacity(component),
    insights: () => real.insights(),
    warmingUp: (component) => real.warmingUp(component),
    pausedBy: (component) => real.pausedBy(component),
    warmForecast: (component, signal, hours) => real.warmForecast(component, signal, hours),
    saveInsight: (component) => real.saveInsight(component),
    restoreInsight: (saved) => real.restoreInsight(saved),
    save: () => real.save(),
    intervals: (component, signal) => real.intervals(component, signal),
    takeHistory: (nowMs) => real.takeHistory(nowMs),
    stats: () => real.stats(),
  };
}

const decision: Decision = {
  id: 'd1',
  atMs: 1,
  component: 'c',
  kind: 'trial_started',
  changes: [],
  reason: 'because',
};
const freeze = { kind: 'operator', request: { requestId: 'r', by: 'eve', action: 'unfreeze' } } as const;

describe('the inbox', () => {
  test('takes points until it is full, then tells the sender to come back, and counts both', () => {
    const { runtime } = start(
      scripted(() => []),
      journal().keeper,
      { maxQueuedPoints: 100 },
    );
    expect(runtime.accept(points(80))).toMatchObject({ state: 'accepted' });
    expect(runtime.accept(points(80))).toMatchObject({ state: 'overloaded' });
    expect(runtime.stats()).toMatchObject({ pointsAccepted: 80, pointsRefused: 80, queuedPoints: 80 });
  });

  test('takes a delivery larger than itself when it is empty: it would never fit otherwise', () => {
    const { runtime } = start(
      scripted(() => []),
      journal().keeper,
      { maxQueuedPoints: 10 },
    );
    expect(runtime.accept(points(50))).toMatchObject({ state: 'accepted' });
  });

  test('works off what was accepted before it stops, and takes nothing after', () => {
    const seen: Input['kind'][] = [];
    const engine = scripted((input) => {
      seen.push(input.kind);
      return [];
    });
    const { runtime } = start(engine, journal().keeper);
    runtime.start();
    runtime.accept(points(3));
    runtime.post(freeze);
    runtime.stop();
    // Control overtakes points.
    expect(seen.filter((kind) => kind !== 'tick')).toEqual(['operator', 'samples']);
    expect(runtime.accept(points(3)).state).toBe('overloaded');
    expect(runtime.stats().pointsAfterStop).toBe(3);
  });

  test('a large delivery is taken in parts, each point once, and what comes meanwhile does not wait for the rest', () => {
    const seen: string[] = [];
    const engine = scripted((input) => {
      if (input.kind === 'samples') {
        const [from, to] = input.rows ?? [0, input.batch.size];
        for (let row = from; row < to; row++) seen.push(String(input.batch.timeMs[row]));
        if (!seen.includes('operator')) runtime.post(freeze);
      } else if (input.kind === 'operator') seen.push('operator');
      return [];
    });
    const { runtime } = start(engine, journal().keeper);
    runtime.start();
    runtime.accept(points(1_000));
    runtime.stop();
    expect(seen.indexOf('operator')).toBeLessThan(200);
    expect(seen.filter((what) => what !== 'operator')).toEqual(Array.from({ length: 1_000 }, (_, i) => String(2 + i)));
    expect(runtime.stats().queuedPoints).toBe(0);
  });
});

describe('decisions', () => {
  test('are durable before anything that follows from them is done', async () => {
    const { keeper, written } = journal();
    const order: string[] = [];
    const watched: DecisionKeeper = {
      commit(decisions, state) {
        keeper.commit(decisions, state);
        order.push(...decisions.map(({ id }) => `written ${id}`));
      },
    };
    const reply: Effect = { kind: 'reply', requestId: 'r', ok: true, message: '' };
    const engine = scripted((input) => (input.kind === 'operator' ? [reply, { kind: 'decision', decision }] : []));
    const { runtime, until } = start(engine, watched);
    runtime.start();
    runtime.post(freeze);
    await until(({ kind }) => kind === 'reply').then(() => order.push('done'));
    expect(order).toEqual(['written d1', 'done']);
    expect(written).toEqual(['d1']);
  });

  test('that only take a trial back are carried out at once, and written down right after', async () => {
    const order: string[] = [];
    const watched: DecisionKeeper = {
      commit: (decisions) => void order.push(...decisions.map(({ kind }) => `${kind} after ${performed.length}`)),
    };
    const revoke: Effect = { kind: 'revoke', component: 'c', epoch: 1, revision: 1, knobs: ['k'], reason: 'errors' };
    const reply: Effect = { kind: 'reply', requestId: 'r', ok: true, message: '' };
    const steps = [{ ...decision, kind: 'rolled_back' } as const, { ...decision, id: 'd2' }];
    const engine = scripted((input) => {
      const next = input.kind === 'operator' ? steps.shift() : undefined;
      return next === undefined ? [] : [{ kind: 'decision', decision: next }, revoke, reply];
    });
    const { runtime, performed } = start(engine, watched);
    runtime.start();
    for (const _ of [1, 2]) runtime.post(freeze);
    runtime.stop();
    // The first was sent before it was written, the answer to it and all of the second after.
    expect(order).toEqual(['rolled_back after 1', 'trial_started after 2']);
    expect(performed.map(({ kind }) => kind)).toEqual(['revoke', 'reply', 'revoke', 'reply']);
  });

  test('that cannot be written freeze tuning and are not acted on; when they can be, nothing is lost and it goes on', async () => {
    const { keeper, kept, fill, free } = journal();
    const loop = new Loop();
    const { runtime, performed, until } = start(loop.engine, keeper);
    fill();
    runtime.start();
    runtime.post({
      kind: 'session',
      event: 'opened',
      manifest: loop.manifest([{ knob: 'batch', value: 9, epoch: 0, revision: 4, manual: false }]),
    });
    await until((effect) => effect.kind === 'reply' && effect.requestId === 'journal-down');
    // Going back to what is proven is always allowed.
    const commands = performed.flatMap((effect) => (effect.kind === 'command' ? [effect.command] : []));
    expect(commands.map(({ rationale }) => rationale.trialId)).toEqual(commands.map(() => undefined));
    expect(loop.engine.frozen).toContain('cannot be written');
    expect(runtime.stats().unsavedDecisions).toBeGreaterThan(0);
    free();
    await until((effect) => effect.kind === 'reply' && effect.requestId === 'journal-up');
    expect(loop.engine.frozen).toBeUndefined();
    runtime.stop();
    expect(kept.decisions({ limit: 100 }).map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['restored', 'frozen', 'unfrozen']),
    );
    expect(runtime.stats().unsavedDecisions).toBe(0);
  });
});

describe('a defect of the engine', () => {
  test('revokes every tuned value, halts tuning, and leaves the intake up', async () => {
    const loop = new Loop().open();
    const broken: Engine = {
      ...scripted(() => []),
      step: (nowMs, input) => {
        if (input.kind === 'operator') throw new Error('an invariant does not hold');
        return loop.engine.step(nowMs, input);
      },
      components: () => loop.engine.components(),
      view: (component) => loop.engine.view(component),
    };
    const { runtime, until } = start(broken, journal().keeper);
    runtime.start();
    runtime.post(freeze);
    const revoke = await until(({ kind }) => kind === 'revoke');
    expect(revoke).toMatchObject({ component: 'c', knobs: ['batch'] });
    expect(runtime.stats().halted).toBe('an invariant does not hold');
    expect(runtime.accept(points(3)).state).toBe('accepted');
  });
});
