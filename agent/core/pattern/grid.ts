import { rollUp } from '../forecast/rollup.ts';
import type { Window } from './pattern.ts';
import { median } from './statistics.ts';

/** Values at equal steps, `NaN` where nothing came. */
export interface Grid {
  readonly startMs: number;
  readonly stepMs: number;
  readonly values: Float64Array;
}

/** Recognisers work on at most this many steps: some are quadratic. */
export const MAX_STEPS = 360;

/** Puts a window onto equal steps: its own usual distance, or as much coarser as `MAX_STEPS` needs. */
export function toGrid({ timesMs, values }: Window, stepMs?: number): Grid | undefined {
  const n = timesMs.length;
  if (n < 2) return undefined;
  const span = timesMs[n - 1]! - timesMs[0]!;
  const usual = stepMs ?? median(Array.from({ length: n - 1 }, (_, i) => timesMs[i + 1]! - timesMs[i]!));
  const step = Math.max(usual, Math.ceil(span / (MAX_STEPS - 1)), 1);
  if (!Number.isFinite(span)) return undefined;
  return { startMs: Math.floor(timesMs[0]! / step) * step, stepMs: step, values: rollUp(timesMs, values, step) };
}

export function timeAt(grid: Grid, index: number): number {
  return grid.startMs + index * grid.stepMs;
}

/** The values that are there. */
export function known(values: Float64Array): Float64Array {
  return values.filter((v) => Number.isFinite(v));
}

/** Gaps take the straight line between their neighbours; undefined where over a fifth is missing. */
export function bridged(values: Float64Array): Float64Array | undefined {
  const at: number[] = [];
  for (const [i, v] of values.entries()) if (Number.isFinite(v)) at.push(i);
  if (at.length < 8 || at.length < 0.8 * values.length) return undefined;
  const out = Float64Array.from(values);
  for (let k = 0; k + 1 < at.length; k++) {
    const [i, j] = [at[k]!, at[k + 1]!];
    for (let t = i + 1; t < j; t++) out[t] = values[i]! + ((t - i) / (j - i)) * (values[j]! - values[i]!);
  }
  return out.slice(at[0], at.at(-1)! + 1);
}
