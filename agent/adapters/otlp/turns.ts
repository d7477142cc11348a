import { performance } from 'node:perf_hooks';

/** Long enough to be worth while, short enough that nobody notices. */
const TURN_MS = 5;

/**
 * Does work at once while there is little of it, and in turns when there is much: after some milliseconds the event loop
 * reads what has come in meanwhile. Without that, senders who are to be refused would wait behind the decoding of those
 * who were before them, unread.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #spentMs = 0;
  #turn: NodeJS.Immediate | undefined;

  /** Work must not throw. */
  run(work: () => void): void {
    this.#turn ??= setImmediate(() => this.#next());
    if (this.#waiting.length === 0 && this.#spentMs < TURN_MS) this.#do(work);
    else this.#waiting.push(work);
  }

  #next(): void {
    this.#turn = undefined;
    this.#spentMs = 0;
    while (this.#spentMs < TURN_MS) {
      const work = this.#waiting.shift();
      if (work === undefined) return;
      this.#do(work);
    }
    if (this.#waiting.length > 0) this.#turn = setImmediate(() => this.#next());
  }

  #do(work: () => void): void {
    const startedMs = performance.now();
    work();
    this.#spentMs += performance.now() - startedMs;
  }
}
