import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ensemble, HOURLY } from '../../../agent/core/forecast/ensemble.ts';
import { panel } from '../../../agent/core/forecast/experts/panel.ts';
import { naive2, seasonalNaive } from './baselines.ts';
import { type Bounds, coverage, mase, msis, owa, smape, spread } from './metrics.ts';

const PERIOD = 24;
const HORIZON = 48;
const FOLDS = 5;

interface SeriesOfM4 {
  readonly id: string;
  readonly train: Float64Array;
  readonly test: Float64Array;
}

interface Score {
  readonly smape: number;
  readonly mase: number;
  readonly msis: number;
  readonly coverage: number;
}

/** M4 Hourly: `Hourly-train.csv` and `Hourly-test.csv` in `dir`, 48 steps ahead, one configuration for all series. */
export function runM4(dir: string): object {
  const all = readM4(dir);
  const rows = all.map(({ train, test }) => {
    const n2 = naive2(train, PERIOD, HORIZON);
    const sn = seasonalNaive(train, PERIOD, HORIZON);
    const started = performance.now();
    const forecaster = new Ensemble(panel(HOURLY.seasons), HOURLY);
    forecaster.fit(train);
    const path = forecaster.forecast(HORIZON);
    const ms = performance.now() - started;
    const median = path.map((p) => p.median);
    const ensemble: Score = {
      smape: smape(test, median),
      mase: mase(test, median, train, PERIOD),
      msis: msis(test, path, train, PERIOD, 1 - HOURLY.confidence),
      coverage: coverage(test, path),
    };
    return {
      ms,
      // A value and its mark, as they are held; weights and calibration are under a kilobyte more.
      bytes: 9 * forecaster.save().values.length,
      ensemble,
      seasonalNaive: point(test, sn, train, seasonalNaiveBounds(train, sn)),
      naive2: { smape: smape(test, n2), mase: mase(test, n2, train, PERIOD) },
    };
  });

  const reference = { smape: avg(rows.map((r) => r.naive2.smape)), mase: avg(rows.map((r) => r.naive2.mase)) };
  const foldOf = (f: number) => rows.filter((_, i) => i % FOLDS === f);
  const overFolds = (value: (fold: typeof rows) => number) =>
    spread(Array.from({ length: FOLDS }, (_, f) => value(foldOf(f))));
  const owaOf = (part: typeof rows) =>
    owa(avg(part.map((r) => r.ensemble.smape)), avg(part.map((r) => r.ensemble.mase)), {
      smape: avg(part.map((r) => r.naive2.smape)),
      mase: avg(part.map((r) => r.naive2.mase)),
    });
  const summary = (scores: readonly Score[]) => {
    const s = avg(scores.map((r) => r.smape));
    const m = avg(scores.map((r) => r.mase));
    return {
      owa: owa(s, m, reference),
      smape: s,
      mase: m,
      coverage95: avg(scores.map((r) => r.coverage)),
      msis: avg(scores.map((r) => r.msis)),
    };
  };
  return {
    protocol: 'M4 Hourly, horizon 48, OWA against Naive2 on the same series',
    series: rows.length,
    ensemble: summary(rows.map((r) => r.ensemble)),
    baselines: {
      seasonalNaive: summary(rows.map((r) => r.seasonalNaive)),
      naive2: { owa: 1, ...reference },
    },
    folds: {
      count: FOLDS,
      owa: overFolds(owaOf),
      mase: overFolds((part) => avg(part.map((r) => r.ensemble.mase))),
      coverage95: overFolds((part) => avg(part.map((r) => r.ensemble.coverage))),
    },
    bytesPerSeries: avg(rows.map((r) => r.bytes)),
    usPerSeries: 1000 * avg(rows.map((r) => r.ms)),
    published: { competitionWinner: 0.44, bestHourlyEntry: 0.41, prototype: 0.418 },
  };
}

/** M4's own interval for a seasonal naive forecast: ± 1.96 σ √(cycles ahead). */
function seasonalNaiveBounds(train: Float64Array, path: readonly number[]): Bounds[] {
  let squares = 0;
  for (let i = PERIOD; i < train.length; i++) squares += (train[i]! - train[i - PERIOD]!) ** 2;
  const sigma = Math.sqrt(squares / (train.length - PERIOD));
  return path.map((v, h) => {
    const width = 1.96 * sigma * Math.sqrt(Math.floor(h / PERIOD) + 1);
    return { low: v - width, high: v + width };
  });
}

function point(test: Float64Array, path: readonly number[], train: Float64Array, bounds: readonly Bounds[]): Score {
  return {
    smape: smape(test, path),
    mase: mase(test, path, train, PERIOD),
    msis: msis(test, bounds, train, PERIOD, 1 - HOURLY.confidence),
    coverage: coverage(test, bounds),
  };
}

function readM4(dir: string): SeriesOfM4[] {
  const tests = new Map(readRows(join(dir, 'Hourly-test.csv')).map((r) => [r.id, r.values]));
  return readRows(join(dir, 'Hourly-train.csv')).map(({ id, values }) => {
    const test = tests.get(id);
    if (test === undefined) throw new Error(`${dir}/Hourly-test.csv has no row for ${id}, which the training file has`);
    return { id, train: values, test };
  });
}

function readRows(path: string): { id: string; values: Float64Array }[] {
  const [, ...lines] = readFileSync(path, 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [id = '', ...cells] = line.trim().replaceAll('"', '').split(',');
    return { id, values: Float64Array.from(cells.filter((c) => c !== '' && c !== 'NA').map(Number)) };
  });
}

function avg(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
