import type { Recommendation } from '../../core/advice/recommendation.ts';
import type { Answers } from '../../core/answers.ts';
import type { HistoryReader } from '../../core/history/reader.ts';
import type { Rollup } from '../../core/history/rollup.ts';
import type { HistorySignal } from '../../core/history/signal.ts';
import type { InsightReader } from '../../core/insight/reader.ts';
import type {
  Decision,
  Effect,
  Input,
  KnobMode,
  KnobSpec,
  KnobValue,
  SampleBatch,
  Series,
  Setting,
  Tier,
} from '../../core/model.ts';
import type { Allocation } from '../../core/resources/allocation.ts';
import type { Bottleneck } from '../../core/resources/bottleneck.ts';
import type { CurrentResourceUsage } from '../../core/resources/usage.ts';
import type { OutcomePorts } from './outcomes.ts';

/** What the control channel needs of the rest of the agent. It never sees the engine, and the engine never sees gRPC. */
export interface ControlPorts {
  /** Takes what processes and operators say; must not block. */
  inbox(input: ControlInput): void;
  snapshot(): Snapshot;
  readonly answers: Answers;
  readonly insights: InsightReader;
  nowMs(): number;
  /** Of one component alone, which costs less. */
  component(name: string): ComponentSnapshot | undefined;
  /** Takes what processes say came of their work. Absent where nothing is received. */
  readonly outcomes?: OutcomePorts | undefined;
  /** Newest first. */
  decisions(query: DecisionsQuery): readonly Decision[];
  explain(decisionId: string): Decision | undefined;
  readonly resources: ResourceReader;
  readonly advice: AdviceReader;
  /** A signal's latest intervals, at full resolution. */
  intervals?(component: string, signal: HistorySignal): readonly Rollup[];
  /** Absent where none is kept. */
  readonly history?: HistoryReader | undefined;
  readonly audit: AuditTrail;
  /** Shows data points as they come in, until the function that it returns is called. Absent where there are none. */
  readonly tap?: ((filter: TapFilter, reader: TapReader) => () => void) | undefined;
}

