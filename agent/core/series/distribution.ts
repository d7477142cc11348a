import { rebucket } from './rebucket.ts';

const NO_EDGES: readonly number[] = [];
/** Distinct bounds from differing senders add up; beyond this, newcomers are fitted into the edges already there. */
const MAX_EDGES = 512;

/**
 * A latency distribution that explicit-bounds histograms are added to.
 *
 * Intuition: keep one histogram. A histogram with the same bounds is added bucket by bucket, without allocating; one with
 * other bounds widens the edges to the union of both, where each bucket's mass is spread evenly over the parts that it
 * is cut into. Even spread is what interpolation within a bucket assumes anyway, so the result has exactly the
 * cumulative distribution of the two added up, and no mass is lost.
 *
 * Quantile: with `r = q · mass`, find the bucket `(lo, hi]` where the running count reaches `r` and interpolate,
 * `lo + (hi − lo) · (r − before) / inBucket`, everything clamped to the known minimum and maximum. The first bucket
 * begins at the minimum, at 0 where that is not known and its bound is positive. The last one has no upper end: it
 * ends at the maximum, and where that is not known at its lower bound, so a high quantile may then read too low.
 *
 * Unit: whatever the caller's is, times `scale` (1000 turns bounds, sums and extremes from seconds into milliseconds).
 *
 * Fails when buckets are coarse: an error is at most the width of the bucket that the quantile falls into.
 * Histograms without buckets count for `count`, `sum` and `mean()` only.
 */
export class Distribution {
  /** Scaled, strictly increasing; bucket `i` is `(edges[i−1], edges[i]]`. Never changed in place, so it can be shared. */
  #edges: readonly number[] = NO_EDGES;
  #counts = new Float64Array(1);
  /** Where `edges` came from: the same array at the same scale needs no comparison. */
  #source: readonly number[] = NO_EDGES;
  #sourceScale = 1;
  /** Mass in buckets, and mass that came without buckets. */
  #placed = 0;
  #unplaced = 0;
  #sum = 0;
  /** Mass whose sum is known. */
  #summed = 0;
  /** Bounds on every placed value; infinite where not known. */
  #min = Infinity;
  #max = -Infinity;

  get count(): number {
    return this.#placed + this.#unplaced;
  }

  get sum(): number {
    return this.#sum;
  }

