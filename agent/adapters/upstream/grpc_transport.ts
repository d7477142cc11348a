import { type ChannelCredentials, Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { partialSuccessOf, retryDelayMs } from './answer.ts';
import type { Outcome, Transport } from './outcome.ts';
import type { Entry } from './queue.ts';
import type { TelemetrySignal } from './raw_sink.ts';
import type { TlsMaterial } from './tls.ts';
import { jsonToProtobuf } from './transcode.ts';
import { VIA_HEADER } from './via.ts';

export interface TransportOptions {
  /** `http://host:port` or `https://host:port`; over HTTP with a path that the signals' own are added to. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly compression: 'gzip' | 'none';
  /** One attempt may take this long. */
  readonly timeoutMs: number;
  readonly tls: TlsMaterial;
}

const PATHS: Readonly<Record<TelemetrySignal, string>> = {
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
  traces: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  logs: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
};

/** What the OTLP specification lets a client try again; RESOURCE_EXHAUSTED only with RetryInfo. */
const RETRYABLE: ReadonlySet<number> = new Set([
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]);

/** In the words of grpc-js: no byte of the request has left. */
const NEVER_SENT = /^(?:No connection established|Name resolution failed)/;
/** In the words of grpc-js: the connection broke, which the upstream itself did not mean as an answer. */
const BROKEN_OFF = /RST_STREAM|ECONNRESET|EPIPE|without gRPC status|Connection dropped/;

/** OTLP over gRPC: the bytes as they came, in whatever compression the channel uses. */
export function createGrpcTransport({ endpoint, headers, compression, timeoutMs, tls }: TransportOptions): Transport {
  const { host, protocol } = new URL(endpoint);
  const secure = protocol === 'https:';
  const target = /:\d+$/.test(host) ? host : `${host}:${secure ? 443 : 80}`;
  const client = new Client(target, secure ? secureCredentials(tls) : credentials.createInsecure(), {
    'grpc.default_compression_algorithm': compression === 'gzip' ? 2 : 0,
    'grpc.max_send_message_length': -1,
    // Retrying is ours, with the queue behind it.
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
    // An upstream that is back is noticed within this long.
    'grpc.initial_reconnect_backoff_ms': 500,
    'grpc.max_reconnect_backoff_ms': 5_000,
  });

  return {
    send(entry, via) {
      const body = bodyOf(entry);
      if (body === undefined) {
        return Promise.resolve({
          state: 'refused',
          reason: 'json_unreadable',
          why: 'its JSON is no OTLP request, and gRPC has no JSON',
        });
      }
      const metadata = new Metadata();
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      metadata.set(VIA_HEADER, via);
      return new Promise((resolve) => {
        client.makeUnaryRequest(
          PATHS[entry.signal],
          same,
          same,
          body,
          metadata,
          { deadline: Date.now() + timeoutMs },
          (error, response) => {
            resolve(error === null ? delivered(response) : failed(error));
          },
        );
      });
    },
    close: () => client.close(),
  };
}

const same = (bytes: Buffer): Buffer => bytes;

function bodyOf({ encoding, signal, body }: Entry): Buffer | undefined {
  const bytes = encoding === 'json' ? jsonToProtobuf(signal, body) : body;
  return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function secureCredentials({ ca, cert, key }: TlsMaterial): ChannelCredentials {
  return credentials.createSsl(ca ?? null, key ?? null, cert ?? null);
}

function delivered(response: Buffer | undefined): Outcome {
  return { state: 'delivered', ...partialSuccessOf(response ?? new Uint8Array(0)) };
}

function failed(error: ServiceError): Outcome {
  const name = status[error.code] ?? String(error.code);
  const why = `${name}: ${error.details}`;
  const [details] = error.metadata?.get('grpc-status-details-bin') ?? [];
  const afterMs = details instanceof Buffer ? retryDelayMs(details) : undefined;
  const isBroken = BROKEN_OFF.test(error.details);
  const isAgain =
    RETRYABLE.has(error.code) ||
    (error.code === status.RESOURCE_EXHAUSTED && afterMs !== undefined) ||
    // How grpc-js reports a connection that ended in the middle of a call.
    ((error.code === status.INTERNAL || error.code === status.UNKNOWN) && isBroken);
  if (!isAgain) return { state: 'refused', reason: name.toLowerCase(), why };
  const isUnclear = afterMs === undefined && !NEVER_SENT.test(error.details);
  return { state: 'again', why, isUnclear, ...(afterMs !== undefined && { afterMs }) };
}