/** Everything given must hold; `*` stands for any run of characters. */
export interface TapFilter {
  readonly metric?: string;
  readonly component?: string;
  /** Of the point or of its resource. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** Who looks. */
export interface TapReader {
  /** How many points it can hold now. */
  room(): number;
  /** `missed`: points that it wanted beside these, for which it had no room. Both are good only during the call. */
  take(points: readonly TappedPoint[], missed: number): void;
}

/** A row of a batch. */
export interface TappedPoint {
  readonly source: string;
  readonly batch: SampleBatch;
  readonly row: number;
  readonly series: Series;
  /** Empty: the machine. */
  readonly component: string;
  /** What the agent takes it for; empty: nothing. */
  readonly signal: string;
}

/** Where it is written down what operators do, and what was tried and refused. */
export interface AuditTrail {
  /** Before it is done; the function returned is told what came of it. */
  asked(question: AuditQuestion): (outcome: { readonly ok: boolean; readonly message: string }) => void;
}

export interface AuditQuestion {
  /** By which credential, or how they got here; `unknown` where that was refused. */
  readonly who: string;
  readonly role: string;
  /** `socket`, or host and port of the peer. */
  readonly address: string;
  /** The method that was called. */
  readonly action: string;
  /** The request, as JSON. */
  readonly request: string;
  readonly dryRun: boolean;
}

/** What a human should change; of one component, or of all. */
export interface AdviceReader {
  list(component?: string): readonly Recommendation[];
}

/** Who uses how much of the machine, and who should. */
export interface ResourceReader {
  report(): ResourceReport;
}

export interface ResourceReport {
  readonly usage: CurrentResourceUsage;
  readonly allocation: Allocation;
  readonly bottlenecks: readonly Bottleneck[];
  readonly applied: readonly AppliedLimit[];
}

/** A file of a cgroup that the agent has written, and what it puts back. */
export interface AppliedLimit {
  readonly component: string;
  readonly file: string;
  readonly value: string;
  readonly before: string;
  readonly atMs: number;
}

/** The inputs that come from here. */
export type ControlInput = Extract<
  Input,
  { readonly kind: 'session' | 'result' | 'override' | 'holding' | 'operator' }
>;

/** Those of them that processes are the cause of. */
export type SessionInput = Exclude<ControlInput, { readonly kind: 'operator' }>;

/** The effects that are carried out here. */
export type ControlEffect = Extract<Effect, { readonly kind: 'command' | 'renewal' | 'revoke' | 'reply' | 'event' }>;

/** Everything given must hold. */
export interface DecisionsQuery {
  readonly component?: string;
  readonly trialId?: string;
  /** Made at or after. */
  readonly sinceMs?: number;
  readonly limit: number;
}

/** Everything that the engine believes, at one moment. */
export interface Snapshot {
  readonly atMs: number;
  /** All tuning is stopped. */
  readonly frozen: boolean;
  readonly components: readonly ComponentSnapshot[];
}

export interface ComponentSnapshot {
  readonly component: string;
  readonly tier: Tier;
  readonly connected: boolean;
  readonly frozen: boolean;
  readonly knobs: readonly KnobSnapshot[];
  readonly openTrial?: TrialSnapshot;
  /** Oldest first. */
  readonly revisions: readonly RevisionSnapshot[];
  readonly proposals: readonly ProposalSnapshot[];
  /** Those that trade one objective for another. */
  readonly proven: readonly ProvenSnapshot[];
}

export interface ProvenSnapshot {
  readonly id: string;
  readonly atMs: number;
  readonly trialId: string;
  readonly strategy: string;
  readonly setting: Setting;
  /** Relative effects against the baselines, lower is better, by objective. */
  readonly objectives: Readonly<
    Record<string, { readonly estimate: number; readonly low: number; readonly high: number }>
  >;
}

export interface RevisionSnapshot {
  readonly revision: number;
  readonly atMs: number;
  readonly decisionId?: string;
  readonly setting: Setting;
}

export interface ProposalSnapshot {
  readonly id: string;
  readonly strategy: string;
  readonly atMs: number;
  readonly setting: Setting;
  readonly reason: string;
  readonly approvedBy?: string;
}

export interface KnobSnapshot {
  readonly spec: KnobSpec;
  readonly desired: KnobValue;
  /** Absent while the process has not said. */
  readonly effective?: KnobValue;
  readonly mode: KnobMode;
  readonly pinned: boolean;
  readonly attemptedRevision: number;
  readonly effectiveRevision: number;
  /** Why the last attempt that failed did. */
  readonly lastError?: string;
}

export interface TrialSnapshot {
  readonly trialId: string;
  readonly strategy: string;
  readonly startMs: number;
  readonly changes: readonly { readonly knob: string; readonly from: KnobValue; readonly to: KnobValue }[];
  readonly blocks: number;
}

/** What happened here that is worth counting or logging. */
export type ControlNotice =
  | { readonly kind: 'session_opened'; readonly component: string; readonly knobs: number; readonly held: number }
  | { readonly kind: 'session_closed'; readonly component: string; readonly reason: string }
  | { readonly kind: 'session_refused'; readonly reason: string }
  | { readonly kind: 'full_state_requested'; readonly component: string; readonly missing: number }
  | { readonly kind: 'message_ignored'; readonly component: string; readonly reason: string }
  | { readonly kind: 'effect_undeliverable'; readonly component: string; readonly effect: ControlEffect['kind'] }
  | { readonly kind: 'watcher_cut'; readonly service: string }
  | { readonly kind: 'access_refused'; readonly method: string; readonly address: string; readonly reason: string }
  | { readonly kind: 'credentials_reloaded'; readonly problem?: Error };

export type ControlObserver = (notice: ControlNotice) => void;

export interface ControlLimits {
  readonly maxSessions: number;
  readonly maxKnobs: number;
  /** Messages waiting for one slow reader. */
  readonly maxQueuedMessages: number;
  /** Open streams of WatchEvents, and as many of WatchKnobs. */
  readonly maxWatchers: number;
  /** Changes of knobs that are remembered for WatchKnobs. */
  readonly maxKnobChanges: number;
  /** Open Tap streams. */
  readonly maxTaps: number;
  /** Operator requests waiting for the engine. */
  readonly maxPendingRequests: number;
  /** The engine answers an operator within this time. */
  readonly operatorDeadlineMs: number;
  /** Of one session, on average. */
  readonly messagesPerSecond: number;
  /** Calls at one address, on average. */
  readonly requestsPerSecond: number;
  /** A connection that is silent for this long is asked for a sign of life, and closed when none comes in time. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
}

export const DEFAULT_CONTROL_LIMITS: ControlLimits = {
  maxSessions: 64,
  maxKnobs: 256,
  maxQueuedMessages: 256,
  maxWatchers: 64,
  maxKnobChanges: 4_096,
  maxTaps: 4,
  maxPendingRequests: 64,
  operatorDeadlineMs: 10_000,
  messagesPerSecond: 200,
  requestsPerSecond: 100,
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 10_000,
};
