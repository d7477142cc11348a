import { type Anomaly, SEVERITIES, type Severity } from './anomaly.ts';

/** Anomalies of one component that belong together, oldest onset first. */
export interface Incident {
  readonly component: string;
  readonly startedMs: number;
  readonly lastMs: number;
  readonly severity: Severity;
  /** The metric that was the first to leave the ordinary, and by how much it led the next. */
  readonly firstMover: string;
  readonly leadMs: number;
  readonly anomalies: readonly Anomaly[];
  /** Anomalies that belong here but were not kept: an incident holds `MOST_ANOMALIES`. */
  readonly dropped: number;
}

/** An anomaly joins an incident that moved at most this long ago. */
export const JOIN_MS = 600_000;
export const MOST_ANOMALIES = 32;

export type Grouped =
  | { readonly kind: 'opened'; readonly incident: Incident }
  | { readonly kind: 'joined'; readonly incident: Incident };

/**
 * Groups a component's anomalies into incidents. Causes come before effects, so the likely first mover is the metric with
 * the earliest onset (not the earliest alert: slow channels alert late); with equal onsets, the more surprised.
 * One incident is open per component; it closes by falling silent for `JOIN_MS`.
 */
export class IncidentGrouper {
  readonly #open = new Map<string, Incident>();
  readonly #maxComponents: number;

  constructor(maxComponents: number) {
    this.#maxComponents = maxComponents;
  }

  add(component: string, anomaly: Anomaly): Grouped {
    const current = this.#open.get(component);
    const joins = current !== undefined && anomaly.atMs - current.lastMs <= JOIN_MS;
    const incident = joins ? join(current, anomaly) : begin(component, anomaly);
    // Re-inserted to keep the map in order of last movement, so that what is dropped first moved longest ago.
    this.#open.delete(component);
    this.#open.set(component, incident);
    if (this.#open.size > this.#maxComponents) this.#open.delete(this.#open.keys().next().value!);
    return { kind: joins ? 'joined' : 'opened', incident };
  }

  /** Takes up an incident where an earlier grouper left it. */
  restore(incident: Incident): void {
    this.#open.set(incident.component, incident);
  }

  /** The component's incident if it moved within `JOIN_MS`. */
  current(component: string, nowMs: number): Incident | undefined {
    const incident = this.#open.get(component);
    return incident !== undefined && nowMs - incident.lastMs <= JOIN_MS ? incident : undefined;
  }
}

function begin(component: string, anomaly: Anomaly): Incident {
  return {
    component,
    startedMs: anomaly.sinceMs,
    lastMs: anomaly.atMs,
    severity: anomaly.severity,
    firstMover: anomaly.metric,
    leadMs: 0,
    anomalies: [anomaly],
    dropped: 0,
  };
}

function join(incident: Incident, anomaly: Anomaly): Incident {
  const full = incident.anomalies.length >= MOST_ANOMALIES;
  const anomalies = full ? incident.anomalies : [...incident.anomalies, anomaly].sort(byOnset);
  const first = anomalies[0]!;
  const next = anomalies.find(({ metric }) => metric !== first.metric);
  return {
    component: incident.component,
    startedMs: Math.min(incident.startedMs, anomaly.sinceMs),
    lastMs: Math.max(incident.lastMs, anomaly.atMs),
    severity: worse(incident.severity, anomaly.severity),
    firstMover: first.metric,
    leadMs: next === undefined ? 0 : next.sinceMs - first.sinceMs,
    anomalies,
    dropped: incident.dropped + (full ? 1 : 0),
  };
}

function byOnset(a: Anomaly, b: Anomaly): number {
  return a.sinceMs - b.sinceMs || b.surprise - a.surprise || (a.metric < b.metric ? -1 : 1);
}

function worse(a: Severity, b: Severity): Severity {
  return SEVERITIES.indexOf(a) >= SEVERITIES.indexOf(b) ? a : b;
}
