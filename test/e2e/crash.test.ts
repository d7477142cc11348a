import { expect, test } from 'vitest';
import { killAtRandom } from '../bench/crash/run.ts';

test('20 kills at random: nothing acknowledged is lost, nothing held beyond its lease, nothing stale obeyed', {
  timeout: 600_000,
}, async () => {
  const report = await killAtRandom({ kills: 20, seed: 7, longestPauseMs: 600 }, () => {});
  expect(report.breaches).toEqual([]);
  expect(report.kills).toEqual({ agent: 15, client: 5 });
  // It would prove nothing if nothing had been at stake.
  expect(report.acknowledged.decisions).toBeGreaterThan(0);
  expect(report.acknowledged.pins).toBeGreaterThan(0);
  expect(report.commands.staleOrForged).toBeGreaterThan(0);
});
