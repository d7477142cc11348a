import { type StatusObject, status } from '@grpc/grpc-js';
import type { SampleSink } from '../../core/model.ts';
import type { ReceiverCounters } from './counters.ts';
import type { MetricsDecoder } from './decode.ts';
import { REJECTION_REASONS } from './rejections.ts';
import { FULL_SUCCESS, partialSuccess } from './response.ts';
import { permanent, unavailable } from './status.ts';

export type Outcome =
  | { readonly ok: true; readonly response: Buffer }
  | { readonly ok: false; readonly status: StatusObject };

export interface MetricsRequestsOptions {
  readonly decoder: MetricsDecoder;
  readonly sink: SampleSink;
  readonly counters: ReceiverCounters;
  readonly nowMs: () => number;
}

/** What becomes of one metrics request: decoded, offered to the sink, answered. Synchronous, so nothing queues here. */
export class MetricsRequests {
  readonly #options: MetricsRequestsOptions;

  constructor(options: MetricsRequestsOptions) {
    this.#options = options;
  }

  handle(bytes: Uint8Array): Outcome {
    const { decoder, sink, counters, nowMs } = this.#options;
    counters.requests += 1;
    counters.bytes += bytes.length;
    const decoded = decoder.decode(bytes, nowMs());
    if (!decoded.ok) {
      counters.refused.undecodable += 1;
      const why = `not an ExportMetricsServiceRequest: ${decoded.message}, at byte ${decoded.offset}`;
      return { ok: false, status: permanent(status.INVALID_ARGUMENT, why) };
    }
    const { batch, rejections } = decoded;
    let refused = 0;
    let reason: string | undefined;
    if (batch.size > 0) {
      const acceptance = sink.accept(batch);
      if (acceptance.state === 'overloaded') {
        counters.refused.overloaded += 1;
        return { ok: false, status: unavailable('the agent is overloaded', acceptance.retryAfterMs) };
      }
      refused = acceptance.rejected;
      reason = acceptance.reason;
    }
    counters.pointsAccepted += batch.size - refused;
    counters.pointsRejected.refused_by_engine += refused;
    for (const [why, points] of rejections.byReason) counters.pointsRejected[why] += points;
    const rejected = rejections.total + refused;
    if (rejected === 0) return { ok: true, response: FULL_SUCCESS };
    const parts = [
      ...(rejections.total > 0 ? [rejections.describe()] : []),
      ...(refused > 0 ? [`${refused} points: ${reason ?? REJECTION_REASONS.refused_by_engine}`] : []),
    ];
    return { ok: true, response: partialSuccess(rejected, parts.join('; ')) };
  }
}
