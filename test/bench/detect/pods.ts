import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULT_MINIMUM_EFFECT } from '../../../agent/core/detect/effect.ts';
import { IncidentGrouper } from '../../../agent/core/detect/incident.ts';
import { DEFAULT_MONITOR_SETTINGS, SeriesMonitor } from '../../../agent/core/detect/monitor.ts';
import { Cost, daysOf, round, withSurprise } from './alarms.ts';
import type { ScoredSeries } from './scores-file.ts';
import { parseNumber, readText, type TimeSeries } from './series.ts';

export interface PodsOptions {
  readonly budgetPerDay: number;
}

/**
 * Alert load on unlabelled series, as an operator would have it: the monitor with its defaults, from its first point.
 * What is reported may well be real: restarts and failures are in such data too.
 */
export function benchPods(dir: string, options: PodsOptions): { report: object; scored: ScoredSeries[] } {
  const pods = readPods(dir);
  const settings = {
    ...DEFAULT_MONITOR_SETTINGS,
    policy: { kind: 'budget', alertsPerDay: options.budgetPerDay } as const,
    minimumEffect: DEFAULT_MINIMUM_EFFECT,
  };
  const cost = new Cost();
  const byMetric = new Map<string, { series: number; days: number; value: number; missing: number }>();
  const explained: string[] = [];
  const scored: ScoredSeries[] = [];
  let incidents = 0;
  let points = 0;
  let stateBytes = 0;
  const seasoned = { days: 0, alerts: 0 };
  for (const { pod, series } of pods) {
    const grouper = new IncidentGrouper(1);
    const monitors = series.map((metric) => ({ metric, monitor: new SeriesMonitor(metric.name, settings) }));
    const scores = series.map((metric) => new Float64Array(metric.values.length));
    const rows = series[0]!.timesMs.length;
    for (let i = 0; i < rows; i++) {
      for (const [m, { metric, monitor }] of monitors.entries()) {
        const atMs = metric.timesMs[i]!;
        const value = metric.values[i]!;
        points += Number.isNaN(value) ? 0 : 1;
        for (const finding of [...monitor.tick(atMs), ...monitor.observe(value, atMs)]) {
          if (finding.kind !== 'anomaly') continue;
          const { anomaly } = finding;
          if (!monitor.warmingUp) seasoned.alerts++;
          count(byMetric, metric).value += anomaly.kind === 'value' ? 1 : 0;
          count(byMetric, metric).missing += anomaly.kind === 'missing' ? 1 : 0;
          if (grouper.add(pod, anomaly).kind === 'opened') incidents++;
          scores[m]![i] = anomaly.kind === 'value' ? 1 - 0.5 ** (1 + anomaly.surprise - anomaly.bar) : 0.5;
          explained.push(`${pod} +${Math.round(atMs / 1000)} s, ${anomaly.severity}: ${anomaly.explanation}`);
        }
      }
    }
    stateBytes = monitors[0]!.monitor.stateBytes;
    for (const [m, metric] of series.entries()) {
      count(byMetric, metric).series++;
      count(byMetric, metric).days += daysOf(metric);
      seasoned.days += Math.max(0, daysOf(metric) - 1 / options.budgetPerDay);
      scored.push({
        series: { ...metric, name: `${pod}/${metric.name}.csv` },
        scores: () => withSurprise(metric, scores[m]!),
      });
    }
  }
  const totals = [...byMetric.values()];
  const sum = (of: (t: (typeof totals)[number]) => number) => totals.reduce((all, one) => all + of(one), 0);
  const days = sum((t) => t.days);
  const report = {
    bench: 'pods',
    pods: pods.length,
    series: sum((t) => t.series),
    days: round(days, 1),
    alertsPerPodMetricAndDay: round(sum((t) => t.value + t.missing) / days),
    warmUpDays: 1 / options.budgetPerDay,
    // In series shorter than the warm-up there is nothing after it.
    afterWarmUp: seasoned.days === 0 ? 'none of the series is that long' : round(seasoned.alerts / seasoned.days),
    ofThemMissingData: round(sum((t) => t.missing) / days),
    incidentsPerPodAndDay: round(incidents / (days / (sum((t) => t.series) / pods.length))),
    byMetric: Object.fromEntries(byMetric),
    blind: { note: 'a blind alarm every 400 rows would be', alertsPerPodMetricAndDay: round(points / 400 / days) },
    explained,
    microsPerPoint: cost.microsPerPoint(points),
    stateBytesPerSeries: stateBytes,
  };
  return { report, scored };
}

function count(
  byMetric: Map<string, { series: number; days: number; value: number; missing: number }>,
  { name }: TimeSeries,
) {
  const found = byMetric.get(name) ?? { series: 0, days: 0, value: 0, missing: 0 };
  byMetric.set(name, found);
  return found;
}

/**
 * `pods/*.csv` (or the files themselves), a column a metric: `t_s,metric,…` or `minute,metric,…`; metrics that never
 * have a value are left out.
 */
function readPods(dir: string): { pod: string; series: TimeSeries[] }[] {
  const folder = readdirSync(dir).includes('pods') ? join(dir, 'pods') : dir;
  const names = readdirSync(folder).filter((name) => name.endsWith('.csv'));
  if (names.length === 0) throw new Error(`${folder}: no pods; expected CSV files with the columns t_s,metric,…`);
  return names.sort().map((name) => {
    const lines = readText(join(folder, name)).trim().split('\n');
    const [timeColumn, ...metrics] = lines[0]!.trim().split(',');
    const unitMs = timeColumn === 'minute' ? 60_000 : 1000;
    const rows = lines.slice(1).map((line) => line.split(',').map(parseNumber));
    const timesMs = Float64Array.from(rows, (row) => row[0]! * unitMs);
    const series = metrics.map((metric, m) => ({
      name: metric,
      timesMs,
      values: Float64Array.from(rows, (row) => row[m + 1] ?? Number.NaN),
    }));
    return {
      pod: name.replace(/\.csv$/, ''),
      series: series.filter(({ values }) => values.some((value) => !Number.isNaN(value))),
    };
  });
}
