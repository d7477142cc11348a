import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { variationsOf } from '../bench/tune/varied_scenario.ts';
import { baselineSetting } from '../sim/knob_space.ts';
import { createPlant } from '../sim/plant/create.ts';
import { crosses } from '../sim/plant/plant.ts';
import { builtInScenario, knobSpecs, scenarioFrom } from '../sim/scenario.ts';

const NAMES = readdirSync(new URL('../sim/scenarios', import.meta.url)).map((file) => file.replace('.yaml', ''));
const WINDOWS = 40;

describe('variations of a scenario', () => {
  // The truth of the queueing server is a simulation for each setting: minutes rather than seconds.
  test.each(NAMES.filter((name) => name !== 'p1-queueing'))(
    '%s: what is drawn is a scenario like any other',
    (name) => {
      const { scenario } = variationsOf(builtInScenario(name), WINDOWS)(1);
      expect(scenarioFrom(structuredClone(scenario), name)).toEqual(scenario);
    },
  );

  test('a seed always gives the same, another seed another, and neither is the file', () => {
    const original = builtInScenario('p2-cliff');
    const variation = variationsOf(original, WINDOWS);
    expect(variation(1)).toEqual(variation(1));
    expect(variation(2)).not.toEqual(variation(1));
    expect(variation(1).scenario).not.toEqual(original);
  });

  test('numbers move within bounds, what the scenario is about stays', () => {
    const original = builtInScenario('p2-cliff');
    const { scenario } = variationsOf(original, WINDOWS)(3);
    const factor = scenario.load.requestsPerSecond / original.load.requestsPerSecond;
    expect(Math.abs(Math.log(factor))).toBeLessThanOrEqual(0.3);
    expect(Math.abs(Number(scenario.knobs[0].baseline) - Number(original.knobs[0].baseline))).toBeLessThanOrEqual(0.1);
    const shape = (each: typeof scenario) =>
      each.plant.kind === 'surface' ? each.plant.latency.terms.map(({ kind }) => kind) : [];
    expect(shape(scenario)).toEqual(shape(original));
    expect(scenario.knobs.map(({ id }) => id)).toEqual(original.knobs.map(({ id }) => id));
    expect(scenario.faults).toEqual(original.faults);
  });

  test.each([
    ['p3-violating', true],
    ['p2-cliff', false],
    ['p4-noisy', false],
  ])('%s: the default crosses its limits as that of the file does (%s)', (name, isCrossing) => {
    const variation = variationsOf(builtInScenario(name), WINDOWS);
    for (const seed of [1, 2, 3]) {
      const { scenario } = variation(seed);
      const plant = createPlant(scenario, WINDOWS * scenario.windowMs, seed);
      const instants = Array.from({ length: WINDOWS }, (_, i) => i * scenario.windowMs);
      const baseline = baselineSetting(knobSpecs(scenario));
      const crossed = instants.filter((atMs) => crosses(plant.truth(baseline, atMs), scenario.limits)).length;
      expect(crossed / WINDOWS > 0.05).toBe(isCrossing);
    }
  });
});
