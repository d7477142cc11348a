import type { SampleSink } from '../../core/model.ts';
import type { ReceiverCounters } from './counters.ts';
import type { MetricsDecoder } from './decode.ts';
import type { Admitted, Door } from './door.ts';
import type { Inflated } from './inflate.ts';
import type { JsonTranscoder } from './json_transcoder.ts';
import { TooLargeError } from './proto_writer.ts';
import type { Signal } from './raw_sink.ts';
import { REJECTION_REASONS } from './rejections.ts';
import type { Work } from './turns.ts';
import { MalformedError } from './wire.ts';

/** What is to be answered, whatever the transport. */
export type Outcome =
  /** `rejected` points were refused, and why; 0: full success. */
  | { readonly state: 'taken'; readonly rejected: number; readonly message: string }
  | { readonly state: 'invalid'; readonly message: string }
  | { readonly state: 'too_large'; readonly message: string }
  | { readonly state: 'unavailable'; readonly message: string; readonly retryAfterMs: number }
  /** A defect of ours, reported already. */
  | { readonly state: 'failed'; readonly message: string };

/** A request that was let in, whom to tell, and how. */
export interface Request {
  readonly signal: Signal;
  readonly admitted: Admitted;
  /** Where it is JSON; its limit is the transport's. */
  readonly transcoder?: JsonTranscoder | undefined;
  /** From then on nothing may reach the sink. */
  readonly isStopped: () => boolean;
  /** Called once; should it throw, once more with the failure. */
  readonly conclude: (outcome: Outcome) => void;
}

export interface RequestsOptions {
  readonly decoder: MetricsDecoder;
  readonly sink: SampleSink;
  readonly counters: ReceiverCounters;
  readonly nowMs: () => number;
  readonly door: Door;
  readonly onDefect: (error: unknown) => void;
}

/** How long a sender is asked to wait, by why it is refused. */
export const RETRY_MS = { inFlight: 1_000, memory: 5_000, overloaded: 1_000, stopping: 1_000 } as const;
/** What a sender is told while the sink is full. */
export const OVERLOADED = 'the agent is overloaded';

const TAKEN: Outcome = { state: 'taken', rejected: 0, message: '' };
const STOPPING: Outcome = { state: 'unavailable', message: 'the agent is stopping', retryAfterMs: RETRY_MS.stopping };

/**
 * A thousand points are half a millisecond. Commands to the process and its answers pass through the same event loop, and
 * should not wait for longer than they take themselves.
 */
const POINTS_A_PART = 512;

/**
 * What becomes of a request: metrics are decoded and offered to the sink; other signals are only passed on, by whoever is
 * told. The decoder has one request in work at a time, so all of this is work for `Turns`.
 */
export class Requests {
  readonly #options: RequestsOptions;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /** Does the first part of it, and returns the rest if there is any. */
  take(inflated: Inflated, request: Request): Work | undefined {
    return this.#part(request, () => {
      if (inflated.state !== 'done') return this.#unreadable(inflated);
      if (request.signal !== 'metrics') return TAKEN;
      return this.#begin(inflated.bytes, request.transcoder) ?? this.#advance(request.admitted);
    });
  }

  #part(request: Request, work: () => Outcome | undefined): Work | undefined {
    const { counters, door } = this.#options;
    let outcome: Outcome | undefined = STOPPING;
    try {
      if (request.isStopped()) counters.refused.stopping += 1;
      else outcome = work();
    } catch (error) {
      outcome = this.#failed(error);
    }
    if (outcome === undefined) return () => this.#part(request, () => this.#advance(request.admitted));
    door.leave(request.admitted);
    try {
      request.conclude(outcome);
    } catch (error) {
      request.conclude(this.#failed(error));
    }
    return undefined;
  }

  #failed(error: unknown): Outcome {
    const { counters, onDefect } = this.#options;
    counters.refused.internal += 1;
    onDefect(error);
    return { state: 'failed', message: 'the agent failed to handle this request; its log says why' };
  }

  /** The outcome, where that is all. */
  #begin(bytes: Buffer, transcoder: JsonTranscoder | undefined): Outcome | undefined {
    const { decoder, counters, nowMs } = this.#options;
    let protobuf = bytes;
    try {
      if (transcoder !== undefined) protobuf = transcoder.transcode(bytes);
    } catch (error) {
      if (error instanceof MalformedError) return this.#invalid(error);
      if (!(error instanceof TooLargeError)) throw error;
      counters.refused.tooLarge += 1;
      return { state: 'too_large', message: `the request stands for ${error.message}` };
    }
    counters.requests += 1;
    counters.bytes += bytes.length;
    decoder.begin(protobuf, nowMs());
    return undefined;
  }

  /** `undefined`: there is more of it. */
  #advance(admitted: Admitted): Outcome | undefined {
    const { decoder, sink, counters, door } = this.#options;
    const decoded = decoder.advance(POINTS_A_PART);
    if (decoded === undefined) return undefined;
    if (!decoded.ok) return this.#invalid(decoded);
    const { batch, rejections } = decoded;
    door.learn(admitted, batch.size);
    let refused = 0;
    let reason: string | undefined;
    if (batch.size > 0) {
      const acceptance = sink.accept(batch);
      if (acceptance.state === 'overloaded') {
        counters.refused.overloaded += 1;
        return { state: 'unavailable', message: OVERLOADED, retryAfterMs: acceptance.retryAfterMs };
      }
      refused = acceptance.rejected;
      reason = acceptance.reason;
    }
    counters.pointsAccepted += batch.size - refused;
    counters.pointsRejected.refused_by_engine += refused;
    for (const [why, points] of rejections.byReason) counters.pointsRejected[why] += points;
    const rejected = rejections.total + refused;
    if (rejected === 0) return TAKEN;
    const parts = [
      ...(rejections.total > 0 ? [rejections.describe()] : []),
      ...(refused > 0 ? [`${refused} points: ${reason ?? REJECTION_REASONS.refused_by_engine}`] : []),
    ];
    return { state: 'taken', rejected, message: parts.join('; ') };
  }

  #unreadable(inflated: Exclude<Inflated, { state: 'done' }>): Outcome {
    const { refused } = this.#options.counters;
    if (inflated.state === 'too_large') {
      refused.tooLarge += 1;
      return { state: 'too_large', message: `the request inflates to more than ${inflated.maxBytes} bytes` };
    }
    refused.undecodable += 1;
    return { state: 'invalid', message: 'the request is not compressed as its header says' };
  }

  #invalid({ message, offset }: { readonly message: string; readonly offset: number }): Outcome {
    this.#options.counters.refused.undecodable += 1;
    return { state: 'invalid', message: `not an ExportMetricsServiceRequest: ${message}, at byte ${offset}` };
  }
}
