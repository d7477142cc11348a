import type { Journal } from '../adapters/journal/journal.ts';
import { MeasuredResults } from '../core/analytics/results.ts';
import type { Decision } from '../core/model.ts';

/** Decisions that count when an agent starts. */
const DECISIONS_READ = 10_000;

/** What trials have measured before this start; without a journal, nothing yet. */
export function measuredResults(journal: Pick<Journal, 'decisions'> | undefined): MeasuredResults {
  const results = new MeasuredResults();
  const kept = journal?.decisions({ limit: DECISIONS_READ }) ?? [];
  for (const decision of [...kept].reverse()) results.learn(decision);
  return results;
}

/** Keeps decisions, and tells of each once it is kept: what could not be written down is not learned from. */
export function learningFrom(journal: Pick<Journal, 'commit'> | undefined, learn: (decision: Decision) => void) {
  return {
    commit(decisions: readonly Decision[], state: string | undefined): void {
      journal?.commit(decisions, state);
      for (const decision of decisions) learn(decision);
    },
  };
}
