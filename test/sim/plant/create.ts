import type { KnobSpec } from '../../../agent/core/model.ts';
import { valueAt } from '../knob_space.ts';
import { knobSpecs, type Scenario } from '../scenario.ts';
import { AnalyticPlant } from './analytic.ts';
import { createBatchingModel } from './batching.ts';
import type { Plant } from './plant.ts';
import { QueueingPlant, queueingTruth } from './queueing.ts';
import { createSurfaceModel, type Model } from './surface.ts';

/** The plant that a scenario describes, for a run of `runMs` with this seed. */
export function createPlant(scenario: Scenario, runMs: number, seed: number): Plant {
  const knobs = knobSpecs(scenario);
  if (scenario.plant.kind === 'queueing') return new QueueingPlant(scenario, scenario.plant, knobs, runMs, seed);
  return new AnalyticPlant(scenario, knobs, createModel(scenario, knobs), runMs, seed);
}

/** What settings give in expectation. */
export function createModel(scenario: Scenario, knobs: readonly KnobSpec[]): Model {
  const { plant, load } = scenario;
  if (plant.kind === 'queueing') return queueingTruth(scenario, plant, knobs);
  if (plant.kind === 'batching') return createBatchingModel(plant, knobs, load.requestsPerSecond);
  return createSurfaceModel(
    plant,
    knobs.map((knob) => knob.id),
    (id) => levelsOf(knobs, id),
    load.requestsPerSecond,
    conditionsOf(knobs),
  );
}

function conditionsOf(knobs: readonly KnobSpec[]): ReadonlyMap<string, (u: ArrayLike<number>) => boolean> {
  return new Map(
    knobs.flatMap(({ id, conditionalOn }) => {
      const at = knobs.findIndex((each) => each.id === conditionalOn?.knob);
      const parent = knobs[at];
      if (conditionalOn === undefined || parent === undefined) return [];
      return [[id, (u: ArrayLike<number>) => conditionalOn.values.includes(valueAt(parent, u[at] ?? 0))]];
    }),
  );
}

function levelsOf(knobs: readonly KnobSpec[], id: string): readonly string[] {
  const knob = knobs.find((each) => each.id === id);
  return knob?.type === 'enum' ? knob.values : ['false', 'true'];
}
