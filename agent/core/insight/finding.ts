import type { Anomaly, Severity } from '../detect/anomaly.ts';
import type { Breach, Limit } from '../forecast/limits.ts';
import type { OptimizerEvent } from '../model.ts';
import type { Pattern } from '../pattern/pattern.ts';
import type { WatchedSignal } from '../profile/watched_signal.ts';

/** Under this name the machine's own signals are watched; no `service.name` is looked up by it. */
export const HOST_COMPONENT = '@host';

/** An anomaly with what became of it. Replaced whole when that changes. */
export interface ObservedAnomaly extends Anomaly {
  readonly id: string;
  readonly component: string;
  /** `explained`: it would have been one, but its cause is known (a restart, the tuner's own change); nobody was told. */
  readonly state: 'open' | 'resolved' | 'explained';
  readonly endedMs?: number;
  readonly endReason?: string;
  readonly acknowledgedBy?: string;
  /** What it belongs to; absent where it was explained. */
  readonly incident?: IncidentBrief;
}

/** Anomalies of one component that came together. */
export interface IncidentBrief {
  readonly id: string;
  readonly startedMs: number;
  readonly severity: Severity;
  /** The metric that left the ordinary first, the likely cause; `leadMs` before the next. */
  readonly firstMover: string;
  readonly leadMs: number;
  readonly anomalies: number;
}

/** A pattern with the metric that shows it. */
export interface ObservedPattern extends Pattern {
  readonly component: string;
  readonly metric: WatchedSignal;
  /** The other metric of a correlation or a load dependence: what `metric` follows. */
  readonly cause?: WatchedSignal;
  /** By how much it makes the metric worse, see `patternImpact`: 0.1 is 10 % worse. Absent where there is no ratio. */
  readonly impact?: number;
}

/** What a signal will be, and when it meets its limit. In the unit that ends the signal's name. */
export interface Forecast {
  readonly component: string;
  readonly signal: WatchedSignal;
  /** The moment that `value`, `low` and `high` speak of. */
  readonly at: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly coverage: Coverage;
  /** Where the signal ends, and when it gets there, from `madeAtMs` on; absent without a limit. */
  readonly limit?: Limit;
  readonly timeToLimit?: Breach;
  readonly madeAtMs: number;
  readonly horizonMs: number;
  readonly stepMs: number;
  /** Steps of history that it rests on. */
  readonly samples: number;
  /** Every step on the way. */
  readonly path: readonly ForecastStep[];
}

export interface ForecastStep {
  readonly atMs: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Share of values that should have lain in their interval, and of those one step ahead that did. */
export interface Coverage {
  readonly nominal: number;
  /** Absent before the first interval met its value. */
  readonly measured?: number;
  readonly samples: number;
}

/** A limit that will be reached before the horizon even on the lucky path. */
export interface ForecastBreach {
  readonly component: string;
  readonly signal: WatchedSignal;
  readonly limit: Limit;
  readonly timeToLimit: Breach;
  readonly atMs: number;
  readonly now: number;
  readonly explanation: string;
}

/** What a step of the insights found, in the order in which it was found. */
export type Insight =
  | { readonly kind: 'anomaly_detected'; readonly anomaly: ObservedAnomaly }
  | { readonly kind: 'anomaly_resolved'; readonly anomaly: ObservedAnomaly }
  | { readonly kind: 'pattern_detected'; readonly pattern: ObservedPattern }
  | { readonly kind: 'forecast_breach'; readonly breach: ForecastBreach };

/** `data` of an event is the anomaly, pattern or breach itself. */
export function eventOf(insight: Insight, nowMs: number): OptimizerEvent {
  switch (insight.kind) {
    case 'anomaly_detected':
    case 'anomaly_resolved':
      return { type: insight.kind, component: insight.anomaly.component, atMs: nowMs, data: { ...insight.anomaly } };
    case 'pattern_detected':
      return { type: insight.kind, component: insight.pattern.component, atMs: nowMs, data: { ...insight.pattern } };
    case 'forecast_breach':
      return { type: insight.kind, component: insight.breach.component, atMs: nowMs, data: { ...insight.breach } };
  }
}
