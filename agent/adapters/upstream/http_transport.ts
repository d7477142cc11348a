import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { gzip } from 'node:zlib';
import { partialSuccessOf, partialSuccessOfJson } from './answer.ts';
import type { TransportOptions } from './grpc_transport.ts';
import type { Outcome, Transport } from './outcome.ts';
import type { Entry } from './queue.ts';
import { VIA_HEADER } from './via.ts';

/** What the OTLP specification lets a client try again. */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);
/** No upstream needs more words than this. */
const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_WHY = 300;
const CONNECTION_NEVER_MADE: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

/** OTLP over HTTP: the bytes as they came, protobuf or JSON, to `/v1/metrics`, `/v1/traces`, `/v1/logs` below the endpoint. */
export function createHttpTransport({ endpoint, headers, compression, timeoutMs, tls }: TransportOptions): Transport {
  const base = endpoint.replace(/\/+$/, '');
  const secure = new URL(base).protocol === 'https:';
  const options = { keepAlive: true, maxSockets: 8 };
  const agent = secure ? new HttpsAgent({ ...options, ...tls }) : new HttpAgent(options);
  const request = secure ? httpsRequest : httpRequest;

  return {
    async send(entry, via) {
      const body = compression === 'gzip' ? await gzipped(entry.body) : entry.body;
      return new Promise((resolve) => {
        const call = request(`${base}/v1/${entry.signal}`, {
          agent,
          method: 'POST',
          signal: AbortSignal.timeout(timeoutMs),
          headers: {
            ...headers,
            [VIA_HEADER]: via,
            'content-type': entry.encoding === 'json' ? 'application/json' : 'application/x-protobuf',
            'content-length': body.length,
            ...(compression === 'gzip' && { 'content-encoding': 'gzip' }),
          },
        });
        answerOf(call, entry, resolve);
        call.end(body);
      });
    },
    close: () => agent.destroy(),
  };
}

function answerOf(call: ClientRequest, entry: Entry, resolve: (outcome: Outcome) => void): void {
  let answer: IncomingMessage | undefined;
  const chunks: Buffer[] = [];
  let bytes = 0;
  const done = (): void => {
    if (answer !== undefined) resolve(outcomeOf(answer, Buffer.concat(chunks), entry));
  };
  call.once('response', (response) => {
    answer = response;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_ANSWER_BYTES) chunks.push(chunk);
      else call.destroy();
    });
    response.once('end', done);
    // The status has come, and it decides; what follows it are words.
    response.once('error', done);
    response.once('close', done);
  });
  call.on('error', (error: NodeJS.ErrnoException) => {
    if (answer !== undefined) return;
    const isTimeout = error.name === 'TimeoutError' || error.name === 'AbortError';
    const why = isTimeout ? 'no answer in time' : error.message || (error.code ?? 'the connection failed');
    resolve({ state: 'again', why, isUnclear: !CONNECTION_NEVER_MADE.has(error.code ?? '') });
  });
}

function outcomeOf({ statusCode = 0, headers }: IncomingMessage, body: Buffer, { encoding }: Entry): Outcome {
  if (statusCode >= 200 && statusCode < 300) {
    return { state: 'delivered', ...(encoding === 'json' ? partialSuccessOfJson(body) : partialSuccessOf(body)) };
  }
  const words = body.toString().replaceAll(/[^\x20-\x7e]+/g, ' ');
  const why = `HTTP ${statusCode} ${words}`.trim().slice(0, MAX_WHY);
  if (!RETRYABLE.has(statusCode)) return { state: 'refused', reason: `http_${statusCode}`, why };
  const afterMs = retryAfterMs(headers['retry-after'], Date.now());
  return { state: 'again', why, isUnclear: false, ...(afterMs !== undefined && { afterMs }) };
}

/** `Retry-After`: seconds, or a date. */
export function retryAfterMs(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000;
  const atMs = Date.parse(value);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}

function gzipped(body: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    gzip(body, { level: 1 }, (error, zipped) => (error === null ? resolve(zipped) : reject(error)));
  });
}
