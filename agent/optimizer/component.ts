import type { ApplyClass, KnobRole, Tier } from '../core/model.ts';

/** The design document's tiers: how much harm a component's owner tolerates, from none (CRITICAL) to most (RESEARCH). */
export const ComponentTier = {
  CRITICAL: 'critical',
  STABLE: 'stable',
  ADVANCED: 'advanced',
  EXPERIMENTAL: 'experimental',
  RESEARCH: 'research',
} as const satisfies Record<Uppercase<Tier>, Tier>;
export type ComponentTier = Tier;

/** A request to an AI component. What it holds is the component's business; `id` and `type` are shown in records. */
export interface AIRequest {
  readonly id?: string;
  readonly type?: string;
  readonly [key: string]: unknown;
}

/** What a request may use: percent of the machine's CPU and GPU, and memory in MiB. */
export interface ResourceAllocation {
  readonly cpu: number;
  readonly memory: number;
  readonly gpu: number;
}

/** What a component is told beside the request. */
export interface ExecutionContext {
  readonly allocation: ResourceAllocation;
  /** Aborted when the component's timeout has passed: nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** What is allowed for one field or configuration entry of a component. Who declares it lets the optimizer turn it. */
export interface KnobRange {
  readonly min?: number;
  readonly max?: number;
  readonly step?: number;
  readonly scale?: 'linear' | 'log';
  /** Numbers are whole when the value they start with is; `double` says that they need not be. */
  readonly type?: 'int' | 'double';
  /** For texts: every value that is allowed. */
  readonly values?: readonly string[];
  readonly role?: KnobRole;
  readonly unit?: string;
  /** What applying a value costs: nothing (`hot`, the default), a drain, a reload, or a restart (only recommended). */
  readonly applies?: ApplyClass;
  /** Time after applying before response times show the new value alone. */
  readonly settleMs?: number;
  /** The entry is left alone. */
  readonly fixed?: true;
}

/**
 * An AI component of this process. `timeout`, `memoryLimit`, `priority` and the entries of `config` are its knobs: the
 * optimizer writes them, and puts back what was there when it stops. Reading them is all that the component has to do.
 */
export interface AIComponent {
  /** Unique; the `service.name` of its telemetry. */
  readonly name: string;
  readonly tier: ComponentTier;
  /** Milliseconds that a request may take. */
  timeout: number;
  /** MiB. */
  memoryLimit: number;
  /** 0 to 100. */
  priority: number;
  config: Record<string, unknown>;
  /**
   * By `timeout`, `memoryLimit`, `priority` or the name of a `config` entry. Entries that are not declared here can be
   * changed by your own strategies, from a quarter of their value to four times it, and are never searched unasked; where the
   * engine runs in an agent elsewhere they are left alone.
   */
  readonly knobs?: Readonly<Record<string, KnobRange>>;
  /** Answers a request. A component has this or `execute`. */
  process?(request: AIRequest, context: ExecutionContext): unknown;
  execute?(request: AIRequest, context: ExecutionContext): unknown;
}
