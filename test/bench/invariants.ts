/**
 * The invariants of the simulation over many seeds: `npm run -s bench:invariants -- [--seeds 1000] [--days 7] [--first-seed 0]
 * [--scenario p10-lossy] [--json]`. Ends with status 1 when any is broken; broken seeds are kept under test/regression.
 */
import { parseArgs } from 'node:util';
import { findOracle } from '../sim/plant/oracle.ts';
import { realEngine } from '../sim/real_engine.ts';
import { caseOptions, keepCase, type SimCase } from '../sim/regression.ts';
import { runChecked } from '../sim/trial_run.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    days: { type: 'string', default: '7' },
    'first-seed': { type: 'string', default: '0' },
    scenario: { type: 'string', default: 'p10-lossy' },
    json: { type: 'boolean', default: false },
  },
});
const seeds = Number(values.seeds);
const firstSeed = Number(values['first-seed']);
const runMs = Number(values.days) * 86_400_000;
if (!Number.isInteger(seeds) || seeds < 1 || !Number.isInteger(firstSeed) || !(runMs > 0)) {
  console.error('--seeds and --first-seed are whole numbers, --days is above 0');
  process.exit(2);
}

const totals = { seeds: 0, trials: 0, promoted: 0, restored: 0, agentStarts: 0, processStarts: 0, messagesLost: 0 };
const broken: { readonly seed: number; readonly file: string; readonly rules: readonly string[] }[] = [];
const caseOf = (seed: number): SimCase => ({ scenario: values.scenario, seed, runMs, eager: true });
const oracle = findOracle(caseOptions(caseOf(firstSeed)).scenario, runMs);
for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
  const run = runChecked({ ...caseOptions(caseOf(seed)), createEngine: realEngine, oracle, compareEveryTicks: 5 });
  totals.seeds++;
  totals.trials += run.trials;
  totals.promoted += run.promoted;
  totals.restored += run.restored;
  totals.agentStarts += run.result.agentStarts;
  totals.processStarts += run.result.processStarts;
  totals.messagesLost += run.result.messages.lost;
  if (run.violations.length === 0) continue;
  const rules = [...new Set(run.violations.map(({ rule }) => rule))];
  broken.push({ seed, file: keepCase(caseOf(seed), run.violations), rules });
  if (!values.json) console.log(`seed ${seed}: ${rules.join(', ')} (${broken.at(-1)?.file})`);
}
console.log(
  values.json ? JSON.stringify({ ...totals, broken }) : `${JSON.stringify(totals)}; broken seeds: ${broken.length}`,
);
process.exitCode = broken.length > 0 ? 1 : 0;
