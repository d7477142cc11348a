import { Worker } from 'node:worker_threads';
import type { InventoryAnswer, Question, SampleAnswer } from './system_worker.ts';

type Reply<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

/** The worker runs from source in development and from JavaScript when built. */
const WORKER = new URL(`./system_worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

/**
 * Questions to `systeminformation`, one at a time, each with a time limit. The thread starts with the first question and
 * ends with `close`, or when it has not answered in time: then the next question starts another.
 */
export class SystemQuestions {
  #worker: Worker | undefined;

  inventory(timeoutMs: number): Promise<InventoryAnswer> {
    return this.#ask<InventoryAnswer>({ ask: 'inventory' }, timeoutMs);
  }

  sample(pids: readonly number[], timeoutMs: number): Promise<SampleAnswer> {
    return this.#ask<SampleAnswer>({ ask: 'sample', pids }, timeoutMs);
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #ask<T>(question: Question, timeoutMs: number): Promise<T> {
    // Without the parent's arguments: a test runner's loaders have no business in there.
    const worker = this.#worker ?? new Worker(WORKER, { execArgv: [], stdin: false });
    this.#worker = worker;
    // What is only asked out of interest must not keep the agent from ending.
    worker.unref();
    return new Promise<T>((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(timer);
        worker.removeAllListeners();
        end();
      };
      const fail = (error: Error) =>
        settle(() => {
          if (this.#worker === worker) this.#worker = undefined;
          // Still listened to, so that what a dying thread says last does not end the agent.
          worker.on('error', () => {});
          void worker.terminate();
          reject(error);
        });
      const timer = setTimeout(
        () => fail(new Error(`systeminformation did not answer "${question.ask}" within ${timeoutMs} ms`)),
        timeoutMs,
      );
      timer.unref();
      worker.on('message', (reply: Reply<T>) =>
        settle(() => (reply.ok ? resolve(reply.value) : reject(new Error(`systeminformation: ${reply.error}`)))),
      );
      worker.on('error', (error) => fail(error instanceof Error ? error : new Error(String(error))));
      worker.on('exit', () =>
        fail(new Error(`the systeminformation thread ended without answering "${question.ask}"`)),
      );
      worker.postMessage(question);
    });
  }
}
