import { TELEMETRY_SIGNALS, type TelemetrySignal } from './raw_sink.ts';

/** What became of the requests of one signal. Totals since the start. */
export interface SignalCounters {
  /** Taken from receivers. */
  accepted: number;
  acceptedBytes: number;
  delivered: number;
  deliveredBytes: number;
  /** Attempts that failed and are made again. */
  retries: number;
  /** Sent again although the upstream may have had them: after an attempt without an answer, or a crash. */
  possibleDuplicates: number;
  /** Points, spans or log records in delivered requests that the upstream did not want. */
  rejectedByUpstream: number;
  /** Acknowledged while the disk refused to take them: kept in memory only. */
  unsaved: number;
  /** Requests that never arrive, by reason: `queue_full`, `expired`, `loop`, `stopped`, or what the upstream answered. */
  readonly dropped: Record<string, number>;
}

export type UpstreamCounters = Readonly<Record<TelemetrySignal, SignalCounters>>;

export function newCounters(): UpstreamCounters {
  const fresh = (): SignalCounters => ({
    accepted: 0,
    acceptedBytes: 0,
    delivered: 0,
    deliveredBytes: 0,
    retries: 0,
    possibleDuplicates: 0,
    rejectedByUpstream: 0,
    unsaved: 0,
    dropped: {},
  });
  return { metrics: fresh(), traces: fresh(), logs: fresh() };
}

export function countDropped(counters: UpstreamCounters, signal: TelemetrySignal, reason: string, requests = 1): void {
  const { dropped } = counters[signal];
  dropped[reason] = (dropped[reason] ?? 0) + requests;
}

export function totalDropped(counters: UpstreamCounters): number {
  return TELEMETRY_SIGNALS.flatMap((signal) => Object.values(counters[signal].dropped)).reduce((a, b) => a + b, 0);
}
