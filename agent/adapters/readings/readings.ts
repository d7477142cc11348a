/** What the agent counts about itself. Counts are totals since the start; levels are as of now. */
export interface Readings extends Counts {
  readonly version: string;
  readonly startedMs: number;
  readonly residentBytes: number;
  readonly cpuSeconds: { readonly user: number; readonly system: number };
  /** Seconds that the event loop worked, of the seconds that there were. */
  readonly loop: { readonly activeSeconds: number; readonly idleSeconds: number };
  /** By how much the event loop was late, since this was last read. */
  readonly loopDelaySeconds: { readonly p50: number; readonly p99: number; readonly max: number };
  /** By signal. */
  readonly upstream?: Readonly<Record<string, UpstreamReadings>>;
  readonly alerts: AlertReadings;
  readonly recommendations: { readonly open: number; readonly dropped: number };
  /** Files of cgroups that are set now; writes so far; those refused, and those that somebody else has set since. */
  readonly cgroups: {
    readonly applied: number;
    readonly writes: number;
    readonly refused: number;
    readonly overruled: number;
  };
}

/** Of what goes through the agent. */
export interface Counts {
  readonly pointsAccepted: number;
  /** Refused, and the sender was told, by reason. */
  readonly pointsRejected: Readonly<Record<string, number>>;
  /** Taken and then lost, by reason. */
  readonly pointsDropped: Readonly<Record<string, number>>;
  /** Inputs between receivers and engine. */
  readonly inboxDepth: number;
  /** Decisions by kind: `trial_started`, `promoted`, `rolled_back`, … */
  readonly decisions: Readonly<Record<string, number>>;
  readonly sessions: number;
  readonly components: number;
  readonly series: number;
  readonly clockSteps: number;
  readonly insights: InsightReadings;
  /** By component: runs of the audit, false accepts among them, and the interval of their rate. */
  readonly audits: Readonly<Record<string, AuditReadings>>;
}

/** What was found out about the components. */
export interface InsightReadings {
  /** Since the start, by kind: anomalies, patterns, breaches. */
  readonly found: Readonly<Record<string, number>>;
  readonly openAnomalies: number;
  /** Components with which nothing is tried because of an anomaly. */
  readonly paused: number;
  readonly series: number;
  /** Series that are not watched, for want of room. */
  readonly refusedSeries: number;
}

export interface AuditReadings {
  readonly runs: number;
  readonly accepts: number;
  readonly low: number;
  readonly high: number;
}

/** What somebody was told of and still holds; told, over, held back by the rate (each look counts), and forgotten for want of room. */
export interface AlertReadings {
  readonly open: number;
  readonly opened: number;
  readonly resolved: number;
  readonly delayed: number;
  readonly dropped: number;
  /** Absent: none is configured. */
  readonly webhook?: {
    readonly queued: number;
    readonly delivered: number;
    readonly retries: number;
    readonly dropped: Readonly<Record<string, number>>;
  };
}

/** Of one signal. */
export interface UpstreamReadings {
  readonly queuedRequests: number;
  readonly queuedBytes: number;
  readonly accepted: number;
  readonly acceptedBytes: number;
  readonly delivered: number;
  readonly deliveredBytes: number;
  readonly retries: number;
  readonly possibleDuplicates: number;
  readonly rejectedByUpstream: number;
  readonly unsaved: number;
  readonly dropped: Readonly<Record<string, number>>;
}
