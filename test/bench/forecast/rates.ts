import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Ensemble, type EnsembleSettings, HOURLY } from '../../../agent/core/forecast/ensemble.ts';
import { panel } from '../../../agent/core/forecast/experts/panel.ts';
import { rollUp } from '../../../agent/core/forecast/rollup.ts';
import { naive2, seasonalNaive } from './baselines.ts';
import { coverage, mase, msis, smape, spread } from './metrics.ts';

const DAY_S = 86_400;

/** Minutes ahead on series too short for days: five-minute steps, an hour ahead, no cycles. */
const FIVE_MINUTES: EnsembleSettings = { ...HOURLY, seasons: [], horizon: 12, refitAfter: 12 };

/**
 * Every column of every CSV below `dir` whose first column is `t_s`: request rates (ServeGen) or the metrics of pods.
 * Four days or more: hourly, a day ahead, forecast anew every day of the second half. Less: five-minute steps, an hour
 * ahead, anew every hour of the second half. Errors are scaled by the seasonal naive (daily) or naive forecast's.
 */
export function runRates(dir: string): object {
  const groups = new Map<string, Result[]>();
  let skipped = 0;
  for (const path of csvBelow(dir)) {
    const table = readTable(path);
    if (table === undefined) continue;
    for (const [column, values] of table.columns) {
      const result = evaluate(table.times, values);
      if (result === undefined) {
        skipped++;
        continue;
      }
      const name = `${result.grid}/${column.startsWith('chunk') ? 'client' : column}`;
      groups.set(name, [...(groups.get(name) ?? []), { ...result, file: basename(path) }]);
    }
  }
  return {
    protocol: 'rolling origins over the second half; weights and intervals from the past only',
    groups: Object.fromEntries([...groups].map(([name, results]) => [name, summary(results)])),
    skippedSeries: skipped,
    skippedBecause: 'constant, or fewer than 60 steps with a value on the grid',
  };
}

interface Result {
  readonly grid: 'hourly' | 'five_minutes';
  readonly file: string;
  readonly ensemble: readonly [smape: number, mase: number, coverage: number, msis: number];
  readonly naive: readonly [smape: number, mase: number];
  readonly naive2: readonly [smape: number, mase: number];
  readonly usPerForecast: number;
}

function evaluate(times: readonly number[], values: readonly number[]): Result | undefined {
  const span = times.at(-1)! - times[0]!;
  const hourly = span >= 4 * DAY_S;
  const stepS = hourly ? 3600 : 300;
  const settings = hourly ? { ...HOURLY, horizon: 24 } : FIVE_MINUTES;
  const period = hourly ? 24 : 1;
  const grid = rollUp(
    times.map((t) => t * 1000),
    values,
    stepS * 1000,
  );
  const known = grid.filter((v) => !Number.isNaN(v));
  if (known.length < 60 || known.every((v) => v === known[0])) return undefined;

  const tally: { e: number[][]; n: number[][]; n2: number[][]; ms: number[] } = { e: [], n: [], n2: [], ms: [] };
  const forecaster = new Ensemble(panel(settings.seasons), settings);
  for (let origin = grid.length >> 1; origin + settings.horizon <= grid.length; origin += settings.horizon) {
    const train = grid.slice(0, origin);
    const test = grid.slice(origin, origin + settings.horizon);
    if (test.some((v) => Number.isNaN(v))) continue;
    const started = performance.now();
    forecaster.fit(train);
    const path = forecaster.forecast(settings.horizon);
    if (path.length === 0) continue;
    tally.ms.push(performance.now() - started);
    const history = complete(train);
    if (history.length <= period || history.every((v) => v === history[0])) continue;
    const score = (f: readonly number[]) => [smape(test, f), mase(test, f, history, period)];
    const bounds = [coverage(test, path), msis(test, path, history, period, 1 - settings.confidence)];
    tally.e.push([...score(path.map((p) => p.median)), ...bounds]);
    tally.n.push(score(seasonalNaive(history, period, settings.horizon)));
    tally.n2.push(score(naive2(history, hourly ? 24 : 12, settings.horizon)));
  }
  if (tally.e.length === 0) return undefined;
  const column = (rows: readonly (readonly number[])[], i: number) => avg(rows.map((r) => r[i]!));
  return {
    grid: hourly ? 'hourly' : 'five_minutes',
    file: '',
    ensemble: [column(tally.e, 0), column(tally.e, 1), column(tally.e, 2), column(tally.e, 3)],
    naive: [column(tally.n, 0), column(tally.n, 1)],
    naive2: [column(tally.n2, 0), column(tally.n2, 1)],
    usPerForecast: 1000 * avg(tally.ms),
  };
}

function summary(results: readonly Result[]): object {
  return {
    series: results.length,
    ensemble: {
      smape: avg(results.map((r) => r.ensemble[0])),
      mase: spread(results.map((r) => r.ensemble[1])),
      coverage95: spread(results.map((r) => r.ensemble[2])),
      msis: avg(results.map((r) => r.ensemble[3])),
    },
    naive: { smape: avg(results.map((r) => r.naive[0])), mase: avg(results.map((r) => r.naive[1])) },
    naive2: { smape: avg(results.map((r) => r.naive2[0])), mase: avg(results.map((r) => r.naive2[1])) },
    usPerForecast: avg(results.map((r) => r.usPerForecast)),
  };
}

/** Baselines know no gaps: the last known value stands in. */
function complete(values: ArrayLike<number>): number[] {
  const out: number[] = [];
  for (let i = 0; i < values.length; i++) {
    const v = Number.isNaN(values[i]!) ? out.at(-1) : values[i]!;
    if (v !== undefined) out.push(v);
  }
  return out;
}

function csvBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.csv'))
    .sort()
    .map((name) => join(dir, name));
}

function readTable(path: string): { times: number[]; columns: Map<string, number[]> } | undefined {
  const [head = '', ...lines] = readFileSync(path, 'utf8').trim().split('\n');
  const names = head.trim().split(',');
  if (names[0] !== 't_s') return undefined;
  const rows = lines.map((l) => l.trim().split(','));
  const number = (cell: string | undefined) => (cell === undefined || cell === '' ? Number.NaN : Number(cell));
  return {
    times: rows.map((r) => Number(r[0])),
    columns: new Map(names.slice(1).map((name, i) => [name, rows.map((r) => number(r[i + 1]))])),
  };
}

function avg(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