  /** Bounds on all mass in buckets: exact where every sender told them. Infinite where not known, reversed where there is none. */
  get range(): readonly [min: number, max: number] {
    return [this.#min, this.#max];
  }

  /**
   * Adds `counts` (`bounds.length + 1` of them, or none). Bounds, sum, min and max are multiplied by `scale`.
   * `count` matters only where there are no buckets; otherwise the buckets are counted.
   */
  addHistogram(
    bounds: readonly number[],
    counts: ArrayLike<number>,
    count: number,
    sum: number | undefined,
    scale = 1,
    min?: number,
    max?: number,
  ): void {
    let placed = 0;
    if (bounds.length > 0) {
      let first = -1;
      let last = -1;
      for (let i = 0; i < counts.length; i++) {
        const inBucket = counts[i]!;
        if (inBucket === 0) continue;
        placed += inBucket;
        if (first < 0) first = i;
        last = i;
      }
      if (placed > 0) {
        // An extreme that is not told is still bounded by the outermost buckets that hold something.
        const atLeast = min ?? (first === 0 ? -Infinity : bounds[first - 1]!);
        const atMost = max ?? (last === bounds.length ? Infinity : bounds[last]!);
        this.#place(bounds, counts, scale, atLeast * scale, atMost * scale, placed);
      }
    }
    const added = placed > 0 ? placed : count;
    if (placed === 0) this.#unplaced += count;
    if (sum !== undefined && added > 0) {
      this.#sum += sum * scale;
      this.#summed += added;
    }
  }

  merge(other: Distribution): void {
    if (other.#placed > 0) this.#place(other.#edges, other.#counts, 1, other.#min, other.#max, other.#placed);
    this.#unplaced += other.#unplaced;
    this.#sum += other.#sum;
    this.#summed += other.#summed;
  }

  /** `undefined` when no sum was ever given. */
  mean(): number | undefined {
    return this.#summed > 0 ? this.#sum / this.#summed : undefined;
  }

  /** Value that a share `q` of the mass does not exceed; `undefined` when there is no mass in buckets. */
  quantile(q: number): number | undefined {
    if (!(q >= 0 && q <= 1)) throw new RangeError(`quantile ${q} is outside 0 to 1`);
    if (this.#placed <= 0) return undefined;
    const rank = q * this.#placed;
    let before = 0;
    let bucket = -1;
    for (let i = 0; i < this.#counts.length; i++) {
      const inBucket = this.#counts[i]!;
      if (inBucket <= 0) continue;
      if (bucket >= 0) before += this.#counts[bucket]!;
      bucket = i;
      if (before + inBucket >= rank) break;
    }
    const lo = this.#bucketStart(bucket);
    const hi = this.#bucketEnd(bucket);
    return lo + (hi - lo) * Math.min(1, (rank - before) / this.#counts[bucket]!);
  }

  /**
   * Share of the mass above `x`, interpolated like `quantile`; 0 when empty. Mass in the open last bucket with no known
   * maximum counts as above every `x`: a guard that asks must not be told that all is well.
   */
  fractionAbove(x: number): number {
    if (this.#placed <= 0) return 0;
    let above = 0;
    for (let i = 0; i < this.#counts.length; i++) {
      const inBucket = this.#counts[i]!;
      if (inBucket <= 0) continue;
      const isOpen = i === this.#edges.length && this.#max === Infinity;
      const lo = this.#bucketStart(i);
      const hi = this.#bucketEnd(i);
      if (isOpen || x < lo) above += inBucket;
      else if (x < hi) above += (inBucket * (hi - x)) / (hi - lo);
    }
    return Math.min(1, above / this.#placed);
  }

  /** The mass in buckets, in buckets with other edges: one weight more than there are edges. */
  on(edges: readonly number[]): Float64Array {
    const weights = new Float64Array(edges.length + 1);
    if (this.#placed > 0) rebucket(this.#edges, 1, this.#counts, this.#min, this.#max, edges, weights);
    return weights;
  }

  /** Empty again, with the same edges, so that filling it the same way allocates nothing. */
  reset(): void {
    this.#counts.fill(0);
    this.#placed = 0;
    this.#unplaced = 0;
    this.#sum = 0;
    this.#summed = 0;
    this.#min = Infinity;
    this.#max = -Infinity;
  }

  #place(
    bounds: readonly number[],
    counts: ArrayLike<number>,
    scale: number,
    min: number,
    max: number,
    placed: number,
  ): void {
    if (!this.#sameEdges(bounds, scale)) {
      if (this.#placed === 0) this.#adopt(bounds, scale);
      else this.#widen(bounds, scale);
    }
    if (this.#sameEdges(bounds, scale)) {
      const own = this.#counts;
      for (let i = 0; i < own.length; i++) own[i]! += counts[i]!;
    } else {
      rebucket(bounds, scale, counts, min, max, this.#edges, this.#counts);
    }
    this.#placed += placed;
    if (min < this.#min) this.#min = min;
    if (max > this.#max) this.#max = max;
  }

  #sameEdges(bounds: readonly number[], scale: number): boolean {
    if (bounds === this.#source && scale === this.#sourceScale) return true;
    const edges = this.#edges;
    if (bounds.length !== edges.length) return false;
    for (let i = 0; i < edges.length; i++) if (bounds[i]! * scale !== edges[i]) return false;
    this.#source = bounds;
    this.#sourceScale = scale;
    return true;
  }

  #adopt(bounds: readonly number[], scale: number): void {
    this.#edges = scale === 1 ? bounds : bounds.map((bound) => bound * scale);
    if (this.#counts.length !== bounds.length + 1) this.#counts = new Float64Array(bounds.length + 1);
    this.#source = bounds;
    this.#sourceScale = scale;
  }

  /** Edges become the union of the present ones and `bounds`, unless that would be too many. */
  #widen(bounds: readonly number[], scale: number): void {
    if (isSubset(bounds, scale, this.#edges)) return;
    const union = [...new Set([...this.#edges, ...bounds.map((bound) => bound * scale)])].sort((a, b) => a - b);
    if (union.length > MAX_EDGES) return;
    const counts = new Float64Array(union.length + 1);
    rebucket(this.#edges, 1, this.#counts, this.#min, this.#max, union, counts);
    this.#edges = union;
    this.#counts = counts;
    this.#source = union;
    this.#sourceScale = 1;
  }

  #bucketStart(bucket: number): number {
    if (bucket > 0) return this.#clamp(this.#edges[bucket - 1]!);
    if (this.#min > -Infinity) return this.#min;
    return this.#clamp(Math.min(0, this.#edges[0]!));
  }

  #bucketEnd(bucket: number): number {
    if (bucket < this.#edges.length) return this.#clamp(this.#edges[bucket]!);
    return this.#max < Infinity ? this.#max : this.#clamp(this.#edges[bucket - 1]!);
  }

  #clamp(value: number): number {
    return Math.min(this.#max, Math.max(this.#min, value));
  }
}

function isSubset(bounds: readonly number[], scale: number, edges: readonly number[]): boolean {
  let at = 0;
  for (const bound of bounds) {
    while (at < edges.length && edges[at]! < bound * scale) at += 1;
    if (edges[at] !== bound * scale) return false;
  }
  return true;
}
