import { describe, expect, it } from 'vitest';
import { changePoints } from '../../agent/core/pattern/change-points.ts';
import { correlate } from '../../agent/core/pattern/correlation.ts';
import { loadKnee } from '../../agent/core/pattern/load-dependence.ts';
import { LeakWatch } from '../../agent/core/pattern/memory-leak.ts';
import type { Pattern, Window } from '../../agent/core/pattern/pattern.ts';
import { saturation } from '../../agent/core/pattern/saturation.ts';
import { PatternWatch, recognisersFor } from '../../agent/core/pattern/watch.ts';
import { noise } from '../bench/forecast/noise.ts';

const MINUTE = 60_000;

/** Something of everything: a climb, a cycle, spikes, a shift, gaps. */
function eventful(seed: number, count: number): number[] {
  const { normal } = noise(seed);
  return Array.from({ length: count }, (_, t) => {
    if (t % 41 === 17) return Number.NaN;
    const shift = t > count / 2 ? 60 : 0;
    return 100 + 0.05 * t + shift + 15 * Math.sin(t / 7) + (t % 53 === 9 ? 300 : 0) + 4 * normal();
  });
}

function windowOf(values: readonly number[]): Window {
  return Object.freeze({
    timesMs: Object.freeze(values.map((_, i) => i * MINUTE)),
    values: Object.freeze([...values]),
  });
}

/** Every recogniser of one metric passes this: add it here. */
const recognisers = [...recognisersFor(), saturation(200)];

describe.each(recognisers.map((r, i) => [`${r.type} (${i})`, r] as const))('recogniser %s', (_, recogniser) => {
  it('leaves its window alone, and says the same twice', () => {
    for (let seed = 0; seed < 5; seed++) {
      const window = windowOf(eventful(seed, 360));
      const said = recogniser.recognise(window);
      expect(recogniser.recognise(window)).toEqual(said);
      expect(window).toEqual(windowOf(eventful(seed, 360)));
    }
  });

  it('survives nothing, one, all gaps, equal times, constants, steps, infinities and a year between two samples', () => {
    const windows: Window[] = [
      windowOf([]),
      windowOf([1]),
      windowOf(new Array<number>(100).fill(Number.NaN)),
      windowOf(new Array<number>(100).fill(7)),
      windowOf(new Array<number>(100).fill(0)),
      windowOf(Array.from({ length: 100 }, (__, t) => (t < 50 ? 0 : 1))),
      windowOf(Array.from({ length: 100 }, (__, t) => (t === 50 ? Number.POSITIVE_INFINITY : t))),
      { timesMs: new Array<number>(50).fill(5), values: eventful(1, 50) },
      { timesMs: [0, 365 * 1440 * MINUTE], values: [1, 2] },
    ];
    for (const window of windows) sane(recogniser.recognise(window));
  });

  it('the order of samples of equal times does not matter', () => {
    const values = eventful(2, 300);
    const timesMs = values.map((__, i) => Math.floor(i / 2) * MINUTE);
    const swapped = values.map((__, i) => values[i ^ 1]!);
    const said = recogniser.recognise({ timesMs, values });
    const again = recogniser.recognise({ timesMs, values: swapped });
    expect(again?.type).toBe(said?.type);
    for (const [name, v] of Object.entries(said?.evidence ?? {})) expect(again!.evidence[name]).toBeCloseTo(v, 6);
  });

  it('states a confidence that is a probability, with its sample size and a time within the window', () => {
    for (let seed = 0; seed < 10; seed++) {
      const said = recogniser.recognise(windowOf(eventful(seed, 360)));
      sane(said);
      if (said === undefined) continue;
      expect(said.type).toBe(recogniser.type);
      expect(said.sinceMs).toBeGreaterThanOrEqual(0);
      expect(said.sinceMs).toBeLessThanOrEqual(360 * MINUTE);
    }
  });
});

function sane(pattern: Pattern | undefined): void {
  if (pattern === undefined) return;
  expect(pattern.confidence).toBeGreaterThanOrEqual(0.99);
  expect(pattern.confidence).toBeLessThanOrEqual(1);
  expect(pattern.samples).toBeGreaterThan(0);
  for (const v of [...Object.values(pattern.evidence), pattern.impactLog ?? 0]) expect(v).not.toBeNaN();
}

/** What is recognised in two metrics, or in the shape of one, passes this: add it here. */
const relations: Readonly<Record<string, (values: readonly number[], others: readonly number[]) => unknown>> = {
  correlation: (values, others) => correlate(windowOf(others), windowOf(values.map((v, i) => values[i - 1] ?? v))),
  'load dependence': (values, others) =>
    loadKnee(values.map((value, i) => Object.freeze({ atMs: i * MINUTE, load: others[i] ?? Number.NaN, value }))),
  'change points': (values) => changePoints(Object.freeze([...values])),
};

