import { type AlertPolicy, AlertStage, type AlertState, DEFAULT_ALERT_POLICY, REFRACTORY_POINTS } from './alert.ts';
import { type Anomaly, explain, SEVERITIES, severityOf } from './anomaly.ts';
import type { Score } from './detector.ts';
import { DEFAULT_MINIMUM_EFFECT, type MinimumEffect, matters } from './effect.ts';
import { LevelShift } from './level-shift.ts';
import { MissingData } from './missing-data.ts';
import { describeQuiet, extendQuiet, type QuietReason, type QuietTime, SETTLE_MS } from './quiet-time.ts';
import { STANDING_SET } from './standing-set.ts';
import { isUsable, SurpriseDetector, type SurpriseState } from './surprise.ts';

export interface MonitorSettings {
  readonly policy: AlertPolicy;
  readonly minimumEffect: MinimumEffect;
}

export const DEFAULT_MONITOR_SETTINGS: MonitorSettings = {
  policy: DEFAULT_ALERT_POLICY,
  minimumEffect: DEFAULT_MINIMUM_EFFECT,
};

/** What a monitor has to say about a metric. */
export type Finding =
  | { readonly kind: 'anomaly'; readonly anomaly: Anomaly }
  /** An anomaly that is open has lasted so long that it counts as more severe. */
  | { readonly kind: 'worse'; readonly anomaly: Anomaly }
  /** An anomaly ended: the metric is ordinary again, or what it does has become usual. */
  | { readonly kind: 'resolved'; readonly metric: string; readonly atMs: number; readonly reason: string }
  /** It would have been an anomaly, but its cause is known. */
  | {
      readonly kind: 'annotation';
      readonly metric: string;
      readonly atMs: number;
      readonly text: string;
      readonly anomaly: Anomaly;
    };

/** What `SeriesMonitor.save` returns: plain data, restored with identical scores. */
export interface MonitorState {
  readonly detector: SurpriseState;
  readonly alert: AlertState;
  readonly shift: readonly number[];
  readonly missing: readonly number[];
  readonly ordinaryMs: number;
  readonly open: OpenAnomaly | null;
  readonly overdue: boolean;
  readonly acknowledged: boolean;
  readonly quiet?: QuietTime;
}

/** What has begun and is not over. */
interface OpenAnomaly {
  readonly anomaly: Anomaly;
  /** False while it is explained by a restart or the like: if it outlasts that, it is told after all. */
  readonly told: boolean;
  /** Points outside the range that was expected when it began. */
  readonly outside: number;
  /** Points until it is over, if they are all ordinary. */
  readonly left: number;
}

/** Below this a surprise is no part of an anomaly: one in ten. */
const ORDINARY_DECADES = 1;
/** So many points outside the range that was expected: what lasts that long is no incident any more. */
const USUAL_POINTS = 300;
const NEVER_MS = Number.MIN_SAFE_INTEGER;

/** Watches one metric of one component: detector, alert budget, effects and known causes. */
export class SeriesMonitor {
  readonly metric: string;
  readonly #settings: MonitorSettings;
  readonly #detector = new SurpriseDetector(STANDING_SET);
  readonly #alert: AlertStage;
  readonly #shift = new LevelShift();
  readonly #missing = new MissingData();
  /** The last time the metric was ordinary: where an anomaly began. */
  #ordinaryMs = NEVER_MS;
  #open: OpenAnomaly | undefined;
  #overdue = false;
  /** A human has seen the open anomaly. */
  #acknowledged = false;
  #quiet: QuietTime | undefined;

  constructor(metric: string, settings: MonitorSettings = DEFAULT_MONITOR_SETTINGS) {
    this.metric = metric;
    this.#settings = settings;
    this.#alert = new AlertStage(settings.policy);
  }

  /** Bytes of state a series, beyond the objects that hold it and the record of an open anomaly. */
  get stateBytes(): number {
    const own = 3 * Float64Array.BYTES_PER_ELEMENT;
    return this.#detector.stateBytes + AlertStage.stateBytes + LevelShift.stateBytes + MissingData.stateBytes + own;
  }

