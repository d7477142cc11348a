import { expect, test } from 'vitest';
import type { KnobSpec } from '../../agent/core/model.ts';
import { choiceStrategy } from '../../agent/core/tune/strategies/choice.ts';
import { Loop } from './engine_loop.ts';

/** A switch that is off at first. */
function switchKnob(id: string): KnobSpec {
  const base = { description: '', unit: '', role: 'other', applyClass: 'hot', settleMs: 1_000 } as const;
  return { ...base, id, type: 'bool', ceilingAtBoot: false, baseline: false };
}

test('of several switches the one that helps is kept, and the one that harms is not', () => {
  const loop = new Loop({
    tier: 'experimental',
    knobs: [switchKnob('cache'), switchKnob('verbose')],
    latencyS: ({ cache, verbose }) => 0.05 * (cache === 1 ? 0.7 : 1) * (verbose === 1 ? 1.1 : 1),
  }).open();
  const kept = loop.run(8_000, ({ kind }) => kind === 'promoted');
  expect(kept).toMatchObject({ strategy: choiceStrategy.name, changes: [{ knob: 'cache', from: false, to: true }] });
  loop.run(2_000);
  expect(loop.engine.tuning('c')?.incumbent).toEqual({ cache: true, verbose: false });
});

test('has no plan without switches, nor for a mode that is not asked for', () => {
  const loop = new Loop({ knobs: [switchKnob('cache')] }).open();
  loop.operator({ action: 'set_mode', component: 'c', mode: 'observe' });
  expect(loop.run(600, ({ kind }) => kind === 'trial_started')).toBeUndefined();
});

test('what has lost a comparison is left alone for an hour, the value that was replaced as well', () => {
  const loop = new Loop({
    tier: 'experimental',
    knobs: [switchKnob('cache'), switchKnob('verbose')],
    latencyS: ({ cache, verbose }) => 0.05 * (cache === 1 ? 0.7 : 1) * (verbose === 1 ? 1.1 : 1),
  }).open();
  loop.run(3_500);
  const tried = loop.decisions
    .filter(({ kind, strategy }) => kind === 'trial_started' && strategy === choiceStrategy.name)
    .flatMap(({ changes }) => changes.map(({ knob, to }) => `${knob} ${to}`));
  expect(tried.toSorted()).toEqual(['cache true', 'verbose true']);
});

/** Means something only while `cache` is on. */
const entries: KnobSpec = {
  ...{ id: 'entries', description: '', unit: '', role: 'other', applyClass: 'hot', settleMs: 1_000 },
  ...{ type: 'int', min: 1, max: 101, scale: 'linear', ceilingAtBoot: false, baseline: 21 },
  conditionalOn: { knob: 'cache', values: [true] },
};

test('a switch is judged with what it opens: worse by itself, it is kept with the value at which it helps', () => {
  const loop = new Loop({
    tier: 'experimental',
    knobs: [switchKnob('cache'), entries],
    latencyS: ({ cache, entries = 0 }) => 0.05 * (cache === 1 ? 1.1 - 0.005 * Math.min(80, entries) : 1),
  }).open();
  const kept = loop.run(8_000, ({ kind }) => kind === 'promoted');
  expect(kept).toMatchObject({ strategy: choiceStrategy.name });
  expect(kept?.changes).toContainEqual({ knob: 'cache', from: false, to: true });
  expect(Number(kept?.changes.find(({ knob }) => knob === 'entries')?.to)).toBeGreaterThan(30);
});

test('a switch that helps at no value of what it opens is given up before a proof, with everything as it was', () => {
  const loop = new Loop({
    tier: 'experimental',
    knobs: [switchKnob('cache'), entries],
    latencyS: ({ cache, entries = 0 }) => 0.05 * (cache === 1 ? 1.2 - 0.001 * entries : 1),
  }).open();
  const futile = loop.run(8_000, ({ kind, strategy }) => kind === 'futile' && strategy === choiceStrategy.name);
  expect(futile?.evidence?.blocks).toEqual([]);
  loop.run(60);
  expect(loop.engine.tuning('c')).toMatchObject({ settled: true, incumbent: { cache: false, entries: 21 } });
  expect(loop.decisions.some(({ kind }) => kind === 'promoted')).toBe(false);
});
