import type { ExponentialBuckets, ExponentialPoint } from '../model.ts';

/** Buckets of a sign that are kept; more are merged in pairs. 160 is what SDKs send at most. */
const MAX_BUCKETS = 160;
/** `2^(1/32)`: buckets 2.2 % wide, finer than any decision here needs. */
const MAX_SCALE = 5;

const NO_BUCKETS: ExponentialBuckets = { offset: 0, counts: [] };

/**
 * Exponential histograms by the rules of the OTLP data model.
 *
 * Intuition: halving the resolution merges bucket pairs, `(base^2k, base^(2k+2)]` of the finer being bucket `k` of the
 * coarser, so a bucket's number at a scale lower by `d` is `index >> d`, exactly: no count is ever split. Two points are
 * comparable once both have the smaller scale of the two and the larger zero threshold.
 *
 * Zero threshold: a bucket that holds something and begins below the new threshold goes into the zero count, and where
 * the threshold would cut such a bucket it is raised to the bucket's end (Prometheus and OpenTelemetry do the same).
 *
 * Fails never; what is lost is resolution. Bounds beyond what a double can hold stay at its limits.
 * Source: OpenTelemetry metrics data model, "ExponentialHistogram".
 */

/** `base^index`, within what doubles can hold; the same number for the same bound at every scale. */
export function exponentialBound(index: number, scale: number): number {
  if (index === 0) return 1;
  const exponent = index * 2 ** -scale;
  if (exponent >= 1024) return Number.MAX_VALUE;
  return exponent <= -1074 ? Number.MIN_VALUE : 2 ** exponent;
}

/** The same point in at most `MAX_BUCKETS` buckets a sign, no finer than `MAX_SCALE`, without empty buckets at the ends. */
export function reducedExponential(point: ExponentialPoint): ExponentialPoint {
  const positive = trimmed(point.positive);
  const negative = trimmed(point.negative);
  let drop = Math.max(0, point.scale - MAX_SCALE);
  while (spanAt(positive, drop) > MAX_BUCKETS || spanAt(negative, drop) > MAX_BUCKETS) drop += 1;
  return withZeroThreshold(
    { ...point, scale: point.scale - drop, positive: coarser(positive, drop), negative: coarser(negative, drop) },
    point.zeroThreshold,
  );
}

/**
 * What a cumulative exponential histogram gained between two points: `undefined` when a bucket fell. `min` and `max`
 * reach back to the stream's start; where one moved, it moved within this interval.
 */
export function exponentialDifference(before: ExponentialPoint, after: ExponentialPoint): ExponentialPoint | undefined {
  const [was, is] = aligned(before, after);
  const positive = bucketsGained(was.positive, is.positive);
  const negative = bucketsGained(was.negative, is.negative);
  const zeroCount = is.zeroCount - was.zeroCount;
  if (positive === undefined || negative === undefined || zeroCount < 0) return undefined;
  return {
    count: after.count - before.count,
    scale: is.scale,
    zeroThreshold: is.zeroThreshold,
    ...{ zeroCount, positive, negative },
    ...(after.sum !== undefined && before.sum !== undefined && { sum: after.sum - before.sum }),
    ...(after.min !== undefined && before.min !== undefined && after.min < before.min && { min: after.min }),
    ...(after.max !== undefined && before.max !== undefined && after.max > before.max && { max: after.max }),
  };
}

/** Both at the smaller scale and the larger zero threshold. */
function aligned(a: ExponentialPoint, b: ExponentialPoint): readonly [ExponentialPoint, ExponentialPoint] {
  const scale = Math.min(a.scale, b.scale);
  let first = atScale(a, scale);
  let second = atScale(b, scale);
  // Raising one threshold to a bucket's end can raise it beyond the other's; both only grow, by buckets there are.
  while (first.zeroThreshold !== second.zeroThreshold) {
    const threshold = Math.max(first.zeroThreshold, second.zeroThreshold);
    first = withZeroThreshold(first, threshold);
    second = withZeroThreshold(second, threshold);
  }
  return [first, second];
}

