/**
 * How well, how safely and how cheaply each method tunes a live process: `npm run -s bench:tune -- [FILE...] [options]`.
 *
 * FILE: scenarios (`test/sim/scenario.schema.json` describes them), also from elsewhere; none: the smooth and the null plant.
 * `--where`: instead of racing, what our engine is at while it loses what it loses.
 * `--random N`: instead of files N scenarios drawn at random, from number `--first-seed` on, one run each.
 */
import { parseArgs } from 'node:util';
import { findOracle, type Oracle } from '../sim/plant/oracle.ts';
import { builtInScenario, type Scenario } from '../sim/scenario.ts';
import { type Expectation, expectationsOf } from './tune/expectations.ts';
import { randomScenario } from './tune/random_scenario.ts';
import { peersOn } from './tune/roster.ts';
import { runOurs } from './tune/run_ours.ts';
import { runPeer } from './tune/run_peer.ts';
import { scenarioAt } from './tune/scenario_file.ts';
import { type Interval, type MethodReport, type RunScore, reportOf } from './tune/score.ts';
import { whereOnAverage } from './tune/where.ts';

const USAGE = `usage: npm run -s bench:tune -- [FILE...] [--seeds 30; 200 on the built-in null plant] [--windows 400] [--first-seed 0] [--methods ours,spsa] [--random N] [--where] [--json]`;

const SEEDS = 30;
const NULL_SEEDS = 200;

interface Race {
  readonly scenario: Scenario;
  readonly seeds: number;
  readonly only?: readonly string[];
}

interface ScenarioReport {
  readonly scenario: string;
  readonly seeds: number;
  readonly windows: number;
  readonly methods: readonly MethodReport[];
  /** What the scenario expects of a tuner, held against ours. */
  readonly expectations: readonly Expectation[];
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seeds: { type: 'string' },
      windows: { type: 'string', default: '400' },
      'first-seed': { type: 'string', default: '0' },
      random: { type: 'string' },
      methods: { type: 'string' },
      where: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const seeds = values.seeds === undefined ? undefined : wholeNumber('--seeds', values.seeds, 1);
  const windows = wholeNumber('--windows', values.windows, 10);
  const firstSeed = wholeNumber('--first-seed', values['first-seed'], 0);
  const only = values.methods?.split(',').map((name) => name.trim());
  if (values.random !== undefined) {
    const report = raceAtRandom(wholeNumber('--random', values.random, 1), windows, firstSeed, only);
    console.log(values.json ? JSON.stringify({ scenarios: [report] }, null, 2) : tableOf(report));
    return;
  }
  const planned: readonly Race[] =
    positionals.length > 0
      ? positionals.map((path) => ({ scenario: scenarioAt(path), seeds: SEEDS }))
      : [
          { scenario: builtInScenario('p1-smooth'), seeds: SEEDS },
          // A rate of a few percent needs many seeds, and only of those whose claims are at stake.
          { scenario: builtInScenario('p5-null'), seeds: NULL_SEEDS, only: ['ours', 'default', 'spsa'] },
        ];
  if (values.where) {
    for (const { scenario } of planned) console.log(whereTable(scenario, seeds ?? SEEDS, windows, firstSeed));
    return;
  }
  const reports = planned.map((plan) => {
    const report = race(plan.scenario, seeds ?? plan.seeds, windows, firstSeed, only ?? plan.only);
    if (!values.json) console.log(tableOf(report));
    return report;
  });
  if (values.json) console.log(JSON.stringify({ scenarios: reports }, null, 2));
}

function race(
  scenario: Scenario,
  seeds: number,
  windows: number,
  firstSeed: number,
  only: readonly string[] | undefined,
): ScenarioReport {
  const runs = methodsOn(scenario, findOracle(scenario, windows * scenario.windowMs), windows);
  const unknown = only?.filter((name) => !runs.has(name)) ?? [];
  if (unknown.length > 0)
    fail(`no method ${unknown.join(', ')} on ${scenario.name}; there are ${[...runs.keys()].join(', ')}`);
  const methods = [...runs]
    .filter(([name]) => only === undefined || only.includes(name))
    .map(([name, run]) =>
      reportOf(
        name,
        Array.from({ length: seeds }, (_, i) => run(firstSeed + i)),
      ),
    );
  const ours = methods.find(({ method }) => method === 'ours');
  const expectations = ours === undefined ? [] : expectationsOf(scenario, ours);
  return { scenario: scenario.name, seeds, windows, methods, expectations };
}

