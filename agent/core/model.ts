/**
 * The nouns of the core. Plain immutable data: what comes in (samples, results, sessions, operators),
 * what the engine believes (knobs, settings, trials), and what goes out (commands, decisions, events).
 *
 * Units: times in milliseconds since the Unix epoch unless a name says otherwise (`…Ns`), durations named `…Ms`,
 * latencies inside profiles in milliseconds (the design document's unit), bytes as bytes, ratios in [0, 1].
 */

// ---------------------------------------------------------------------------------------------------------------
// Components and knobs

export const TIERS = ['critical', 'stable', 'advanced', 'experimental', 'research'] as const;
/** How much harm a component's owner tolerates, from none (`critical`) to most (`research`). */
export type Tier = (typeof TIERS)[number];

export const KNOB_MODES = ['observe', 'recommend', 'approve', 'auto'] as const;
/** Ordered: each mode allows everything that the one before allows. */
export type KnobMode = (typeof KNOB_MODES)[number];

export const KNOB_ROLES = [
  'timeout',
  'concurrency',
  'batch',
  'queue',
  'memory',
  'priority',
  'threads',
  'other',
] as const;
export type KnobRole = (typeof KNOB_ROLES)[number];

export const APPLY_CLASSES = ['hot', 'drain', 'reload', 'restart'] as const;
/** What applying a value costs the process: nothing, a drain, a reload, or a restart (only ever recommended). */
export type ApplyClass = (typeof APPLY_CLASSES)[number];

export type KnobValue = number | boolean | string;

/** A complete or partial assignment of values to knobs, by knob id. */
export type Setting = Readonly<Record<string, KnobValue>>;

interface KnobSpecBase {
  readonly id: string;
  readonly description: string;
  /** UCUM unit of the value (`ms`, `s`, `By`, `{request}`, `1`); empty when the value has none. */
  readonly unit: string;
  readonly role: KnobRole;
  readonly applyClass: ApplyClass;
  /** Time the process needs after applying before its metrics show the new value alone. */
  readonly settleMs: number;
  /** The value at boot is a ceiling: the tuner only goes to it or below. */
  readonly ceilingAtBoot: boolean;
  /** What else a bad value would harm, for the humans who approve it. */
  readonly blastRadius?: string;
  /** What sets it at the process's start, so that a recommendation can say what exactly to change. */
  readonly bootFlag?: string;
  readonly bootVariable?: string;
  /** This knob means something only while another knob has one of these values. */
  readonly conditionalOn?: { readonly knob: string; readonly values: readonly KnobValue[] };
}

/** `duration` values are seconds; `int` and `double` are in `unit`. */
export interface NumericKnobSpec extends KnobSpecBase {
  readonly type: 'int' | 'double' | 'duration';
  readonly min: number;
  readonly max: number;
  /** Values are `min + n·step`; absent: continuous (or every integer for `int`). */
  readonly step?: number;
  readonly scale: 'linear' | 'log';
  /** What the process would use with no tuner at all: the value that a lease falls back to. */
  readonly baseline: number;
}
export interface BoolKnobSpec extends KnobSpecBase {
  readonly type: 'bool';
  readonly baseline: boolean;
}
export interface EnumKnobSpec extends KnobSpecBase {
  readonly type: 'enum';
  readonly values: readonly string[];
  readonly baseline: string;
}
export type KnobSpec = NumericKnobSpec | BoolKnobSpec | EnumKnobSpec;

/** What a client holds for one knob when it connects: where its present value came from. `(0, 0)` is the baseline. */
export interface HeldKnob {
  readonly knob: string;
  readonly value: KnobValue;
  readonly epoch: number;
  readonly revision: number;
  /** The value was set by hand in the process (guarantee 8): the tuner leaves it alone. */
  readonly manual: boolean;
}

/** A process that belongs to a component; `pid` as it knows it itself. */
export interface ComponentProcess {
  readonly component: string;
  readonly pid: number;
}

