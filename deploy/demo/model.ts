import { Worker } from 'node:worker_threads';
import { type Clip, FRAME_SAMPLES } from './audio.ts';
import type { BatchReply, BatchRequest } from './model-worker.ts';

/** Probability of speech for each frame of each clip, in the order of the clips. */
export type RunBatch = (clips: readonly Clip[]) => Promise<readonly Float32Array[]>;

interface Seat {
  readonly worker: Worker;
  settle: { resolve(probabilities: Float32Array): void; reject(error: Error): void } | undefined;
}

/** As many threads as batches may ever be in flight, each with the model loaded. The caller bounds the concurrency. */
export class ModelPool {
  readonly #seats: Seat[] = [];
  #nextId = 1;

  /** Loads the model `threads` times. A thread that dies later ends the process: a supervisor restarts it whole. */
  async start(threads: number): Promise<void> {
    for (let i = 0; i < threads; i++) {
      const worker = new Worker(new URL('./model-worker.ts', import.meta.url));
      const seat: Seat = { worker, settle: undefined };
      await new Promise<void>((resolve, reject) => {
        worker.once('message', () => resolve());
        worker.once('error', reject);
      });
      worker.on('message', (reply: BatchReply) => {
        const settle = seat.settle;
        seat.settle = undefined;
        if ('error' in reply) settle?.reject(new Error(reply.error));
        else settle?.resolve(reply.probabilities);
      });
      this.#seats.push(seat);
    }
  }

  readonly run: RunBatch = async (clips) => {
    const seat = this.#seats.find((candidate) => candidate.settle === undefined);
    if (seat === undefined) throw new Error(`all ${this.#seats.length} model threads are busy`);
    const frames = Math.max(...clips.map((clip) => clip.frames));
    const samples = new Int16Array(clips.length * frames * FRAME_SAMPLES);
    clips.forEach((clip, index) => {
      samples.set(clip.samples, index * frames * FRAME_SAMPLES);
    });
    const probabilities = await new Promise<Float32Array>((resolve, reject) => {
      seat.settle = { resolve, reject };
      const request: BatchRequest = { id: this.#nextId++, samples, clips: clips.length, frames };
      seat.worker.postMessage(request, [samples.buffer]);
    });
    // What the padding produced is cut off.
    return clips.map((clip, index) => probabilities.subarray(index * frames, index * frames + clip.frames));
  };

  async stop(): Promise<void> {
    await Promise.all(this.#seats.map((seat) => seat.worker.terminate()));
  }
}
