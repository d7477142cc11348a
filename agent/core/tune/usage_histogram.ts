/**
 * How much memory was in use, with the past fading: a histogram with exponential buckets and decaying weights.
 *
 * Intuition. A sample taken now weighs twice as much as one taken a half-life ago. Instead of decaying all weights with every sample,
 * new samples weigh more: `weight = 2^((t − t₀) / halfLife)`; when weights become large, all are scaled down and `t₀` moves on.
 *
 *   bucket i holds use in (1.05^i, 1.05^(i+1)] MiB; a bucket below 1/512 of the newest weight (nine half-lives) is forgotten
 *
 * Units: MiB; half-life 24 h. Time that runs backwards is taken for the latest seen.
 * Fails to remember peaks rarer than its memory, and rounds up by at most 5 %.
 * Sources: Autopilot (Rzadca et al., EuroSys 2020); the decaying histogram of the Kubernetes vertical pod autoscaler.
 *
 * Example: 400 MiB for a day and 800 MiB for a minute yesterday: peak about 820 MiB, 0.07 % of the weight above 600 MiB.
 */
const HALF_LIFE_MS = 86_400_000;
const RATIO = 1.05;
const FORGOTTEN_RATIO = 1 / 512;
/** Weights are rescaled before they lose precision. */
const MAX_HALF_LIVES = 64;
const MAX_MIB = 2 ** 30;
/** A gap longer than this was not observed. */
const MAX_GAP_MS = 300_000;

export interface UsageHistogramState {
  readonly referenceMs: number;
  readonly latestMs: number;
  readonly observedMs: number;
  readonly buckets: readonly (readonly [bucket: number, weight: number])[];
}

/** What strategies see of it. */
export interface MemoryUse {
  /** The highest use remembered, rounded up; undefined before the first sample. */
  readonly peakMib: number | undefined;
  /** Time that samples cover. */
  readonly observedMs: number;
  /** Share of the weight above an amount, in [0, 1]. */
  fractionAbove(mib: number): number;
}

export class UsageHistogram implements MemoryUse {
  readonly #buckets: Map<number, number>;
  #referenceMs: number;
  #latestMs: number;
  #observedMs: number;

  constructor(saved?: UsageHistogramState) {
    this.#buckets = new Map(saved?.buckets);
    this.#referenceMs = saved?.referenceMs ?? Number.NaN;
    this.#latestMs = saved?.latestMs ?? Number.NaN;
    this.#observedMs = saved?.observedMs ?? 0;
  }

  add(mib: number, atMs: number): void {
    if (!(mib > 0) || mib > MAX_MIB || !Number.isFinite(atMs)) return;
    if (Number.isNaN(this.#latestMs)) {
      this.#referenceMs = atMs;
      this.#latestMs = atMs;
    }
    const passedMs = atMs - this.#latestMs;
    if (passedMs > 0 && passedMs <= MAX_GAP_MS) this.#observedMs += passedMs;
    this.#latestMs = Math.max(this.#latestMs, atMs);
    if (this.#latestMs - this.#referenceMs > MAX_HALF_LIVES * HALF_LIFE_MS) this.#rescale();
    const bucket = Math.max(0, Math.floor(Math.log(mib) / Math.log(RATIO)));
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + this.#weightNow());
  }

  get peakMib(): number | undefined {
    this.#forget();
    let top: number | undefined;
    for (const bucket of this.#buckets.keys()) top = Math.max(top ?? bucket, bucket);
    return top === undefined ? undefined : RATIO ** (top + 1);
  }

  get observedMs(): number {
    return this.#observedMs;
  }

  fractionAbove(mib: number): number {
    let above = 0;
    let all = 0;
    for (const [bucket, weight] of this.#buckets) {
      all += weight;
      if (RATIO ** (bucket + 1) > mib) above += weight;
    }
    return all === 0 ? 0 : above / all;
  }

  state(): UsageHistogramState | undefined {
    if (Number.isNaN(this.#latestMs)) return undefined;
    this.#forget();
    const [referenceMs, latestMs, observedMs] = [this.#referenceMs, this.#latestMs, this.#observedMs];
    return { referenceMs, latestMs, observedMs, buckets: [...this.#buckets] };
  }

  #weightNow(): number {
    return 2 ** ((this.#latestMs - this.#referenceMs) / HALF_LIFE_MS);
  }

  #rescale(): void {
    const factor = 1 / this.#weightNow();
    for (const [bucket, weight] of this.#buckets) this.#buckets.set(bucket, weight * factor);
    this.#referenceMs = this.#latestMs;
  }

  #forget(): void {
    const least = this.#weightNow() * FORGOTTEN_RATIO;
    for (const [bucket, weight] of this.#buckets) if (weight < least) this.#buckets.delete(bucket);
  }
}
