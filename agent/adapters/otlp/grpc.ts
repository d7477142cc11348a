import { type handleUnaryCall, Server, type ServiceDefinition, status } from '@grpc/grpc-js';
import type { SampleSink } from '../../core/model.ts';
import { SeriesInterner } from '../../core/series/interner.ts';
import { parseAddress } from '../../rpc/address.ts';
import { newCounters, type ReceiverCounters } from './counters.ts';
import { MetricsDecoder } from './decode.ts';
import { type Inflated, Inflater } from './inflate.ts';
import { Intake } from './intake.ts';
import { listenOn } from './listen.ts';
import { MetricsRequests } from './metrics_requests.ts';
import { FULL_SUCCESS } from './response.ts';
import { permanent, unavailable } from './status.ts';

export interface OtlpGrpcOptions {
  /** `host:port`, `[ipv6]:port` (port 0: any that is free) or `unix:/path`. */
  readonly address: string;
  readonly sink: SampleSink;
  /** Largest request, also after decompression. */
  readonly maxMessageBytes: number;
  /** Most bytes of requests between their first byte and their answer, all clients together. */
  readonly maxInFlightBytes: number;
  readonly maxSeries: number;
  readonly nowMs: () => number;
  /** A defect of ours while handling a request: the request is refused, the receiver goes on. */
  readonly onDefect: (error: unknown) => void;
}

export interface OtlpGrpcReceiver {
  readonly counters: Readonly<ReceiverCounters>;
  /** Where it listens, with the port that it got; `undefined` unless started. */
  readonly address: string | undefined;
  /** Throws `OtlpListenError` when the address cannot be had. */
  start(): Promise<void>;
  /** Lets requests that are arriving finish until the deadline. After it returns, nothing reaches the sink. */
  stop(deadline: AbortSignal): Promise<void>;
  /** Frees the series that no request has named for `idleMs`. Call it now and then. */
  evictIdle(idleMs: number): number;
}

/** Requests in parallel on one connection; exporters send one at a time. */
const MAX_STREAMS_PER_CONNECTION = 128;
/** A peer that is silently gone (a container that was killed) is noticed after about this long. */
const KEEPALIVE_MS = 120_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
const STOPPING_RETRY_MS = 1_000;

type Handler = handleUnaryCall<Buffer, Buffer>;

/** OTLP over gRPC: metrics into the sink; traces and logs are answered with success and dropped, and counted. */
export function createOtlpGrpcReceiver(options: OtlpGrpcOptions): OtlpGrpcReceiver {
  const { sink, maxMessageBytes, maxInFlightBytes, maxSeries, nowMs, onDefect } = options;
  const address = parseAddress(options.address);
  const counters = newCounters();
  const intake = new Intake(maxInFlightBytes, maxMessageBytes, counters);
  const inflater = new Inflater(maxMessageBytes);
  const decoder = new MetricsDecoder({
    interner: new SeriesInterner({ maxSeries }),
    // Beside series also resources, scopes, metrics and bounds have keys, and one series may be written in two ways.
    maxCachedKeys: 2 * maxSeries + 1_000,
  });
  const requests = new MetricsRequests({ decoder, sink, counters, nowMs });
  let server: Server | undefined;
  let bound: string | undefined;
  let isStopped = false;

  const exportMetrics: Handler = (call, answer) => {
    const handle = (inflated: Inflated): void => {
      try {
        if (isStopped) {
          counters.refused.stopping += 1;
          answer(unavailable('the agent is stopping', STOPPING_RETRY_MS));
        } else if (inflated.state === 'too_large') {
          counters.refused.tooLarge += 1;
          answer(permanent(status.RESOURCE_EXHAUSTED, `the request inflates to more than ${maxMessageBytes} bytes`));
        } else if (inflated.state === 'corrupt') {
          counters.refused.undecodable += 1;
          answer(permanent(status.INVALID_ARGUMENT, 'the request is not what its grpc-encoding says'));
        } else {
          const outcome = requests.handle(inflated.bytes);
          if (outcome.ok) answer(null, outcome.response);
          else answer(outcome.status);
        }
      } catch (error) {
        counters.refused.internal += 1;
        onDefect(error);
        answer(permanent(status.INTERNAL, 'the agent failed to handle this request; its log says why'));
      }
    };
    const encoding = intake.encodingOf(call.metadata);
    if (encoding === undefined || !Inflater.isCompressed(call.request, encoding)) {
      handle({ state: 'done', bytes: call.request });
      return;
    }
    const inflated = inflater.inflate(call.request, encoding);
    if (inflated instanceof Promise) void inflated.then(handle);
    else handle(inflated);
  };
  const dropTraces: Handler = (_call, answer) => {
    counters.tracesDropped += 1;
    answer(null, FULL_SUCCESS);
  };
  const dropLogs: Handler = (_call, answer) => {
    counters.logsDropped += 1;
    answer(null, FULL_SUCCESS);
  };

  return {
    counters,

    get address() {
      return bound;
    },

    async start() {
      if (server !== undefined) throw new Error('the OTLP/gRPC receiver was already started');
      server = new Server({
        interceptors: [intake.interceptor],
        'grpc.max_receive_message_length': maxMessageBytes,
        'grpc.max_concurrent_streams': MAX_STREAMS_PER_CONNECTION,
        'grpc.keepalive_time_ms': KEEPALIVE_MS,
        'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
        // Its bookkeeping per call and message is of no use here.
        'grpc.enable_channelz': 0,
      });
      server.addService(exportService('metrics', 'MetricsService'), { export: exportMetrics });
      server.addService(exportService('trace', 'TraceService'), { export: dropTraces });
      server.addService(exportService('logs', 'LogsService'), { export: dropLogs });
      try {
        bound = await listenOn(server, address);
      } catch (error) {
        server.forceShutdown();
        server = undefined;
        throw error;
      }
    },

    async stop(deadline) {
      const running = server;
      if (running === undefined) return;
      await new Promise<void>((resolve) => {
        const breakOff = (): void => {
          running.forceShutdown();
          // Without its bookkeeping (channelz) grpc-js does not know the connections that it would have to end.
          intake.breakOff();
          resolve();
        };
        running.tryShutdown(() => {
          deadline.removeEventListener('abort', breakOff);
          resolve();
        });
        if (deadline.aborted) breakOff();
        else deadline.addEventListener('abort', breakOff, { once: true });
      });
      isStopped = true;
      bound = undefined;
    },

    evictIdle: (idleMs) => decoder.evictIdle(nowMs(), idleMs),
  };
}

/** The unary `Export` of one signal, with the bytes as they are: decoding is ours. */
function exportService(signal: string, service: string): ServiceDefinition {
  return {
    export: {
      path: `/opentelemetry.proto.collector.${signal}.v1.${service}/Export`,
      requestStream: false,
      responseStream: false,
      requestSerialize: (bytes: Buffer) => bytes,
      requestDeserialize: (bytes: Buffer) => bytes,
      responseSerialize: (bytes: Buffer) => bytes,
      responseDeserialize: (bytes: Buffer) => bytes,
    },
  };
}
