import { keepCase, type SimCase } from './regression.ts';
import type { CheckedRun } from './trial_run.ts';

/** Fails with what was broken and how to replay it, and keeps the seed as a regression case. */
export function expectClean(simCase: SimCase, run: CheckedRun): void {
  if (run.violations.length === 0) return;
  const file = keepCase(simCase, run.violations);
  const lines = run.violations.slice(0, 10).map(({ rule, atMs, detail }) => `  ${rule}, at ${atMs} ms: ${detail}`);
  throw new Error(
    `seed ${simCase.seed} of ${simCase.scenario} broke ${run.violations.length} invariants (kept as ${file}):\n${lines.join('\n')}`,
  );
}