function atScale(point: ExponentialPoint, scale: number): ExponentialPoint {
  const drop = point.scale - scale;
  if (drop === 0) return point;
  const coarse = { ...point, scale, positive: coarser(point.positive, drop), negative: coarser(point.negative, drop) };
  // A coarser bucket may reach below the threshold that the finer ones lay above.
  return withZeroThreshold(coarse, point.zeroThreshold);
}

function withZeroThreshold(point: ExponentialPoint, atLeast: number): ExponentialPoint {
  const { scale, positive, negative } = point;
  let threshold = atLeast;
  let raised = threshold;
  do {
    threshold = raised;
    raised = Math.max(endOfCut(positive, scale, threshold), endOfCut(negative, scale, threshold));
  } while (raised > threshold);
  if (threshold === 0) return point;
  const [positiveRest, positiveMass] = above(positive, scale, threshold);
  const [negativeRest, negativeMass] = above(negative, scale, threshold);
  return {
    ...point,
    zeroThreshold: threshold,
    zeroCount: point.zeroCount + positiveMass + negativeMass,
    positive: positiveRest,
    negative: negativeRest,
  };
}

/** The end of the last bucket that holds something and begins below `threshold`, or `threshold` itself. */
function endOfCut({ offset, counts }: ExponentialBuckets, scale: number, threshold: number): number {
  let end = threshold;
  for (let i = 0; i < counts.length && exponentialBound(offset + i, scale) < threshold; i++) {
    if (counts[i]! > 0) end = Math.max(end, exponentialBound(offset + i + 1, scale));
  }
  return end;
}

function above(buckets: ExponentialBuckets, scale: number, threshold: number): readonly [ExponentialBuckets, number] {
  const { offset, counts } = buckets;
  let mass = 0;
  let first = 0;
  while (first < counts.length && exponentialBound(offset + first, scale) < threshold) mass += counts[first++]!;
  if (first === 0) return [buckets, 0];
  return [{ offset: offset + first, counts: Array.prototype.slice.call(counts, first) }, mass];
}

function trimmed(buckets: ExponentialBuckets): ExponentialBuckets {
  const { offset, counts } = buckets;
  let first = 0;
  let end = counts.length;
  while (first < end && counts[first] === 0) first += 1;
  while (end > first && counts[end - 1] === 0) end -= 1;
  if (first === end) return NO_BUCKETS;
  if (first === 0 && end === counts.length) return buckets;
  return { offset: offset + first, counts: Array.prototype.slice.call(counts, first, end) };
}

/** `index >> drop` for any drop: numbers of buckets need 32 bits and a shift takes no more than 31. */
function coarserIndex(index: number, drop: number): number {
  return drop > 31 ? (index < 0 ? -1 : 0) : Math.floor(index / 2 ** drop);
}

function spanAt({ offset, counts }: ExponentialBuckets, drop: number): number {
  if (counts.length === 0) return 0;
  return coarserIndex(offset + counts.length - 1, drop) - coarserIndex(offset, drop) + 1;
}

function coarser(buckets: ExponentialBuckets, drop: number): ExponentialBuckets {
  const { offset, counts } = buckets;
  if (drop === 0 || counts.length === 0) return buckets;
  const first = coarserIndex(offset, drop);
  const merged = new Array<number>(spanAt(buckets, drop)).fill(0);
  for (let i = 0; i < counts.length; i++) merged[coarserIndex(offset + i, drop) - first]! += counts[i]!;
  return { offset: first, counts: merged };
}

function bucketsGained(before: ExponentialBuckets, after: ExponentialBuckets): ExponentialBuckets | undefined {
  const shift = after.offset - before.offset;
  const gained: number[] = Array.from(after.counts);
  for (let i = 0; i < before.counts.length; i++) {
    const was = before.counts[i]!;
    if (was === 0) continue;
    const at = i - shift;
    // One that held something and now lies outside of what was sent has fallen to 0.
    if (at < 0 || at >= gained.length || gained[at]! < was) return undefined;
    gained[at]! -= was;
  }
  return { offset: after.offset, counts: gained };
}
