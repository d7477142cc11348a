import { Agent, request } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { decodeResponse, decodeStatus } from '../../wire/otlp_schema.ts';

/** What a receiver may take to answer before it counts as not answering. */
const PATIENCE_MS = 30_000;
export const METRICS_METHOD = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export';
export const PROTOBUF = 'application/x-protobuf';
export const JSON_TYPE = 'application/json';

export interface Partial {
  readonly rejected: number;
  readonly message: string;
}

export interface GrpcAnswer {
  /** -1: the call ended without a status. */
  readonly code: number;
  readonly message: string;
  readonly details: Buffer;
  readonly response: Buffer;
}

/** The message of a call as gRPC frames it. */
export function framed(bytes: Uint8Array, isCompressed = false): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(isCompressed ? 1 : 0, 0);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

export const hasRetryInfo = ({ details }: GrpcAnswer): boolean => details.includes('google.rpc.RetryInfo');

/** A gRPC call that is still being sent. */
export interface OpenCall {
  write(bytes: Buffer): Promise<void>;
  end(): void;
  /** Breaks off without a word. */
  destroy(): void;
  readonly answer: Promise<GrpcAnswer>;
}

/** gRPC by hand, over one connection: whatever bytes a check wants, well framed or not. */
export class GrpcClient implements Disposable {
  readonly #session: ClientHttp2Session;

  constructor(address: string) {
    // In megabytes; the default would end the session over a request larger than itself.
    this.#session = connect(`http://${address}`, { maxSessionMemory: 1_024 });
    this.#session.on('error', () => {});
  }

  open(encoding?: string, path = METRICS_METHOD): OpenCall {
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(encoding !== undefined && { 'grpc-encoding': encoding }),
    });
    const answer = new Promise<GrpcAnswer>((resolve) => {
      const chunks: Buffer[] = [];
      let code = -1;
      let message = 'no answer';
      let details = Buffer.alloc(0);
      const seen = (headers: Record<string, unknown>): void => {
        if (headers['grpc-status'] === undefined) return;
        code = Number(headers['grpc-status']);
        message = decodeURIComponent(String(headers['grpc-message'] ?? ''));
        details = Buffer.from(String(headers['grpc-status-details-bin'] ?? ''), 'base64');
      };
      stream.on('response', seen);
      stream.on('trailers', seen);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', (error) => {
        if (code < 0) message = error.message;
      });
      stream.on('close', () => resolve({ code, message, details, response: Buffer.concat(chunks).subarray(5) }));
      stream.setTimeout(PATIENCE_MS, () => stream.destroy());
    });
    const closed = answer.then(() => {});
    return {
      answer,
      write: (bytes) => {
        if (stream.destroyed || stream.closed) return closed;
        return Promise.race([closed, new Promise<void>((resolve) => stream.write(bytes, () => resolve()))]);
      },
      end: () => void stream.end(),
      destroy: () => void stream.destroy(),
    };
  }

  async send(frame: Uint8Array, encoding?: string, path?: string): Promise<GrpcAnswer> {
    const call = this.open(encoding, path);
    void call.write(Buffer.from(frame));
    call.end();
    return call.answer;
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }
}

export function partialOf(answer: GrpcAnswer): Partial | undefined {
  const partial = decodeResponse(answer.response);
  return partial && { rejected: Number(partial.rejectedDataPoints), message: partial.errorMessage };
}

export interface HttpAnswer {
  /** 0: there was none. */
  readonly status: number;
  readonly type: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

export interface Post {
  readonly path?: string;
  readonly method?: string;
  /** `null`: none. */
  readonly type?: string | null;
  readonly encoding?: string;
}

/** An HTTP request that is still being sent. */
export interface OpenPost {
  write(bytes: Buffer): Promise<void>;
  end(): void;
  destroy(): void;
  readonly answer: Promise<HttpAnswer>;
}

export class HttpClient implements Disposable {
  readonly #address: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(address: string) {
    this.#address = address;
  }

  open({ path = '/v1/metrics', method = 'POST', type = PROTOBUF, encoding }: Post, length?: number): OpenPost {
    const call = request(`http://${this.#address}${path}`, {
      method,
      agent: this.#agent,
      headers: {
        ...(type !== null && { 'content-type': type }),
        ...(encoding !== undefined && { 'content-encoding': encoding }),
        ...(length !== undefined && { 'content-length': length }),
      },
    });
    const answer = new Promise<HttpAnswer>((resolve) => {
      const none = (): void => resolve({ status: 0, type: '', headers: {}, body: Buffer.from('no answer') });
      call.on('error', none);
      call.setTimeout(PATIENCE_MS, () => call.destroy());
      call.on('close', none);
      call.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', none);
        response.on('end', () => {
          const { statusCode = 0, headers } = response;
          resolve({ status: statusCode, type: headers['content-type'] ?? '', headers, body: Buffer.concat(chunks) });
        });
      });
    });
    const closed = answer.then(() => {});
    return {
      answer,
      write: (bytes) => Promise.race([closed, new Promise<void>((resolve) => call.write(bytes, () => resolve()))]),
      end: () => void call.end(),
      destroy: () => void call.destroy(),
    };
  }

  async send(body: Uint8Array | string, how: Post = {}): Promise<HttpAnswer> {
    const bytes = Buffer.from(body);
    const call = this.open(how, bytes.length);
    if (bytes.length > 0) void call.write(bytes);
    call.end();
    return call.answer;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** `undefined` where the answer says full success; throws on what is no export response. */
export function httpPartialOf({ type, body }: HttpAnswer): Partial | undefined {
  if (!type.startsWith(JSON_TYPE)) {
    const partial = decodeResponse(body);
    return partial && { rejected: Number(partial.rejectedDataPoints), message: partial.errorMessage };
  }
  const { partialSuccess } = JSON.parse(body.toString());
  if (partialSuccess === undefined) return undefined;
  const { rejectedDataPoints = 0, errorMessage = '' } = partialSuccess;
  return { rejected: Number(rejectedDataPoints), message: String(errorMessage) };
}

/** The `google.rpc.Status` in an error's body, in the encoding that the answer names; `undefined` where it is none. */
export function statusOf({ type, body }: HttpAnswer): { readonly code: number; readonly message: string } | undefined {
  try {
    const status = type.startsWith(JSON_TYPE) ? JSON.parse(body.toString()) : decodeStatus(body);
    return Number.isInteger(status.code) && typeof status.message === 'string' && status.code > 0 ? status : undefined;
  } catch {
    // What cannot be read is no Status: that is the finding.
    return undefined;
  }
}
