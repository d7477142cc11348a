import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server as HttpServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Metadata, Server, ServerCredentials, type StatusObject, type status } from '@grpc/grpc-js';
import { pino } from 'pino';
import { TELEMETRY_SIGNALS, type TelemetrySignal } from '../../agent/adapters/upstream/raw_sink.ts';
import { createUpstream, type Upstream, type UpstreamOptions } from '../../agent/adapters/upstream/upstream.ts';

/** One request as an upstream got it, uncompressed. */
export interface Arrived {
  readonly signal: TelemetrySignal;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** What an upstream answers; `undefined`: it never does. */
export type Reply =
  | { readonly state: 'taken'; readonly response?: Buffer }
  | { readonly state: 'grpc'; readonly status: StatusObject }
  | { readonly state: 'http'; readonly code: number; readonly headers?: Readonly<Record<string, string>> }
  | undefined;

export const TAKEN: Reply = { state: 'taken' };

/** A real server that keeps what it is sent. Waiting is for arrivals, never for time. */
export class FakeUpstream {
  readonly protocol: 'grpc' | 'http';
  readonly arrived: Arrived[] = [];
  /** Attempts that were answered with something else than success. */
  readonly turnedAway: Arrived[] = [];
  reply: (request: Arrived) => Reply = () => TAKEN;
  #waiting = new Set<() => void>();
  #grpc: Server | undefined;
  #http: HttpServer | undefined;
  #port = 0;

  constructor(protocol: 'grpc' | 'http') {
    this.protocol = protocol;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** Again on the same port after `stop`. With `tls`, clients must show a certificate. */
  async start({ tls = false } = {}): Promise<this> {
    if (this.protocol === 'grpc') await this.#startGrpc(tls);
    else await this.#startHttp(tls);
    return this;
  }

  async stop(): Promise<void> {
    this.#grpc?.forceShutdown();
    this.#grpc = undefined;
    const http = this.#http;
    this.#http = undefined;
    if (http === undefined) return;
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** As soon as a predicate holds of what has arrived or was turned away. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  async count(requests: number): Promise<readonly Arrived[]> {
    await this.until(() => this.arrived.length >= requests);
    return this.arrived;
  }

  #take(request: Arrived): Reply {
    const reply = this.reply(request);
    (reply?.state === 'taken' ? this.arrived : this.turnedAway).push(request);
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
    return reply;
  }

  async #startGrpc(tls: boolean): Promise<void> {
    const server = new Server({ 'grpc.max_receive_message_length': -1 });
    const names = { metrics: 'metrics.v1.Metrics', traces: 'trace.v1.Trace', logs: 'logs.v1.Logs' };
    for (const signal of TELEMETRY_SIGNALS) {
      const same = (bytes: Buffer): Buffer => bytes;
      server.addService(
        {
          export: {
            path: `/opentelemetry.proto.collector.${names[signal]}Service/Export`,
            requestStream: false,
            responseStream: false,
            requestSerialize: same,
            requestDeserialize: same,
            responseSerialize: same,
            responseDeserialize: same,
          },
        },
        {
          export: (
            call: { request: Buffer; metadata: Metadata },
            answer: (error: StatusObject | null, response?: Buffer) => void,
          ) => {
            const headers = Object.fromEntries(
              Object.entries(call.metadata.getMap()).map(([name, value]) => [name, String(value)]),
            );
            const reply = this.#take({ signal, body: call.request, headers });
            if (reply?.state === 'grpc') answer(reply.status);
            else if (reply?.state === 'taken') answer(null, reply.response ?? Buffer.alloc(0));
          },
        },
      );
    }
    const credentials = tls
      ? ServerCredentials.createSsl(
          pem('ca.pem'),
          [{ cert_chain: pem('server.pem'), private_key: pem('server.key') }],
          true,
        )
      : ServerCredentials.createInsecure();
    this.#port = await new Promise((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.#port}`, credentials, (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
    this.#grpc = server;
  }

  async #startHttp(tls: boolean): Promise<void> {
    const server = tls
      ? createHttpsServer({
          ca: pem('ca.pem'),
          cert: pem('server.pem'),
          key: pem('server.key'),
          requestCert: true,
          rejectUnauthorized: true,
        })
      : createServer();
    server.on('request', (call, answer: ServerResponse) => {
      const chunks: Buffer[] = [];
      call.on('data', (chunk: Buffer) => chunks.push(chunk));
      call.on('end', () => {
        const raw = Buffer.concat(chunks);
        const body = call.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw;
        const signal = TELEMETRY_SIGNALS.find((one) => call.url === `/prefix/v1/${one}`);
        if (signal === undefined || call.method !== 'POST') {
          answer.writeHead(404).end();
          return;
        }
        const reply = this.#take({ signal, body, headers: flat(call.headers) });
        if (reply?.state === 'http') answer.writeHead(reply.code, reply.headers ?? {}).end('words');
        else if (reply?.state === 'taken') answer.writeHead(200).end(reply.response ?? '');
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    const address = server.address();
    this.#port = typeof address === 'object' && address !== null ? address.port : 0;
    this.#http = server;
  }
}

function flat(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}

export function pemPath(name: string): string {
  return join(import.meta.dirname, 'upstream_tls', name);
}

function pem(name: string): Buffer {
  return readFileSync(pemPath(name));
}

/** For `grpc` replies. */
export function grpcStatus(code: status, details = '', statusDetails?: Buffer): Reply {
  const metadata = new Metadata();
  if (statusDetails !== undefined) metadata.set('grpc-status-details-bin', statusDetails);
  return { state: 'grpc', status: { code, details, metadata } };
}

export interface UpstreamRig extends AsyncDisposable {
  readonly upstream: Upstream;
  readonly log: Record<string, unknown>[];
  stop(): Promise<void>;
}

/** What the tests have in common: quick retries, and a queue in memory unless a path is given. */
export async function startUpstream(
  server: Pick<FakeUpstream, 'protocol' | 'endpoint'>,
  change: Partial<Omit<UpstreamOptions, 'queue'>> & { readonly queue?: Partial<UpstreamOptions['queue']> } = {},
): Promise<UpstreamRig> {
  const log: Record<string, unknown>[] = [];
  const upstream = createUpstream({
    endpoint: server.protocol === 'http' ? `${server.endpoint}/prefix` : server.endpoint,
    protocol: server.protocol,
    headers: {},
    compression: 'none',
    timeoutMs: 5_000,
    retry: { initialMs: 2, maxMs: 20 },
    tls: { ca: null, cert: null, key: null },
    log: pino({ level: 'debug' }, { write: (line: string) => log.push(JSON.parse(line)) }),
    nowMs: () => Date.now(),
    ...change,
    queue: { path: null, maxBytes: 2 ** 26, maxMemoryBytes: 2 ** 24, maxAgeMs: 3_600_000, ...change.queue },
  });
  await upstream.start();
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= upstream.stop(AbortSignal.timeout(5_000));
    return stopped;
  };
  return { upstream, log, stop, [Symbol.asyncDispose]: stop };
}

export function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'perfopt-upstream-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
