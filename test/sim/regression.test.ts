import { describe, expect, test } from 'vitest';
import { realClient } from './real_client.ts';
import { realEngine } from './real_engine.ts';
import { caseOptions, readCases } from './regression.ts';
import { runChecked, runCheckedAsync } from './trial_run.ts';

/** Seeds that broke an invariant once. */
describe('seeds that failed before', () => {
  const cases = readCases();

  test('there are some', () => expect(cases.length).toBeGreaterThan(0));

  for (const simCase of cases) {
    test(simCase.file, { timeout: 300_000 }, async () => {
      const options = { ...caseOptions(simCase), createEngine: realEngine };
      const run =
        simCase.client === 'real' ? await runCheckedAsync({ ...options, newClient: realClient }) : runChecked(options);
      expect(run.violations).toEqual([]);
    });
  }
});
