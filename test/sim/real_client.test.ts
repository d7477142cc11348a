import { describe, expect, test } from 'vitest';
import { expectClean } from './expect_clean.ts';
import { realClient } from './real_client.ts';
import { realEngine } from './real_engine.ts';
import { caseOptions, type SimCase } from './regression.ts';
import { runCheckedAsync } from './trial_run.ts';

const DAY_MS = 86_400_000;
const SEEDS = 5;

/**
 * The engine that ships against the client that ships, with everything between them in virtual time. The other simulations use a
 * model of the client, which is faster and misbehaves at will; this one holds the model to account.
 */
describe('engine and client library together, two days of everything that can go wrong', () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    test(`seed ${seed}`, async () => {
      const simCase: SimCase = { scenario: 'p10-lossy', seed, runMs: 2 * DAY_MS, eager: true };
      const options = {
        ...caseOptions(simCase),
        createEngine: realEngine,
        newClient: realClient,
        compareEveryTicks: 3,
      };
      const run = await runCheckedAsync(options);
      expectClean({ ...simCase, client: 'real' }, run);
      expect(run.trials).toBeGreaterThan(5);
      expect(run.settledRatio).toBeGreaterThan(0.5);
    });
  }

  test('the same seed gives the same effects twice', async () => {
    const simCase: SimCase = { scenario: 'p10-lossy', seed: 1, runMs: DAY_MS, eager: true };
    const options = { ...caseOptions(simCase), createEngine: realEngine, newClient: realClient, withDigest: true };
    const first = await runCheckedAsync(options);
    const second = await runCheckedAsync(options);
    expect(second.digest).toBe(first.digest);
    expect(first.trials).toBeGreaterThan(0);
  });
});
