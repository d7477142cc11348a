import { describe, expect, test } from 'vitest';
import { expectClean } from './expect_clean.ts';
import { findOracle } from './plant/oracle.ts';
import { realEngine } from './real_engine.ts';
import { caseOptions, type SimCase } from './regression.ts';
import { runChecked } from './trial_run.ts';

const SEVEN_DAYS_MS = 7 * 86_400_000;
const SEEDS = 100;
const SEEDS_PER_TEST = 10;

const caseOf = (seed: number): SimCase => ({
  ...{ scenario: 'p10-lossy', seed, runMs: SEVEN_DAYS_MS, eager: true },
});
const oracle = findOracle(caseOptions(caseOf(0)).scenario, SEVEN_DAYS_MS);

/**
 * Seven virtual days a seed: telemetry and commands lost, late, doubled and overtaken, partitions, a process that dies, refuses, keeps
 * silent and misapplies, an agent killed with -9 and started again. Every invariant of `checkers.ts` holds throughout.
 */
describe('seven days of a bad network, a dying process and a killed agent', () => {
  let trials = 0;
  let promoted = 0;
  let settled = 0;
  let ruleTrials = 0;
  let asked = 0;
  let proposed = 0;
  let rolledBack = 0;

  for (let first = 0; first < SEEDS; first += SEEDS_PER_TEST) {
    test(`seeds ${first} to ${first + SEEDS_PER_TEST - 1}`, { timeout: 600_000 }, () => {
      for (let seed = first; seed < first + SEEDS_PER_TEST; seed++) {
        const simCase = caseOf(seed);
        const run = runChecked({ ...caseOptions(simCase), createEngine: realEngine, oracle, compareEveryTicks: 10 });
        expectClean(simCase, run);
        // A run in which nothing happened would prove nothing.
        expect(run.trials, `trials of seed ${seed}`).toBeGreaterThan(3);
        expect(run.result.agentStarts, `agent starts of seed ${seed}`).toBeGreaterThan(3);
        expect(run.result.processStarts, `process starts of seed ${seed}`).toBeGreaterThan(3);
        expect(run.result.messages.lost, `messages lost of seed ${seed}`).toBeGreaterThan(100);
        trials += run.trials;
        ruleTrials += run.ruleTrials;
        asked += run.requests.answered;
        proposed += run.requests.proposed;
        rolledBack += run.requests.rolledBack;
        promoted += run.promoted;
        settled += run.settledRatio;
      }
    });
  }

  test('there was something to check: trials, promotions, and belief that could be compared', () => {
    expect(trials).toBeGreaterThan(10 * SEEDS);
    expect(promoted).toBeGreaterThan(SEEDS / 2);
    expect(ruleTrials).toBeGreaterThan(SEEDS / 10);
    expect(asked).toBeGreaterThan(15 * SEEDS);
    expect(proposed).toBeGreaterThan(2 * SEEDS);
    expect(rolledBack).toBeGreaterThan(SEEDS);
    expect(settled / SEEDS).toBeGreaterThan(0.5);
  });
});
