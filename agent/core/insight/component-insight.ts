import { patternImpact } from '../analytics/impact.ts';
import { type Anomaly, SEVERITIES } from '../detect/anomaly.ts';
import type { Finding } from '../detect/monitor.ts';
import { type QuietReason, SETTLE_MS } from '../detect/quiet-time.ts';
import type { CapacityReport } from '../forecast/capacity.ts';
import type { Pattern } from '../pattern/pattern.ts';
import { isWatchedSignal, WATCHED_SIGNALS, type WatchedSignal } from '../profile/watched_signal.ts';
import type { ComponentProfile } from '../profile.ts';
import type { AnalyticsSettings } from '../settings.ts';
import { AnomalyBook, type AnomalyBookState } from './anomaly-book.ts';
import type { Forecast, Insight, ObservedAnomaly, ObservedPattern } from './finding.ts';
import { ForecastBook, type ForecastBookState } from './forecast-book.ts';
import { type Relation, Relations } from './relations.ts';
import { SignalInsight, type SignalInsightState } from './signal-insight.ts';
import { WATCH_LIST } from './watch-list.ts';

export interface ComponentInsightOptions {
  readonly component: string;
  readonly analytics: AnalyticsSettings;
  /** The 95th percentile of the response time that limits or the service level allow. */
  readonly latencyLimitMs?: number;
  /** Of the profile: how long its intervals are, and how many it keeps. */
  readonly intervalMs: number;
  readonly windowSize: number;
  readonly nextId: (what: 'anomaly' | 'incident') => string;
  /** Asked before a further series is watched; says no, and counts, when there are too many. */
  readonly admit: () => boolean;
}

/** Everything that must outlive the agent; plain JSON. */
export interface ComponentInsightState {
  readonly version: 1;
  readonly component: string;
  /** When it was last fed. */
  readonly takenMs: number;
  readonly signals: Readonly<Partial<Record<WatchedSignal, SignalInsightState>>>;
  readonly anomalies: AnomalyBookState;
  readonly relations: readonly Relation[];
  readonly forecasts: ForecastBookState;
}

/** An open anomaly of a metric that is silent for this long is given up. */
const SILENT_MS = 3_600_000;
/** Deliveries are on their way for up to this long. */
const DELIVERY_MS = 1_000;
/** A slower report counts as that many whole intervals, unless it is late by less than this share of one. */
const LATE_SHARE = 0.1;

/**
 * The insights into one component (or the machine): each signal of its profile as a series, taken in once an interval,
 * or once a report where its slowest sender reports less often, and only when the interval is complete. Work that may
 * wait (patterns, relations) is done one piece at a time, when the store calls for it.
 */
export class ComponentInsight {
  readonly component: string;
  readonly #options: ComponentInsightOptions;
  readonly #signals = new Map<WatchedSignal, SignalInsight>();
  readonly #refused = new Set<WatchedSignal>();
  readonly #book: AnomalyBook;
  readonly #relations = new Relations();
  readonly #forecasts: ForecastBook;
  #takenMs = 0;
  /** Restored, or resumed after an absence, and not yet called since: silence until now is nobody's. */
  #isBack = false;

  constructor(options: ComponentInsightOptions, saved?: ComponentInsightState) {
    this.component = options.component;
    this.#options = options;
    this.#book = new AnomalyBook(options.component, options.nextId);
    const sources = {
      latest: (signal: WatchedSignal) => this.#signals.get(signal)?.latest,
      window: (signal: WatchedSignal) => this.#signals.get(signal)?.window,
    };
    const { component, latencyLimitMs, analytics } = options;
    const forecasts = analytics.predictiveAnalysis ? saved?.forecasts : undefined;
    this.#forecasts = new ForecastBook({ component, latencyLimitMs, ...sources }, forecasts);
    if (saved !== undefined) this.#restore(saved);
  }

