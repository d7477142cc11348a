import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { parseAddress } from '../../rpc/address.ts';
import type { Certificates } from '../../rpc/certificates.ts';
import { type Admitted, WEIGHTLESS } from './door.ts';
import type { OtlpTransport } from './grpc.ts';
import { BodyCollector } from './http_body.ts';
import { compressionOf, errorBody, type Media, mediaOf, successBody } from './http_media.ts';
import { type Arriving, InFlight } from './in_flight.ts';
import { type Encoding, type Inflated, Inflater } from './inflate.ts';
import { JsonTranscoder } from './json_transcoder.ts';
import { listenHttpOn } from './listen.ts';
import { leave, type Signal, VIA } from './raw_sink.ts';
import type { Reception } from './reception.ts';
import { type Outcome, OVERLOADED, RETRY_MS } from './requests.ts';
import type { Work } from './turns.ts';

export interface OtlpHttpOptions {
  readonly reception: Reception;
  /** `host:port`, `[ipv6]:port` (port 0: any that is free) or `unix:/path`. */
  readonly address: string;
  readonly paths: { readonly metrics: string; readonly traces: string; readonly logs: string };
  /** Largest request, also after decompression. */
  readonly maxMessageBytes: number;
  /** Most bytes of requests between their first byte and their answer, all clients together. */
  readonly maxInFlightBytes: number;
  /** Encrypted where given. */
  readonly certificates?: Certificates | undefined;
  readonly timeouts?: Partial<typeof TIMEOUTS>;
}

const TIMEOUTS = {
  /** Exporters come every 10 to 60 seconds: a connection that is closed between two of them is one to make again. */
  keepAliveTimeout: 75_000,
  /** A client that sends its headers, or its body, slower than this is only holding the connection. */
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  connectionsCheckingInterval: 2_000,
};
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_CONNECTIONS = 1_024;
const CODES = { invalid: 400, too_large: 413, failed: 500 } as const;

/**
 * OTLP over HTTP: metrics into the sink, and everything on to the upstream; without one, traces and logs are answered with
 * success and dropped, and counted.
 */
