import { readFile } from 'node:fs/promises';
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Failure } from './counts.ts';
import type { Format } from './line.ts';

export interface FetchOptions {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Read anew for every page, because tokens are rotated. */
  readonly bearerTokenFile?: string;
  readonly timeoutMs: number;
  /** Of the page, decompressed. */
  readonly maxBytes: number;
}

/** A page that did not come whole. The message never holds a header, a token, or a password of the address. */
export class FetchError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure, message: string, cause?: unknown) {
    super(message, { cause });
    this.failure = failure;
  }
}

/** Receives the page: `begin` once its format is known, then its bytes. Both run synchronously. */
export interface PageReceiver {
  begin(format: Format): void;
  push(bytes: Uint8Array): void;
}

const ACCEPT =
  'application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,' +
  'text/plain;version=0.0.4;q=0.3,*/*;q=0.1';
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Servers that mount their page as an application answer its path with one redirect, to the same with a slash. */
const MAX_REDIRECTS = 3;

/** Gets one target's page again and again, over a connection that is kept. */
export class PageFetcher {
  readonly #options: FetchOptions;
  readonly #agent: HttpAgent;

  constructor(options: FetchOptions) {
    this.#options = options;
    const agentOptions = { keepAlive: true, maxSockets: 2, maxFreeSockets: 1 };
    this.#agent = options.url.protocol === 'https:' ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
  }

  /** Resolves when the page has ended, with its decompressed size; rejects with a `FetchError`, or with a defect. */
  async fetch(receiver: PageReceiver, signal: AbortSignal): Promise<number> {
    const { timeoutMs } = this.#options;
    const under = new AbortController();
    const stop = (): void => under.abort();
    let isLate = false;
    const deadline = setTimeout(() => {
      isLate = true;
      under.abort();
    }, timeoutMs);
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await this.#follow(receiver, under.signal);
    } catch (error) {
      // Whatever is still open goes with it.
      under.abort();
      // What a request ends with when it is aborted depends on how far it was.
      if (isLate) throw new FetchError('timeout', `no whole page within ${timeoutMs} ms`, error);
      if (error instanceof FetchError || !isOperational(error)) throw error;
      throw new FetchError('unreachable', reasonOf(error), error);
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener('abort', stop);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #follow(receiver: PageReceiver, signal: AbortSignal): Promise<number> {
    const headers = await this.#headers();
    let url = this.#options.url;
    for (let redirects = 0; ; redirects++) {
      const response = await this.#request(url, headers, signal);
      const target = redirectOf(response, url);
      if (target === undefined) return await this.#read(response, receiver);
      response.resume();
      if (redirects === MAX_REDIRECTS) throw new FetchError('status', `more than ${MAX_REDIRECTS} redirects`);
      url = target;
    }
  }

  async #headers(): Promise<Record<string, string>> {
    const { headers, bearerTokenFile, timeoutMs } = this.#options;
    const own = {
      accept: ACCEPT,
      'accept-encoding': 'gzip',
      'user-agent': 'performance-optimizer',
      'x-prometheus-scrape-timeout-seconds': String(timeoutMs / 1_000),
      ...headers,
    };
    if (bearerTokenFile === undefined) return own;
    try {
      return { ...own, authorization: `Bearer ${(await readFile(bearerTokenFile, 'utf8')).trim()}` };
    } catch (error) {
      throw new FetchError('credentials', `the token cannot be read: ${reasonOf(error)}`, error);
    }
  }

  async #request(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<IncomingMessage> {
    const first = this.#send(url, headers, signal);
    try {
      return await first.response;
    } catch (error) {
      // A kept connection can close under the request. The server has not answered it, and reading a page changes nothing.
      if (!first.request.reusedSocket || signal.aborted) throw error;
      return await this.#send(url, headers, signal).response;
    }
  }

  #send(
    url: URL,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): { readonly request: ClientRequest; readonly response: Promise<IncomingMessage> } {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    const request = send(url, { headers, agent: this.#agent, signal });
    request.once('response', resolve);
    // Not `once`: a request can fail again while it is being torn down.
    request.on('error', reject);
    request.end();
    return { request, response: promise };
  }

  async #read(response: IncomingMessage, receiver: PageReceiver): Promise<number> {
    const { maxBytes } = this.#options;
    const encoding = response.headers['content-encoding'] ?? 'identity';
    try {
      if (response.statusCode !== 200) throw new FetchError('status', `the answer is status ${response.statusCode}`);
      if (encoding !== 'gzip' && encoding !== 'identity') {
        throw new FetchError('encoding', `the page is encoded as ${encoding}; allowed: gzip, identity`);
      }
      receiver.begin(formatOf(response.headers['content-type']));
      // What goes wrong is told by the end of the pipeline, which is read here.
      const body = encoding === 'gzip' ? pipeline(response, createGunzip(), () => {}) : response;
      let size = 0;
      for await (const chunk of body) {
        if (!(chunk instanceof Uint8Array)) continue;
        size += chunk.length;
        if (size > maxBytes) throw new FetchError('too_large', `the page is larger than ${maxBytes} bytes`);
        receiver.push(chunk);
      }
      return size;
    } catch (error) {
      if (error instanceof FetchError || !isOperational(error)) throw error;
      const failure = String(error.code).startsWith('Z_') ? 'encoding' : 'truncated';
      throw new FetchError(failure, `the page broke off: ${reasonOf(error)}`, error);
    }
  }
}

/** Only to the same server: what is sent along is meant for no other. */
function redirectOf({ statusCode, headers }: IncomingMessage, from: URL): URL | undefined {
  if (statusCode === undefined || !REDIRECTS.has(statusCode) || headers.location === undefined) return undefined;
  const to = URL.parse(headers.location, from.href);
  if (to?.origin !== from.origin) throw new FetchError('status', 'the answer redirects to another server');
  return to;
}

/** Whatever does not say that it is OpenMetrics is read as text 0.0.4: servers label that in many ways. */
function formatOf(contentType: string | undefined): Format {
  return contentType?.trim().toLowerCase().startsWith('application/openmetrics-text') === true ? 'openmetrics' : 'text';
}

/** What the network and zlib report has a code; a defect of ours has none and is not to pass for a broken page. */
function isOperational(error: unknown): error is Error & { readonly code: unknown } {
  return error instanceof Error && 'code' in error;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Several addresses were tried: the error itself is empty then.
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  return error.message;
}