  /** Takes in the intervals that are complete by now. `host`: profile of the machine, for limits. */
  take(profile: ComponentProfile, host: ComponentProfile, nowMs: number): readonly Insight[] {
    const insights: Insight[] = [];
    this.#takenMs = nowMs;
    if (this.#isBack) this.#comeBack(nowMs);
    for (const signal of WATCHED_SIGNALS) {
      const reportMs = profile.reportMs(signal);
      if (reportMs !== undefined) this.#takeSignal(signal, reportMs, profile, host, nowMs, insights);
    }
    this.#isBack = false;
    this.#giveUpSilent(nowMs, insights);
    return insights;
  }

  /** Does one piece of the work that is due; undefined when none is. */
  work(nowMs: number): readonly Insight[] | undefined {
    const forecast = this.#forecasts.work(nowMs);
    if (forecast !== undefined || !this.#options.analytics.patternRecognition) return forecast;
    for (const signal of this.#signals.values()) {
      if (signal.isLookDue)
        return signal.look().map((pattern) => this.#detected(this.#observed(pattern, signal.signal)));
    }
    if (!this.#relations.isDue(nowMs)) return undefined;
    return this.#relations
      .look(nowMs, (signal) => this.#signals.get(signal)?.window)
      .map((relation) => this.#detected(this.#related(relation)));
  }

  excuse(reason: QuietReason, fromMs: number, untilMs: number): void {
    for (const signal of this.#signals.values()) signal.excuse(reason, fromMs, untilMs);
  }

  /** An open anomaly of a value, bad enough and not silenced: what is measured now is not what is usual. */
  disturbance(counts: (anomaly: ObservedAnomaly) => boolean): ObservedAnomaly | undefined {
    const { freezeAt } = this.#options.analytics;
    if (freezeAt === 'never') return undefined;
    const least = SEVERITIES.indexOf(freezeAt);
    return this.#book.openOnes.find(
      (anomaly) =>
        anomaly.kind === 'value' &&
        SEVERITIES.indexOf(anomaly.severity) >= least &&
        !(isWatchedSignal(anomaly.metric) && WATCH_LIST[anomaly.metric].leavesTuningAlone) &&
        counts(anomaly),
    );
  }

  acknowledge(metric: string, by: string): void {
    if (this.#book.acknowledge(metric, by) === undefined || !isWatchedSignal(metric)) return;
    this.#signals.get(metric)?.acknowledge();
  }

  /** Nobody watched until now, or the clock has stepped. */
  resume(nowMs: number): void {
    this.#isBack = true;
    this.excuse({ kind: 'agent_away' }, nowMs, nowMs + SETTLE_MS);
  }

  anomalies(): readonly ObservedAnomaly[] {
    return this.#book.list();
  }

  get warmingUp(): readonly WatchedSignal[] {
    return [...this.#signals.values()].flatMap(({ isWarmingUp, signal }) => (isWarmingUp ? [signal] : []));
  }

  patterns(): readonly ObservedPattern[] {
    const single = [...this.#signals.values()].flatMap(({ signal, patterns }) =>
      patterns.map((pattern) => this.#observed(pattern, signal)),
    );
    return [...single, ...this.#relations.present.map((relation) => this.#related(relation))];
  }

  forecast(signal: WatchedSignal, nowMs: number, horizonMs: number): Forecast | undefined {
    return this.#forecasts.forecast(signal, nowMs, horizonMs);
  }

  capacity(nowMs: number, horizonMs: number): CapacityReport {
    return this.#forecasts.capacity(nowMs, horizonMs);
  }

  get forecastSignals(): readonly WatchedSignal[] {
    return this.#forecasts.signals;
  }

  /** Hourly history of a signal from before the agent started, oldest first, `NaN` for gaps; false: not needed. */
  warm(signal: WatchedSignal, hours: ArrayLike<number>): boolean {
    return this.#options.analytics.predictiveAnalysis && this.#forecasts.warm(signal, hours);
  }

  save(): ComponentInsightState {
    return {
      version: 1,
      component: this.component,
      takenMs: this.#takenMs,
      signals: Object.fromEntries([...this.#signals].map(([signal, insight]) => [signal, insight.save()])),
      anomalies: this.#book.save(),
      relations: this.#relations.save(),
      forecasts: this.#forecasts.save(),
    };
  }

  #restore({ version, takenMs, signals, anomalies, relations }: ComponentInsightState): void {
    if (version !== 1)
      throw new Error(`insights of ${this.component} have version ${version}; this engine reads version 1`);
    const { analytics } = this.#options;
    for (const [place, signal] of WATCHED_SIGNALS.entries()) {
      const saved = signals[signal];
      if (saved !== undefined && this.#options.admit()) {
        this.#signals.set(signal, new SignalInsight(signal, analytics, place, saved.nextInterval, saved));
      }
    }
    this.#isBack = true;
    this.#takenMs = takenMs;
    if (analytics.anomalyDetection) this.#book.restore(anomalies);
    if (analytics.patternRecognition) this.#relations.restore(relations);
  }

  /** An absence of minutes explains nothing; one of hours may have brought another load, or another version. */
  #comeBack(nowMs: number): void {
    const { intervalMs, windowSize } = this.#options;
    const latest = Math.max(0, ...[...this.#signals.values()].map(({ nextInterval }) => nextInterval)) * intervalMs;
    if (nowMs - latest > windowSize * intervalMs) this.resume(nowMs);
  }

  #takeSignal(
    signal: WatchedSignal,
    reportMs: number,
    profile: ComponentProfile,
    host: ComponentProfile,
    nowMs: number,
    insights: Insight[],
  ): void {
    const { intervalMs, windowSize } = this.#options;
    // Half the profile's window at most: the other half is what is still on its way.
    const steps = Math.min(Math.max(1, Math.ceil(reportMs / intervalMs - LATE_SHARE)), Math.max(1, windowSize >> 1));
    const completeMs = nowMs - Math.min(reportMs, steps * intervalMs) - DELIVERY_MS;
    const last = Math.floor(completeMs / intervalMs) - 1;
    const insight = this.#signals.get(signal);
    let first = Math.max(insight?.nextInterval ?? Number.NEGATIVE_INFINITY, last - windowSize + 1);
    const isAhead = first > last + (this.#isBack ? 1 : windowSize);
    if (insight === undefined || isAhead) first = last - steps + 1;
    if (this.#isBack) insight?.resume(first * intervalMs);
    let series = insight;
    for (; first + steps - 1 <= last; first += steps) {
      const reading = profile.reading(signal, first, first + steps - 1, nowMs, host);
      if (reading !== undefined && Number.isFinite(reading.value)) {
        series ??= this.#watch(signal, first);
        if (series === undefined) return;
        const atMs = (first + steps) * intervalMs;
        if (this.#options.analytics.predictiveAnalysis) this.#forecasts.take(signal, reading.value, atMs);
        const { findings, news } = series.observe(reading, atMs);
        for (const finding of findings) this.#file(finding, insights);
        for (const pattern of news) insights.push(this.#detected(this.#observed(pattern, signal)));
      }
      if (series !== undefined) series.nextInterval = first + steps;
    }
    for (const finding of series?.tick(completeMs) ?? []) this.#file(finding, insights);
  }

  /** A metric that nobody sends any more cannot come back to ordinary, and must not hold up tuning for ever. */
  #giveUpSilent(nowMs: number, insights: Insight[]): void {
    for (const { kind, metric } of this.#book.openOnes) {
      const signal = isWatchedSignal(metric) ? this.#signals.get(metric) : undefined;
      if (kind !== 'value' || nowMs - (signal?.heardMs ?? 0) < SILENT_MS) continue;
      const anomaly = this.#book.resolve(metric, nowMs, 'nothing was heard of it for an hour');
      if (anomaly !== undefined) insights.push({ kind: 'anomaly_resolved', anomaly });
    }
  }

  #watch(signal: WatchedSignal, first: number): SignalInsight | undefined {
    if (this.#refused.has(signal)) return undefined;
    if (!this.#options.admit()) {
      this.#refused.add(signal);
      return undefined;
    }
    const place = WATCHED_SIGNALS.indexOf(signal);
    const insight = new SignalInsight(signal, this.#options.analytics, place, first);
    this.#signals.set(signal, insight);
    return insight;
  }

  #file(finding: Finding, insights: Insight[]): void {
    switch (finding.kind) {
      case 'anomaly':
      case 'worse':
        this.#open(finding.anomaly, insights);
        return;
      case 'annotation':
        this.#book.explain(finding.anomaly, finding.text);
        return;
      case 'resolved': {
        const anomaly = this.#book.resolve(finding.metric, finding.atMs, finding.reason);
        if (anomaly !== undefined) insights.push({ kind: 'anomaly_resolved', anomaly });
      }
    }
  }

  /** One that goes on is told again only when it is worse. */
  #open(anomaly: Anomaly, insights: Insight[]): void {
    const before = this.#book.severityOf(anomaly.metric);
    const observed = this.#book.open(anomaly);
    if (observed.severity !== before) insights.push({ kind: 'anomaly_detected', anomaly: observed });
  }

  #detected(pattern: ObservedPattern): Insight {
    return { kind: 'pattern_detected', pattern };
  }

  #observed(pattern: Pattern, metric: WatchedSignal, cause?: WatchedSignal): ObservedPattern {
    const impact = patternImpact(pattern, metric);
    return {
      ...pattern,
      component: this.component,
      metric,
      ...(cause !== undefined && { cause }),
      ...(impact !== undefined && { impact }),
    };
  }

  #related({ cause, effect, pattern }: Relation): ObservedPattern {
    return this.#observed(pattern, effect, cause);
  }
}
