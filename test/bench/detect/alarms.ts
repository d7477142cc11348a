import type { AlertPolicy } from '../../../agent/core/detect/alert.ts';
import { AlertStage } from '../../../agent/core/detect/alert.ts';
import type { MinimumEffect } from '../../../agent/core/detect/effect.ts';
import { DEFAULT_MONITOR_SETTINGS, SeriesMonitor } from '../../../agent/core/detect/monitor.ts';
import { STANDING_SET } from '../../../agent/core/detect/standing-set.ts';
import { SurpriseDetector } from '../../../agent/core/detect/surprise.ts';
import type { TimeSeries } from './series.ts';

/** What the production monitor said of one series, row by row. The labels are not among its inputs. */
export interface Run {
  /** 0 where it was quiet; where it opened an anomaly, 1 + decades above the bar. */
  readonly alarms: Float64Array;
  /** One a row, made to be thresholded: ½ and more where an anomaly opened, 0 elsewhere. */
  readonly scores: Float64Array;
  readonly missingAlerts: number;
  readonly points: number;
  readonly stateBytes: number;
}

const NO_MINIMUM: MinimumEffect = { absolute: 0, relative: 0 };

/** Feeds a series to the monitor that ships. Benchmarks of labelled curves ask for no minimum effect: labels have none. */
export function runMonitor(series: TimeSeries, policy: AlertPolicy, minimumEffect: MinimumEffect = NO_MINIMUM): Run {
  const monitor = new SeriesMonitor(series.name, { ...DEFAULT_MONITOR_SETTINGS, policy, minimumEffect });
  const n = series.values.length;
  const alarms = new Float64Array(n);
  const scores = new Float64Array(n);
  let missingAlerts = 0;
  let points = 0;
  for (let i = 0; i < n; i++) {
    const value = series.values[i]!;
    const atMs = series.timesMs[i]!;
    missingAlerts += monitor.tick(atMs).length;
    if (Number.isNaN(value)) continue;
    points++;
    for (const finding of monitor.observe(value, atMs)) {
      if (finding.kind !== 'anomaly') continue;
      const { surprise, bar } = finding.anomaly;
      alarms[i] = 1 + surprise - bar;
      scores[i] = 1 - 0.5 ** alarms[i]!;
    }
  }
  return { alarms, scores, missingAlerts, points, stateBytes: monitor.stateBytes };
}

/** The detector's surprise of each value, for protocols that choose a bar of their own. NaN values have none. */
export function surprises(series: TimeSeries): Float32Array {
  const detector = new SurpriseDetector(STANDING_SET);
  const out = new Float32Array(series.values.length);
  for (let i = 0; i < out.length; i++) {
    const value = series.values[i]!;
    const atMs = series.timesMs[i]!;
    out[i] = detector.score(value, atMs).surprise;
    detector.learn(value, atMs);
  }
  return out;
}

/** For files of scores: rows without an alarm get what their surprise is worth, always below ½. */
export function withSurprise(series: TimeSeries, scores: Float64Array): Float64Array {
  const surprise = surprises(series);
  return scores.map((score, i) => (score > 0 ? score : 0.5 * (1 - 0.5 ** Math.min(40, surprise[i]!))));
}

/** Rows at which the production alert stage opens an alert. */
export function alarmsAt(series: TimeSeries, surprise: Float32Array, policy: AlertPolicy): Uint8Array {
  const stage = new AlertStage(policy);
  const out = new Uint8Array(surprise.length);
  for (let i = 0; i < out.length; i++) {
    if (Number.isNaN(series.values[i]!)) continue;
    if (stage.judge(surprise[i]!, series.timesMs[i]!, true).state === 'opened') out[i] = 1;
  }
  return out;
}

export function daysOf(series: TimeSeries): number {
  return (series.timesMs.at(-1)! - series.timesMs[0]!) / 86_400_000;
}

/** Processor time, not wall time: others use this machine too. */
export class Cost {
  readonly #before = process.cpuUsage();

  microsPerPoint(points: number): number {
    const { user, system } = process.cpuUsage(this.#before);
    return round((user + system) / points);
  }
}

export function round(value: number, digits = 3): number {
  return Number(value.toFixed(digits));
}

export function meanAndSpread(values: readonly number[]): { mean: number; sd: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(1, values.length - 1);
  return { mean: round(mean), sd: round(Math.sqrt(variance)) };
}
