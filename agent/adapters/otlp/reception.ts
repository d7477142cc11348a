import { performance } from 'node:perf_hooks';
import type { SampleSink } from '../../core/model.ts';
import { SeriesInterner } from '../../core/series/interner.ts';
import { newCounters, type ReceiverCounters } from './counters.ts';
import { MetricsDecoder } from './decode.ts';
import { Door } from './door.ts';
import { MemoryGate } from './memory_gate.ts';
import type { RawSink } from './raw_sink.ts';
import { Requests } from './requests.ts';
import { Turns } from './turns.ts';

export interface ReceptionOptions {
  readonly sink: SampleSink;
  readonly maxSeries: number;
  /** Resident memory above which requests are refused. */
  readonly maxResidentBytes: number;
  readonly residentBytes?: () => number;
  readonly nowMs: () => number;
  /** A defect of ours while handling a request: the request is refused, the receiver goes on. */
  readonly onDefect: (error: unknown) => void;
  /** Where everything received goes on to; without it traces and logs end here. */
  readonly upstream?: RawSink | undefined;
}

/**
 * What the receivers of all transports share: one decoder, so that a series is the same object however it comes in, one
 * gate, and one set of counters. Sound because a request is offered to the sink as a whole, and the next one begins when it is.
 */
export interface Reception {
  readonly counters: ReceiverCounters;
  readonly requests: Requests;
  readonly gate: MemoryGate;
  readonly door: Door;
  /** In which metrics are inflated and decoded. */
  readonly turns: Turns;
  readonly onDefect: (error: unknown) => void;
  readonly upstream: RawSink | undefined;
  /** Frees the series that no request has named for `idleMs`. Call it now and then. */
  evictIdle(idleMs: number): number;
}

export function createReception(options: ReceptionOptions): Reception {
  const { sink, maxSeries, maxResidentBytes, nowMs, onDefect } = options;
  const counters = newCounters();
  const decoder = new MetricsDecoder({
    interner: new SeriesInterner({ maxSeries }),
    // Beside series also resources, scopes, metrics and bounds have keys, and one series may be written in two ways.
    maxCachedKeys: 2 * maxSeries + 1_000,
  });
  const door = new Door(sink);
  return {
    counters,
    door,
    turns: new Turns(),
    requests: new Requests({ decoder, sink, counters, nowMs, door, onDefect }),
    gate: new MemoryGate({
      maxResidentBytes,
      residentBytes: options.residentBytes ?? (() => process.memoryUsage.rss()),
      monotonicMs: () => performance.now(),
    }),
    onDefect,
    upstream: options.upstream,
    evictIdle: (idleMs) => decoder.evictIdle(nowMs(), idleMs),
  };
}
