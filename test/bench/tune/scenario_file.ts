import { readScenario, type Scenario } from '../../sim/scenario.ts';

/** A scenario that somebody wrote. What is wrong with it is theirs to read, not a trace of ours: it ends the program with status 2. */
export function scenarioAt(path: string): Scenario {
  try {
    return readScenario(path);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    console.error(what.includes(path) ? what : `${path}: ${what}`);
    console.error('what may be in a scenario: test/sim/README.md and test/sim/scenario.schema.json');
    process.exit(2);
  }
}
