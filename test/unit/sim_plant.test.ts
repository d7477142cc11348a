import { readdirSync, readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Setting } from '../../agent/core/model.ts';
import { baselineSetting, positionOf, positionsOf, settingAt, valueAt } from '../sim/knob_space.ts';
import { createBatchingModel } from '../sim/plant/batching.ts';
import { createPlant } from '../sim/plant/create.ts';
import { addLogNormal, binomial, normalCdf, poisson } from '../sim/plant/histogram.ts';
import { findOracle, oracleAt } from '../sim/plant/oracle.ts';
import { createRecorder, objectiveOf } from '../sim/plant/plant.ts';
import { normalAt, Random, uniformAt } from '../sim/random.ts';
import { builtInScenario, knobSpecs, parseScenario, scenarioJsonSchema } from '../sim/scenario.ts';

const SCENARIOS = readdirSync(new URL('../sim/scenarios/', import.meta.url)).map((file) => file.replace('.yaml', ''));

describe('chance', () => {
  test('streams and counter-based draws repeat, and are spread as they should be', () => {
    const one = new Random(7);
    const two = new Random(7);
    const drawn = Array.from({ length: 20_000 }, () => one.uniform());
    expect(drawn).toEqual(Array.from({ length: 20_000 }, () => two.uniform()));
    expect(meanOf(drawn)).toBeCloseTo(0.5, 1);
    const normals = Array.from({ length: 20_000 }, (_, i) => normalAt(3, 1, i));
    expect(Math.abs(meanOf(normals))).toBeLessThan(0.03);
    expect(meanOf(normals.map((z) => z * z))).toBeCloseTo(1, 1);
    // Neighbouring indices and lanes are unrelated.
    const lagged = normals.slice(1).map((z, i) => z * normals[i]);
    expect(Math.abs(meanOf(lagged))).toBeLessThan(0.03);
    expect(uniformAt(3, 1, 5)).not.toBe(uniformAt(3, 2, 5));
  });

  test('counts follow their distributions, small and large', () => {
    for (const [n, p] of [
      [20, 0.1],
      [5_000, 0.3],
      [5_000, 0.9995],
    ] as const) {
      const drawn = Array.from({ length: 4_000 }, (_, i) => binomial(n, p, 11, i));
      const sd = Math.sqrt(n * p * (1 - p));
      expect(Math.abs(meanOf(drawn) - n * p)).toBeLessThan(5 * (sd / Math.sqrt(4_000)) + 0.01 * sd);
      expect(Math.sqrt(varianceOf(drawn)) / sd).toBeGreaterThan(0.9);
      expect(Math.sqrt(varianceOf(drawn)) / sd).toBeLessThan(1.1);
    }
    for (const mean of [2, 400]) {
      const drawn = Array.from({ length: 4_000 }, (_, i) => poisson(mean, 5, i));
      expect(Math.abs(meanOf(drawn) / mean - 1)).toBeLessThan(0.05);
      expect(Math.abs(varianceOf(drawn) / mean - 1)).toBeLessThan(0.12);
    }
  });

  test('a histogram of log-normal latencies has the mean, the quantiles and the count that were asked for', () => {
    const bounds = Array.from({ length: 40 }, (_, i) => 0.01 * 1.15 ** i);
    const recorder = createRecorder(bounds);
    for (let i = 0; i < 2_000; i++) addLogNormal(recorder, false, 100, 0.1, 0.5, 3, i);
    expect(recorder.count).toBe(200_000);
    expect(recorder.counts.reduce((sum, count) => sum + count, 0)).toBe(200_000);
    expect(recorder.sumS / recorder.count).toBeCloseTo(0.1, 3);
    const p95 = 0.1 * Math.exp(1.6449 * 0.5 - 0.125);
    const below = recorder.counts.reduce((sum, count, i) => sum + ((bounds[i] ?? Infinity) <= p95 ? count : 0), 0);
    expect(below / 200_000).toBeGreaterThan(0.92);
    expect(below / 200_000).toBeLessThanOrEqual(0.955);
    expect(normalCdf(1.6449)).toBeCloseTo(0.95, 4);
  });
});

describe('knob space', () => {
  const knobs = SCENARIOS.flatMap((name) => knobSpecs(builtInScenario(name)));
  test('every position gives an allowed value, and a value survives the way there and back', () => {
    fc.assert(
      fc.property(fc.constantFrom(...knobs), fc.double({ min: -1, max: 2, noNaN: true }), (knob, u) => {
        const value = valueAt(knob, u);
        const again = valueAt(knob, positionOf(knob, value));
        if (typeof value === 'number') expect(Number(again)).toBeCloseTo(value, 6);
        else expect(again).toBe(value);
      }),
    );
  });
});

