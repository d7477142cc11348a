import { baselineSetting } from '../../sim/knob_space.ts';
import { createPlant } from '../../sim/plant/create.ts';
import { findOracle, type Oracle } from '../../sim/plant/oracle.ts';
import { objectiveOf } from '../../sim/plant/plant.ts';
import { knobSpecs, type Scenario } from '../../sim/scenario.ts';

/** What one seed is raced on, by every method alike. */
export interface Round {
  readonly scenario: Scenario;
  readonly oracle: Oracle;
}

/** With a default within 10 % of the best there is nothing to find, and regret is noise over nothing. */
const LEAST_GAIN = 0.1;
const MAX_ATTEMPTS = 1_000;

export function roundOn(scenario: Scenario, windows: number): Round {
  return { scenario, oracle: findOracle(scenario, windows * scenario.windowMs) };
}

/** The first of a series of draws that suits. */
export function firstSuitable(draw: (attempt: number) => Round | undefined, what: string): Round {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const round = draw(attempt);
    if (round !== undefined) return round;
  }
  throw new Error(`none of ${MAX_ATTEMPTS} draws of ${what} is worth a race`);
}

/** Whether the best constants of the phases are clearly better than the default. */
export function hasRoom({ scenario, oracle }: Round, windows: number): boolean {
  const baseline = baselineSetting(knobSpecs(scenario));
  const plant = createPlant(scenario, windows * scenario.windowMs, 1);
  let gain = 0;
  for (const { startMs, setting } of oracle.phases) {
    const of = (each: typeof setting) => objectiveOf(plant.truth(each, startMs + 1), scenario.objective);
    gain += (of(baseline) - of(setting)) / oracle.phases.length;
  }
  return gain > LEAST_GAIN;
}