/** What a process says of itself when its session opens. */
export interface Manifest {
  readonly component: string;
  readonly tier: Tier;
  /** Stable per process instance; a new `incarnation` is a new start of it. */
  readonly instanceUid: string;
  readonly incarnation: number;
  readonly resource: Readonly<Record<string, string>>;
  /** Host pid of the process where it is known (from `process.pid` in the resource). */
  readonly pid?: number;
  readonly knobs: readonly KnobSpec[];
  readonly held: readonly HeldKnob[];
  /** The process can say whether it would take a value, without taking it. */
  readonly validates?: boolean;
}

// ---------------------------------------------------------------------------------------------------------------
// Telemetry

export type Temporality = 'delta' | 'cumulative';
export type AttributeValue = string | number | bigint | boolean | readonly AttributeValue[] | null;

/**
 * Identity of a series (OTLP data model): resource, scope, name, type, unit, temporality, monotonicity, attributes.
 * Interned by whoever decodes: the same identity is the same object, so maps may key on the object or its `id`.
 */
export interface Series {
  /** Unique within the interner that made it; dense from 0. */
  readonly id: number;
  readonly name: string;
  readonly unit: string;
  readonly kind: 'gauge' | 'sum' | 'histogram' | 'exponential_histogram' | 'summary';
  /** Gauges have none; summaries are cumulative by their nature. */
  readonly temporality?: Temporality;
  readonly monotonic: boolean;
  readonly scope: string;
  readonly resource: ReadonlyMap<string, AttributeValue>;
  readonly attributes: ReadonlyMap<string, AttributeValue>;
}

/** An explicit-bounds histogram point. `counts.length === bounds.length + 1`, or both empty. */
export interface HistogramPoint {
  readonly count: number;
  readonly sum?: number;
  readonly min?: number;
  readonly max?: number;
  /** Strictly increasing, upper-inclusive. Interned where possible, so that equal bounds are the same array. */
  readonly bounds: readonly number[];
  readonly counts: ArrayLike<number>;
  /**
   * What the doubles above lack to the integers that were sent: of `count`, then of each bucket. Only present where
   * something exceeds 2^53, so that differences stay exact there too.
   */
  readonly rests?: ArrayLike<number>;
}

/** Bucket `offset + i` of an exponential histogram holds `counts[i]`. */
export interface ExponentialBuckets {
  readonly offset: number;
  readonly counts: ArrayLike<number>;
}

/**
 * An exponential histogram point: with `base = 2^(2^-scale)`, bucket `k` holds values in `(base^k, base^(k+1)]`, in
 * `negative` those whose negation lies there, and `zeroCount` those within `zeroThreshold` of 0.
 */
export interface ExponentialPoint {
  readonly count: number;
  readonly sum?: number;
  readonly min?: number;
  readonly max?: number;
  readonly scale: number;
  readonly zeroCount: number;
  readonly zeroThreshold: number;
  readonly positive: ExponentialBuckets;
  readonly negative: ExponentialBuckets;
}

/**
 * Points of one delivery, in columns: row `i` is a point of `series[i]` over `(start, time]`. Instants are split into
 * whole milliseconds and the nanoseconds within that millisecond (0 to 999,999), so that none is lost: Unix
 * nanoseconds exceed 2^53. `startMs = startSubMsNs = 0` means that the sender gave no start.
 */
export interface SampleBatch {
  readonly size: number;
  readonly series: readonly Series[];
  readonly startMs: ArrayLike<number>;
  readonly startSubMsNs: ArrayLike<number>;
  readonly timeMs: ArrayLike<number>;
  readonly timeSubMsNs: ArrayLike<number>;
  /** Gauge value or sum; unused (0) for histograms. */
  readonly value: ArrayLike<number>;
  /** What `value` lacks to the integer that was sent. Only present where one exceeds 2^53; absent or short: 0. */
  readonly valueRest?: ArrayLike<number>;
  /** Sparse: set for rows of histograms, and of summaries (count and sum, no buckets). */
  readonly histogram: readonly (HistogramPoint | undefined)[];
  /** Sparse: set for rows of exponential histograms; absent where the batch has none. */
  readonly exponential?: readonly (ExponentialPoint | undefined)[];
  /** OTLP data point flags; bit 0 = no recorded value. */
  readonly flags: ArrayLike<number>;
}

