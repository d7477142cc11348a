import type { CapacityReport } from '../forecast/capacity.ts';
import type { WatchedSignal } from '../profile/watched_signal.ts';
import type { Forecast, ObservedAnomaly, ObservedPattern } from './finding.ts';

/** What may be asked about what was found out. `@host` asks for the machine. */
export interface InsightReader {
  /** What is odd or was lately, open ones first. */
  anomalies(component: string): readonly ObservedAnomaly[];
  /** What is lasting now. */
  patterns(component: string): readonly ObservedPattern[];
  /** Undefined for a signal that is not forecast, or of which there is too little history yet. */
  forecast(component: string, signal: WatchedSignal, horizonMs: number): Forecast | undefined;
  /** Signals of a component that are forecast. */
  forecastSignals(component: string): readonly WatchedSignal[];
  /** How long what there is suffices; undefined for a component that nothing is known of. Two days ahead by default. */
  capacity(component: string, horizonMs?: number): CapacityReport | undefined;
  /** Components that something was found out about, `@host` among them. */
  insights(): readonly string[];
  /** Signals of which only gross anomalies are told, for want of history. */
  warmingUp(component: string): readonly WatchedSignal[];
  /** The open anomaly because of which nothing is tried with a component. */
  pausedBy(component: string): ObservedAnomaly | undefined;
}
