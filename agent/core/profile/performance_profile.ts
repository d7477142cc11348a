import type { DiskSignal, Resource, StallSignal } from '../signals.ts';
import type { LatencyMetrics } from './latency_window.ts';
import type { Level } from './level_window.ts';
import type { ResourceUsage } from './resource_window.ts';
import type { ReliabilityMetrics, ThroughputMetrics } from './traffic_window.ts';

/**
 * What a component did over the window, with the design document's names.
 *
 * What was not measured is absent: no 0, no NaN. The document's samples read `profile.metrics.responseTime.average`
 * without asking, and must compile; so whole groups are optional here, where the engine has to ask, every number inside
 * a group that is present was measured (but `trend` and `efficiency`, which need more than one look, and percentiles,
 * which need more than a sum), and the public
 * type is `Measured<PerformanceProfile>`, in which all is present. A strategy that reads what was not measured does
 * not apply: comparing `undefined` is false, and reading into an absent group is caught where strategies are called.
 */
export interface PerformanceProfile {
  readonly component: string;
  /** When this was computed. */
  readonly atMs: number;
  /** Time that the window spans: `windowSize · intervalMs`. */
  readonly windowMs: number;
  /** End of the latest telemetry about requests; absent when there is none in the window. */
  readonly measuredAtMs?: number;
  readonly metrics: {
    /** Milliseconds. */
    readonly responseTime?: LatencyMetrics;
    /** Requests per second. */
    readonly throughput?: ThroughputMetrics;
    readonly reliability?: ReliabilityMetrics;
    /** Failed requests / finished requests over the window, in [0, 1]: 1 − `reliability.average`. */
    readonly errorRate?: number;
    /** Milliseconds. */
    readonly timeToFirstToken?: LatencyMetrics;
    readonly timePerOutputToken?: LatencyMetrics;
    readonly queueTime?: LatencyMetrics;
    /** Requests waiting, requests in progress, and share of the cache in use in [0, 1]. */
    readonly queueDepth?: Level & { readonly trend?: number };
    readonly inFlight?: Level;
    readonly cacheUsage?: Level;
    /** Tokens per second. */
    readonly inputTokens?: ThroughputMetrics;
    readonly outputTokens?: ThroughputMetrics;
  };
  readonly resources: { readonly [resource in Resource]?: ResourceUsage };
  /** Shares of time, in [0, 1], in which something waited for a resource, or a quota of CPU time had run out. */
  readonly stalls?: { readonly [stall in StallSignal]?: Level };
  /** Of the machine, the worst of its disks: shares in use and of time busy, in [0, 1], and milliseconds that a request waits. */
  readonly disks?: { readonly [signal in DiskSignal]?: Level };
  readonly optimization: {
    /**
     * Milliseconds since the epoch of the last change that was kept; 0 where there was none, so that the document's
     * "last optimised more than five minutes ago" holds for a component that was never touched.
     */
    readonly lastOptimized: number;
    /** Changes kept since the profile began. */
    readonly optimizations: number;
    /** Measured relative gain of the last one, positive is better; absent where it was not measured. */
    readonly lastImprovement?: number;
  };
}

/** The same with everything present, all the way down: what the design document's samples see. */
export type Measured<T> = T extends object ? { [key in keyof T]-?: Measured<NonNullable<T[key]>> } : T;
