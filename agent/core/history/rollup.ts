import type { HistorySignal } from './signal.ts';
import type { LogSketch } from './sketch.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;

/**
 * What one signal of one component did in one step of time `[startMs, startMs + stepMs)`.
 *
 * Every value has a weight: a latency counts once for each request, a level once for each sample, a rate for the seconds
 * that it was held. `count` is the weight, `sum` is Σ weight · value, so `sum / count` is always the mean, and for a rate
 * `sum` is the number of events. Values are in the signal's unit (`HISTORY_UNITS`).
 */
export interface Rollup {
  readonly component: string;
  readonly signal: HistorySignal;
  readonly startMs: number;
  readonly stepMs: number;
  readonly count: number;
  readonly sum: number;
  /** Exact where the sender tells them, and for histograms otherwise the ends of the outermost buckets; absent where nothing tells. */
  readonly min?: number;
  readonly max?: number;
  /** Absent where the source had sums alone. */
  readonly sketch?: LogSketch;
}

/** Both together, as one of `stepMs` that begins at `startMs`. Neither is changed. */
export function merged(into: Pick<Rollup, 'startMs' | 'stepMs'>, rows: readonly Rollup[]): Rollup | undefined {
  const [first] = rows;
  if (first === undefined) return undefined;
  const { component, signal } = first;
  const { startMs, stepMs } = into;
  let [count, sum] = [0, 0];
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let sketch: LogSketch | undefined;
  for (const row of rows) {
    count += row.count;
    sum += row.sum;
    min = Math.min(min, row.min ?? min);
    max = Math.max(max, row.max ?? max);
    if (row.sketch === undefined) continue;
    if (sketch === undefined) sketch = row.sketch.copy();
    else sketch.merge(row.sketch);
  }
  return rollupOf({ component, signal, startMs, stepMs, count, sum }, min, max, sketch);
}

/** Leaves infinite extremes and a missing sketch out. */
export function rollupOf(
  base: Omit<Rollup, 'min' | 'max' | 'sketch'>,
  min: number,
  max: number,
  sketch: LogSketch | undefined,
): Rollup {
  return {
    ...base,
    ...(Number.isFinite(min) && { min }),
    ...(Number.isFinite(max) && { max }),
    ...(sketch !== undefined && { sketch }),
  };
}
