import type { QuietReason } from '../detect/quiet-time.ts';
import type { CapacityReport } from '../forecast/capacity.ts';
import type { WatchedSignal } from '../profile/watched_signal.ts';
import type { ProfileStore } from '../profile.ts';
import type { EngineSettings } from '../settings.ts';
import { ComponentInsight, type ComponentInsightState } from './component-insight.ts';
import { type Forecast, HOST_COMPONENT, type Insight, type ObservedAnomaly, type ObservedPattern } from './finding.ts';

export interface InsightStoreOptions {
  readonly settings: EngineSettings;
  /** Unique over the life of the state. */
  readonly nextId: (what: 'anomaly' | 'incident') => string;
}

export interface InsightCounts {
  /** Series watched now. */
  series: number;
  /** Series that were not watched because there are `analytics.maxSeries` already. */
  refusedSeries: number;
  /** Found since the start. */
  anomalies: number;
  patterns: number;
  breaches: number;
}

/** A component has about two hundred pieces of work an hour, of up to ten milliseconds; a tick does one for each so many. */
const COMPONENTS_PER_PIECE = 12;

/** The insights into all components and the machine. Fed on ticks from the profiles, once a profile interval. */
export class InsightStore {
  readonly #options: InsightStoreOptions;
  readonly #components = new Map<string, ComponentInsight>();
  readonly counts: InsightCounts = { series: 0, refusedSeries: 0, anomalies: 0, patterns: 0, breaches: 0 };
  #interval = Number.NEGATIVE_INFINITY;
  #turn = 0;

  constructor(options: InsightStoreOptions) {
    this.#options = options;
  }

  /** What is new since the last tick. */
  tick(nowMs: number, profiles: ProfileStore): readonly Insight[] {
    const { anomalyDetection, patternRecognition, predictiveAnalysis } = this.#options.settings.analytics;
    if (!anomalyDetection && !patternRecognition && !predictiveAnalysis) return [];
    const insights: Insight[] = [];
    const interval = Math.floor(nowMs / this.#options.settings.profile.intervalMs);
    if (interval !== this.#interval) {
      this.#interval = interval;
      const { host } = profiles;
      for (const component of profiles.components) {
        const profile = profiles.get(component);
        if (profile !== undefined) insights.push(...this.#open(component).take(profile, host, nowMs));
      }
      insights.push(...this.#open(HOST_COMPONENT).take(host, host, nowMs));
    }
    this.#work(nowMs, insights);
    for (const { kind } of insights) {
      if (kind === 'anomaly_detected') this.counts.anomalies++;
      else if (kind === 'pattern_detected') this.counts.patterns++;
      else if (kind === 'forecast_breach') this.counts.breaches++;
    }
    return insights;
  }

  get components(): readonly string[] {
    return [...this.#components.keys()];
  }

  anomalies(component: string): readonly ObservedAnomaly[] {
    return this.#components.get(component)?.anomalies() ?? [];
  }

  warmingUp(component: string): readonly WatchedSignal[] {
    return this.#components.get(component)?.warmingUp ?? [];
  }

  patterns(component: string): readonly ObservedPattern[] {
    return this.#components.get(component)?.patterns() ?? [];
  }

  /** Undefined for a signal that is not forecast, or of which there is too little history. */
  forecast(component: string, signal: WatchedSignal, nowMs: number, horizonMs: number): Forecast | undefined {
    return this.#components.get(component)?.forecast(signal, nowMs, horizonMs);
  }

  forecastSignals(component: string): readonly WatchedSignal[] {
    return this.#components.get(component)?.forecastSignals ?? [];
  }

  capacity(component: string, nowMs: number, horizonMs: number): CapacityReport | undefined {
    return this.#components.get(component)?.capacity(nowMs, horizonMs);
  }

  /** Why nothing measured of this component can be trusted to be usual; the machine's troubles are everybody's. */
  disturbance(
    component: string,
    counts: (anomaly: ObservedAnomaly) => boolean = () => true,
  ): ObservedAnomaly | undefined {
    const own = this.#components.get(component)?.disturbance(counts);
    return own ?? this.#components.get(HOST_COMPONENT)?.disturbance(counts);
  }

  /** Nobody watched until now, or the clock has stepped: what is silent is so because of that. */
  resume(nowMs: number): void {
    for (const component of this.#components.values()) component.resume(nowMs);
  }

  acknowledge(component: string, metric: string, by: string): void {
    this.#components.get(component)?.acknowledge(metric, by);
  }

  /** What the component's metrics do until `untilMs` has a known cause. */
  excuse(component: string, reason: QuietReason, fromMs: number, untilMs: number): void {
    this.#components.get(component)?.excuse(reason, fromMs, untilMs);
  }

  /** Hours of a signal from before the agent started, oldest first; false where it has some of its own. */
  warm(component: string, signal: WatchedSignal, hours: ArrayLike<number>): boolean {
    return this.#open(component).warm(signal, hours);
  }

  save(component: string): ComponentInsightState | undefined {
    return this.#components.get(component)?.save();
  }

  /** Throws when the state is of another version, or of other detectors: the component then starts afresh. */
  restore(saved: ComponentInsightState): void {
    this.#components.set(saved.component, this.#make(saved.component, saved));
  }

  #work(nowMs: number, insights: Insight[]): void {
    const all = [...this.#components.values()];
    let left = Math.ceil(all.length / COMPONENTS_PER_PIECE);
    for (let looked = 0; looked < all.length && left > 0; looked++) {
      const component = all[this.#turn % all.length]!;
      const found = component.work(nowMs);
      if (found === undefined) {
        this.#turn++;
        continue;
      }
      insights.push(...found);
      left--;
      looked--;
    }
  }

  #open(component: string): ComponentInsight {
    const known = this.#components.get(component);
    if (known !== undefined) return known;
    const made = this.#make(component);
    this.#components.set(component, made);
    return made;
  }

  #make(component: string, saved?: ComponentInsightState): ComponentInsight {
    const { settings, nextId } = this.#options;
    const { analytics, profile, slo, limits, components } = settings;
    const latencyLimitMs =
      components[component]?.limits?.responseTimeMsP95 ?? limits.responseTimeMsP95 ?? slo?.responseTimeMs;
    const admit = (): boolean => {
      if (this.counts.series >= analytics.maxSeries) {
        this.counts.refusedSeries++;
        return false;
      }
      this.counts.series++;
      return true;
    };
    const limit = latencyLimitMs === undefined ? {} : { latencyLimitMs };
    return new ComponentInsight({ component, analytics, ...limit, ...profile, nextId, admit }, saved);
  }
}