  /** True while only gross anomalies are reported, for want of history. */
  get warmingUp(): boolean {
    return this.#alert.warmingUp;
  }

  /** Takes the next value. Values that are no number say nothing; values from the past are too late to judge. */
  observe(value: number, atMs: number): readonly Finding[] {
    if (!isUsable(value) || atMs < this.#missing.lastMs) return [];
    const findings: Finding[] = [];
    if (this.#overdue) {
      this.#overdue = false;
      findings.push({ kind: 'resolved', metric: this.metric, atMs, reason: 'data arrives again' });
    }
    this.#missing.learn(atMs);
    this.#judge(value, atMs, findings);
    return findings;
  }

  /** Looks whether a value is overdue. Call it now and then; a metric that goes silent cannot call itself. */
  tick(nowMs: number): readonly Finding[] {
    const sinceMs = this.#missing.overdueSinceMs(nowMs);
    if (sinceMs === undefined || this.#overdue) return [];
    this.#overdue = true;
    if (this.#quietAt(nowMs) !== undefined) return [];
    return [{ kind: 'anomaly', anomaly: this.#missingSince(sinceMs, nowMs) }];
  }

  /** Says that what this metric does until `untilMs` has a known cause. */
  excuse(reason: QuietReason, fromMs: number, untilMs: number = fromMs + SETTLE_MS): void {
    this.#quiet = extendQuiet(this.#quiet, { reason, fromMs, untilMs });
  }

  /** The watcher was away until `atMs`, or its clock has stepped: that is no silence of the metric's. */
  resume(atMs: number): void {
    this.#missing.forgive(atMs);
  }

  /** A human has seen the open anomaly: it is not reported again, however it goes on, until it is over. */
  acknowledge(): void {
    this.#acknowledged = this.#open !== undefined;
  }

  save(): MonitorState {
    return {
      detector: this.#detector.save(),
      alert: this.#alert.save(),
      shift: this.#shift.save(),
      missing: this.#missing.save(),
      ordinaryMs: this.#ordinaryMs,
      open: this.#open ?? null,
      overdue: this.#overdue,
      acknowledged: this.#acknowledged,
      ...(this.#quiet === undefined ? {} : { quiet: this.#quiet }),
    };
  }

  restore(saved: MonitorState): void {
    this.#detector.restore(saved.detector);
    this.#alert.restore(saved.alert);
    this.#shift.restore(saved.shift);
    this.#missing.restore(saved.missing);
    this.#ordinaryMs = saved.ordinaryMs;
    this.#open = saved.open ?? undefined;
    this.#overdue = saved.overdue;
    this.#acknowledged = saved.acknowledged;
    this.#quiet = saved.quiet;
  }

  #judge(value: number, atMs: number, findings: Finding[]): void {
    const score = this.#detector.score(value, atMs);
    const { surprise } = score;
    if (surprise < ORDINARY_DECADES) this.#ordinaryMs = atMs;
    const { level, usualDistance } = this.#detector.level;
    const quiet = this.#quietAt(atMs);
    const worthIt = matters(value, level, usualDistance, this.#settings.minimumEffect);
    // Known causes still reach the stage: they must not be alerted later because they were not counted now.
    const verdict = this.#alert.judge(surprise, atMs, worthIt);
    if (verdict.state === 'opened') this.#begin(this.#anomaly(value, atMs, verdict.bar, score), quiet, findings);
    const mayEnd = verdict.state === 'quiet';
    const shiftedTo = this.#shift.learn(value, level, usualDistance);
    this.#detector.learn(value, atMs);
    if (shiftedTo !== undefined) this.#detector.rebaseline(shiftedTo);
    this.#follow(value, atMs, mayEnd, findings);
  }

  #begin(anomaly: Anomaly, quiet: QuietTime | undefined, findings: Finding[]): void {
    const { metric, value, atMs } = anomaly;
    const outside = this.#open?.outside ?? 0;
    if (quiet !== undefined) {
      const text = `${metric} moved to ${value}, which is explained: ${describeQuiet(quiet.reason)}`;
      findings.push({ kind: 'annotation', metric, atMs, text, anomaly });
      if (quiet.reason.kind === 'own_change' || this.#open !== undefined) return;
      this.#open = { anomaly, told: false, outside, left: REFRACTORY_POINTS };
    } else if (!this.#acknowledged) {
      findings.push({ kind: 'anomaly', anomaly });
      this.#open = { anomaly, told: true, outside, left: REFRACTORY_POINTS };
    }
  }

  /**
   * The alert stage forgets at once, because what was seen once is less surprising the next time; for people an outage
   * lasts until the metric is back where it was expected, or it has lasted so long that it is usual. That the detector has
   * moved to the new level does not end it. Meanwhile it grows more severe.
   */
  #follow(value: number, atMs: number, mayEnd: boolean, findings: Finding[]): void {
    const open = this.#open;
    if (open === undefined) return;
    const { low, high } = open.anomaly.expectedRange;
    const isOutside = value < low || value > high;
    const outside = open.outside + (isOutside ? 1 : 0);
    const left = isOutside || !mayEnd ? REFRACTORY_POINTS : open.left - 1;
    const isUsual = outside >= USUAL_POINTS;
    if (left <= 0 || (mayEnd && isUsual)) {
      this.#open = undefined;
      this.#acknowledged = false;
      const reason = left <= 0 ? 'back to ordinary' : 'it has become usual';
      if (open.told) findings.push({ kind: 'resolved', metric: this.metric, atMs, reason });
      return;
    }
    const severity = severityOf(open.anomaly.surprise - open.anomaly.bar, outside);
    const isWorse = SEVERITIES.indexOf(severity) > SEVERITIES.indexOf(open.anomaly.severity);
    const isUnexcused = !open.told && isOutside && this.#quietAt(atMs) === undefined;
    const anomaly = isWorse ? { ...open.anomaly, severity, atMs } : open.anomaly;
    const tells = (open.told ? isWorse : isUnexcused) && !this.#acknowledged;
    this.#open = { anomaly, told: open.told || tells, outside, left };
    if (tells) findings.push({ kind: open.told ? 'worse' : 'anomaly', anomaly });
  }

  #anomaly(value: number, atMs: number, bar: number, { surprise, channel }: Score): Anomaly {
    const { metric } = this;
    const expectedRange = this.#detector.expected(value, atMs);
    const sinceMs = this.#ordinaryMs === NEVER_MS ? atMs : this.#ordinaryMs;
    const points = this.#alert.intervalMs > 0 ? (atMs - sinceMs) / this.#alert.intervalMs : 0;
    const severity = severityOf(surprise - bar, points);
    const explanation = explain(metric, value, expectedRange, channel, surprise, this.#detector.points);
    const found = { sinceMs, atMs, surprise, bar, channel, explanation };
    return { metric, kind: 'value', value, expectedRange, severity, ...found };
  }

  #quietAt(atMs: number): QuietTime | undefined {
    const quiet = this.#quiet;
    return quiet !== undefined && atMs >= quiet.fromMs && atMs < quiet.untilMs ? quiet : undefined;
  }

  #missingSince(sinceMs: number, atMs: number): Anomaly {
    const { metric } = this;
    const { level, usualDistance } = this.#detector.level;
    const usualMs = this.#alert.intervalMs;
    const silentMs = atMs - sinceMs;
    return {
      metric,
      kind: 'missing',
      value: Number.NaN,
      expectedRange: { low: level - usualDistance, high: level + usualDistance },
      severity: severityOf(1, usualMs > 0 ? silentMs / usualMs : 0),
      sinceMs,
      atMs,
      surprise: 0,
      bar: 0,
      channel: 'missing data',
      explanation: `${metric} sent nothing for ${Math.round(silentMs / 1000)} s; it usually comes every ${(usualMs / 1000).toPrecision(3)} s`,
    };
  }
}
