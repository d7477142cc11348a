import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { AlertStage } from '../../../agent/core/detect/alert.ts';
import { SeriesMonitor } from '../../../agent/core/detect/monitor.ts';
import { STANDING_SET } from '../../../agent/core/detect/standing-set.ts';
import { SurpriseDetector } from '../../../agent/core/detect/surprise.ts';
import { Cost, meanAndSpread, round } from './alarms.ts';
import { periodicAlarms, seeded } from './blind.ts';
import { rangeF1, rangesOf, vusPr } from './range-score.ts';
import type { ScoredSeries } from './scores-file.ts';
import { readText } from './series.ts';

/** One row a minute; the files hold no times. */
const ROW_MS = 60_000;
const DAY_MS = 86_400_000;

export interface SmdOptions {
  readonly budgetPerDay: number;
}

/** Streams each machine's training part, then its test part, metric by metric; scores the test part. */
export function benchSmd(dir: string, options: SmdOptions): { report: object; scored: ScoredSeries[] } {
  const machines = readdirSync(dir)
    .filter((name) => /_test\.csv(\.gz)?$/.test(name))
    .sort();
  if (machines.length === 0)
    throw new Error(`${dir}: no machines; expected NAME_train.csv, NAME_test.csv, NAME_test_label.txt`);
  const cost = new Cost();
  const random = seeded(1);
  const scored: ScoredSeries[] = [];
  let points = 0;
  const results = machines.map((file) => {
    const machine = file.replace(/_test\.csv(\.gz)?$/, '');
    const train = readRows(dir, `${machine}_train.csv`);
    const test = readRows(dir, `${machine}_test.csv`);
    const labels = Uint8Array.from(
      readText(join(dir, `${machine}_test_label.txt`))
        .trim()
        .split('\n'),
      Number,
    );
    points += (train.length + test.length) * test[0]!.length;
    const run = runMachine(train, test, options.budgetPerDay);
    const times = Float64Array.from(labels, (_, i) => (train.length + i) * ROW_MS);
    scored.push({
      series: { name: `${machine}.csv`, timesMs: times, values: run.evidence },
      scores: () => run.evidence,
    });
    const real = rangesOf(labels);
    const byBudget = rangeF1(rangesOf(run.open), real);
    const noise = Float64Array.from(labels, () => random());
    const days = (labels.length * ROW_MS) / DAY_MS;
    return {
      machine,
      metrics: test[0]!.length,
      rows: labels.length,
      anomalousRows: round(labels.reduce((a, b) => a + b, 0) / labels.length),
      vusPr: round(vusPr(run.evidence, labels)),
      rangeF1: round(byBudget.f1),
      rangePrecision: round(byBudget.precision),
      rangeRecall: round(byBudget.recall),
      eventsFound: real.filter(({ first, last }) => run.open.subarray(first, last + 1).some((open) => open > 0)).length,
      events: real.length,
      falseAlertsPerSeriesAndDay: round(falseAlerts(run.alerts, labels) / (days * test[0]!.length)),
      blind: {
        randomVusPr: round(vusPr(noise, labels)),
        periodicVusPr: round(vusPr(periodicAlarms(labels.length, 400), labels)),
        periodicRangeF1: round(rangeF1(rangesOf(periodicAlarms(labels.length, 400)), real).f1),
      },
    };
  });
  const report = {
    bench: 'smd',
    vusPr: meanAndSpread(results.map((one) => one.vusPr)),
    rangeF1: meanAndSpread(results.map((one) => one.rangeF1)),
    falseAlertsPerSeriesAndDay: meanAndSpread(results.map((one) => one.falseAlertsPerSeriesAndDay)),
    machines: results,
    microsPerPoint: cost.microsPerPoint(points),
    stateBytesPerSeries: new SeriesMonitor('').stateBytes,
  };
  return { report, scored };
}

interface MachineRun {
  /** Evidence over all metrics: what each adds above one in ten. */
  readonly evidence: Float64Array;
  /** 1 while an alert is open on any metric. */
  readonly open: Uint8Array;
  /** Alerts opened, over all metrics. */
  readonly alerts: Uint16Array;
}

function runMachine(train: readonly Float64Array[], test: readonly Float64Array[], budgetPerDay: number): MachineRun {
  const evidence = new Float64Array(test.length);
  const open = new Uint8Array(test.length);
  const alerts = new Uint16Array(test.length);
  for (let metric = 0; metric < test[0]!.length; metric++) {
    const detector = new SurpriseDetector(STANDING_SET);
    const stage = new AlertStage({ kind: 'budget', alertsPerDay: budgetPerDay });
    for (let i = 0; i < train.length + test.length; i++) {
      const row = i - train.length;
      const value = row < 0 ? train[i]![metric]! : test[row]![metric]!;
      const { surprise } = detector.score(value, i * ROW_MS);
      detector.learn(value, i * ROW_MS);
      const { state } = stage.judge(surprise, i * ROW_MS, true);
      if (row < 0) continue;
      evidence[row]! += Math.max(0, surprise - 1);
      if (state !== 'quiet') open[row] = 1;
      if (state === 'opened') alerts[row]!++;
    }
  }
  return { evidence, open, alerts };
}

function falseAlerts(alerts: Uint16Array, labels: Uint8Array): number {
  return alerts.reduce((sum, count, i) => sum + (labels[i] === 0 ? count : 0), 0);
}

function readRows(dir: string, name: string): Float64Array[] {
  const found = readdirSync(dir).find((file) => file === name || file === `${name}.gz`);
  if (found === undefined) throw new Error(`${dir}: ${name} is missing`);
  const lines = readText(join(dir, found)).trim().split('\n');
  return lines.map((line) => Float64Array.from(line.split(','), Number));
}
