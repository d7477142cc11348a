import type { PerformanceProfile as CoreProfile, Measured } from '../core/profile/performance_profile.ts';

/** Of requests that succeeded, in milliseconds. */
export interface ResponseTimeMetrics {
  /** Mean over the latest interval with requests. */
  readonly current: number;
  /** Mean over the window. */
  readonly average: number;
  readonly p95: number;
  readonly p99: number;
  /** Kendall's τ of the intervals' means with time, in [−1, 1]: above 0 it becomes slower. */
  readonly trend: number;
}

/** Requests per second that succeeded. */
export interface ThroughputMetrics {
  readonly current: number;
  readonly average: number;
  readonly peak: number;
  readonly trend: number;
}

/** CPU and GPU in percent of what there is, memory in MiB; efficiency in [0, 1]. */
export interface ResourceMetrics {
  readonly cpu: { readonly usage: number; readonly efficiency: number };
  readonly memory: { readonly usage: number; readonly efficiency: number };
  readonly gpu: { readonly usage: number; readonly efficiency: number };
}

/**
 * What a component did over the window. Its type has everything present, so that strategies read it as they would say it.
 * What was not measured is not there at run time, neither 0 nor NaN: a comparison with it is false, and a strategy that
 * reads into a group that is not there does not apply.
 */
export type PerformanceProfile = Measured<CoreProfile> & {
  readonly metrics: { readonly responseTime: ResponseTimeMetrics; readonly throughput: ThroughputMetrics };
  readonly resources: ResourceMetrics;
};

/** What counts as good. */
export interface PerformanceThresholds {
  /** Milliseconds. */
  readonly responseTime: {
    readonly excellent: number;
    readonly good: number;
    readonly acceptable: number;
    readonly poor: number;
  };
  /** Requests per second. */
  readonly throughput: { readonly minimum: number; readonly target: number; readonly maximum: number };
  /** Percent. */
  readonly resourceUsage: { readonly cpu: number; readonly memory: number; readonly gpu: number };
}