/** Takes points in. What it refuses is what the sender is told (OTLP partial success). Never blocks. */
export interface SampleSink {
  accept(batch: SampleBatch): Acceptance;
  /**
   * Points that would be taken now, of those that may wait at all; absent: never full. Asked before the work of decoding.
   * A delivery of any size is taken while none waits.
   */
  room?(): { readonly free: number; readonly capacity: number } | undefined;
}
export type Acceptance =
  | { readonly state: 'accepted'; readonly rejected: number; readonly reason?: string }
  | { readonly state: 'overloaded'; readonly retryAfterMs: number };

// ---------------------------------------------------------------------------------------------------------------
// Control

export type CommandId = string;

export interface KnobChange {
  readonly knob: string;
  readonly value: KnobValue;
  /** Compare-and-set: refuse unless the knob's present value is this. */
  readonly expectedCurrent?: KnobValue;
}

export interface Rationale {
  readonly strategy: string;
  readonly reason: string;
  readonly trialId?: string;
  /** Relative change of the objective that is expected (negative is better); absent where nothing was measured. */
  readonly expectedEffect?: number;
  readonly confidence?: number;
}

/** Absolute values for one component's knobs, under a lease. A replay of the same `commandId` is a no-op. */
export interface Command {
  readonly commandId: CommandId;
  readonly component: string;
  readonly epoch: number;
  readonly revision: number;
  readonly changes: readonly KnobChange[];
  readonly atomicity: 'all' | 'per_knob';
  readonly validateOnly: boolean;
  readonly leaseTtlMs: number;
  readonly onExpiry: 'hold' | 'baseline' | 'last_good';
  /** The process must answer within this long after receiving. */
  readonly applyDeadlineMs: number;
  readonly rationale: Rationale;
}

export type KnobState =
  | 'applying'
  | 'draining'
  | 'applied'
  | 'rejected_permanent'
  | 'rejected_transient'
  | 'superseded'
  | 'expired'
  | 'rolled_back';

/** What became of one change. An `error` is present exactly when the change was not (or is no longer) in force. */
export interface KnobResult {
  readonly knob: string;
  readonly state: KnobState;
  /** Read back from the process after the attempt. */
  readonly effectiveValue: KnobValue;
  readonly attemptedRevision: number;
  readonly effectiveRevision: number;
  readonly error?: string;
}

// ---------------------------------------------------------------------------------------------------------------
// Operators

/**
 * Something a human asked for. Answered by exactly one `reply` effect with the same `requestId`. `dryRun`: the answer is
 * the only effect, and says what would have been done.
 */
export type OperatorRequest = {
  readonly requestId: string;
  readonly by: string;
  readonly dryRun?: boolean;
} & OperatorAction;
export type OperatorAction = TuningAction | WatchAction;
/** About what the tuner does. */
export type TuningAction =
  | { readonly action: 'set_mode'; readonly component: string; readonly knob?: string; readonly mode: KnobMode }
  | { readonly action: 'pin'; readonly component: string; readonly knob: string; readonly value?: KnobValue }
  | { readonly action: 'unpin'; readonly component: string; readonly knob: string }
  | { readonly action: 'freeze'; readonly component?: string; readonly reason: string }
  | { readonly action: 'unfreeze'; readonly component?: string }
  | { readonly action: 'approve'; readonly proposalId: string }
  | { readonly action: 'reject'; readonly proposalId: string; readonly reason: string }
  /** Consider the component at the next tick, and not only when its next turn has come. */
  | { readonly action: 'optimize'; readonly component: string }
  /**
   * Somebody wants this tried: values by knob, as far as bounds, modes and guards allow. `strategy` and `rule` name whose idea
   * it is, where it is not the operator's own. What becomes of it carries the reply's `proposalId`.
   */
  | {
      readonly action: 'propose';
      readonly component: string;
      readonly changes: Setting;
      readonly strategy?: string;
      readonly rule?: string;
      readonly reason: string;
    }
  /**
   * Back to the recorded values of an earlier setting in force: of a revision, as a decision left it, or by default the one
   * before the present. Pinned knobs stay.
   */
  | {
      readonly action: 'rollback';
      readonly component: string;
      readonly toRevision?: number;
      readonly toDecision?: string;
    }
  /** To a proven setting of the archive, by its point's id. Pinned knobs stay. */
  | { readonly action: 'choose'; readonly component: string; readonly point: string };

