/**
 * The load generator's clock hand: a thread that sleeps until each arrival is due and says so. Node's own timers are
 * whole milliseconds, which would bunch arrivals together and make batching look better than it is; `Atomics.wait` is
 * accurate to some 0.1 ms and costs no spinning.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { arrivals, randomFrom, type Shape } from './arrivals.ts';
import { monotonicMs } from './clock.ts';

export interface PacerTask {
  readonly shape: Shape;
  readonly seed: number;
  readonly startMs: number;
  /** One word of shared memory: anything but 0 ends the pacer. */
  readonly stop: SharedArrayBuffer;
}

const { shape, seed, startMs, stop }: PacerTask = workerData;
const stopWord = new Int32Array(stop);
for (const atS of arrivals(shape, randomFrom(seed))) {
  const dueMs = startMs + atS * 1_000;
  for (let waitMs = dueMs - monotonicMs(); waitMs > 0; waitMs = dueMs - monotonicMs()) {
    Atomics.wait(stopWord, 0, 0, waitMs);
    if (Atomics.load(stopWord, 0) !== 0) break;
  }
  if (Atomics.load(stopWord, 0) !== 0) break;
  parentPort!.postMessage(dueMs);
}