describe.each(Object.entries(relations))('%s', (_, recognise) => {
  /** A metric that follows a load of its own, with a knee at 180. */
  const load = eventful(11, 400);
  const latency = load.map((now) => 10 + 0.1 * now + 3 * Math.max(0, now - 180));

  it('says the same twice of what it may not touch, and says something', () => {
    const said = recognise(latency, load);
    expect(recognise(latency, load)).toEqual(said);
    expect(said).toBeDefined();
  });

  it('survives nothing, one, gaps, constants, steps and infinities', () => {
    const odd = [
      ...[[], [1], new Array<number>(100).fill(Number.NaN), new Array<number>(100).fill(7)],
      Array.from({ length: 100 }, (__, t) => (t < 50 ? 0 : 1)),
      Array.from({ length: 100 }, (__, t) => (t === 50 ? Number.POSITIVE_INFINITY : t)),
      Array.from({ length: 100 }, (__, t) => (t % 2 === 0 ? 1e300 : -1e300)),
    ];
    for (const values of odd) {
      for (const others of [...odd, load]) {
        const said = JSON.stringify(recognise(values, others), (__, v) => (Number.isNaN(v) ? 'NaN' : v)) ?? '';
        expect(said).not.toContain('NaN');
      }
    }
    expect(recognise(new Array<number>(100).fill(7), new Array<number>(100).fill(7)) ?? []).toEqual([]);
  });
});

interface Learner {
  learn(value: number, atMs: number): unknown;
  save(): unknown;
}

/** Everything that watches one metric as it comes passes this: add it here. `save` goes through JSON. */
const watches: Readonly<Record<string, { create: () => Learner; restore: (saved: string) => Learner; bytes: number }>> =
  {
    leak: {
      create: () => new LeakWatch({ limit: 1000, horizonMs: 1e9 }),
      restore: (saved) => new LeakWatch({ limit: 1000, horizonMs: 1e9 }, JSON.parse(saved)),
      bytes: 4096,
    },
    pattern: {
      create: () => new PatternWatch({ stepMs: MINUTE, limit: 1000, leak: { horizonMs: 1e9 } }),
      restore: (saved) =>
        new PatternWatch({ stepMs: MINUTE, limit: 1000, leak: { horizonMs: 1e9 } }, JSON.parse(saved)),
      bytes: 16_384,
    },
  };

describe.each(Object.entries(watches))('watch %s', (_, { create, restore, bytes }) => {
  it('goes on after save and restore as if nothing had happened', () => {
    const values = eventful(3, 1500);
    const one = create();
    for (const [t, v] of values.slice(0, 777).entries()) one.learn(v, t * MINUTE);
    const two = restore(JSON.stringify(one.save()));
    for (const [i, v] of values.slice(777).entries()) {
      expect(two.learn(v, (777 + i) * MINUTE)).toEqual(one.learn(v, (777 + i) * MINUTE));
    }
    expect(JSON.stringify(two.save())).toBe(JSON.stringify(one.save()));
  });

  it('does not look ahead: what it says of a prefix is the prefix of what it says', () => {
    const values = eventful(4, 900);
    const say = (count: number) => {
      const watch = create();
      return values.slice(0, count).map((v, t) => watch.learn(v, t * MINUTE));
    };
    expect(say(600)).toEqual(say(900).slice(0, 600));
  });

  it('keeps a bounded state: numbers of eight bytes', () => {
    const watch = create();
    for (const [t, v] of eventful(5, 20_000).entries()) watch.learn(v, t * MINUTE);
    expect(8 * countNumbers(watch.save())).toBeLessThanOrEqual(bytes);
  });

  it('survives gaps, silence of a month, equal times and a constant', () => {
    const watch = create();
    for (let t = 0; t < 200; t++) watch.learn(t % 3 === 0 ? Number.NaN : 5, t * MINUTE);
    for (let i = 0; i < 50; i++) watch.learn(5, 200 * MINUTE);
    watch.learn(5, 31 * 1440 * MINUTE);
    for (let t = 0; t < 400; t++) watch.learn(5, (31 * 1440 + t) * MINUTE);
    expect(JSON.stringify(watch.save())).not.toContain('NaN');
  });
});

function countNumbers(value: unknown): number {
  if (typeof value === 'number' || value === null) return 1;
  if (typeof value !== 'object') return 0;
  return Object.values(value).reduce<number>((sum, v) => sum + countNumbers(v), 0);
}

describe('a look in parts', () => {
  it('goes on after save and restore as if nothing had happened', () => {
    const settings = { stepMs: MINUTE, limit: 1_000 };
    const parts = new PatternWatch(settings);
    const values = eventful(5, 400);
    for (const [t, value] of values.entries()) parts.take(value, t * MINUTE);
    expect(parts.isDue).toBe(true);
    const one = new PatternWatch(settings, JSON.parse(JSON.stringify(parts.save())));
    for (let part = 0; part < 3; part++) expect(one.look()).toEqual([]);
    const two = new PatternWatch(settings, JSON.parse(JSON.stringify(one.save())));
    const rest = (watch: PatternWatch) => {
      const news = [];
      while (watch.isDue) news.push(...watch.look());
      return news;
    };
    const all = rest(parts);
    expect(all.map(({ type }) => type)).toEqual(expect.arrayContaining(['seasonality', 'variance_shift']));
    expect(rest(one)).toEqual(all);
    expect(rest(two)).toEqual(all);
    expect(two.save()).toEqual(parts.save());
  });
});
