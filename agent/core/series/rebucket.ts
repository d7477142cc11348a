/**
 * Adds the mass of one histogram to the buckets of another with other edges.
 *
 * Each bucket `(lo, hi]` is taken as evenly filled, so a part `(a, b]` of it holds `(b − a) / (hi − lo)` of its mass; the
 * last part gets what is left, so that nothing is lost to rounding. An open bucket reaches to the known extreme (`min`,
 * `max`; infinite where not known) or, with no extreme, to 0 below. Without either its mass stays beside its one finite
 * edge, which is also where a quantile reads it.
 *
 * `bounds` are multiplied by `scale`; `edges` and `into` (one longer) are in the scaled unit.
 */
export function rebucket(
  bounds: readonly number[],
  scale: number,
  counts: ArrayLike<number>,
  min: number,
  max: number,
  edges: readonly number[],
  into: Float64Array,
): void {
  const last = bounds.length;
  let target = 0;
  for (let bucket = 0; bucket <= last; bucket++) {
    const mass = counts[bucket]!;
    if (mass === 0) continue;
    let lo = bucket > 0 ? bounds[bucket - 1]! * scale : min > -Infinity ? min : Math.min(0, bounds[0]! * scale);
    let hi = bucket < last ? bounds[bucket]! * scale : max;
    if (bucket > 0 && lo < min) lo = min;
    if (bucket < last && hi > max) hi = max;
    // The bucket that begins at or holds `lo`: intervals are open below, so `lo` itself belongs to the one before.
    while (target < edges.length && edges[target]! <= lo) target += 1;
    if (!(hi > lo && hi < Infinity)) {
      // No width, or no upper end.
      into[bucket < last ? bucketOf(edges, hi) : target]! += mass;
      continue;
    }
    let left = mass;
    let at = lo;
    while (target < edges.length && edges[target]! < hi) {
      const part = Math.min(left, (mass * (edges[target]! - at)) / (hi - lo));
      into[target]! += part;
      left -= part;
      at = edges[target]!;
      target += 1;
    }
    into[target]! += left;
  }
}

/** Bucket that holds `value`: the first whose upper edge is not below it. */
function bucketOf(edges: readonly number[], value: number): number {
  let bucket = 0;
  while (bucket < edges.length && edges[bucket]! < value) bucket += 1;
  return bucket;
}
