import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { WARM_UP_POINTS } from '../../../agent/core/detect/alert.ts';
import { alarmsAt, Cost, daysOf, meanAndSpread, round, runMonitor, surprises, withSurprise } from './alarms.ts';
import { periodicAlarms, randomAlarms, seeded } from './blind.ts';
import { f1, type KpiCounts, kpiCounts, sumCounts } from './kpi-score.ts';
import type { ScoredSeries } from './scores-file.ts';
import { readSeries, type TimeSeries } from './series.ts';

/** The challenge's: an alarm counts on the first eight points of a segment. */
const DELAY_POINTS = 7;
const FOLDS = 5;
/** Bars tried on the first halves. */
const BARS = Array.from({ length: 21 }, (_, i) => 2 + i * 0.15);

export interface KpiOptions {
  readonly budgetPerDay: number;
}

export function benchKpi(dir: string, options: KpiOptions): { report: object; scored: ScoredSeries[] } {
  const series = readKpis(dir);
  const cost = new Cost();
  const runs = series.map((kpi) => runMonitor(kpi, { kind: 'budget', alertsPerDay: options.budgetPerDay }));
  const points = runs.reduce((sum, run) => sum + run.points, 0);
  const microsPerPoint = cost.microsPerPoint(points);
  const counts = series.map((kpi, i) => kpiCounts(runs[i]!.alarms, kpi.labels!, DELAY_POINTS));
  const secondHalves = series.map((kpi, i) => {
    const half = kpi.values.length >> 1;
    return kpiCounts(runs[i]!.alarms.subarray(half), kpi.labels!.subarray(half), DELAY_POINTS);
  });
  const alarms = runs.reduce((sum, run) => sum + run.alarms.filter((alarm) => alarm > 0).length, 0);
  const period = Math.round(points / alarms);
  const random = seeded(1);
  const report = {
    bench: 'kpi',
    series: series.length,
    rows: points,
    byBudget: {
      note: `threshold by a budget of ${options.budgetPerDay} alerts per series and day, labels unread`,
      ...summary(series, counts),
      folds: folds(counts),
      // The challenge's own split. Nothing is trained on the first halves but what the monitor learns as it goes.
      secondHalves: summary(series.map(secondHalf), secondHalves),
      secondHalvesFolds: folds(secondHalves),
      pointsOfSegmentsThatBeginInWarmUp: series.reduce((sum, kpi) => sum + unreachable(kpi), 0),
    },
    byLabels: byFirstHalves(series),
    blind: {
      [`every ${period} rows`]: blind(series, (kpi) => periodicAlarms(kpi.values.length, period)),
      'random, as many alarms': blind(series, (kpi) => randomAlarms(kpi.values.length, 1 / period, random)),
    },
    missingDataAlertsPerSeriesAndDay: round(
      runs.reduce((sum, run) => sum + run.missingAlerts, 0) / series.reduce((sum, kpi) => sum + daysOf(kpi), 0),
    ),
    microsPerPoint,
    stateBytesPerSeries: runs[0]!.stateBytes,
  };
  return {
    report,
    scored: series.map((kpi, i) => ({ series: kpi, scores: () => withSurprise(kpi, runs[i]!.scores) })),
  };
}

function readKpis(dir: string): TimeSeries[] {
  const names = readdirSync(dir)
    .filter((name) => /\.csv(\.gz)?$/.test(name))
    .sort();
  const series = names.map((name) => readSeries(join(dir, name), name)).filter(({ labels }) => labels !== undefined);
  if (series.length === 0)
    throw new Error(`${dir}: no series; expected timestamp,value,label CSV files, gzipped or not`);
  return series;
}

function secondHalf({ name, timesMs, values, labels }: TimeSeries): TimeSeries {
  const half = values.length >> 1;
  const part = { name, timesMs: timesMs.subarray(half), values: values.subarray(half) };
  return labels === undefined ? part : { ...part, labels: labels.subarray(half) };
}

/** Anomalous points of segments whose first eight points lie before any alert is possible. */
function unreachable({ labels }: TimeSeries): number {
  let points = 0;
  for (let i = 0; i < labels!.length && i + DELAY_POINTS < WARM_UP_POINTS; i++) {
    if (labels![i] === 0) continue;
    while (i < labels!.length && labels![i] !== 0) {
      points++;
      i++;
    }
  }
  return points;
}

function summary(series: readonly TimeSeries[], counts: readonly KpiCounts[]) {
  const total = sumCounts(counts);
  const days = series.map(daysOf);
  const perDay = counts.map(({ falsePoints }, i) => falsePoints / days[i]!);
  return {
    f1: round(f1(total)),
    precision: round(total.truePoints / Math.max(1, total.truePoints + total.falsePoints)),
    recall: round(total.truePoints / Math.max(1, total.truePoints + total.missedPoints)),
    segments: total.segments,
    segmentsFound: total.segmentsFound,
    falseAlarmsPerSeriesAndDay: round(total.falsePoints / days.reduce((a, b) => a + b, 0)),
    worstSeriesFalseAlarmsPerDay: round(Math.max(...perDay)),
    seriesAboveOnePerDay: perDay.filter((rate) => rate > 1).length,
  };
}

/** F1 of disjoint groups of series: how much the figure owes to which series one happens to have. */
function folds(counts: readonly KpiCounts[]) {
  const parts = Array.from({ length: FOLDS }, (_, fold) => f1(sumCounts(counts.filter((_, i) => i % FOLDS === fold))));
  return meanAndSpread(parts);
}

function blind(series: readonly TimeSeries[], alarms: (kpi: TimeSeries) => ArrayLike<number>) {
  const total = sumCounts(series.map((kpi) => kpiCounts(alarms(kpi), kpi.labels!, DELAY_POINTS)));
  return { f1: round(f1(total)), segmentsFound: total.segmentsFound };
}

/** The challenge's way: the bar that labels of the first halves like best, for all series, applied to the second halves. */
function byFirstHalves(series: readonly TimeSeries[]) {
  const surprise = series.map(surprises);
  const halves = (bar: number) =>
    series.map((kpi, i) => {
      const alarms = alarmsAt(kpi, surprise[i]!, { kind: 'bar', decades: bar });
      const half = kpi.values.length >> 1;
      return [
        kpiCounts(alarms.subarray(0, half), kpi.labels!.subarray(0, half), DELAY_POINTS),
        kpiCounts(alarms.subarray(half), kpi.labels!.subarray(half), DELAY_POINTS),
      ] as const;
    });
  let best = { bar: 0, first: -1, second: 0, falsePerDay: 0 };
  for (const bar of BARS) {
    const counts = halves(bar);
    const first = f1(sumCounts(counts.map(([part]) => part)));
    if (first <= best.first) continue;
    const second = sumCounts(counts.map(([, part]) => part));
    const days = series.reduce((sum, kpi) => sum + daysOf(kpi) / 2, 0);
    best = { bar, first, second: f1(second), falsePerDay: second.falsePoints / days };
  }
  return {
    note: 'one bar for all series, chosen by labels on the first half of each, applied to the second half',
    bar: round(best.bar, 2),
    f1FirstHalves: round(best.first),
    f1SecondHalves: round(best.second),
    falseAlarmsPerSeriesAndDay: round(best.falsePerDay),
  };
}