/** One seed on each of `count` scenarios that are drawn from their numbers; regrets and the rest are means over scenarios. */
function raceAtRandom(
  count: number,
  windows: number,
  first: number,
  only: readonly string[] = ['ours', 'default', 'best constant', 'spsa', 'bluefin', 'cma-es'],
): ScenarioReport {
  const scores = new Map<string, RunScore[]>(only.map((name) => [name, []]));
  for (let number = first; number < first + count; number++) {
    const { scenario, oracle } = randomScenario(number, windows);
    const runs = methodsOn(scenario, oracle, windows);
    for (const [name, list] of scores) {
      const run =
        runs.get(name) ?? fail(`no method ${name} on random scenarios; there are ${[...runs.keys()].join(', ')}`);
      list.push(run(number));
    }
  }
  const methods = [...scores].map(([name, list]) => reportOf(name, list));
  return { scenario: `random ${first} to ${first + count - 1}`, seeds: count, windows, methods, expectations: [] };
}

function methodsOn(
  scenario: Scenario,
  oracle: Oracle,
  windows: number,
): ReadonlyMap<string, (seed: number) => RunScore> {
  const runMs = windows * scenario.windowMs;
  const runs = new Map<string, (seed: number) => RunScore>([
    ['ours', (seed) => runOurs(scenario, oracle, seed, runMs)],
  ]);
  for (const [name, peer] of peersOn(scenario, oracle)) {
    if (!canRun(scenario, name)) continue;
    runs.set(name, (seed) => {
      return runPeer(scenario, oracle, (context) => peer(context) ?? unreachable(name), seed, runMs);
    });
  }
  return runs;
}

/** Concurrency limits need a knob to limit with. */
function canRun(scenario: Scenario, name: string): boolean {
  if (!['aimd', 'vegas', 'gradient2'].includes(name)) return true;
  return scenario.knobs.some((knob) => knob.role === 'concurrency' && knob.type === 'int');
}

function whereTable(scenario: Scenario, seeds: number, windows: number, firstSeed: number): string {
  const runMs = windows * scenario.windowMs;
  const numbers = Array.from({ length: seeds }, (_, i) => firstSeed + i);
  const rows = whereOnAverage(scenario, findOracle(scenario, runMs), numbers, runMs);
  const regret = rows.reduce((sum, row) => sum + row.regret, 0);
  const lines = rows.map(
    (row) =>
      `${row.activity.padEnd(40)}  ${row.timePercent.toFixed(1).padStart(5)}   ${row.regret.toFixed(3).padStart(6)}`,
  );
  const title = `\n${scenario.name}: ${seeds} seeds, ${windows} windows; regret ${regret.toFixed(3)}`;
  return [title, `${'ours is at'.padEnd(40)}  time %  regret`, ...lines].join('\n');
}

function tableOf({ scenario, seeds, windows, methods, expectations }: ScenarioReport): string {
  const header = [
    'method',
    'regret',
    'vs default',
    'extra viol %',
    'kills',
    '>25 % worse %',
    'flaps',
    'kept',
    'false',
    'regretted',
    'to opt',
    're-adapt',
    'µs/window (p99)',
    'MiB',
  ];
  const rows = methods.map((report) => [
    report.method,
    report.regretRatio === undefined ? '-' : withInterval(report.regretRatio, 2),
    `${(100 * report.againstDefault.mean).toFixed(1)} %`,
    report.extraViolationPercent.mean.toFixed(2),
    report.killsPerRun.mean.toFixed(2),
    report.farWorsePercent.mean.toFixed(2),
    report.flapsPerRun.toFixed(1),
    report.promotionsPerRun?.toFixed(1) ?? '-',
    report.falseAcceptRunsPercent === undefined
      ? '-'
      : `${report.falseAccepts} (${report.falseAcceptRunsPercent.toFixed(0)} % of runs)`,
    report.regrettedAccepts?.toString() ?? '-',
    arrival(report.windowsToOptimum),
    arrival(report.readaptWindows),
    report.cpuUsPerWindow.toFixed(0) +
      (report.cpuUsPerWindowP99 === undefined ? '' : ` (${report.cpuUsPerWindowP99.toFixed(0)})`),
    report.memoryMiBMax?.toFixed(1) ?? '-',
  ]);
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('  ')
      .trimEnd();
  const expected = expectations.map(
    ({ what, bounds: [low, high], value, isMet }) =>
      `  ${isMet ? 'as expected' : 'NOT as expected'}: ${what} ${value.toPrecision(3)} in [${low}, ${high}]`,
  );
  return [`\n${scenario}: ${seeds} seeds, ${windows} windows`, line(header), ...rows.map(line), ...expected].join('\n');
}

function withInterval({ mean, low, high }: Interval, digits: number): string {
  return `${mean.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
}

function arrival({ median, reachedPercent }: MethodReport['windowsToOptimum']): string {
  return `${median ?? '-'} (${reachedPercent.toFixed(0)} %)`;
}

function wholeNumber(option: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    fail(`${option} must be a whole number of at least ${least}, not '${text}'`);
  return value;
}

function unreachable(name: string): never {
  throw new Error(`${name} has no knob to move`);
}

function fail(message: string): never {
  console.error(`${message}\n${USAGE}`);
  process.exit(2);
}

main();