/** About what is told of anomalies. */
export type WatchAction =
  /** No word of anomalies of this metric (or of all) for so long; 0: speak again. */
  | { readonly action: 'silence'; readonly component: string; readonly metric?: string; readonly forMs: number }
  /** The open anomaly of this metric was seen: no further word of it until it is over. */
  | { readonly action: 'acknowledge'; readonly component: string; readonly metric: string };

// ---------------------------------------------------------------------------------------------------------------
// Decisions: the permanent, explained record of everything the engine did

export type DecisionKind =
  | 'trial_started'
  | 'promoted'
  | 'rolled_back'
  | 'futile'
  | 'shadow_rejected'
  | 'audited'
  | 'recommended'
  | 'proposed'
  | 'approved'
  | 'chosen'
  | 'declined'
  | 'restored'
  | 'value_rejected'
  | 'frozen'
  | 'unfrozen'
  | 'pinned'
  | 'unpinned'
  | 'mode_changed'
  | 'paused'
  | 'resumed'
  | 'silenced'
  | 'acknowledged';

/** Which windows of a block ran at the incumbent (A) and at the candidate (B), in the order they ran. */
export type BlockOrder = 'ABB' | 'BAB' | 'BBA';

/** One block of a proof: mean of the candidate's windows minus the incumbent's, in log units. */
export interface Block {
  readonly order: BlockOrder;
  readonly startMs: number;
  readonly endMs: number;
  /** Objective of each window, in the order they ran. */
  readonly y: readonly number[];
  readonly difference: number;
}

/**
 * A relative effect on the objective: `exp(d) − 1` of the log difference `d`, so −0.3 reads "30 % lower", with the
 * anytime-valid interval at `confidence` and the number of blocks behind it. Lower is better.
 */
export interface Effectiveness {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
  readonly confidence: number;
  readonly blocks: number;
}

export interface ProofRule {
  /** Probability of keeping a change that does nothing. */
  readonly alpha: number;
  readonly maxBlocks: number;
  /** Smallest relative improvement worth keeping. */
  readonly minimumEffect: number;
}

/** The error budget as a proof found it: its level follows from these figures alone. */
export interface ProofBudget {
  /** Of everything ever kept, the share that may be false. */
  readonly q: number;
  /** Proofs that have ended, and which of them (counted from 1) found something. */
  readonly trials: number;
  readonly discoveries: readonly number[];
  readonly firstDiscovery?: number;
}

/** What a proof's verdict follows from, with its blocks: enough to compute it again. */
export interface ProofRecord {
  readonly rule: ProofRule;
  readonly budget: ProofBudget;
  /** Of the draws that said which window of a block was the incumbent's. */
  readonly coinSeed: number;
  /** ln of the stakes bet on "better" and on "worse". */
  readonly logBetter: number;
  readonly logWorse: number;
  readonly verdict: 'better' | 'worse' | 'futile' | 'undecided';
}

