import { type Anomaly, SEVERITIES, type Severity } from '../detect/anomaly.ts';
import { type Incident, IncidentGrouper } from '../detect/incident.ts';
import type { IncidentBrief, ObservedAnomaly } from './finding.ts';

/** Anomalies that are over or explained and still shown; the oldest goes first. */
const MOST_PAST = 100;

/** JSON knows no NaN, which is the value of missing data. */
type SavedAnomaly = Omit<ObservedAnomaly, 'value'> & { readonly value: number | null };

export interface AnomalyBookState {
  readonly open: readonly SavedAnomaly[];
  readonly past: readonly SavedAnomaly[];
  readonly incident: { readonly id: string; readonly incident: Incident } | null;
}

/** Every anomaly of one component: one open at most per metric, and the last hundred that are over. */
export class AnomalyBook {
  readonly #component: string;
  readonly #nextId: (what: 'anomaly' | 'incident') => string;
  readonly #grouper = new IncidentGrouper(1);
  readonly #open = new Map<string, ObservedAnomaly>();
  #past: ObservedAnomaly[] = [];
  #incident: { readonly id: string; readonly incident: Incident } | undefined;

  constructor(component: string, nextId: (what: 'anomaly' | 'incident') => string) {
    this.#component = component;
    this.#nextId = nextId;
  }

  /** A further alert while one is open makes that one worse; its id and its beginning stay. */
  open(anomaly: Anomaly): ObservedAnomaly {
    const known = this.#open.get(anomaly.metric);
    const incident = this.#group(anomaly);
    const id = known?.id ?? this.#nextId('anomaly');
    const worse = known !== undefined && rank(known) > rank(anomaly) ? known.severity : anomaly.severity;
    const observed: ObservedAnomaly = {
      ...anomaly,
      id,
      component: this.#component,
      state: 'open',
      severity: worse,
      sinceMs: Math.min(known?.sinceMs ?? anomaly.sinceMs, anomaly.sinceMs),
      ...(known?.acknowledgedBy !== undefined && { acknowledgedBy: known.acknowledgedBy }),
      incident,
    };
    this.#open.set(anomaly.metric, observed);
    return observed;
  }

  /** Undefined when none was open for this metric. */
  resolve(metric: string, atMs: number, reason: string): ObservedAnomaly | undefined {
    const known = this.#open.get(metric);
    if (known === undefined) return undefined;
    this.#open.delete(metric);
    const resolved: ObservedAnomaly = { ...this.#joined(known), state: 'resolved', endedMs: atMs, endReason: reason };
    this.#file(resolved);
    return resolved;
  }

  /** It would have been an anomaly, but its cause is known. */
  explain(anomaly: Anomaly, text: string): void {
    const { atMs } = anomaly;
    const id = this.#nextId('anomaly');
    const ended = { state: 'explained', endedMs: atMs, endReason: text } as const;
    this.#file({ ...anomaly, id, component: this.#component, ...ended });
  }

  acknowledge(metric: string, by: string): ObservedAnomaly | undefined {
    const known = this.#open.get(metric);
    if (known === undefined) return undefined;
    const seen = { ...known, acknowledgedBy: by };
    this.#open.set(metric, seen);
    return seen;
  }

  /** Of the open anomaly of a metric. */
  severityOf(metric: string): Severity | undefined {
    return this.#open.get(metric)?.severity;
  }

  get openOnes(): readonly ObservedAnomaly[] {
    return [...this.#open.values()].map((anomaly) => this.#joined(anomaly));
  }

  /** Open ones first, then newest first. */
  list(): readonly ObservedAnomaly[] {
    return [...this.openOnes.toSorted((a, b) => b.atMs - a.atMs), ...this.#past.toReversed()];
  }

  save(): AnomalyBookState {
    return { open: [...this.#open.values()], past: [...this.#past], incident: this.#incident ?? null };
  }

  restore(saved: AnomalyBookState): void {
    this.#open.clear();
    for (const anomaly of saved.open) this.#open.set(anomaly.metric, asObserved(anomaly));
    this.#past = saved.past.slice(-MOST_PAST).map(asObserved);
    this.#incident = saved.incident ?? undefined;
    if (saved.incident !== null) this.#grouper.restore(saved.incident.incident);
  }

  #group(anomaly: Anomaly): IncidentBrief {
    const { kind, incident } = this.#grouper.add(this.#component, anomaly);
    const isSame = kind === 'joined' && this.#incident !== undefined;
    this.#incident = { id: isSame ? this.#incident!.id : this.#nextId('incident'), incident };
    return brief(this.#incident);
  }

  /** With its incident as that stands now. */
  #joined(anomaly: ObservedAnomaly): ObservedAnomaly {
    const current = this.#incident;
    return current !== undefined && anomaly.incident?.id === current.id
      ? { ...anomaly, incident: brief(current) }
      : anomaly;
  }

  #file(anomaly: ObservedAnomaly): void {
    this.#past.push(anomaly);
    if (this.#past.length > MOST_PAST) this.#past.shift();
  }
}

function asObserved(anomaly: SavedAnomaly): ObservedAnomaly {
  return { ...anomaly, value: anomaly.value ?? Number.NaN };
}

function brief({ id, incident }: { readonly id: string; readonly incident: Incident }): IncidentBrief {
  const { startedMs, severity, firstMover, leadMs, anomalies, dropped } = incident;
  return { id, startedMs, severity, firstMover, leadMs, anomalies: anomalies.length + dropped };
}

function rank({ severity }: { readonly severity: Anomaly['severity'] }): number {
  return SEVERITIES.indexOf(severity);
}