export function createOtlpHttpReceiver(options: OtlpHttpOptions): OtlpTransport {
  const { reception, paths, maxMessageBytes, maxInFlightBytes, certificates } = options;
  const { counters, requests, gate, door, turns, upstream } = reception;
  const address = parseAddress(options.address);
  const signals = new Map<string, Signal>([
    [paths.metrics, 'metrics'],
    [paths.traces, 'traces'],
    [paths.logs, 'logs'],
  ]);
  const inFlight = new InFlight(maxInFlightBytes, counters);
  const bodies = new BodyCollector(inFlight, maxMessageBytes);
  const inflater = new Inflater(maxMessageBytes);
  const transcoder = new JsonTranscoder({ maxBytes: maxMessageBytes });
  let server: Server | undefined;
  let bound: string | undefined;
  let isStopping = false;
  let isStopped = false;

  const answer = (response: ServerResponse, code: number, media: Media, body: Buffer, more: string[] = []): void => {
    if (response.headersSent || response.destroyed) return;
    if (isStopping) response.shouldKeepAlive = false;
    response.writeHead(code, ['Content-Type', media, 'Content-Length', String(body.length), ...more]);
    response.end(body);
  };
  const refuse = (response: ServerResponse, code: number, media: Media, why: string, more?: string[]): void => {
    answer(response, code, media, errorBody(media, code, why), more);
    // The rest of it is read and thrown away, so that the client sees the answer and can go on.
    response.req.resume();
  };
  const postpone = (response: ServerResponse, code: 429 | 503, media: Media, why: string, retryMs: number): void =>
    refuse(response, code, media, why, ['Retry-After', String(Math.max(1, Math.ceil(retryMs / 1_000)))]);

  const conclude = (response: ServerResponse, media: Media, outcome: Outcome): void => {
    const { state, message } = outcome;
    if (state === 'taken') answer(response, 200, media, successBody(media, outcome.rejected, message));
    else if (state === 'unavailable') postpone(response, 503, media, message, outcome.retryAfterMs);
    else refuse(response, CODES[state], media, message);
  };

  const handle = (
    response: ServerResponse,
    signal: Signal,
    media: Media,
    admitted: Admitted,
    inflated: Inflated,
  ): Work | undefined => {
    const isJson = media === 'application/json';
    return requests.take(inflated, {
      ...{ signal, admitted, isStopped: () => isStopped },
      ...(isJson && { transcoder }),
      conclude: (outcome) => {
        if (outcome.state !== 'taken' || inflated.state !== 'done' || upstream === undefined)
          return conclude(response, media, outcome);
        // A copy: these bytes are only lent, and a small body would keep the whole chunk that it came in.
        const body = Buffer.from(inflated.bytes);
        const via = String(response.req.headers[VIA] ?? '');
        leave(upstream, { signal, body, encoding: isJson ? 'json' : 'protobuf', via }, (kept) => {
          if (kept.state === 'kept') conclude(response, media, outcome);
          else postpone(response, 503, media, 'too much waits for the disk of the upstream queue', kept.retryAfterMs);
        });
      },
    });
  };

  const take = (
    request: IncomingMessage,
    response: ServerResponse,
    signal: Signal,
    media: Media,
    encoding: Encoding | 'none',
  ): void => {
    const arriving: Arriving = {
      heldBytes: 0,
      isReleased: false,
      refuse: () => postpone(response, 429, media, 'too many bytes of requests in work', RETRY_MS.inFlight),
    };
    inFlight.add(arriving);
    response.once('close', () => inFlight.release(arriving));
    bodies.collect(
      request,
      arriving,
      (chunks, bytes) => {
        // Asked when it began to arrive, and again: others have arrived meanwhile.
        const admitted = signal === 'metrics' ? door.enter(`${media} ${encoding}`, bytes) : WEIGHTLESS;
        if (admitted === undefined) {
          counters.refused.overloaded += 1;
          turns.refused();
          return postpone(response, 503, media, OVERLOADED, RETRY_MS.overloaded);
        }
        const go = (inflated: Inflated): Work | undefined => handle(response, signal, media, admitted, inflated);
        turns.run(() => {
          if (response.destroyed) {
            counters.refused.abandoned += 1;
            door.leave(admitted);
            return undefined;
          }
          // Nothing at all is an empty request, however it was meant to be compressed.
          if (encoding === 'none' || bytes === 0) return go({ state: 'done', bytes: bodies.joinBriefly(chunks) });
          const inflated = inflater.inflate(Buffer.concat(chunks), encoding);
          if (!(inflated instanceof Promise)) return go(inflated);
          void inflated.then((late) => turns.run(() => go(late)));
          return undefined;
        });
      },
      () => {
        inFlight.release(arriving);
        counters.refused.tooLarge += 1;
        refuse(response, 413, media, `the request has more than ${maxMessageBytes} bytes`);
      },
    );
  };

  const onRequest: RequestListener = (request, response) => {
    const { headers, url = '' } = request;
    const query = url.indexOf('?');
    const signal = signals.get(query < 0 ? url : url.slice(0, query));
    const media = mediaOf(headers['content-type']);
    const unsupported = (code: number, why: string, more?: string[]): void => {
      counters.refused.unsupported += 1;
      refuse(response, code, media ?? 'application/json', why, more);
    };
    if (signal === undefined) return unsupported(404, `no such path; there are ${[...signals.keys()].join(', ')}`);
    if (request.method !== 'POST') return unsupported(405, 'only POST is allowed', ['Allow', 'POST']);
    if (media === undefined) {
      return unsupported(415, 'Content-Type must be application/x-protobuf or application/json');
    }
    const encoding = compressionOf(headers['content-encoding']);
    if (encoding === undefined) {
      const more = ['Accept-Encoding', 'gzip, deflate, zstd'];
      return unsupported(415, 'Content-Encoding must be gzip, deflate, zstd or identity', more);
    }
    const declared = headers['content-length'];
    const bytes = declared === undefined ? Number.POSITIVE_INFINITY : Number(declared);
    if (declared !== undefined && bytes > maxMessageBytes) {
      counters.refused.tooLarge += 1;
      return refuse(response, 413, media, `the request has ${bytes} bytes; allowed are ${maxMessageBytes}`);
    }
    if (signal !== 'metrics' && upstream === undefined) {
      request.resume();
      request.on('end', () => {
        if (signal === 'traces') counters.tracesDropped += 1;
        else counters.logsDropped += 1;
        answer(response, 200, media, successBody(media, 0, ''));
      });
      return;
    }
    if (!gate.admits(bytes)) {
      counters.refused.memory += 1;
      return postpone(response, 503, media, 'the agent is short of memory', RETRY_MS.memory);
    }
    if (signal === 'metrics' && !door.hasRoom(`${media} ${encoding}`, declared === undefined ? 0 : bytes)) {
      counters.refused.overloaded += 1;
      turns.refused();
      return postpone(response, 503, media, OVERLOADED, RETRY_MS.overloaded);
    }
    take(request, response, signal, media, encoding);
  };

  const onClientError = (error: NodeJS.ErrnoException, socket: Duplex): void => {
    // Already answered, or gone.
    if (!socket.writable || error.code === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    counters.refused.badHttp += 1;
    const [code, phrase] = PROTOCOL_ERRORS.get(error.code ?? '') ?? [400, 'Bad Request'];
    const body = errorBody('application/json', code, `not a request of HTTP/1.1 as allowed here: ${error.message}`);
    const head = `HTTP/1.1 ${code} ${phrase}\r\nConnection: close\r\nContent-Type: application/json`;
    socket.end(Buffer.concat([Buffer.from(`${head}\r\nContent-Length: ${body.length}\r\n\r\n`), body]));
  };

  return {
    get address() {
      return bound;
    },

    async start() {
      if (server !== undefined) throw new Error('the OTLP/HTTP receiver was already started');
      const settings = { ...TIMEOUTS, ...options.timeouts, maxHeaderSize: MAX_HEADER_BYTES, noDelay: true };
      if (certificates === undefined) server = createServer(settings, onRequest);
      else {
        const { context, requiresClient } = certificates;
        const secure = createSecureServer(
          { ...settings, ...context, requestCert: requiresClient, rejectUnauthorized: requiresClient },
          onRequest,
        );
        certificates.onChange((changed) => secure.setSecureContext(changed));
        // A handshake that fails ends its own connection and nothing else.
        secure.on('tlsClientError', (_error, socket) => socket.destroy());
        server = secure;
      }
      server.maxConnections = MAX_CONNECTIONS;
      server.on('drop', () => {
        counters.connectionsDropped += 1;
      });
      server.on('clientError', onClientError);
      try {
        bound = await listenHttpOn(server, address);
      } catch (error) {
        server = undefined;
        throw error;
      }
    },

    async stop(deadline) {
      const running = server;
      if (running === undefined || isStopped) return;
      isStopping = true;
      await new Promise<void>((resolve) => {
        const breakOff = (): void => {
          isStopped = true;
          running.closeAllConnections();
        };
        running.close(() => {
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

const PROTOCOL_ERRORS: ReadonlyMap<string, readonly [number, string]> = new Map([
  ['HPE_HEADER_OVERFLOW', [431, 'Request Header Fields Too Large']],
  ['ERR_HTTP_REQUEST_TIMEOUT', [408, 'Request Timeout']],
]);
