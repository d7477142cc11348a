/**
 * How well, how safely and how cheaply each method tunes a live process: `npm run -s bench:tune -- [FILE...] [options]`.
 *
 * FILE: scenarios (`test/sim/scenario.schema.json` describes them), also from elsewhere; none: the smooth and the null plant.
 * `--where`: instead of racing, what our engine is at while it loses what it loses.
 * `--vary`: every seed on a variation of the scenario that is drawn from it, the same for all methods (`tune/varied_scenario.ts`).
 * `--random N`: instead of files N scenarios drawn at random, from number `--first-seed` on, one run each.
 */
import { parseArgs } from 'node:util';
import { builtInScenario, type Scenario } from '../sim/scenario.ts';
import { type Expectation, expectationsOf } from './tune/expectations.ts';
import { randomScenario } from './tune/random_scenario.ts';
import { peersOn } from './tune/roster.ts';
import { type Round, roundOn } from './tune/round.ts';
import { runOurs } from './tune/run_ours.ts';
import { runPeer } from './tune/run_peer.ts';
import { scenarioAt } from './tune/scenario_file.ts';
import { type Interval, type MethodReport, type RunScore, reportOf } from './tune/score.ts';
import { variationsOf } from './tune/varied_scenario.ts';
import { whereOnAverage } from './tune/where.ts';

const USAGE = `usage: npm run -s bench:tune -- [FILE...] [--seeds 30; 200 on the built-in null plant] [--windows 400] [--first-seed 0] [--methods ours,spsa] [--vary] [--random N] [--where] [--json]`;

const SEEDS = 30;
const NULL_SEEDS = 200;

interface Race {
  readonly name: string;
  readonly seeds: readonly number[];
  readonly windows: number;
  /** Undefined: every method that can run there. */
  readonly only: readonly string[] | undefined;
  readonly roundOf: (seed: number) => Round;
  /** The file whose expectations are held against ours; none for what is drawn. */
  readonly file?: Scenario;
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
      vary: { type: 'boolean', default: false },
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
  const first = wholeNumber('--first-seed', values['first-seed'], 0);
  const only = values.methods?.split(',').map((name) => name.trim());
  const onFile = (scenario: Scenario, count = SEEDS, those?: readonly string[]) =>
    raceOn(scenario, numbersFrom(first, seeds ?? count), windows, only ?? those, values.vary);
  const planned: readonly Race[] =
    values.random !== undefined
      ? [raceAtRandom(numbersFrom(first, wholeNumber('--random', values.random, 1)), windows, only)]
      : positionals.length > 0
        ? positionals.map((path) => onFile(scenarioAt(path)))
        : [
            onFile(builtInScenario('p1-smooth')),
            // A rate of a few percent needs many seeds, and only of those whose claims are at stake.
            onFile(builtInScenario('p5-null'), NULL_SEEDS, ['ours', 'default', 'spsa']),
          ];
  if (values.where) {
    for (const race of planned) console.log(whereTable(race));
    return;
  }
  const reports = planned.map((race) => {
    const report = run(race);
    if (!values.json) console.log(tableOf(report));
    return report;
  });
  if (values.json) console.log(JSON.stringify({ scenarios: reports }, null, 2));
}

function numbersFrom(first: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

/** Every seed on the scenario as it is written, or each on its own variation of it. */
function raceOn(
  scenario: Scenario,
  seeds: readonly number[],
  windows: number,
  only: readonly string[] | undefined,
  isVaried: boolean,
): Race {
  if (isVaried)
    return { name: `${scenario.name}, varied`, seeds, windows, only, roundOf: variationsOf(scenario, windows) };
  const round = roundOn(scenario, windows);
  return { name: scenario.name, seeds, windows, only, roundOf: () => round, file: scenario };
}

/** One seed on each of some scenarios that are drawn from their numbers. */
function raceAtRandom(
  numbers: readonly number[],
  windows: number,
  only: readonly string[] = ['ours', 'default', 'best constant', 'spsa', 'bluefin', 'cma-es'],
): Race {
  const name = `random ${numbers[0]} to ${numbers.at(-1)}`;
  return { name, seeds: numbers, windows, only, roundOf: (number) => randomScenario(number, windows) };
}

/** Regrets and the rest are means over the seeds. */
function run({ name, seeds, windows, only, roundOf, file }: Race): ScenarioReport {
  const scores = new Map<string, RunScore[]>();
  for (const seed of seeds) {
    const runs = methodsOn(roundOf(seed), windows);
    const unknown = only?.filter((method) => !runs.has(method)) ?? [];
    if (unknown.length > 0)
      fail(`no method ${unknown.join(', ')} on ${name}; there are ${[...runs.keys()].join(', ')}`);
    for (const [method, race] of runs) {
      if (only !== undefined && !only.includes(method)) continue;
      scores.set(method, [...(scores.get(method) ?? []), race(seed, seed === seeds.at(-1))]);
    }
  }
  const methods = [...scores].map(([method, list]) => reportOf(method, list));
  const ours = methods.find(({ method }) => method === 'ours');
  const expectations = ours === undefined || file === undefined ? [] : expectationsOf(file, ours);
  return { scenario: name, seeds: seeds.length, windows, methods, expectations };
}

type Run = (seed: number, isLast: boolean) => RunScore;

function methodsOn({ scenario, oracle }: Round, windows: number): ReadonlyMap<string, Run> {
  const runMs = windows * scenario.windowMs;
  const runs = new Map<string, Run>([['ours', (seed, isLast) => runOurs(scenario, oracle, seed, runMs, isLast)]]);
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

function whereTable({ name, seeds, windows, roundOf }: Race): string {
  const rows = whereOnAverage(roundOf, seeds, windows);
  const regret = rows.reduce((sum, row) => sum + row.regret, 0);
  const lines = rows.map(
    (row) =>
      `${row.activity.padEnd(40)}  ${row.timePercent.toFixed(1).padStart(5)}   ${row.regret.toFixed(3).padStart(6)}`,
  );
  const title = `\n${name}: ${seeds.length} seeds, ${windows} windows; regret ${regret.toFixed(3)}`;
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
    'µs/window (p99, in the first run)',
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
    costOf(report),
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

function costOf({ cpuUsPerWindow, cpuUsPerWindowP99, cpuUsPerWindowP99Cold }: MethodReport): string {
  const mean = cpuUsPerWindow.toFixed(0);
  if (cpuUsPerWindowP99 === undefined || cpuUsPerWindowP99Cold === undefined) return mean;
  return `${mean} (${cpuUsPerWindowP99.toFixed(0)}, ${cpuUsPerWindowP99Cold.toFixed(0)})`;
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
