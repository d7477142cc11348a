import type { SampleSink } from '../../core/model.ts';
import type { ReceiverCounters } from './counters.ts';
import type { MetricsDecoder } from './decode.ts';
import type { Admitted, Door } from './door.ts';
import type { JsonTranscoder } from './json_transcoder.ts';
import { TooLargeError } from './proto_writer.ts';
import { REJECTION_REASONS } from './rejections.ts';
import { MalformedError } from './wire.ts';

/** What is to be answered, whatever the transport. */
export type Outcome =
  /** `rejected` points were refused, and why; 0: full success. */
  | { readonly state: 'taken'; readonly rejected: number; readonly message: string }
  | { readonly state: 'invalid'; readonly message: string }
  | { readonly state: 'too_large'; readonly message: string }
  | { readonly state: 'overloaded'; readonly message: string; readonly retryAfterMs: number };

export interface MetricsRequestsOptions {
  readonly decoder: MetricsDecoder;
  readonly sink: SampleSink;
  readonly counters: ReceiverCounters;
  readonly nowMs: () => number;
  readonly door: Door;
}

/** What a sender is told while the sink is full. */
export const OVERLOADED = 'the agent is overloaded';

/** Full success. */
export const TAKEN: Outcome = { state: 'taken', rejected: 0, message: '' };

/** What becomes of one metrics request: decoded, offered to the sink, answered. Synchronous, so nothing queues here. */
export class MetricsRequests {
  readonly #options: MetricsRequestsOptions;

  constructor(options: MetricsRequestsOptions) {
    this.#options = options;
  }

  /** In protobuf; `originalBytes` where it came as something else. */
  handle(bytes: Uint8Array, admitted: Admitted, originalBytes = bytes.length): Outcome {
    const { decoder, sink, counters, nowMs, door } = this.#options;
    counters.requests += 1;
    counters.bytes += originalBytes;
    const decoded = decoder.decode(bytes, nowMs());
    if (!decoded.ok) return this.#invalid(decoded.message, decoded.offset);
    const { batch, rejections } = decoded;
    door.learn(admitted, batch.size);
    let refused = 0;
    let reason: string | undefined;
    if (batch.size > 0) {
      const acceptance = sink.accept(batch);
      if (acceptance.state === 'overloaded') {
        counters.refused.overloaded += 1;
        return { state: 'overloaded', message: OVERLOADED, retryAfterMs: acceptance.retryAfterMs };
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

  /** In JSON, by way of `transcoder`, whose limit is the transport's. */
  handleJson(bytes: Buffer, admitted: Admitted, transcoder: JsonTranscoder): Outcome {
    const { counters } = this.#options;
    let protobuf: Buffer;
    try {
      protobuf = transcoder.transcode(bytes);
    } catch (error) {
      if (error instanceof MalformedError) return this.#invalid(error.message, error.offset);
      if (!(error instanceof TooLargeError)) throw error;
      counters.refused.tooLarge += 1;
      return { state: 'too_large', message: `the request stands for ${error.message}` };
    }
    return this.handle(protobuf, admitted, bytes.length);
  }

  #invalid(message: string, offset: number): Outcome {
    this.#options.counters.refused.undecodable += 1;
    return { state: 'invalid', message: `not an ExportMetricsServiceRequest: ${message}, at byte ${offset}` };
  }
}
