import type { SampleBatch, SampleSink } from '../core/model.ts';

export interface SamplingOptions {
  readonly intervalMs: number;
  readonly sink: SampleSink;
  /** One sample; `undefined`: there was nothing to say. */
  readonly read: () => Promise<SampleBatch | undefined>;
  /** Lets go of what reading holds; a sample that is being read may fail by it. */
  readonly close: () => Promise<void>;
  /** Told of a sample that failed as a whole; sampling goes on. */
  readonly onError: ((error: unknown) => void) | undefined;
}

/**
 * The life of a sampler, whatever it samples: one sample at a time, every so often, until it is stopped; a sample that fails
 * is told and the next one comes. Counts what became of the points.
 */
export class Sampling {
  readonly #options: SamplingOptions;
  #timer: NodeJS.Timeout | undefined;
  #isSampling = false;
  #isStopped = false;
  #samples = 0;
  #points = 0;
  #skipped = 0;
  /** Points for which there was no series left, or whose sender already has too many: counted by who writes them. */
  readonly pointCounts = { refused: 0, rejected: 0 };

  constructor(options: SamplingOptions) {
    this.#options = options;
  }

  /** `dropped`: points that the sink refused, or for which there was no series left. */
  get counts(): {
    readonly samples: number;
    readonly points: number;
    readonly dropped: number;
    readonly skipped: number;
  } {
    const { refused, rejected } = this.pointCounts;
    return { samples: this.#samples, points: this.#points, dropped: refused + rejected, skipped: this.#skipped };
  }

  start(): void {
    // The first sample gives levels and is what the second one's rates are made from.
    void this.sample();
    this.#timer = setInterval(() => void this.sample(), this.#options.intervalMs);
    this.#timer.unref();
  }

  /** What is stuck in the kernel outlives its killing: nobody waits for it beyond the deadline. */
  async stop(deadline: AbortSignal): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    const over = Promise.withResolvers<void>();
    const onAbort = (): void => over.resolve();
    if (deadline.aborted) onAbort();
    deadline.addEventListener('abort', onAbort, { once: true });
    await Promise.race([this.#options.close(), over.promise]);
    deadline.removeEventListener('abort', onAbort);
  }

  /** Takes one sample now. Never rejects. */
  async sample(): Promise<void> {
    if (this.#isStopped) return;
    if (this.#isSampling) {
      this.#skipped += 1;
      return;
    }
    this.#isSampling = true;
    try {
      const batch = await this.#options.read();
      if (batch !== undefined && !this.#isStopped) this.#deliver(batch);
    } catch (error) {
      this.#options.onError?.(error);
    } finally {
      this.#isSampling = false;
    }
  }

  #deliver(batch: SampleBatch): void {
    const acceptance = this.#options.sink.accept(batch);
    const rejected = acceptance.state === 'accepted' ? acceptance.rejected : batch.size;
    this.#samples += 1;
    this.#points += batch.size - rejected;
    this.pointCounts.rejected += rejected;
  }
}
