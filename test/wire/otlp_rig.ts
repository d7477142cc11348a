import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { ReceiverCounters } from '../../agent/adapters/otlp/counters.ts';
import { createOtlpGrpcReceiver } from '../../agent/adapters/otlp/grpc.ts';
import { createOtlpHttpReceiver, type OtlpHttpOptions } from '../../agent/adapters/otlp/http.ts';
import { createReception } from '../../agent/adapters/otlp/reception.ts';
import type { Acceptance, SampleBatch, SampleSink } from '../../agent/core/model.ts';
import type { Certificates } from '../../agent/rpc/certificates.ts';

/** Keeps what it is given, and answers what a test wants. */
export class MemorySink implements SampleSink {
  readonly batches: SampleBatch[] = [];
  answer: Acceptance = { state: 'accepted', rejected: 0 };
  freePoints = 1_000_000;

  accept(batch: SampleBatch): Acceptance {
    if (this.answer.state === 'accepted') this.batches.push(batch);
    return this.answer;
  }

  room(): { readonly free: number; readonly capacity: number } {
    return { free: this.freePoints, capacity: 1_000_000 };
  }

  get points(): number {
    return this.batches.reduce((sum, batch) => sum + batch.size, 0);
  }
}

export interface Rig extends AsyncDisposable {
  readonly sink: MemorySink;
  readonly defects: unknown[];
  /** Of gRPC and HTTP: `host:port` or `unix:/path`. */
  readonly address: string;
  readonly httpAddress: string;
  readonly receiver: {
    readonly counters: ReceiverCounters;
    evictIdle(idleMs: number): number;
    /** Both transports. */
    stop(deadline: AbortSignal): Promise<void>;
  };
}

export interface RigOptions {
  readonly address: string;
  readonly httpAddress: string;
  readonly sink: SampleSink;
  readonly maxMessageBytes: number;
  readonly maxInFlightBytes: number;
  readonly maxSeries: number;
  readonly residentBytes: () => number;
  readonly nowMs: () => number;
  readonly certificates: Certificates;
  readonly timeouts: NonNullable<OtlpHttpOptions['timeouts']>;
}

/** A receiver with both of its transports, as the agent builds it. */
export async function startReceiver(change: Partial<RigOptions> = {}): Promise<Rig> {
  const sink = new MemorySink();
  const defects: unknown[] = [];
  const reception = createReception({
    sink: change.sink ?? sink,
    maxSeries: change.maxSeries ?? 1_000,
    maxResidentBytes: 1_000,
    residentBytes: change.residentBytes ?? (() => 0),
    nowMs: change.nowMs ?? (() => 0),
    onDefect: (error) => defects.push(error),
  });
  const transport = {
    reception,
    maxMessageBytes: change.maxMessageBytes ?? 1024 * 1024,
    maxInFlightBytes: change.maxInFlightBytes ?? 4 * 1024 * 1024,
    certificates: change.certificates,
  };
  const grpc = createOtlpGrpcReceiver({ ...transport, address: change.address ?? '127.0.0.1:0' });
  const http = createOtlpHttpReceiver({
    ...transport,
    address: change.httpAddress ?? '127.0.0.1:0',
    paths: { metrics: '/v1/metrics', traces: '/v1/traces', logs: '/v1/logs' },
    ...(change.timeouts !== undefined && { timeouts: change.timeouts }),
  });
  const stop = async (deadline: AbortSignal): Promise<void> => {
    await Promise.all([grpc.stop(deadline), http.stop(deadline)]);
  };
  await grpc.start();
  await http.start().catch(async (error: unknown) => {
    await stop(AbortSignal.abort());
    throw error;
  });
  return {
    sink,
    defects,
    address: grpc.address ?? '',
    httpAddress: http.address ?? '',
    receiver: { counters: reception.counters, evictIdle: reception.evictIdle, stop },
    [Symbol.asyncDispose]: () => stop(AbortSignal.abort()),
  };
}

export const METRICS = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export';
export const TRACES = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
export const LOGS = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';

export type Answer =
  | { readonly ok: true; readonly response: Buffer }
  | { readonly ok: false; readonly error: ServiceError };

export interface RawClient extends Disposable {
  send(bytes: Uint8Array, path?: string): Promise<Answer>;
}

/** A gRPC client that sends what it is told, as bytes. */
export function rawClient(address: string, compression: 'gzip' | 'deflate' | 'none' = 'none'): RawClient {
  const algorithm = { none: 0, deflate: 1, gzip: 2 }[compression];
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.default_compression_algorithm': algorithm,
    'grpc.max_send_message_length': -1,
    'grpc.use_local_subchannel_pool': 1,
  });
  const same = (bytes: Buffer): Buffer => bytes;
  return {
    send: (bytes, path = METRICS) =>
      new Promise((resolve) => {
        client.makeUnaryRequest(path, same, same, Buffer.from(bytes), new Metadata(), (error, response) => {
          resolve(error === null ? { ok: true, response: response ?? Buffer.alloc(0) } : { ok: false, error });
        });
      }),
    [Symbol.dispose]: () => client.close(),
  };
}

/** The message of a call as gRPC frames it. */
export function framed(bytes: Uint8Array, isCompressed = false): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(isCompressed ? 1 : 0, 0);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

export interface RawSession extends Disposable {
  readonly session: ClientHttp2Session;
  /** Opens a call and leaves it open: the caller writes frames, late, wrong or never. */
  open(encoding?: string): ClientHttp2Stream;
}

/** HTTP/2 without gRPC's manners. */
export function rawSession(address: string): RawSession {
  const session = connect(`http://${address}`);
  session.on('error', () => {});
  return {
    session,
    open: (encoding) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': METRICS,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...(encoding !== undefined && { 'grpc-encoding': encoding }),
      });
      stream.on('error', () => {});
      return stream;
    },
    [Symbol.dispose]: () => session.destroy(),
  };
}

/** What a call on a raw session ends with. */
export function statusOf(stream: ClientHttp2Stream): Promise<{ readonly code: number; readonly details: string }> {
  return new Promise((resolve) => {
    const seen = (headers: Record<string, unknown>): void => {
      const code = headers['grpc-status'];
      if (code !== undefined) resolve({ code: Number(code), details: String(headers['grpc-message'] ?? '') });
    };
    stream.on('response', seen);
    stream.on('trailers', seen);
    stream.on('close', () => resolve({ code: -1, details: 'closed without a status' }));
    stream.resume();
  });
}
