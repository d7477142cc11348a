import { performance } from 'node:perf_hooks';

/** Something to be done; what it returns is the rest of it, for the next turn. */
export type Work = () => Work | undefined;

/** Long enough to be worth while, short enough that nobody notices. */
const TURN_MS = 5;

/** So many refusals since the last turn say that more senders wait for theirs; */
const MANY_REFUSALS = 8;
/** but work goes on after so many rounds of nothing else. */
const MOST_ROUNDS = 4;

/**
 * Does work at once while there is little of it, and in turns when there is much: after some milliseconds the event loop
 * reads what has come in meanwhile. Without that, senders who are to be refused would wait behind the decoding of those
 * who were before them, unread. What is large is done in parts, and nothing else until it is whole: each in a
 * turn of its own while nobody else waits.
 */
export class Turns {
  readonly #waiting: Work[] = [];
  #spentMs = 0;
  #turn: NodeJS.Immediate | undefined;
  #refusals = 0;
  #rounds = 0;

  /** Work must not throw. */
  run(work: Work): void {
    this.#turn ??= setImmediate(() => this.#next());
    if (this.#waiting.length === 0 && this.#spentMs < TURN_MS) this.#do(work);
    else this.#waiting.push(work);
  }

  /** A sender was refused. */
  refused(): void {
    this.#refusals += 1;
  }

  #next(): void {
    this.#turn = undefined;
    const isCrowded = this.#refusals >= MANY_REFUSALS && this.#rounds < MOST_ROUNDS;
    this.#refusals = 0;
    if (isCrowded && this.#waiting.length > 0) {
      this.#rounds += 1;
      this.#turn = setImmediate(() => this.#next());
      return;
    }
    this.#rounds = 0;
    this.#spentMs = 0;
    while (this.#spentMs < TURN_MS) {
      const work = this.#waiting.shift();
      if (work === undefined) return;
      this.#do(work);
    }
    if (this.#waiting.length > 0) this.#turn = setImmediate(() => this.#next());
  }

  #do(work: Work): void {
    const startedMs = performance.now();
    const rest = work();
    this.#spentMs += performance.now() - startedMs;
    if (rest === undefined) return;
    // Each turn of the event loop has its price, which senders who wait would pay.
    if (this.#waiting.length === 0) this.#spentMs = TURN_MS;
    this.#waiting.unshift(rest);
  }
}
