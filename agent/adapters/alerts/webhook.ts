import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { type BackoffOptions, backoffMs } from '../../core/backoff.ts';

export interface WebhookOptions {
  /** `http://…` or `https://…`. */
  readonly url: string;
  /** Sent with every request; never logged. */
  readonly headers: Readonly<Record<string, string>>;
  /** One attempt may take this long. */
  readonly timeoutMs: number;
  readonly retry: BackoffOptions & { readonly maxAttempts: number };
  /** Messages that wait; beyond, the oldest is given up. */
  readonly maxQueued: number;
  readonly tls: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
  readonly onNotice: (notice: WebhookNotice) => void;
  readonly random?: () => number;
}

/** Told when it begins to fail, when a message is given up, and when it works again. */
export type WebhookNotice =
  | { readonly kind: 'failing'; readonly why: string }
  | { readonly kind: 'given_up'; readonly why: string }
  | { readonly kind: 'working' };

export interface WebhookCounts {
  readonly queued: number;
  readonly delivered: number;
  readonly retries: number;
  /** Given up: the queue was full, the attempts were used up, it was refused for good, or the agent stopped. */
  readonly dropped: {
    readonly full: number;
    readonly failed: number;
    readonly refused: number;
    readonly stopped: number;
  };
}

export interface Webhook {
  /** Returns at once; what is sent waits for its turn. Never throws. */
  send(message: object): void;
  /** Delivers what is left until the deadline, without waiting between attempts, and gives up the rest. */
  stop(deadline: AbortSignal): Promise<void>;
  readonly counts: WebhookCounts;
}

/** Statuses after which the same message may succeed later. */
function isRetryable(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

type Outcome =
  | { readonly state: 'delivered' }
  | { readonly state: 'refused'; readonly why: string }
  | { readonly state: 'again'; readonly why: string; readonly afterMs?: number };

const MAX_WHY = 200;

/** Posts messages as JSON, one after another, in order. Redirects are not followed: a secret header must not go elsewhere. */
export function createWebhook(options: WebhookOptions): Webhook {
  return new PostingWebhook(options);
}

class PostingWebhook implements Webhook {
  readonly #options: WebhookOptions;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #queue: string[] = [];
  readonly #dropped = { full: 0, failed: 0, refused: 0, stopped: 0 };
  #delivered = 0;
  #retries = 0;
  #isFailing = false;
  #stopping: AbortSignal | undefined;
  #working: Promise<void> | undefined;
  /** Ends the present wait between two attempts. */
  #hurry: (() => void) | undefined;

  constructor(options: WebhookOptions) {
    this.#options = options;
    const isSecure = new URL(options.url).protocol === 'https:';
    this.#agent = isSecure
      ? new HttpsAgent({ keepAlive: true, maxSockets: 1, ...options.tls })
      : new HttpAgent({ keepAlive: true, maxSockets: 1 });
  }

  get counts(): WebhookCounts {
    return {
      queued: this.#queue.length,
      delivered: this.#delivered,
      retries: this.#retries,
      dropped: { ...this.#dropped },
    };
  }

  send(message: object): void {
    if (this.#stopping !== undefined) {
      this.#dropped.stopped++;
      return;
    }
    this.#queue.push(JSON.stringify(message));
    // The first may be under way: it stays, and the oldest that waits goes.
    while (this.#queue.length > this.#options.maxQueued) {
      this.#queue.splice(Math.min(1, this.#queue.length - 1), 1);
      this.#dropped.full++;
    }
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async stop(deadline: AbortSignal): Promise<void> {
    this.#stopping = deadline;
    this.#hurry?.();
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const onAbort = (): void => resolve();
    if (deadline.aborted) resolve();
    deadline.addEventListener('abort', onAbort, { once: true });
    await Promise.race([this.#working, over]);
    deadline.removeEventListener('abort', onAbort);
    this.#dropped.stopped += this.#queue.splice(0).length;
    this.#agent.destroy();
  }

  async #work(): Promise<void> {
    for (let body = this.#queue[0]; body !== undefined; body = this.#queue[0]) {
      await this.#deliver(body);
      this.#queue.shift();
    }
  }

  async #deliver(body: string): Promise<void> {
    const { maxAttempts } = this.#options.retry;
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#post(body);
      if (outcome.state === 'delivered') {
        this.#delivered++;
        if (this.#isFailing) this.#options.onNotice({ kind: 'working' });
        this.#isFailing = false;
        return;
      }
      const { why } = outcome;
      // It was still in the queue when the deadline came, and counted there.
      if (this.#stopping?.aborted === true) return;
      const isLast = attempt >= maxAttempts;
      if (outcome.state === 'refused' || isLast) {
        this.#dropped[outcome.state === 'refused' ? 'refused' : 'failed']++;
        this.#isFailing = true;
        return this.#options.onNotice({ kind: 'given_up', why });
      }
      if (!this.#isFailing) this.#options.onNotice({ kind: 'failing', why });
      this.#isFailing = true;
      this.#retries++;
      await this.#pause(attempt, outcome.afterMs);
    }
  }

  #post(body: string): Promise<Outcome> {
    const { url, headers, timeoutMs } = this.#options;
    const request = this.#agent instanceof HttpsAgent ? httpsRequest : httpRequest;
    return new Promise((resolve) => {
      const call = request(url, {
        agent: this.#agent,
        method: 'POST',
        signal: AbortSignal.timeout(timeoutMs),
        headers: {
          'user-agent': 'performance-optimizer',
          ...headers,
          'content-type': 'application/json; charset=utf-8',
          'content-length': Buffer.byteLength(body),
        },
      });
      call.once('response', (response) => {
        // Its words are not needed; read so that the connection can be used again, but not without end.
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > 65_536) call.destroy();
        });
        const done = (): void => resolve(outcomeOf(response));
        for (const end of ['end', 'error', 'close'] as const) response.once(end, done);
      });
      call.on('error', (error: NodeJS.ErrnoException) => {
        const isTimeout = error.name === 'TimeoutError' || error.name === 'AbortError';
        const why = isTimeout ? `no answer within ${timeoutMs} ms` : error.message || (error.code ?? 'no connection');
        resolve({ state: 'again', why: why.slice(0, MAX_WHY) });
      });
      call.end(body);
    });
  }

  async #pause(failures: number, askedMs: number | undefined): Promise<void> {
    if (this.#stopping !== undefined) return;
    const waitMs = backoffMs(failures, askedMs, this.#options.retry, (this.#options.random ?? Math.random)());
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, waitMs);
    timer.unref();
    this.#hurry = resolve;
    await promise;
    clearTimeout(timer);
    this.#hurry = undefined;
  }
}

function outcomeOf({ statusCode = 0, headers }: IncomingMessage): Outcome {
  if (statusCode >= 200 && statusCode < 300) return { state: 'delivered' };
  const why = `HTTP ${statusCode}`;
  if (!isRetryable(statusCode)) return { state: 'refused', why };
  const seconds = Number(headers['retry-after']);
  return { state: 'again', why, ...(Number.isFinite(seconds) && seconds >= 0 && { afterMs: seconds * 1_000 }) };
}
