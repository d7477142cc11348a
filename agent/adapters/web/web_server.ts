import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Family } from './exposition.ts';
import { CONTENT_TYPES, negotiate, renderMetrics } from './exposition.ts';
import { refusalOf } from './guard.ts';
import type { Status } from './status.ts';

/** Where the pages get what they show; each is asked when its page is. */
export interface WebPages {
  metrics(): readonly Family[];
  status(): Status;
  /** Why the agent should not be sent telemetry; `undefined` when it should. */
  notReady(): string | undefined;
}

export interface WebServerOptions {
  /** Port 0: any that is free. */
  readonly host: string;
  readonly port: number;
  /** Needed beyond loopback, and then asked for in every request but those of the two probes. */
  readonly key: string | null;
  readonly pages: WebPages;
  readonly onDefect: (error: unknown) => void;
}

export interface WebServer {
  /** `host:port`; `undefined` unless started. */
  readonly address: string | undefined;
  /** Throws `WebListenError` when the address cannot be had. */
  start(): Promise<void>;
  stop(deadline: AbortSignal): Promise<void>;
}

/** An address that cannot be listened on, and what can be done about it. */
export class WebListenError extends Error {
  override name = 'WebListenError';
}

const MAX_CONNECTIONS = 64;
const MAX_HEADER_BYTES = 8 * 1024;
const HEADERS_TIMEOUT_MS = 5_000;
/** Beyond the usual intervals of scrapes and probes, so that a connection is used again. */
const KEEP_ALIVE_MS = 65_000;
const PAGES = ['/metrics', '/status', '/healthz', '/readyz'] as const;

interface Page {
  readonly code: number;
  readonly type: string;
  readonly body: string;
}

/** The pages that show what the agent does. They can be read and nothing else: no request changes anything. */
export function createWebServer({ host, port, key, pages, onDefect }: WebServerOptions): WebServer {
  let server: Server | undefined;
  let bound: string | undefined;

  const page = (path: string, accept: string | undefined): Page => {
    switch (path) {
      // It answers, so the event loop turns: that is all that a restart could mend.
      case '/healthz':
        return text(200, 'ok');
      case '/readyz': {
        const why = pages.notReady();
        return why === undefined ? text(200, 'ok') : text(503, why);
      }
      case '/metrics': {
        const format = negotiate(accept);
        return { code: 200, type: CONTENT_TYPES[format], body: renderMetrics(pages.metrics(), format) };
      }
      case '/status':
        return {
          code: 200,
          type: 'application/json; charset=utf-8',
          body: `${JSON.stringify(pages.status(), null, 2)}\n`,
        };
      default:
        return text(404, `no such page; there are ${PAGES.join(', ')}`);
    }
  };

  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { method, url = '', headers } = request;
    const path = url.split('?', 1)[0] ?? '';
    const isProbe = path === '/healthz' || path === '/readyz';
    // A probe of the container's host comes by another name and without a key, and learns one word.
    const refusal = isProbe && key !== null ? undefined : refusalOf(headers, key);
    if (refusal !== undefined) {
      if (refusal.code === 401) response.setHeader('www-authenticate', 'Bearer');
      send(request, response, text(refusal.code, refusal.why));
    } else if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      send(request, response, text(405, 'these pages can only be read'));
    } else send(request, response, page(path, headers.accept));
  };

  return {
    get address() {
      return bound;
    },

    async start() {
      const starting = createServer(
        { maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: KEEP_ALIVE_MS },
        (request, response) => {
          // Nobody sends a body here; what comes is thrown away, so that the connection can go on.
          request.resume();
          try {
            answer(request, response);
          } catch (error) {
            onDefect(error);
            if (response.headersSent) response.destroy();
            else send(request, response, text(500, 'the agent failed to make this page; its log says why'));
          }
        },
      );
      starting.maxConnections = MAX_CONNECTIONS;
      starting.headersTimeout = HEADERS_TIMEOUT_MS;
      starting.requestTimeout = 2 * HEADERS_TIMEOUT_MS;
      await listen(starting, host, port);
      const address = starting.address();
      const at = typeof address === 'object' && address !== null ? address.port : port;
      bound = host.includes(':') ? `[${host}]:${at}` : `${host}:${at}`;
      server = starting;
    },

    async stop(deadline) {
      const stopping = server;
      if (stopping === undefined) return;
      server = undefined;
      bound = undefined;
      const closed = new Promise<void>((resolve) => stopping.close(() => resolve()));
      stopping.closeIdleConnections();
      const breakOff = (): void => stopping.closeAllConnections();
      if (deadline.aborted) breakOff();
      else deadline.addEventListener('abort', breakOff, { once: true });
      await closed;
      deadline.removeEventListener('abort', breakOff);
    },
  };
}

function text(code: number, body: string): Page {
  return { code, type: 'text/plain; charset=utf-8', body: `${body}\n` };
}

function send(request: IncomingMessage, response: ServerResponse, { code, type, body }: Page): void {
  response.writeHead(code, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'",
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const advice =
        error.code === 'EADDRINUSE'
          ? 'another process (another agent) is listening there; stop it, set web.address to another port, or to null for no pages'
          : 'set web.address to an address of this machine, or to null for no pages';
      reject(new WebListenError(`the pages cannot listen on ${host}:${port}: ${error.message}; ${advice}`));
    });
    server.listen(port, host, resolve);
  });
}