export interface Evidence {
  /** The objective's parts and their weights when the decision was made. */
  readonly objective: Readonly<Record<string, number>>;
  readonly blocks: readonly Block[];
  /** The setting in force when the trial opened: what is restored unless it is kept. */
  readonly recorded?: Setting;
  readonly effect?: Effectiveness;
  /** What the trial cost: sum over windows of the objective's excess over the incumbent, in log units × windows; negative: a gain. */
  readonly harmSpent?: number;
  /** What each window at another setting than the incumbent's cost, in order: their sum is `harmSpent`. */
  readonly charges?: readonly number[];
  readonly proof?: ProofRecord;
  /** Signals that the decision rests on, by name with unit last (`latencyMsP95`, `errorRatio`). */
  readonly signals: Readonly<Record<string, number>>;
  readonly alternatives: readonly string[];
}

export interface Decision {
  readonly id: string;
  readonly atMs: number;
  readonly component: string;
  readonly kind: DecisionKind;
  readonly strategy?: string;
  readonly trialId?: string;
  readonly proposalId?: string;
  /** Who asked, where a human did. */
  readonly by?: string;
  readonly changes: readonly { readonly knob: string; readonly from: KnobValue; readonly to: KnobValue }[];
  /** One sentence that a human can read: what, why, on which evidence. */
  readonly reason: string;
  readonly evidence?: Evidence;
}

// ---------------------------------------------------------------------------------------------------------------
// Events (the design document's and ours)

export const EVENT_TYPES = [
  'optimization_applied',
  'adaptive_optimization',
  'optimization_failed',
  'trial_started',
  'optimization_rolled_back',
  'recommendation',
  'frozen',
  'unfrozen',
  'manual_override',
  'session_opened',
  'session_closed',
  'anomaly_detected',
  'anomaly_resolved',
  'pattern_detected',
  'forecast_breach',
  'capacity_report',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

export interface OptimizerEvent {
  readonly type: EventType;
  readonly component: string;
  readonly atMs: number;
  readonly data: Readonly<Record<string, unknown>>;
}

// ---------------------------------------------------------------------------------------------------------------
// The engine's seam

export type Input =
  /** `rows`: of the batch, from the first up to but without the second; absent: all. */
  | { readonly kind: 'samples'; readonly batch: SampleBatch; readonly rows?: readonly [from: number, to: number] }
  | {
      readonly kind: 'result';
      readonly component: string;
      readonly commandId: CommandId;
      readonly results: readonly KnobResult[];
    }
  | { readonly kind: 'session'; readonly event: 'opened'; readonly manifest: Manifest }
  | { readonly kind: 'session'; readonly event: 'closed'; readonly component: string; readonly reason: string }
  | { readonly kind: 'override'; readonly component: string; readonly knob: string; readonly value: KnobValue }
  /** What the process holds that is not simply its baseline, in answer to a renewal. */
  | { readonly kind: 'holding'; readonly component: string; readonly held: readonly HeldKnob[] }
  | { readonly kind: 'operator'; readonly request: OperatorRequest }
  | { readonly kind: 'tick' };

export type Effect =
  /** Durable before any later effect of the same step is carried out. */
  | { readonly kind: 'decision'; readonly decision: Decision }
  | { readonly kind: 'command'; readonly command: Command }
  | {
      readonly kind: 'renewal';
      readonly component: string;
      readonly epoch: number;
      readonly revision: number;
      readonly leaseTtlMs: number;
    }
  /** Return these knobs to their baselines now. */
  | {
      readonly kind: 'revoke';
      readonly component: string;
      readonly epoch: number;
      readonly revision: number;
      readonly knobs: readonly string[];
      readonly reason: string;
    }
  | { readonly kind: 'event'; readonly event: OptimizerEvent }
  | {
      readonly kind: 'reply';
      readonly requestId: string;
      readonly ok: boolean;
      readonly message: string;
      /** Of what was proposed; absent where it was refused, or only recommended. */
      readonly proposalId?: string;
      /** The decision that records what was done. */
      readonly decisionId?: string;
    };
