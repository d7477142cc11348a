import { MinHeap } from './heap.ts';

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: (atMs: number) => void;
}

/** Virtual time: what happens next, in order of time and, at one instant, in order of scheduling. */
export class Schedule {
  readonly #events = new MinHeap<Event>((a, b) => a.atMs - b.atMs || a.order - b.order);
  #order = 0;
  #nowMs = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  at(atMs: number, run: (atMs: number) => void): void {
    this.#events.push({ atMs: Math.max(atMs, this.#nowMs), order: this.#order++, run });
  }

  after(delayMs: number, run: (atMs: number) => void): void {
    this.at(this.#nowMs + delayMs, run);
  }

  every(firstMs: number, periodMs: number, run: (atMs: number) => boolean): void {
    this.at(firstMs, (atMs) => {
      if (run(atMs)) this.every(atMs + periodMs, periodMs, run);
    });
  }

  runUntil(endMs: number): void {
    while (this.#events.size > 0 && this.#events.peek().atMs <= endMs) {
      const event = this.#events.pop();
      this.#nowMs = event.atMs;
      event.run(event.atMs);
    }
    this.#nowMs = endMs;
  }

  /** As `runUntil`, but after each event that says so waits until all promises are through, at one and the same instant. */
  async runUntilAsync(endMs: number, isBusy: () => boolean, wake: (atMs: number) => void): Promise<void> {
    while (this.#events.size > 0 && this.#events.peek().atMs <= endMs) {
      const event = this.#events.pop();
      this.#nowMs = event.atMs;
      event.run(event.atMs);
      while (isBusy()) {
        await new Promise((resolve) => setImmediate(resolve));
        wake(event.atMs);
      }
    }
    this.#nowMs = endMs;
  }
}
