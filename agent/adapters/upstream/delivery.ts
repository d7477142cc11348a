import { type BackoffOptions, backoffMs } from '../../core/backoff.ts';
import { countDropped, type UpstreamCounters } from './counters.ts';
import type { Outcome, Transport } from './outcome.ts';
import type { Entry, Queue } from './queue.ts';
import type { TelemetrySignal } from './raw_sink.ts';
import { withHop } from './via.ts';
import { pause, unlessAborted } from './wait.ts';

export interface DeliveryOptions {
  readonly signal: TelemetrySignal;
  readonly queue: Queue;
  readonly transport: Transport;
  readonly counters: UpstreamCounters;
  readonly backoff: BackoffOptions;
  /** Older requests are given up. */
  readonly maxAgeMs: number;
  readonly ownId: string;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly onOutcome: (signal: TelemetrySignal, outcome: Outcome | ExpiredOutcome) => void;
}

export interface ExpiredOutcome {
  readonly state: 'expired';
}

export type DeliveryState =
  | { readonly state: 'idle' }
  | { readonly state: 'sending'; readonly failures: number; readonly why?: string }
  | { readonly state: 'waiting'; readonly failures: number; readonly why: string; readonly untilMs: number };

/**
 * Sends the requests of one signal, one after another: the next leaves when the one before it was taken or given up, so
 * that an upstream sees them in the order in which they came. An attempt that failed is made again for as long as the
 * request is not too old; everything behind it waits in the queue.
 */
export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #stopping = new AbortController();
  #state: DeliveryState = { state: 'idle' };
  #running: Promise<void> | undefined;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  get state(): DeliveryState {
    return this.#state;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Starts no further attempt, and waits for the one under way. What is left stays in the queue. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal, queue } = this.#options;
    const stopping = this.#stopping.signal;
    while (!stopping.aborted) {
      const entries = await unlessAborted(stopping, queue.take(signal));
      if (entries === undefined || entries.length === 0) return;
      for (const entry of entries) {
        if (stopping.aborted) return;
        if (await this.#deliver(entry)) queue.remove(entry);
      }
      this.#state = { state: 'idle' };
    }
  }

  /** Whether the request is done with. */
  async #deliver(entry: Entry): Promise<boolean> {
    const { signal, counters, transport, backoff, maxAgeMs, ownId, nowMs, random, onOutcome } = this.#options;
    const count = counters[signal];
    const stopping = this.#stopping.signal;
    const via = withHop(entry.via, ownId);
    let failures = 0;
    let why: string | undefined;
    let mayHaveArrived = entry.isRepeat;
    while (!stopping.aborted) {
      if (nowMs() - entry.atMs > maxAgeMs) {
        countDropped(counters, signal, 'expired');
        onOutcome(signal, { state: 'expired' });
        return true;
      }
      this.#state = { state: 'sending', failures, ...(why !== undefined && { why }) };
      const outcome = await transport.send(entry, via);
      onOutcome(signal, outcome);
      switch (outcome.state) {
        case 'delivered':
          count.delivered += 1;
          count.deliveredBytes += entry.body.length;
          count.rejectedByUpstream += outcome.rejected;
          if (mayHaveArrived) count.possibleDuplicates += 1;
          return true;
        case 'refused':
          countDropped(counters, signal, outcome.reason);
          return true;
        case 'again': {
          failures += 1;
          count.retries += 1;
          why = outcome.why;
          mayHaveArrived ||= outcome.isUnclear;
          const waitMs = backoffMs(failures, outcome.afterMs, backoff, random());
          this.#state = { state: 'waiting', failures, why, untilMs: nowMs() + waitMs };
          await pause(waitMs, stopping);
        }
      }
    }
    return false;
  }
}
