/**
 * The load generator: open loop, in its own process. Requests are sent when they are due, whatever became of the ones
 * before, and a latency counts from when its request was due (no coordinated omission). Driven by messages from the
 * process that forked it; see `LoadOrder` and `LoadReport`.
 */
import { Worker } from 'node:worker_threads';
import { randomFrom, type Shape } from './arrivals.ts';
import { monotonicMs } from './clock.ts';
import { encodeRequest, HttpClient } from './http-client.ts';
import type { PacerTask } from './pacer.ts';
import { makeClip } from './voice.ts';

export type LoadOrder =
  /** Keep `connections` requests under way for a while: what can the server do at most? */
  | { readonly order: 'saturate'; readonly connections: number; readonly warmUpMs: number; readonly measureMs: number }
  | { readonly order: 'start'; readonly shape: Shape; readonly seed: number }
  /** Report on the requests that are due within a time from now. */
  | { readonly order: 'measure'; readonly id: number; readonly afterMs: number; readonly forMs: number }
  | { readonly order: 'stop' };

/** What became of the requests that were due within `forMs`. */
export interface Measurement {
  readonly forMs: number;
  /** Of the requests answered with 200, in milliseconds from when each was due. */
  readonly latenciesMs: Float64Array;
  /** Answered otherwise, not answered, or not sent because too many were under way. */
  readonly errors: number;
}
export type LoadReport =
  | { readonly report: 'ready' }
  | { readonly report: 'saturated'; readonly perSecond: number }
  | { readonly report: 'measured'; readonly id: number; readonly measurement: Measurement }
  /** Every second while running. `lateMs`: how long after they were due requests were written, on average. */
  | {
      readonly report: 'second';
      readonly measurement: Measurement;
      readonly lateMs: number;
      readonly cpuRatio: number;
    };

/** Frames of audio in a request: 256 ms, a usual step for streaming speech. */
const FRAMES = 8;
const CLIPS = 48;
/** Under way at once. Beyond this a request counts as an error: the server is far behind. */
const MAX_CONNECTIONS = 512;

interface Window {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly latenciesMs: number[];
  errors: number;
  pending: number;
  readonly done: (measurement: Measurement) => void;
}

const client = new HttpClient(Number(process.argv[2]), MAX_CONNECTIONS);
const random = randomFrom(1);
const requests = Array.from({ length: CLIPS }, (_, i) => {
  const kinds = ['vowel', 'noise', 'silence'] as const;
  const clip = makeClip(kinds[i % kinds.length]!, FRAMES, random);
  return encodeRequest('/v1/vad', 'audio/l16', Buffer.from(clip.buffer));
});

let sent = 0;
let windows: readonly Window[] = [];
let lateMsSum = 0;
let lateCount = 0;
/** Due time of the last arrival that the pacer told of: all before it are known. */
let knownUntilMs = 0;
let pacer: { readonly worker: Worker; readonly stop: Int32Array } | undefined;

function report(message: LoadReport): void {
  process.send?.(message);
}

/** Sends the request that was due at `dueMs` and books it in the windows that are open at that time. */
function arrive(dueMs: number): void {
  lateMsSum += monotonicMs() - dueMs;
  lateCount++;
  knownUntilMs = dueMs;
  const mine = windows.filter((window) => dueMs >= window.fromMs && dueMs < window.untilMs);
  for (const window of mine) window.pending++;
  const answered = (status: number): void => {
    const latencyMs = monotonicMs() - dueMs;
    for (const window of mine) {
      window.pending--;
      if (status === 200) window.latenciesMs.push(latencyMs);
      else window.errors++;
    }
    if (windows.length > 0) closeWindows();
  };
  if (!client.send(requests[sent++ % CLIPS]!, answered)) answered(0);
  else if (windows.length > 0) closeWindows();
}

/** A window is over when all that was due in it has been sent and answered: a pacer that is late must not be let off. */
function closeWindows(): void {
  const known = pacer === undefined ? monotonicMs() : knownUntilMs;
  const closed = windows.filter((window) => known >= window.untilMs && window.pending === 0);
  if (closed.length === 0) return;
  windows = windows.filter((window) => !closed.includes(window));
  for (const { latenciesMs, errors, fromMs, untilMs, done } of closed) {
    done({ forMs: untilMs - fromMs, latenciesMs: Float64Array.from(latenciesMs), errors });
  }
}

function open(afterMs: number, forMs: number, done: (measurement: Measurement) => void): void {
  const fromMs = monotonicMs() + afterMs;
  windows = [...windows, { fromMs, untilMs: fromMs + forMs, latenciesMs: [], errors: 0, pending: 0, done }];
}

async function saturate(connections: number, warmUpMs: number, measureMs: number): Promise<number> {
  const startMs = monotonicMs();
  const fromMs = startMs + warmUpMs;
  const untilMs = fromMs + measureMs;
  let completed = 0;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      for (;;) {
        const status = await new Promise<number>((resolve) => {
          if (!client.send(requests[sent++ % CLIPS]!, resolve)) resolve(0);
        });
        const nowMs = monotonicMs();
        if (nowMs >= untilMs) return;
        if (status === 200 && nowMs >= fromMs) completed++;
        if (status === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }),
  );
  return completed / (measureMs / 1_000);
}

function start(shape: Shape, seed: number): void {
  const stop = new SharedArrayBuffer(4);
  const task: PacerTask = { shape, seed, startMs: monotonicMs() + 100, stop };
  const worker = new Worker(new URL('./pacer.ts', import.meta.url), { workerData: task });
  worker.on('message', arrive);
  worker.on('error', (error) => {
    console.error(`load: the pacer failed: ${error}`);
    process.exit(1);
  });
  pacer = { worker, stop: new Int32Array(stop) };
  everySecond();
}

function everySecond(): void {
  const cpuBefore = process.cpuUsage();
  open(0, 1_000, (measurement) => {
    const cpu = process.cpuUsage(cpuBefore);
    report({
      report: 'second',
      measurement,
      lateMs: lateCount > 0 ? lateMsSum / lateCount : 0,
      cpuRatio: (cpu.user + cpu.system) / 1_000 / measurement.forMs,
    });
    lateMsSum = 0;
    lateCount = 0;
    if (pacer !== undefined) everySecond();
  });
}

function stop(): void {
  if (pacer === undefined) return;
  Atomics.store(pacer.stop, 0, 1);
  Atomics.notify(pacer.stop, 0);
  pacer = undefined;
  closeWindows();
}

process.on('message', async (order: LoadOrder) => {
  switch (order.order) {
    case 'saturate':
      report({
        report: 'saturated',
        perSecond: await saturate(order.connections, order.warmUpMs, order.measureMs),
      });
      break;
    case 'start':
      start(order.shape, order.seed);
      break;
    case 'measure':
      open(order.afterMs, order.forMs, (measurement) => report({ report: 'measured', id: order.id, measurement }));
      break;
    case 'stop':
      stop();
      break;
  }
});
// Whoever forked it is gone: so is it.
process.once('disconnect', () => process.exit(0));
report({ report: 'ready' });
