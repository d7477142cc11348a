import type { RejectionReason } from './rejections.ts';

/** Requests that were refused whole, by reason; the sender was told. */
export interface RefusedRequests {
  /** The sink is full. */
  overloaded: number;
  /** More bytes in work than `maxInFlightBytes`. */
  inFlight: number;
  /** The process holds more memory than `maxResidentBytes`. */
  memory: number;
  /** Over `maxMessageBytes`, before or after decompression. */
  tooLarge: number;
  /** No request in its encoding, or not what its compression says. */
  undecodable: number;
  /** Over HTTP: another path, method, content type or compression. */
  unsupported: number;
  /** Over HTTP: broken or oversized headers, or too slow to send them or the body. */
  badHttp: number;
  stopping: number;
  /** Given up by their senders before their turn came: not refused, and not acknowledged either. */
  abandoned: number;
  /** A defect of ours; reported as well. */
  internal: number;
}

/** What a receiver has done since it was made. Read it at any time; it is never reset. */
export interface ReceiverCounters {
  /** Metric requests that arrived whole. */
  requests: number;
  /** Their bytes, after decompression. */
  bytes: number;
  pointsAccepted: number;
  /** Refused within requests that were taken; the sender was told (partial success). */
  readonly pointsRejected: Record<RejectionReason, number>;
  readonly refused: RefusedRequests;
  /** Requests with traces and logs: nobody here wants them, so they are answered with success and dropped. */
  tracesDropped: number;
  logsDropped: number;
  /** Over HTTP: connections that were closed at once because there were too many. */
  connectionsDropped: number;
  /** Bytes of requests received and not answered yet: the level now, and the highest so far. */
  inFlightBytes: number;
  inFlightBytesMax: number;
}

export function newCounters(): ReceiverCounters {
  return {
    requests: 0,
    bytes: 0,
    pointsAccepted: 0,
    pointsRejected: {
      no_time: 0,
      start_after_time: 0,
      no_temporality: 0,
      no_value: 0,
      histogram_shape: 0,
      histogram_bounds: 0,
      exponential_shape: 0,
      too_many_buckets: 0,
      series_limit: 0,
      refused_by_engine: 0,
    },
    refused: {
      ...{ overloaded: 0, inFlight: 0, memory: 0, tooLarge: 0, undecodable: 0, unsupported: 0, badHttp: 0 },
      ...{ stopping: 0, abandoned: 0, internal: 0 },
    },
    tracesDropped: 0,
    logsDropped: 0,
    connectionsDropped: 0,
    inFlightBytes: 0,
    inFlightBytesMax: 0,
  };
}
