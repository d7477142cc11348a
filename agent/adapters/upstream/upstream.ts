import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { BackoffOptions } from '../../core/backoff.ts';
import { countDropped, newCounters, type SignalCounters } from './counters.ts';
import { Delivery, type DeliveryState } from './delivery.ts';
import { DiskQueue } from './disk_queue.ts';
import { createGrpcTransport } from './grpc_transport.ts';
import { createHttpTransport } from './http_transport.ts';
import { MemoryQueue } from './memory_queue.ts';
import { Notices } from './notices.ts';
import type { Queue, QueueLevel, QueueObserver } from './queue.ts';
import { KEPT, type RawSink, TELEMETRY_SIGNALS, type TelemetrySignal } from './raw_sink.ts';
import { readTls, type TlsPaths } from './tls.ts';
import { isLoop } from './via.ts';
import { sooner, unlessAborted } from './wait.ts';

export interface UpstreamOptions {
  /** `http://host:port` or `https://host:port`; over HTTP with the path before `/v1/metrics`. */
  readonly endpoint: string;
  readonly protocol: 'grpc' | 'http';
  readonly headers: Readonly<Record<string, string>>;
  readonly compression: 'gzip' | 'none';
  /** One attempt may take this long. */
  readonly timeoutMs: number;
  readonly retry: BackoffOptions;
  readonly queue: {
    /** The SQLite file; `null`: in memory only, and a crash loses what was not delivered. */
    readonly path: string | null;
    readonly maxBytes: number;
    /** Limit of what is kept in memory: all of it without a file, and else what a disk that fails does not take. */
    readonly maxMemoryBytes: number;
    readonly maxAgeMs: number;
  };
  readonly tls: TlsPaths;
  readonly log: Logger;
  readonly nowMs: () => number;
}

export interface UpstreamStatus {
  readonly endpoint: string;
  readonly protocol: 'grpc' | 'http';
  readonly queue: 'disk' | 'memory';
  /** Why the disk does not take requests, where it does not. */
  readonly diskProblem?: string;
  readonly signals: Readonly<Record<TelemetrySignal, SignalStatus>>;
}

export interface SignalStatus {
  readonly delivery: DeliveryState;
  readonly queued: QueueLevel;
  readonly counters: Readonly<SignalCounters>;
}

/** What is received goes on, as it came. */
export interface Upstream extends RawSink {
  /** Throws when the queue's file or a certificate cannot be used. An upstream that is away is no reason not to start. */
  start(): Promise<void>;
  /**
   * Takes nothing more. What is on the disk stays there for the next start; what is only in memory is sent until the
   * deadline, and counted as dropped after it.
   */
  stop(deadline: AbortSignal): Promise<void>;
  status(): UpstreamStatus;
}

/** Stopping does not wait longer for an upstream than this, so that the other parts have time to stop as well. */
const DRAIN_MS = 3_000;
const STOPPING_RETRY_MS = 1_000;

/**
 *   receiver ──accept──▶ queue (disk or memory) ──▶ one delivery per signal ──▶ transport (gRPC or HTTP) ──▶ upstream
 *
 * A receiver waits for the queue and never for the upstream.
 */
export function createUpstream(options: UpstreamOptions): Upstream {
  const { endpoint, protocol, retry, log, nowMs } = options;
  const ownId = randomUUID();
  const counters = newCounters();
  const notices = new Notices(log, endpoint, counters, nowMs);
  const observer: QueueObserver = {
    dropped(signal, requests) {
      countDropped(counters, signal, 'queue_full', requests);
      notices.queueFull(signal);
    },
    unsaved(signal) {
      counters[signal].unsaved += 1;
    },
    disk: (problem) => notices.disk(problem),
  };
  const memory = new MemoryQueue(options.queue.maxMemoryBytes, observer);
  const { path } = options.queue;
  const queue: Queue =
    path === null
      ? memory
      : new DiskQueue({
          path,
          maxBytes: options.queue.maxBytes,
          nowMs,
          observer,
          fallback: memory,
          onSetAside: (aside) =>
            log.error({ path, aside }, 'the upstream queue is corrupt: it was set aside, and starts empty'),
        });
  const transportOptions = { ...options, tls: readTls(options.tls) };
  const transport = (protocol === 'grpc' ? createGrpcTransport : createHttpTransport)(transportOptions);
  let onProgress: (() => void) | undefined;
  const deliveryOf = (signal: TelemetrySignal): Delivery =>
    new Delivery({
      signal,
      queue,
      transport,
      counters,
      backoff: retry,
      maxAgeMs: options.queue.maxAgeMs,
      ownId,
      nowMs,
      random: Math.random,
      onOutcome(of, outcome) {
        notices.outcome(of, outcome);
        // The request leaves the queue right after this.
        if (onProgress !== undefined) setImmediate(onProgress);
      },
    });
  const deliveries = {
    metrics: deliveryOf('metrics'),
    traces: deliveryOf('traces'),
    logs: deliveryOf('logs'),
  };
  let state: 'new' | 'running' | 'stopped' = 'new';

  const inMemory = (): number => TELEMETRY_SIGNALS.reduce((sum, signal) => sum + memory.level(signal).requests, 0);

  return {
    async start() {
      await queue.open();
      state = 'running';
      for (const signal of TELEMETRY_SIGNALS) deliveries[signal].start();
      const waiting = TELEMETRY_SIGNALS.reduce((sum, signal) => sum + queue.level(signal).requests, 0);
      log.info({ endpoint, protocol, queue: path ?? 'memory', waiting }, 'received telemetry goes on upstream');
    },

    accept(signal, body, encoding, via = '') {
      if (state !== 'running') return { state: 'refused', retryAfterMs: STOPPING_RETRY_MS };
      const count = counters[signal];
      count.accepted += 1;
      count.acceptedBytes += body.length;
      if (isLoop(via, ownId)) {
        countDropped(counters, signal, 'loop');
        notices.loop(signal);
        return KEPT;
      }
      return queue.put({ signal, encoding, via, atMs: nowMs(), body });
    },

    async stop(deadline) {
      if (state !== 'running') return;
      state = 'stopped';
      const drained = Promise.withResolvers<void>();
      onProgress = () => {
        if (inMemory() === 0) drained.resolve();
      };
      onProgress();
      const patience = sooner(deadline, DRAIN_MS);
      await unlessAborted(patience, drained.promise);
      await unlessAborted(patience, Promise.all(TELEMETRY_SIGNALS.map((signal) => deliveries[signal].stop())));
      await queue.close(deadline);
      transport.close();
      for (const signal of TELEMETRY_SIGNALS) {
        const { requests } = memory.level(signal);
        if (requests > 0) countDropped(counters, signal, 'stopped', requests);
      }
      if (inMemory() > 0)
        log.warn({ requests: inMemory() }, 'telemetry that was only in memory did not reach the upstream');
    },

    status() {
      const of = (signal: TelemetrySignal): SignalStatus => ({
        delivery: deliveries[signal].state,
        queued: queue.level(signal),
        counters: counters[signal],
      });
      const { diskProblem } = notices;
      return {
        endpoint,
        protocol,
        queue: path === null ? 'memory' : 'disk',
        ...(diskProblem !== undefined && { diskProblem }),
        signals: { metrics: of('metrics'), traces: of('traces'), logs: of('logs') },
      };
    },
  };
}
