import type { Distribution } from '../series/distribution.ts';

/**
 * The shape of many values in few numbers, which can be added up afterwards.
 *
 * Intuition: count values in buckets whose ends are powers of one base. All sketches share the one absolute grid, so
 * adding two is adding counts, in any order, and no error grows with time.
 *
 * Formula: bucket `k` holds `(2^((k−1)/8), 2^(k/8)]`; a quantile is read by interpolating within its bucket. Buckets are
 * 9 % wide, so a quantile is off by at most that. The lowest bucket holds everything up to 2^−30, zero and negative
 * values too; the highest everything above 2^40.
 *
 * Unit: that of the values. Weights may be fractions: seconds that a rate was held, parts of a histogram's bucket.
 *
 * Fails where the source was coarse already: a histogram's bucket is spread evenly over the finer ones here, which is no
 * finer truth. Source: C. Masson, J. Rim, H. Lee, "DDSketch", VLDB 2019, with the base of OpenTelemetry's scale 3.
 *
 * Example: 90 values of 10 and 10 of 100 are two buckets, ending at 10.4 and 107.6; the median reads 9.9.
 */
export class LogSketch {
  readonly #weights = new Map<number, number>();

  /** The same mass as the distribution's buckets; what came without buckets is not in it. */
  static of(distribution: Distribution): LogSketch {
    const sketch = new LogSketch();
    const weights = distribution.on(EDGES);
    for (let i = 0; i < weights.length; i++) sketch.#addTo(FIRST + i, weights[i]!);
    return sketch;
  }

  /** Of what `encode` wrote. Throws a `RangeError` for anything else. */
  static decode(bytes: Uint8Array): LogSketch {
    if (bytes.length % ENTRY_BYTES !== 0) throw new RangeError(`a sketch of ${bytes.length} bytes is none`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const sketch = new LogSketch();
    for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
      const bucket = view.getInt16(at, true);
      if (bucket < FIRST || bucket > LAST) throw new RangeError(`a sketch has no bucket ${bucket}`);
      sketch.#addTo(bucket, view.getFloat32(at + 2, true));
    }
    return sketch;
  }

  add(value: number, weight = 1): void {
    const bucket = value > 0 ? Math.ceil(BUCKETS_PER_OCTAVE * Math.log2(value)) : FIRST;
    this.#addTo(Math.min(LAST, Math.max(FIRST, bucket)), weight);
  }

  copy(): LogSketch {
    const copy = new LogSketch();
    copy.merge(this);
    return copy;
  }

  merge(other: LogSketch): void {
    for (const [bucket, weight] of other.#weights) this.#addTo(bucket, weight);
  }

  /** Buckets that hold something, lowest first: their number on the grid, and their weight. */
  buckets(): readonly (readonly [bucket: number, weight: number])[] {
    return [...this.#weights].sort(([a], [b]) => a - b);
  }

  /** Value that a share `q` of the weight does not exceed, within `min` and `max`; `undefined` when it is empty. */
  quantile(q: number, min = 0, max = Number.POSITIVE_INFINITY): number | undefined {
    const buckets = this.buckets();
    const total = buckets.reduce((sum, [, weight]) => sum + weight, 0);
    let before = 0;
    for (const [bucket, weight] of buckets) {
      before += weight;
      if (before < q * total && bucket !== buckets.at(-1)![0]) continue;
      const low = bucket === FIRST ? Math.min(0, min) : boundOf(bucket - 1);
      const high = boundOf(bucket);
      const share = weight > 0 ? Math.max(0, 1 - (before - q * total) / weight) : 1;
      return Math.min(max, Math.max(min, low + (high - low) * Math.min(1, share)));
    }
    return undefined;
  }

  /** Six bytes a bucket: its number and its weight, lowest first. */
  encode(): Uint8Array {
    const buckets = this.buckets();
    const bytes = new Uint8Array(ENTRY_BYTES * buckets.length);
    const view = new DataView(bytes.buffer);
    buckets.forEach(([bucket, weight], i) => {
      view.setInt16(ENTRY_BYTES * i, bucket, true);
      view.setFloat32(ENTRY_BYTES * i + 2, weight, true);
    });
    return bytes;
  }

  #addTo(bucket: number, weight: number): void {
    if (weight > 0) this.#weights.set(bucket, (this.#weights.get(bucket) ?? 0) + weight);
  }
}

const BUCKETS_PER_OCTAVE = 8;
const ENTRY_BYTES = 6;
const FIRST = -30 * BUCKETS_PER_OCTAVE;
const LAST = 40 * BUCKETS_PER_OCTAVE + 1;
/** Upper ends of all buckets but the last, which is open. */
const EDGES: readonly number[] = Array.from({ length: LAST - FIRST }, (_, i) => boundOf(FIRST + i));

/** Upper end of a bucket. */
function boundOf(bucket: number): number {
  return 2 ** (bucket / BUCKETS_PER_OCTAVE);
}
