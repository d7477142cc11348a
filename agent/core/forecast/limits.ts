import type { Interval } from './forecaster.ts';

/** Limit from above (memory, queue) or from below (free disk). */
export interface Limit {
  readonly value: number;
  readonly side: 'above' | 'below';
}

/** When a limit is reached, in milliseconds from the forecast's start; absent: not within its horizon. */
export interface Breach {
  /** First step at which the unlucky edge of the interval reaches the limit: it may happen from here on. */
  readonly soonestMs?: number;
  /** First step at which the median does. */
  readonly expectedMs?: number;
  /** First step at which even the lucky edge does: with the forecast's confidence it has happened by then. */
  readonly latestMs?: number;
}

/**
 * First passage of the median and of both edges through a limit. Worth an alert only when `latestMs` is there: until
 * even the lucky path ends at the limit, "it may fill up" is noise. A path that starts beyond the limit passes at its
 * first step.
 *
 * The edges are pointwise intervals, so `soonestMs` is early and `latestMs` is late, by little where the paths are
 * smooth: the chance to have crossed *by* a step is larger than the chance to be beyond *at* it.
 */
export function timeToLimit(path: readonly Interval[], limit: Limit, stepMs: number): Breach {
  const above = limit.side === 'above';
  const passed = (v: number) => (above ? v >= limit.value : v <= limit.value);
  const first = (edge: (p: Interval) => number) => {
    const at = path.findIndex((p) => passed(edge(p)));
    return at < 0 ? undefined : (at + 1) * stepMs;
  };
  const soonestMs = first((p) => (above ? p.high : p.low));
  const expectedMs = first((p) => p.median);
  const latestMs = first((p) => (above ? p.low : p.high));
  return {
    ...(soonestMs !== undefined && { soonestMs }),
    ...(expectedMs !== undefined && { expectedMs }),
    ...(latestMs !== undefined && { latestMs }),
  };
}

/**
 * Share of the way to the limit that is still free: `1 − value/limit` from above, `1 − limit/value` from below. Negative
 * beyond the limit; absent where the ratio means nothing (a limit or value of zero or less).
 */
export function headRoomRatio(value: number, limit: Limit): number | undefined {
  if (limit.value <= 0 || value < 0 || (limit.side === 'below' && value === 0)) return undefined;
  return limit.side === 'above' ? 1 - value / limit.value : 1 - limit.value / value;
}
