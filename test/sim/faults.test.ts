import { describe, expect, test } from 'vitest';
import { expectClean } from './expect_clean.ts';
import { findOracle } from './plant/oracle.ts';
import { realEngine } from './real_engine.ts';
import { caseOptions, type SimCase } from './regression.ts';
import type { Faults, Scenario } from './scenario.ts';
import { runChecked } from './trial_run.ts';

const DAY_MS = 86_400_000;
const SEEDS = 3;

const quiet: Faults = {
  telemetry: { delayMs: [1, 50], loss: 0, duplicate: 0, reorder: 0 },
  control: { delayMs: [1, 50], loss: 0, duplicate: 0, reorder: 0 },
  client: { rejectTransient: 0, rejectPermanent: 0, silent: 0, untoldExpiry: 0, misapply: 0, applyMs: [0, 20] },
};

/** One fault at a time, and much of it: what `seven_days` mixes. */
const FAULTS: Readonly<Record<string, Partial<Faults>>> = {
  'nothing at all': {},
  'telemetry lost': { telemetry: { ...quiet.telemetry, loss: 0.3 } },
  'telemetry doubled and overtaken': { telemetry: { delayMs: [1, 20_000], loss: 0, duplicate: 0.3, reorder: 0.2 } },
  'commands and answers lost': { control: { ...quiet.control, loss: 0.2 } },
  'commands doubled and overtaken': { control: { delayMs: [1, 10_000], loss: 0, duplicate: 0.3, reorder: 0.2 } },
  partitions: { partitions: { meanTimeBetweenMs: 7_200_000, downMs: [1_000, 1_800_000] } },
  // For less than a lease lasts: the session goes on, and some values have gone meanwhile.
  'values that go without a word': {
    partitions: { meanTimeBetweenMs: 900_000, downMs: [60_000, 170_000] },
    client: { ...quiet.client, untoldExpiry: 1 },
  },
  'a dying process': { process: { meanTimeBetweenMs: 7_200_000, downMs: [0.1, 10] } },
  'a clock that is set': { clock: { meanTimeBetweenMs: 3_600_000, jumpMs: [-3_600_000, 3_600_000] } },
  'a clock that is corrected': { clock: { meanTimeBetweenMs: 600_000, jumpMs: [-2_000, 2_000] } },
  'a killed agent': { agent: { meanTimeBetweenMs: 7_200_000, downMs: [1_000, 1_800_000] } },
  'an operator who asks for this and that': { operator: { meanTimeBetweenMs: 1_800_000 } },
  'refusals for now': { client: { ...quiet.client, rejectTransient: 0.2 } },
  'refusals for good': { client: { ...quiet.client, rejectPermanent: 0.1 } },
  'a client that never answers': { client: { ...quiet.client, silent: 1 } },
  'a client that mostly answers': { client: { ...quiet.client, silent: 0.3 } },
  'read-back that differs': { client: { ...quiet.client, misapply: 0.3 } },
  'a client that takes its time': { client: { ...quiet.client, applyMs: [1_000, 60_000] } },
};

describe('every invariant holds under', () => {
  for (const [name, faults] of Object.entries(FAULTS)) {
    test(name, () => {
      for (let seed = 0; seed < SEEDS; seed++) {
        const simCase: SimCase = { scenario: 'p10-lossy', seed, runMs: DAY_MS, eager: true };
        const options = caseOptions(simCase);
        const scenario: Scenario = { ...options.scenario, faults: { ...quiet, ...faults } };
        const run = runChecked({ ...options, scenario, createEngine: realEngine, compareEveryTicks: 3 });
        expect(run.violations, `${name}, seed ${seed}`).toEqual([]);
        expect(run.trials, `trials under ${name}, seed ${seed}`).toBeGreaterThan(0);
      }
    });
  }
});

describe('determinism', () => {
  for (const scenario of ['p1-smooth', 'p1-queueing', 'p10-lossy']) {
    test(`the same seed gives the same effects twice, another seed others: ${scenario}`, () => {
      const runMs = scenario === 'p10-lossy' ? DAY_MS : 1_500_000;
      const options = caseOptions({ scenario, seed: 1, runMs, eager: true });
      const oracle = findOracle(options.scenario, runMs);
      const digestOf = (seed: number) => {
        const run = runChecked({ ...options, seed, oracle, createEngine: realEngine, withDigest: true });
        expectClean({ scenario, seed, runMs, eager: true }, run);
        return run.digest;
      };
      const first = digestOf(1);
      expect(digestOf(1)).toBe(first);
      expect(digestOf(2)).not.toBe(first);
    });
  }
});

test('on a quiet network the agent finds what there is to win', () => {
  const options = caseOptions({ scenario: 'p10-lossy', seed: 3, runMs: 2 * DAY_MS, eager: true });
  const run = runChecked({ ...options, scenario: { ...options.scenario, faults: quiet }, createEngine: realEngine });
  expect(run.promoted).toBeGreaterThan(0);
  expect(run.result.account.regretRatio).toBeLessThan(0.8);
});