describe('scenarios', () => {
  test('the committed JSON Schema is current (node test/sim/write_schema.ts)', () => {
    const committed: unknown = JSON.parse(
      readFileSync(new URL('../sim/scenario.schema.json', import.meta.url), 'utf8'),
    );
    expect(committed).toEqual(JSON.parse(JSON.stringify(scenarioJsonSchema())));
  });

  test('the JSON Schema accepts every scenario that the code accepts', () => {
    const validate = new Ajv2020({ strict: false }).compile(scenarioJsonSchema() as object);
    for (const name of SCENARIOS) {
      const text = readFileSync(new URL(`../sim/scenarios/${name}.yaml`, import.meta.url), 'utf8');
      expect(validate(parse(text)), `${name}: ${JSON.stringify(validate.errors)}`).toBe(true);
    }
  });

  test.each([
    ['an unknown key', 'nam: x', /nam/],
    ['a knob without a range', 'knobs: [{ id: a, type: int, baseline: 1 }]', /min/],
  ])('%s is refused with its path', (_, line, message) => {
    const yaml = `name: t\nload: { requestsPerSecond: 1 }\nplant: { kind: surface, latency: { baseMs: 1 } }\n${line}\n`;
    expect(() => parseScenario(yaml, 'f.yaml')).toThrow(message);
  });

  test('a term about a knob that does not exist, and a baseline out of range, are refused', () => {
    const knob = 'knobs: [{ id: a, type: double, min: 0, max: 1, baseline: BASE }]';
    const plant = 'plant: { kind: surface, latency: { baseMs: 1, terms: [{ kind: slope, knob: NAME, rise: 1 }] } }';
    const yaml = (base: string, name: string) =>
      `name: t\nload: { requestsPerSecond: 1 }\n${knob.replace('BASE', base)}\n${plant.replace('NAME', name)}\n`;
    expect(() => parseScenario(yaml('0.5', 'a'), 'f.yaml')).not.toThrow();
    expect(() => parseScenario(yaml('0.5', 'b'), 'f.yaml')).toThrow(/no knob is called 'b'/);
    expect(() => parseScenario(yaml('2', 'a'), 'f.yaml')).toThrow(/baseline of 'a'/);
  });

  test.each(SCENARIOS)('%s: the oracle is no worse than the default and than random settings', (name) => {
    const scenario = builtInScenario(name);
    const runMs = 400 * scenario.windowMs;
    const knobs = knobSpecs(scenario);
    const oracle = findOracle(scenario, runMs);
    const random = new Random(1);
    for (const { startMs } of oracle.phases) {
      const plant = createPlant(scenario, runMs, 1);
      const y = (setting: ReturnType<typeof baselineSetting>) =>
        objectiveOf(plant.truth(setting, startMs), scenario.objective);
      const best = y(oracleAt(oracle, startMs));
      expect(best).toBeLessThanOrEqual(y(baselineSetting(knobs)) + 0.02);
      const others = Array.from({ length: 20 }, () =>
        settingAt(
          knobs,
          knobs.map(() => random.uniform()),
        ),
      );
      const within = others.filter((setting) => {
        const { memoryBytes, errorRatio } = plant.truth(setting, startMs);
        return memoryBytes <= (scenario.limits.memoryBytes ?? Infinity) && errorRatio <= scenario.limits.errorRatio;
      });
      for (const setting of within) expect(best).toBeLessThanOrEqual(y(setting) + 0.02);
    }
  });
});

