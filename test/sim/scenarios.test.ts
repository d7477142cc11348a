import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expectClean } from './expect_clean.ts';
import { findOracle } from './plant/oracle.ts';
import { realEngine } from './real_engine.ts';
import { caseOptions, type SimCase } from './regression.ts';
import { runChecked } from './trial_run.ts';

const SCENARIOS = readdirSync(new URL('scenarios/', import.meta.url)).map((file) => file.replace('.yaml', ''));
const SEEDS = 3;
const WINDOWS = 400;

/** How well the engine does on each is the benchmark's business; that it keeps its promises on each is checked here. */
describe('every invariant holds on', () => {
  for (const scenario of SCENARIOS) {
    test(scenario, () => {
      const { windowMs } = caseOptions({ scenario, seed: 0, runMs: 1 }).scenario;
      const runMs = WINDOWS * windowMs;
      const options = caseOptions({ scenario, seed: 0, runMs });
      const oracle = findOracle(options.scenario, runMs);
      for (let seed = 0; seed < SEEDS; seed++) {
        const simCase: SimCase = { scenario, seed, runMs };
        const run = runChecked({ ...options, seed, oracle, createEngine: realEngine });
        expectClean(simCase, run);
        expect(run.trials, `trials of seed ${seed}`).toBeGreaterThan(0);
      }
    });
  }
});
