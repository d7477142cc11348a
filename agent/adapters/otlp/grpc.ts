import { type handleUnaryCall, Server, type ServiceDefinition, type StatusObject, status } from '@grpc/grpc-js';
import { parseAddress } from '../../rpc/address.ts';
import type { Certificates } from '../../rpc/certificates.ts';
import { WEIGHTLESS } from './door.ts';
import { type Inflated, Inflater } from './inflate.ts';
import { formatOf, Intake } from './intake.ts';
import { listenOn } from './listen.ts';
import { leave, type Signal, viaOf } from './raw_sink.ts';
import type { Reception } from './reception.ts';
import { type Outcome, OVERLOADED, RETRY_MS } from './requests.ts';
import { exportResponse, FULL_SUCCESS } from './response.ts';
import { permanent, unavailable } from './status.ts';
import type { Work } from './turns.ts';

export interface OtlpGrpcOptions {
  readonly reception: Reception;
  /** `host:port`, `[ipv6]:port` (port 0: any that is free) or `unix:/path`. */
  readonly address: string;
  /** Largest request, also after decompression. */
  readonly maxMessageBytes: number;
  /** Most bytes of requests between their first byte and their answer, all clients together. */
  readonly maxInFlightBytes: number;
  /** Encrypted where given. */
  readonly certificates?: Certificates | undefined;
}

/** One transport of the OTLP receiver. */
export interface OtlpTransport {
  /** Where it listens, with the port that it got; `undefined` unless started. */
  readonly address: string | undefined;
  /** Throws `OtlpListenError` when the address cannot be had. */
  start(): Promise<void>;
  /** Lets requests that are arriving finish until the deadline. After it returns, nothing reaches the sink. */
  stop(deadline: AbortSignal): Promise<void>;
}

/**
 * Requests in parallel on one connection; exporters send one at a time, collectors some tens. Well above what anybody needs: Node counts a
 * stream until its object is gone, which is later than the client has its answer, and resets what comes
 * beyond (ENHANCE_YOUR_CALM, no status), so that a client that used the whole allowance would lose requests.
 */
const MAX_STREAMS_PER_CONNECTION = 1_024;
/** A peer that is silently gone (a container that was killed) is noticed after about this long. */
const KEEPALIVE_MS = 120_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
const NO_BYTES = Buffer.alloc(0);

type Handler = handleUnaryCall<Buffer, Buffer>;

/**
 * OTLP over gRPC: metrics into the sink, and everything on to the upstream; without one, traces and logs are answered with
 * success and dropped, and counted.
 */
export function createOtlpGrpcReceiver(options: OtlpGrpcOptions): OtlpTransport {
  const { reception, maxMessageBytes, maxInFlightBytes, certificates } = options;
  const { counters, requests, door, turns, upstream } = reception;
  const address = parseAddress(options.address);
  const intake = new Intake(maxInFlightBytes, maxMessageBytes, reception, pathOf('metrics', 'MetricsService'));
  const inflater = new Inflater(maxMessageBytes);
  let server: Server | undefined;
  let bound: string | undefined;
  let isStopped = false;

  const exportOf =
    (signal: Signal): Handler =>
    (call, answer) => {
      const encoding = intake.encodingOf(call.metadata);
      // Asked when it began to arrive, and again: others have arrived meanwhile.
      const admitted = signal === 'metrics' ? door.enter(formatOf(encoding), call.request.length) : WEIGHTLESS;
      if (admitted === undefined) {
        counters.refused.overloaded += 1;
        turns.refused();
        return answer(unavailable(OVERLOADED, RETRY_MS.overloaded));
      }
      const handle = (inflated: Inflated): Work | undefined =>
        requests.take(inflated, {
          ...{ signal, admitted, isStopped: () => isStopped },
          conclude: (outcome) => {
            if (outcome.state !== 'taken') return answer(refusal(outcome));
            // What was not inflated was not taken.
            const body = inflated.state === 'done' ? inflated.bytes : NO_BYTES;
            const { rejected, message } = outcome;
            leave(upstream, { signal, body, encoding: 'protobuf', via: viaOf(call.metadata) }, (kept) => {
              if (kept.state === 'kept') answer(null, exportResponse(rejected, message));
              else answer(unavailable('too much waits for the disk of the upstream queue', kept.retryAfterMs));
            });
          },
        });
      turns.run(() => {
        if (call.cancelled) {
          counters.refused.abandoned += 1;
          door.leave(admitted);
          return undefined;
        }
        if (encoding === undefined || !Inflater.isCompressed(call.request, encoding))
          return handle({ state: 'done', bytes: call.request });
        const inflated = inflater.inflate(call.request, encoding);
        if (!(inflated instanceof Promise)) return handle(inflated);
        void inflated.then((late) => turns.run(() => handle(late)));
        return undefined;
      });
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
      server.addService(exportService('metrics', 'MetricsService'), { export: exportOf('metrics') });
      server.addService(exportService('trace', 'TraceService'), {
        export: upstream === undefined ? dropTraces : exportOf('traces'),
      });
      server.addService(exportService('logs', 'LogsService'), {
        export: upstream === undefined ? dropLogs : exportOf('logs'),
      });
      try {
        bound = await listenOn(server, address, certificates);
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
  };
}

const CODES = {
  invalid: status.INVALID_ARGUMENT,
  too_large: status.RESOURCE_EXHAUSTED,
  failed: status.INTERNAL,
} as const;

function refusal(outcome: Exclude<Outcome, { state: 'taken' }>): StatusObject {
  if (outcome.state === 'unavailable') return unavailable(outcome.message, outcome.retryAfterMs);
  return permanent(CODES[outcome.state], outcome.message);
}

function pathOf(signal: string, service: string): string {
  return `/opentelemetry.proto.collector.${signal}.v1.${service}/Export`;
}

/** The unary `Export` of one signal, with the bytes as they are: decoding is ours. */
function exportService(signal: string, service: string): ServiceDefinition {
  return {
    export: {
      path: pathOf(signal, service),
      requestStream: false,
      responseStream: false,
      requestSerialize: (bytes: Buffer) => bytes,
      requestDeserialize: (bytes: Buffer) => bytes,
      responseSerialize: (bytes: Buffer) => bytes,
      responseDeserialize: (bytes: Buffer) => bytes,
    },
  };
}