describe('plants', () => {
  test('an analytic plant measures what its truth says, up to noise', () => {
    const scenario = builtInScenario('p10-lossy');
    const plant = createPlant(scenario, 86_400_000, 4);
    const setting = baselineSetting(knobSpecs(scenario));
    plant.apply(setting);
    const recorder = createRecorder(scenario.telemetry.boundsS);
    let expected = 0;
    let weight = 0;
    for (let atMs = 30_000; atMs <= 86_400_000; atMs += 30_000) {
      const truth = plant.truth(setting, atMs - 30_000);
      const before = recorder.count;
      plant.advance(atMs, recorder);
      expected += truth.latencyMsMean * (recorder.count - before);
      weight += recorder.count - before;
    }
    expect(recorder.sumS / recorder.count / (expected / weight / 1_000)).toBeCloseTo(1, 1);
    expect(recorder.errorCount / (recorder.count + recorder.errorCount)).toBeCloseTo(0.002, 3);
  });

  test('two plants of one seed meet the same luck, whatever is applied in between', () => {
    const scenario = builtInScenario('p5-null');
    const knobs = knobSpecs(scenario);
    const still = createPlant(scenario, 4e6, 9);
    const moved = createPlant(scenario, 4e6, 9);
    const a = createRecorder(scenario.telemetry.boundsS);
    const b = createRecorder(scenario.telemetry.boundsS);
    still.apply(baselineSetting(knobs));
    for (let atMs = 5_000; atMs <= 500_000; atMs += 5_000) {
      moved.apply(
        settingAt(
          knobs,
          knobs.map(() => (atMs % 10_000) / 10_000),
        ),
      );
      still.advance(atMs, a);
      moved.advance(atMs, b);
    }
    expect(b.sumS).toBe(a.sumS);
    expect([...b.counts]).toEqual([...a.counts]);
  });

  test('memory beyond the limit kills; a restart revives', () => {
    const scenario = builtInScenario('p2-cliff');
    const knobs = knobSpecs(scenario);
    const plant = createPlant(scenario, 4e6, 1);
    const recorder = createRecorder(scenario.telemetry.boundsS);
    plant.apply(settingAt(knobs, [0.5, 1, 0.5, 1]));
    expect(plant.advance(60_000, recorder)).toBe(true);
    plant.restart(80_000);
    plant.apply(baselineSetting(knobs));
    expect(plant.advance(140_000, recorder)).toBe(false);
  });

  test('carry-over: after a move the new value shows only with time', () => {
    const scenario = builtInScenario('p9-carry-over');
    const quiet = { ...scenario, noise: { latencySd: 0, correlationMs: 0 } };
    const knobs = knobSpecs(scenario);
    const plant = createPlant(quiet, 4e6, 1);
    const meanAfter = (fromMs: number, toMs: number) => {
      const recorder = createRecorder(scenario.telemetry.boundsS);
      for (let atMs = fromMs + 1_000; atMs <= toMs; atMs += 1_000) plant.advance(atMs, recorder);
      return recorder.sumS / recorder.count;
    };
    plant.apply(baselineSetting(knobs));
    meanAfter(0, 60_000);
    plant.apply(settingAt(knobs, [0.65, 0.7, 0.4]));
    const early = meanAfter(60_000, 65_000);
    meanAfter(65_000, 120_000);
    const late = meanAfter(120_000, 150_000);
    expect(early).toBeGreaterThan(1.3 * late);
  });

  test('the request-level server does what its truth says, and its closed form is near where it should hold', () => {
    const scenario = builtInScenario('p1-queueing');
    const { plant: spec } = scenario;
    if (spec.kind !== 'queueing') throw new Error('p1-queueing is not simulated by request');
    const knobs = knobSpecs(scenario);
    const { warmup: _, ...unwarmed } = spec;
    const calm = {
      ...scenario,
      ...{ plant: unwarmed, noise: { latencySd: 0, correlationMs: 0 }, phases: [], load: { requestsPerSecond: 100 } },
    };
    const closedForm = createBatchingModel(spec, knobs, 100);
    for (const values of [
      { max_batch_size: 1, batch_wait_ms: 1, concurrency: 4 },
      { max_batch_size: 2, batch_wait_ms: 10, concurrency: 2 },
      { max_batch_size: 16, batch_wait_ms: 20, concurrency: 3 },
    ]) {
      const setting: Setting = { ...baselineSetting(knobs), ...values };
      const plant = createPlant(calm, 1e6, 2);
      const recorder = createRecorder(scenario.telemetry.boundsS);
      plant.apply(setting);
      plant.advance(600_000, recorder);
      const truth = plant.truth(setting, 0);
      const measuredMs = (recorder.sumS / recorder.count) * 1_000;
      expect(recorder.count / 600).toBeGreaterThan(95);
      expect(
        Math.abs(measuredMs / truth.latencyMsMean - 1),
        JSON.stringify({ values, measuredMs, truth }),
      ).toBeLessThan(0.04);
      const natural = knobs.map((knob) => Number(setting[knob.id]));
      const closed = { ...truth };
      closedForm.evaluate(positionsOf(knobs, setting), natural, 1, [], 0, closed);
      expect(closed.latencyMsMean / truth.latencyMsMean, JSON.stringify({ values, closed, truth })).toBeGreaterThan(
        0.7,
      );
      expect(closed.latencyMsMean / truth.latencyMsMean, JSON.stringify({ values, closed, truth })).toBeLessThan(1.4);
    }
  });

  test('the request-level server fails what waits too long, and an overloaded one most of it', () => {
    const scenario = builtInScenario('p1-queueing');
    const knobs = knobSpecs(scenario);
    const plant = createPlant({ ...scenario, load: { requestsPerSecond: 400 }, phases: [] }, 1e6, 2);
    const recorder = createRecorder(scenario.telemetry.boundsS);
    plant.apply({ ...baselineSetting(knobs), max_batch_size: 1, queue_timeout_ms: 100 });
    plant.advance(120_000, recorder);
    // One by one two servers answer some 150 a second.
    expect(recorder.count / 120).toBeGreaterThan(100);
    expect(recorder.count / 120).toBeLessThan(170);
    expect(recorder.errorCount / 120).toBeGreaterThan(200);
    expect(recorder.sumS / recorder.count).toBeLessThan(0.2);
  });
});

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function varianceOf(values: readonly number[]): number {
  const center = meanOf(values);
  return meanOf(values.map((value) => (value - center) ** 2));
}
