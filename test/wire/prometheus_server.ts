import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A server whose page a test changes between scrapes. */
export interface PageServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  answer: Answer;
  /** What was asked, in order. */
  readonly requests: IncomingMessage[];
  /** Connections that were made. */
  readonly connections: number;
  /** Resolves when that many requests have come in. */
  asked(count: number): Promise<void>;
  close(): Promise<void>;
}

export async function servePages(answer: Answer, port = 0): Promise<PageServer> {
  const requests: IncomingMessage[] = [];
  let connections = 0;
  const waiting: { count: number; resolve: () => void }[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    served.answer(request, response);
    for (const { count, resolve } of waiting) if (requests.length >= count) resolve();
  });
  server.on('connection', () => {
    connections += 1;
  });
  await listen(server, port);
  const bound = (server.address() as AddressInfo).port;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  const served: PageServer = {
    url: `http://127.0.0.1:${bound}/metrics`,
    port: bound,
    answer,
    requests,
    get connections() {
      return connections;
    },
    asked: (count) =>
      new Promise((resolve) => {
        waiting.push({ count, resolve });
        if (requests.length >= count) resolve();
      }),
    close,
    [Symbol.asyncDispose]: close,
  };
  return served;
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve());
  });
}

const TEXT = 'text/plain; version=0.0.4; charset=utf-8';
const OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

export function text(page: string, headers: Record<string, string> = {}): Answer {
  return (_, response) => void response.writeHead(200, { 'content-type': TEXT, ...headers }).end(page);
}

export function openMetrics(page: string): Answer {
  return text(page, { 'content-type': OPENMETRICS });
}

export function gzipped(page: string): Answer {
  return (_, response) =>
    void response.writeHead(200, { 'content-type': TEXT, 'content-encoding': 'gzip' }).end(gzipSync(page));
}

export function status(code: number, headers: Record<string, string> = {}): Answer {
  return (_, response) => void response.writeHead(code, headers).end('sorry');
}
