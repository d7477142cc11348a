import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { Probe } from '../../agent/core/tune/probe.ts';
import { Response } from '../../agent/core/tune/response.ts';
import {
  confidenceOf,
  type Lesson,
  RULE_STRATEGY,
  withFailedRule,
  withLesson,
  withoutRule,
} from '../../agent/core/tune/rules.ts';
import { axisOf } from '../../agent/core/tune/space.ts';
import { intKnob, Loop } from './engine_loop.ts';

const NOW_MS = 1_790_000_000_000;
const WEEK_MS = 604_800_000;
const lesson = (more: Partial<Lesson> = {}): Lesson => ({
  ...{ id: 'r-t1', context: 'here', setting: { k: 2 }, strategy: 's', trialId: 't1', effect: undefined },
  logStake: Math.log(120),
  ...more,
});

describe('a rule’s confidence is earned', () => {
  test('by a proof, fades with age, grows with every further proof and falls with every failure', () => {
    const once = withLesson({}, lesson(), NOW_MS);
    expect(confidenceOf(once.here, NOW_MS)).toBeCloseTo(120 / 121, 9);
    expect(confidenceOf(once.here, NOW_MS + WEEK_MS)).toBeCloseTo(Math.sqrt(120) / (1 + Math.sqrt(120)), 9);
    const twice = withLesson(once, lesson({ trialId: 't2' }), NOW_MS);
    expect(twice.here).toMatchObject({ samples: 2, proven: 2, trialId: 't2' });
    expect(confidenceOf(twice.here, NOW_MS)).toBeGreaterThan(confidenceOf(once.here, NOW_MS));
    const failed = withFailedRule(once, 'here', Math.log(0.1), NOW_MS);
    expect(failed.here).toMatchObject({ samples: 2, proven: 1 });
    expect(confidenceOf(failed.here, NOW_MS)).toBeCloseTo(12 / 13, 9);
  });

  test('another setting takes the rule’s place with its own evidence; harm before a proof removes it', () => {
    const once = withLesson({}, lesson(), NOW_MS);
    const replaced = withLesson(once, lesson({ setting: { k: 4 }, logStake: Math.log(70) }), NOW_MS);
    expect(Object.keys(replaced)).toEqual(['here']);
    expect(confidenceOf(replaced.here, NOW_MS)).toBeCloseTo(70 / 71, 9);
    expect(withFailedRule(once, 'here', undefined, NOW_MS)).toEqual({});
  });

  test('what was found worse than the baselines is a rule no more, in the context in which it was', () => {
    const rules = withLesson(withLesson({}, lesson(), NOW_MS), lesson({ context: 'elsewhere' }), NOW_MS);
    expect(Object.keys(withoutRule(rules, 'here', { k: 2 }))).toEqual(['elsewhere']);
    expect(withoutRule(rules, 'here', { k: 3 })).toBe(rules);
    expect(withoutRule(rules, 'nowhere', { k: 2 })).toBe(rules);
  });

  test('rules are bounded, and confidence is always between 0 and 1', () => {
    const stake = fc.double({ min: -50, max: 50, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(stake, fc.nat(99), fc.boolean()), { maxLength: 150 }), (trials) => {
        let rules = {};
        for (const [i, [logStake, context, proven]] of trials.entries()) {
          const atMs = NOW_MS + i;
          rules = proven
            ? withLesson(rules, lesson({ context: `c${context}`, logStake }), atMs)
            : withFailedRule(rules, `c${context}`, logStake, atMs);
          for (const rule of Object.values<Parameters<typeof confidenceOf>[0]>(rules)) {
            expect(confidenceOf(rule, atMs)).toBeGreaterThan(0);
            expect(confidenceOf(rule, atMs)).toBeLessThan(1);
          }
        }
        expect(Object.keys(rules).length).toBeLessThanOrEqual(64);
      }),
    );
  });
});

