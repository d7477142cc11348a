/**
 * A voice-activity server: POST 16 kHz audio to /v1/vad, get the probability of speech of each 32 ms frame. A real model
 * behind dynamic batching, as inference servers have it, with four knobs that an agent may tune. It serves the same
 * without an agent and without a collector.
 *
 *     node deploy/demo/server.ts --port 8080 --otlp http://127.0.0.1:4317 --agent unix:/tmp/perfopt/control.sock
 *
 * Tried by hand: POST /admin/knobs with {"max_batch_size": 8} sets values as an operator of this server would.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { parseArgs } from 'node:util';
import { type Clip, FRAME_SAMPLES, MAX_FRAMES, parseClip } from './audio.ts';
import { Batcher, type Refusal } from './batcher.ts';
import { type Knobs, openKnobs } from './knobs.ts';
import { ModelPool } from './model.ts';
import { COMPONENT } from './names.ts';
import { startTelemetry, type Telemetry } from './telemetry.ts';

const MAX_BODY_BYTES = MAX_FRAMES * FRAME_SAMPLES * 4;
const QUEUE_CAPACITY = 1_024;
const JSON_HEADERS = { 'content-type': 'application/json' };

interface Job {
  readonly clip: Clip;
  readonly sinceMs: number;
  readonly response: ServerResponse;
}

class VadServer {
  readonly #batcher: Batcher<Job>;
  readonly #pool: ModelPool;
  readonly #knobs: Knobs;
  #telemetry: Telemetry | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(pool: ModelPool, knobs: Knobs) {
    this.#pool = pool;
    this.#knobs = knobs;
    this.#batcher = new Batcher<Job>(
      knobs.policy,
      QUEUE_CAPACITY,
      (jobs) => this.#launch(jobs),
      (job, why) => this.#refuse(job, why),
    );
  }

  measureWith(telemetry: Telemetry): void {
    this.#telemetry = telemetry;
  }

  readonly gauges = { queued: () => this.#batcher.queued, inFlight: () => this.#batcher.inFlight };

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    const sinceMs = performance.now();
    if (request.url === '/v1/vad' && request.method === 'POST') {
      readBody(request, response, (body) => {
        const clip = parseClip(body, request.headers['content-type'] ?? '');
        if ('error' in clip) this.#answer(response, sinceMs, 400, { error: clip.error }, 'bad_clip');
        else {
          this.#batcher.offer({ clip, sinceMs, response }, performance.now());
          this.pump();
        }
      });
    } else if (request.url === '/admin/knobs' && request.method === 'GET') {
      send(response, 200, this.#knobs.read());
    } else if (request.url === '/admin/knobs' && request.method === 'POST') {
      readBody(request, response, (body) => {
        const error = this.#knobs.setByHand(body.toString());
        send(response, error === undefined ? 200 : 400, error === undefined ? this.#knobs.read() : { error });
        this.pump();
      });
    } else if (request.url === '/healthz') {
      send(response, 200, { status: 'serving' });
    } else {
      request.resume();
      send(response, 404, { error: `no ${request.method} ${request.url} here; there is POST /v1/vad` });
    }
  };

  /** Something happened (a request, a finished run, a knob that moved): what waits may start now. */
  pump(): void {
    clearTimeout(this.#timer);
    const nowMs = performance.now();
    const againAtMs = this.#batcher.pump(nowMs);
    if (againAtMs !== undefined) this.#timer = setTimeout(() => this.pump(), againAtMs - nowMs);
  }

  #launch(jobs: readonly Job[]): void {
    this.#telemetry?.launched(jobs.length);
    this.#pool
      .run(jobs.map((job) => job.clip))
      .then(
        (results) =>
          jobs.forEach((job, index) => {
            const probabilities = Array.from(results[index]!, (p) => Math.round(p * 10_000) / 10_000);
            this.#answer(job.response, job.sinceMs, 200, { speech: Math.max(...probabilities), probabilities });
          }),
        (error: unknown) => {
          console.error(`vad-server: a model run failed: ${error}`);
          for (const job of jobs) this.#answer(job.response, job.sinceMs, 500, { error: 'model run failed' }, 'model');
        },
      )
      .finally(() => {
        this.#batcher.finished();
        this.pump();
      });
  }

  #refuse(job: Job, why: Refusal): void {
    this.#answer(job.response, job.sinceMs, 503, { error: why }, why);
  }

  #answer(response: ServerResponse, sinceMs: number, status: number, body: object, errorType?: string): void {
    send(response, status, body);
    this.#telemetry?.answered(performance.now() - sinceMs, status, errorType);
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { ...JSON_HEADERS, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function readBody(request: IncomingMessage, response: ServerResponse, done: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
  });
  request.on('end', () => {
    if (bytes > MAX_BODY_BYTES) send(response, 413, { error: `body is ${bytes} bytes; allowed: ${MAX_BODY_BYTES}` });
    else done(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
  });
}

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string', default: '8080' },
    otlp: { type: 'string' },
    agent: { type: 'string' },
    'export-interval-ms': { type: 'string', default: '500' },
  },
});

const MAX_CONCURRENCY = 4;
const pool = new ModelPool();
await pool.start(MAX_CONCURRENCY);
const knobs = await openKnobs(flags.agent, MAX_CONCURRENCY, () => vad.pump());
const vad = new VadServer(pool, knobs);
const telemetry =
  flags.otlp === undefined
    ? undefined
    : startTelemetry(COMPONENT, flags.otlp, Number(flags['export-interval-ms']), vad.gauges);
if (telemetry !== undefined) vad.measureWith(telemetry);

const http = createServer({ keepAliveTimeout: 60_000 }, vad.handle);
http.listen(Number(flags.port), '127.0.0.1', () => {
  const address = http.address();
  const port = typeof address === 'object' && address !== null ? address.port : Number(flags.port);
  // Who forked it gets the port as a message, and does the talking.
  if (process.send !== undefined) process.send({ listening: port });
  else console.error(`vad-server: POST audio to http://127.0.0.1:${port}/v1/vad (pid ${process.pid})`);
});

const stop = async (): Promise<void> => {
  http.close();
  http.closeAllConnections();
  knobs.close();
  await Promise.allSettled([telemetry?.stop(), pool.stop()]);
  process.exit(0);
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
// Whoever started it with a channel is gone: so is it.
process.once('disconnect', stop);
