import { SEVERITIES, type Severity } from '../detect/anomaly.ts';
import { figure } from '../figures.ts';
import type { CapacityReport } from '../forecast/capacity.ts';
import type { Health } from '../health.ts';
import type { ObservedAnomaly } from '../insight/finding.ts';

export const ALERT_KINDS = ['health', 'anomaly', 'slo', 'forecast'] as const;
export type AlertKind = (typeof ALERT_KINDS)[number];

/** Something that is worth an alert at this moment. */
export interface Condition {
  /** The same as long as it is the same matter. */
  readonly key: string;
  readonly kind: AlertKind;
  readonly component: string;
  readonly severity: Severity;
  /** One sentence. */
  readonly summary: string;
  readonly signals: Readonly<Record<string, number>>;
}

export interface AlertFacts {
  readonly component: string;
  readonly health: Health;
  /** Open ones only. */
  readonly anomalies: readonly ObservedAnomaly[];
  /** Why the service level's budget burns too fast; absent where it does not. */
  readonly burning?: string;
  readonly capacity?: CapacityReport;
}

/** What is worth an alert. */
export interface ConditionRules {
  /** From which status on; absent: never. */
  readonly health?: 'degraded' | 'unhealthy';
  readonly anomaly?: Severity;
  readonly slo: boolean;
  /** A limit that will be reached within this time even on the lucky path; absent: never. */
  readonly forecastWithinMs?: number;
}

/** Forecasts of which a limit is worth waking somebody. */
const BREACHING =
  /^(?:memoryMiB|gpuMemoryMiB|cpuPercent|gpuPercent|cacheUsageRatio|diskUsedRatio|inodesUsedRatio|responseTimeMsP95)$/;

export function conditionsOf(facts: AlertFacts, rules: ConditionRules): readonly Condition[] {
  const { component, health, anomalies, burning, capacity } = facts;
  const found: Condition[] = [];
  const put = (kind: AlertKind, what: string, severity: Severity, summary: string, signals: Condition['signals']) =>
    found.push({ key: `${kind} ${component}${what}`, kind, component, severity, summary, signals });

  const isUnwell = health.status === 'unhealthy' || (health.status === 'degraded' && rules.health === 'degraded');
  if (rules.health !== undefined && isUnwell) {
    const severity = health.status === 'unhealthy' ? 'high' : 'medium';
    const summary = `${component} is ${health.status}: its ${health.worst} scores ${figure(health.score)}`;
    put('health', '', severity, summary, { healthScore: health.score });
  }
  for (const { metric, severity, explanation, value, surprise, acknowledgedBy } of anomalies) {
    if (rules.anomaly === undefined || rank(severity) < rank(rules.anomaly) || acknowledgedBy !== undefined) continue;
    put('anomaly', ` ${metric}`, severity, `${component}: ${explanation}`, { surprise, ...number('value', value) });
  }
  if (rules.slo && burning !== undefined) put('slo', '', 'critical', `${component}: ${burning}`, {});
  for (const { metric, now, limit, breach } of capacity?.metrics ?? []) {
    if (rules.forecastWithinMs === undefined || limit === undefined || breach?.latestMs === undefined) continue;
    if (breach.latestMs > rules.forecastWithinMs || !BREACHING.test(metric)) continue;
    const hours = (breach.expectedMs ?? breach.latestMs) / 3_600_000;
    const summary = `${component}: ${metric} will reach its limit of ${figure(limit.value)} in about ${figure(hours)} h`;
    put('forecast', ` ${metric}`, 'medium', summary, { now, limit: limit.value, hoursToLimit: hours });
  }
  return found;
}

export function rank(severity: Severity): number {
  return SEVERITIES.indexOf(severity);
}

function number(name: string, value: number): Readonly<Record<string, number>> {
  return Number.isFinite(value) ? { [name]: value } : {};
}
