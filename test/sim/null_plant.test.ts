import { expect, test } from 'vitest';
import { findOracle } from './plant/oracle.ts';
import { realEngine } from './real_engine.ts';
import { caseOptions, type SimCase } from './regression.ts';
import { runChecked } from './trial_run.ts';

const SEEDS = 200;
const RUN_MS = 400 * 10_000;

/**
 * Knobs that do nothing, under wandering, diurnal and spiky load with autocorrelated noise: whatever is promoted is false. 200 runs of 400
 * windows with short cooldowns; at most one run in twenty may ever promote anything.
 */
test('at most 5 % of 200 runs on a null plant ever promote anything', { timeout: 600_000 }, () => {
  const caseOf = (seed: number): SimCase => ({ scenario: 'p5-null', seed, runMs: RUN_MS, eager: true });
  const oracle = findOracle(caseOptions(caseOf(0)).scenario, RUN_MS);
  const deceived: number[] = [];
  let trials = 0;
  let proofs = 0;
  for (let seed = 0; seed < SEEDS; seed++) {
    const options = caseOptions(caseOf(seed));
    const run = runChecked({ ...options, createEngine: realEngine, oracle, compareEveryTicks: 10 });
    expect(run.violations, `violations of seed ${seed}`).toEqual([]);
    trials += run.trials;
    proofs += run.result.decisions.filter(({ evidence }) => (evidence?.blocks.length ?? 0) > 0).length;
    if (run.promoted > 0) deceived.push(seed);
  }
  expect(deceived.length, `seeds with a false promotion: ${deceived.join(', ')}`).toBeLessThanOrEqual(0.05 * SEEDS);
  // Never promoting because nothing was ever tried would be no merit.
  expect(trials).toBeGreaterThan(2 * SEEDS);
  expect(proofs).toBeGreaterThan(SEEDS);
});
