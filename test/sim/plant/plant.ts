import type { Setting } from '../../../agent/core/model.ts';
import type { Scenario } from '../scenario.ts';

/** What a setting really gives at a load, without noise. Latencies in ms, throughput in answered requests a second. */
export interface Truth {
  latencyMsMean: number;
  latencyMsP95: number;
  errorRatio: number;
  requestsPerSecond: number;
  memoryBytes: number;
}

/** What the process's own instruments saw since it was last emptied. */
export interface Recorder {
  readonly bounds: readonly number[];
  /** Answered requests by latency, `bounds.length + 1` buckets, in seconds. */
  readonly counts: Float64Array;
  count: number;
  sumS: number;
  /** Failed requests, with the time they took. */
  readonly errorCounts: Float64Array;
  errorCount: number;
  errorSumS: number;
  /** Last reading; 0 where the plant has no memory model. */
  memoryBytes: number;
}

export function createRecorder(bounds: readonly number[]): Recorder {
  return {
    bounds,
    counts: new Float64Array(bounds.length + 1),
    count: 0,
    sumS: 0,
    errorCounts: new Float64Array(bounds.length + 1),
    errorCount: 0,
    errorSumS: 0,
    memoryBytes: 0,
  };
}

export function resetRecorder(recorder: Recorder): void {
  recorder.counts.fill(0);
  recorder.errorCounts.fill(0);
  recorder.count = 0;
  recorder.sumS = 0;
  recorder.errorCount = 0;
  recorder.errorSumS = 0;
}

/** A process under load, in virtual time. Instants start at 0 and never go back. */
export interface Plant {
  /** The setting in force from the last `advance` on. */
  apply(setting: Setting): void;
  /** Runs up to `toMs`; true when memory passed its limit on the way: the process is dead. */
  advance(toMs: number, recorder: Recorder): boolean;
  /** The process was started anew: carry-over and queues are gone. Time while it was down is skipped. */
  restart(atMs: number): void;
  /** Expected behaviour of a setting at an instant that `advance` has reached. */
  truth(setting: Setting, atMs: number): Truth;
}

/** Objective in log units, as the engine's settings define it: lower is better. */
export function objectiveOf(truth: Truth, weights: Scenario['objective']): number {
  return (
    weights.responseTimeMean * Math.log(truth.latencyMsMean) +
    weights.responseTimeP95 * Math.log(truth.latencyMsP95) -
    weights.throughput * Math.log(Math.max(truth.requestsPerSecond, 1e-9)) -
    weights.errorRate * Math.log(1 - Math.min(truth.errorRatio, 0.999))
  );
}

/** Which limits a state of affairs crosses. */
export function crosses(truth: Truth, limits: Scenario['limits']): boolean {
  return (
    truth.errorRatio > limits.errorRatio ||
    (limits.responseTimeMsP95 !== undefined && truth.latencyMsP95 > limits.responseTimeMsP95) ||
    (limits.memoryBytes !== undefined && truth.memoryBytes > limits.memoryBytes)
  );
}
