import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { setTimeout as wait } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { requests } from '../../wire/otlp_load.ts';
import { framed, METRICS } from '../../wire/otlp_rig.ts';
import { decodeStatus } from '../../wire/otlp_schema.ts';

/** As a collector batches. Small requests would cost the sender as much as the receiver, and it would be the one to fail. */
export const POINTS_PER_REQUEST = 5_000;
const UNAVAILABLE = 14;
const VARIANTS = 16;
/** Of one connection. A receiver that allows fewer makes the rest wait at the sender. */
const MAX_OPEN = 128;
const MAX_CONNECTIONS = 256;
const FIRST_CONNECTIONS = 16;

export interface Answers {
  /** Asked for by the pace. */
  offered: number;
  /** Of these, never sent: every stream of 256 connections was waiting for an answer. */
  heldBack: number;
  /** Given up by the sender, as exporters do, because no answer came in time: what an overloaded receiver should not let happen. */
  timedOut: number;
  accepted: number;
  /** UNAVAILABLE, in words and with a time to come back, by those words. */
  refused: Record<string, number>;
  /** Anything else, and why it is not as the protocol says. */
  malformed: Record<string, number>;
}

const count = (counts: Record<string, number>, key: string): void => {
  counts[key] = (counts[key] ?? 0) + 1;
};

/**
 * Requests of 5,000 points, gzipped beforehand: they cost a sender little and a receiver the inflating and the decoding,
 * so one process can offer several times what another can take on a machine of two cores.
 */
export class Flood implements Disposable {
  readonly #frames = requests(POINTS_PER_REQUEST, VARIANTS).map((bytes) => framed(gzipSync(bytes), true));
  readonly #address: string;
  readonly #connections: Connection[] = [];
  readonly #timeoutMs: number;
  #turn = 0;

  constructor(address: string, timeoutMs: number) {
    this.#address = address;
    this.#timeoutMs = timeoutMs;
    for (let i = 0; i < FIRST_CONNECTIONS; i++) this.#connections.push({ session: this.#connect(), open: 0 });
  }

  /** As many as are answered, with a few always on the way. Returns the points accepted a second. */
  async closedLoop(seconds: number): Promise<number> {
    const answers = newAnswers();
    const startedMs = performance.now();
    const lane = async (): Promise<void> => {
      while (performance.now() - startedMs < 1_000 * seconds) await this.#send(answers);
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    return (answers.accepted * POINTS_PER_REQUEST) / ((performance.now() - startedMs) / 1_000);
  }

  /** Requests at a pace, whatever becomes of those before. Ends when the last one is answered. */
  async openLoop(requestsPerSecond: number, seconds: number): Promise<Answers> {
    const answers = newAnswers();
    const open = new Set<Promise<void>>();
    const startedMs = performance.now();
    for (;;) {
      const elapsedMs = Math.min(performance.now() - startedMs, 1_000 * seconds);
      const due = Math.floor((elapsedMs / 1_000) * requestsPerSecond);
      for (; answers.offered < due; answers.offered++) {
        if (this.#pick() === undefined) {
          answers.heldBack += 1;
          continue;
        }
        const sent = this.#send(answers);
        open.add(sent);
        void sent.then(() => open.delete(sent));
      }
      if (elapsedMs >= 1_000 * seconds) break;
      await wait(5);
    }
    await Promise.all(open);
    return answers;
  }

  /** One request; whether it was accepted. */
  async one(): Promise<boolean> {
    const answers = newAnswers();
    await this.#send(answers);
    return answers.accepted === 1;
  }

  [Symbol.dispose](): void {
    for (const { session } of this.#connections) session.destroy();
  }

  #connect(): ClientHttp2Session {
    const session = connect(`http://${this.#address}`);
    session.on('error', () => {});
    return session;
  }

  #send(answers: Answers): Promise<void> {
    const connection = this.#pick();
    if (connection === undefined) throw new Error('more requests on the way than there are streams');
    connection.open += 1;
    const { promise, resolve } = Promise.withResolvers<void>();
    const stream = connection.session.request({
      ':method': 'POST',
      ':path': METRICS,
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-encoding': 'gzip',
    });
    let end: Record<string, unknown> | undefined;
    const seen = (headers: Record<string, unknown>): void => {
      if (headers['grpc-status'] !== undefined) end = headers;
    };
    stream.on('response', seen);
    stream.on('trailers', seen);
    stream.on('error', () => {});
    // Once: a stream that is given up may close long after, or never, when its connection has died.
    let isOver = false;
    const finish = (conclude: () => void): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      connection.open -= 1;
      conclude();
      resolve();
    };
    const timer = setTimeout(() => {
      finish(() => {
        answers.timedOut += 1;
      });
      stream.close(constants.NGHTTP2_CANCEL);
    }, this.#timeoutMs);
    stream.on('close', () => finish(() => judge(end, answers)));
    stream.resume();
    stream.end(this.#frames[this.#turn % VARIANTS]);
    return promise;
  }

  /** A connection with a free stream, a new one where none has; `undefined`: all are in use. */
  #pick(): Connection | undefined {
    for (let tried = 0; tried < this.#connections.length; tried++) {
      this.#turn += 1;
      const connection = this.#connections[this.#turn % this.#connections.length]!;
      if (connection.session.destroyed || connection.session.closed) connection.session = this.#connect();
      if (connection.open < MAX_OPEN) return connection;
    }
    if (this.#connections.length >= MAX_CONNECTIONS) return undefined;
    const added = { session: this.#connect(), open: 0 };
    this.#connections.push(added);
    return added;
  }
}

interface Connection {
  session: ClientHttp2Session;
  open: number;
}

const newAnswers = (): Answers => ({ offered: 0, heldBack: 0, timedOut: 0, accepted: 0, refused: {}, malformed: {} });

/** A refusal that an exporter may retry has code 14, a message, and a `google.rpc.Status` with RetryInfo that agrees. */
function judge(end: Record<string, unknown> | undefined, answers: Answers): void {
  if (end === undefined) return count(answers.malformed, 'ended without a status');
  const code = Number(end['grpc-status']);
  if (code === 0) {
    answers.accepted += 1;
    return;
  }
  const words = decodeURIComponent(String(end['grpc-message'] ?? ''));
  if (code !== UNAVAILABLE) return count(answers.malformed, `code ${code}: ${words}`);
  const details = Buffer.from(String(end['grpc-status-details-bin'] ?? ''), 'base64');
  if (!details.includes('type.googleapis.com/google.rpc.RetryInfo')) return count(answers.malformed, 'no RetryInfo');
  const told = decodeStatus(details);
  if (told.code !== code || told.message !== words || words === '') return count(answers.malformed, 'details disagree');
  count(answers.refused, words);
}
