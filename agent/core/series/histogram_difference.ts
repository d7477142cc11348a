import type { HistogramPoint } from '../model.ts';

/**
 * What a cumulative histogram gained between two points with the same bounds: `counts[i] = after[i] − before[i]`.
 * `undefined` when the points cannot be compared: other bounds, or a bucket that fell.
 *
 * `min` and `max` of a cumulative point reach back to its start. When one moved it moved within this interval, so it is
 * known; otherwise it is left out.
 */
export function bucketDifference(before: HistogramPoint, after: HistogramPoint): HistogramPoint | undefined {
  if (!sameBounds(before.bounds, after.bounds) || before.counts.length !== after.counts.length) return undefined;
  const counts = new Array<number>(after.counts.length);
  for (let bucket = 0; bucket < counts.length; bucket++) {
    const gained = after.counts[bucket]! - before.counts[bucket]! + restGained(before, after, bucket + 1);
    if (gained < 0) return undefined;
    counts[bucket] = gained;
  }
  return {
    count: countGained(before, after),
    bounds: after.bounds,
    counts,
    ...(after.sum !== undefined && before.sum !== undefined && { sum: after.sum - before.sum }),
    ...(after.min !== undefined && before.min !== undefined && after.min < before.min && { min: after.min }),
    ...(after.max !== undefined && before.max !== undefined && after.max > before.max && { max: after.max }),
  };
}

/** Exact beyond 2^53 too: the doubles' difference is, and so is that of what they lack. */
export function countGained(before: HistogramPoint, after: HistogramPoint): number {
  return after.count - before.count + restGained(before, after, 0);
}

function restGained(before: HistogramPoint, after: HistogramPoint, index: number): number {
  return (after.rests?.[index] ?? 0) - (before.rests?.[index] ?? 0);
}

export function sameBounds(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
