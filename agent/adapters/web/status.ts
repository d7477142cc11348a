import type { AlertReadings, Readings } from '../readings/readings.ts';

/** What `/status` shows: every part's state in one object, for humans with `curl`, for `perfopt doctor`, and for scripts. */
export interface Status {
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  readonly epoch: number;
  readonly nowMs: number;
  readonly startedMs: number;
  readonly ready: boolean;
  /** Why not, where it is not. */
  readonly notReady?: string;
  readonly engine: EngineStatus;
  readonly receiver: ReceiverStatus;
  readonly journal: { readonly path: string; readonly unsavedDecisions: number };
  readonly control: { readonly addresses: readonly string[]; readonly sessions: number };
  readonly sampler: SamplerStatus;
  readonly history: HistoryStatus;
  readonly alerts: AlertsStatus;
  readonly recommendations: { readonly open: number; readonly dropped: number };
  readonly cgroups: Readings['cgroups'];
  /** Absent: none is configured, and traces and logs end here. */
  readonly upstream?: UpstreamStatus;
  readonly components: readonly ComponentStatus[];
}

export interface EngineStatus {
  /** False: `monitoring.enabled` is off; nothing is received or sampled. */
  readonly monitoring: boolean;
  /** False: `optimization.enabled` is off; no knob is moved. */
  readonly tuning: boolean;
  /** Why it stopped for good. */
  readonly halted?: string;
  /** Why nothing may be tried anywhere. */
  readonly frozen?: string;
  readonly inboxDepth: number;
  readonly pointsAccepted: number;
  /** Points of metrics that no mapping gives a meaning to. */
  readonly pointsUnmapped: number;
  readonly series: number;
  readonly maxSeries: number;
  readonly minRequests: number;
}

export interface ReceiverStatus {
  /** By transport; where it listens, or `null` where it does not. */
  readonly addresses: Readonly<Record<string, string | null>>;
  /** With metrics. */
  readonly requests: number;
  readonly pointsAccepted: number;
  /** By reason. */
  readonly pointsRejected: Readonly<Record<string, number>>;
  /** Whole requests, by reason. */
  readonly requestsRefused: Readonly<Record<string, number>>;
  /** Requests with traces and logs that ended here, for want of an upstream. */
  readonly tracesDropped: number;
  readonly logsDropped: number;
}

export interface SamplerStatus {
  readonly samples: number;
  readonly failures: number;
}

export type HistoryStatus =
  | { readonly kept: false; readonly problem: string }
  | {
      readonly kept: true;
      /** Why it cannot be written at the moment; what it should hold waits in memory. */
      readonly problem?: string;
      readonly bytes: number;
      /** Points that came more than four minutes late. */
      readonly late: number;
      /** Rows: written; given up; deleted for want of room; deleted for their age. */
      readonly written: number;
      readonly unwritten: number;
      readonly evicted: number;
      readonly pruned: number;
    };

export interface UpstreamStatus {
  readonly endpoint: string;
  readonly protocol: string;
  readonly queue: 'disk' | 'memory';
  readonly diskProblem?: string;
  readonly signals: Readonly<Record<string, UpstreamSignalStatus>>;
}

export interface UpstreamSignalStatus {
  readonly delivery: {
    readonly state: 'idle' | 'sending' | 'waiting';
    readonly failures?: number;
    readonly why?: string;
    readonly untilMs?: number;
  };
  readonly queued: { readonly requests: number; readonly bytes: number };
  readonly counters: {
    readonly accepted: number;
    readonly delivered: number;
    readonly retries: number;
    readonly possibleDuplicates: number;
    readonly rejectedByUpstream: number;
    readonly unsaved: number;
    readonly dropped: Readonly<Record<string, number>>;
  };
}

/** What somebody was told of and still holds, and how telling goes. */
export interface AlertsStatus extends Omit<AlertReadings, 'open'> {
  readonly open: readonly {
    readonly id: string;
    readonly kind: string;
    readonly component: string;
    readonly severity: string;
    readonly summary: string;
    readonly sinceMs: number;
  }[];
}

export interface ComponentStatus {
  readonly component: string;
  /** Of the latest telemetry about requests. */
  readonly measuredAtMs?: number;
  readonly responseTimeMs?: number;
  readonly requestsPerSecond?: number;
  readonly errorRatio?: number;
  /** Anomalies that are not over; absent where there are none. */
  readonly openAnomalies?: number;
  /** The one because of which nothing is tried. */
  readonly paused?: string;
  /** Absent: no session was ever opened. */
  readonly tuning?: TuningStatus;
}

export interface TuningStatus {
  readonly connected: boolean;
  readonly tier: string;
  readonly phase: string;
  readonly frozen?: string;
  readonly knobs: readonly {
    readonly knob: string;
    readonly mode: string;
    readonly pinned: boolean;
    readonly value: number | boolean | string;
  }[];
  readonly openTrial?: {
    readonly id: string;
    readonly strategy: string;
    readonly startedMs: number;
    readonly blocks: number;
  };
  readonly proposal?: string;
  /** How often the proof errs here, in [0, 1], with the ends of its 95 % interval. */
  readonly audit: {
    readonly runs: number;
    readonly accepts: number;
    readonly low: number;
    readonly high: number;
    readonly levelFactor: number;
  };
}