/** At 100 requests a second a batch of 2 is best, at 500 one of 32. The load changes every 90 minutes. */
function twoLoads(adaptationThreshold: number): Loop {
  const START_MS = 1_700_000_000_000;
  const isBusy = (nowMs: number) => Math.floor((nowMs - START_MS) / 5_400_000) % 2 === 1;
  const loop: Loop = new Loop({
    seed: 2,
    knobs: [intKnob('batch', { baseline: 8 })],
    requests: (nowMs) => (isBusy(nowMs) ? 500 : 100),
    latencyS: ({ batch = 1 }) => 0.05 * Math.exp(0.12 * (Math.log2(batch) - (isBusy(loop.nowMs) ? 5 : 1)) ** 2),
    settings: {
      cooldown: { windows: 2, maxWindows: 64 },
      profile: { intervalMs: 5_000, windowSize: 20 },
      optimization: { ...DEFAULT_ENGINE_SETTINGS.optimization, adaptationThreshold },
    },
  });
  loop.open();
  loop.run(7 * 5_400);
  return loop;
}

describe('when a context returns', () => {
  test('what was proven in it is tried first, proven again, and told as adaptive', () => {
    const loop = twoLoads(0.8);
    const rules = loop.engine.tuning('c')?.rules ?? [];
    expect(rules.length).toBeGreaterThan(1);
    const adaptive = loop.events.filter(({ type }) => type === 'adaptive_optimization');
    expect(adaptive.length).toBeGreaterThan(0);
    expect(adaptive[0]?.data.rule).toMatch(/^r-t/);
    const trials = loop.decisions.filter(({ strategy }) => strategy === RULE_STRATEGY);
    expect(trials.map(({ kind }) => kind)).toContain('promoted');
    expect(trials[0]?.evidence?.signals.ruleConfidence).toBeGreaterThanOrEqual(0.8);
  });

  test('a threshold that no evidence reaches keeps every rule out', () => {
    const loop = twoLoads(1);
    expect(loop.engine.tuning('c')?.rules.length).toBeGreaterThan(1);
    expect(loop.decisions.filter(({ strategy }) => strategy === RULE_STRATEGY)).toEqual([]);
  });
});

test('a search that stands at the best there is ends after as many windows as it needs to see that', () => {
  const loop = new Loop({
    seed: 2,
    knobs: [intKnob('batch', { baseline: 2 })],
    latencyS: ({ batch = 1 }) => 0.05 * Math.exp(0.12 * (Math.log2(batch) - 1) ** 2),
    settings: { cooldown: { windows: 2, maxWindows: 4 } },
  });
  loop.open();
  loop.run(3_600);
  const begun = new Map(loop.decisions.map(({ kind, trialId, atMs }) => [`${kind} ${trialId}`, atMs]));
  const searches = loop.decisions.filter(
    ({ kind, reason }) => kind === 'futile' && reason.includes('windows of probing'),
  );
  expect(searches.length).toBeGreaterThan(2);
  const lengths = searches.map(({ trialId, atMs }) => atMs - (begun.get(`trial_started ${trialId}`) ?? 0));
  expect(Math.max(...lengths)).toBeLessThan(2 * 16 * 10_000);
});

test('learningRate: a larger gain takes a larger step on the same evidence', () => {
  const axis = axisOf(intKnob('k', { type: 'double', min: 0, max: 1, scale: 'linear', baseline: 0 }));
  if (axis === undefined) throw new Error('no axis');
  const rule = { perturbation: 0.06, maxStepRatio: 0.2 };
  const [slow, fast] = [0.01, 0.05].map((gain) => {
    const response = new Response([axis], 0.01, 10_000);
    response.open({ k: 0.2 }, '', 0.01);
    const probe = new Probe(response, { k: 0.2 }, { ...rule, gain });
    [0.2, 0.4].forEach((k, i) => {
      response.observe({ k }, '', { y: -0.5 * k, x: 0, atMs: i * 15_000 });
    });
    probe.recenter();
    return Number(probe.candidate().k);
  });
  expect(slow).toBeGreaterThan(0.2);
  expect(fast).toBeGreaterThan(slow ?? Number.NaN);
});
