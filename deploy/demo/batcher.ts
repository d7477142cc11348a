/**
 * Dynamic batching: requests wait in a bounded queue until a model run is free, and ride together up to `maxBatchSize`.
 * With `batchWaitMs` a run waits that long after its first request for more to arrive. Time is an argument; the owner
 * calls `pump` when something happened and again at the time that `pump` returns.
 */

/** What the batcher obeys, read anew at each use: these are the tuned knobs. */
export interface BatchPolicy {
  readonly maxBatchSize: number;
  readonly batchWaitMs: number;
  /** Most batches in flight. */
  readonly concurrency: number;
  /** A request that has waited longer is turned away. */
  readonly queueTimeoutMs: number;
}

export type Refusal = 'queue_full' | 'queue_timeout';

interface Waiting<T> {
  readonly item: T;
  readonly sinceMs: number;
}

export class Batcher<T> {
  readonly #queue: Waiting<T>[] = [];
  readonly #policy: () => BatchPolicy;
  readonly #capacity: number;
  readonly #launch: (items: readonly T[]) => void;
  readonly #refuse: (item: T, why: Refusal) => void;
  #inFlight = 0;

  /**
   * @param launch starts a model run; the owner calls `finished` when it has ended, whatever came of it.
   * @param refuse turns a request away.
   */
  constructor(
    policy: () => BatchPolicy,
    capacity: number,
    launch: (items: readonly T[]) => void,
    refuse: (item: T, why: Refusal) => void,
  ) {
    this.#policy = policy;
    this.#capacity = capacity;
    this.#launch = launch;
    this.#refuse = refuse;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  offer(item: T, nowMs: number): void {
    if (this.#queue.length >= this.#capacity) this.#refuse(item, 'queue_full');
    else this.#queue.push({ item, sinceMs: nowMs });
  }

  finished(): void {
    this.#inFlight--;
  }

  /** Starts what may start and turns away what waited too long. Returns when to look again, if time alone changes anything. */
  pump(nowMs: number): number | undefined {
    const { maxBatchSize, batchWaitMs, concurrency, queueTimeoutMs } = this.#policy();
    while (this.#queue.length > 0 && nowMs - this.#queue[0]!.sinceMs >= queueTimeoutMs) {
      this.#refuse(this.#queue.shift()!.item, 'queue_timeout');
    }
    while (this.#queue.length > 0 && this.#inFlight < concurrency) {
      const launchAtMs = this.#queue[0]!.sinceMs + batchWaitMs;
      if (this.#queue.length < maxBatchSize && nowMs < launchAtMs) {
        return Math.min(launchAtMs, this.#queue[0]!.sinceMs + queueTimeoutMs);
      }
      this.#inFlight++;
      this.#launch(this.#queue.splice(0, maxBatchSize).map((waiting) => waiting.item));
    }
    return this.#queue.length > 0 ? this.#queue[0]!.sinceMs + queueTimeoutMs : undefined;
  }
}
