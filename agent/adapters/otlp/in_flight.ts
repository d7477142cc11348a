import type { ReceiverCounters } from './counters.ts';

/** A request that is arriving. */
export interface Arriving {
  heldBytes: number;
  /** Answered: nothing of it is kept any more, whatever the client still sends. */
  isReleased: boolean;
  /** Answers that it may come again later, and throws away what it has sent. */
  refuse(): void;
}

/**
 * Keeps the bytes of all requests between their first byte and their answer under `maxBytes`. When they would not stay
 * there, the request that holds most is refused, so that a client that sends a large request slowly cannot keep small
 * ones out.
 */
export class InFlight {
  readonly #maxBytes: number;
  readonly #counters: ReceiverCounters;
  readonly #arriving = new Set<Arriving>();
  #heldBytes = 0;

  constructor(maxBytes: number, counters: ReceiverCounters) {
    this.#maxBytes = maxBytes;
    this.#counters = counters;
  }

  add(request: Arriving): void {
    this.#arriving.add(request);
  }

  /** `bytes` more have come. The request may be released by this. */
  hold(request: Arriving, bytes: number): void {
    if (request.isReleased) return;
    const counters = this.#counters;
    request.heldBytes += bytes;
    this.#heldBytes += bytes;
    counters.inFlightBytes += bytes;
    while (this.#heldBytes > this.#maxBytes) {
      const largest = this.#largest();
      if (largest === undefined) return;
      this.release(largest);
      counters.refused.inFlight += 1;
      largest.refuse();
    }
    if (counters.inFlightBytes > counters.inFlightBytesMax) counters.inFlightBytesMax = counters.inFlightBytes;
  }

  release(request: Arriving): void {
    if (request.isReleased) return;
    request.isReleased = true;
    this.#arriving.delete(request);
    this.#heldBytes -= request.heldBytes;
    this.#counters.inFlightBytes -= request.heldBytes;
    request.heldBytes = 0;
  }

  #largest(): Arriving | undefined {
    let largest: Arriving | undefined;
    for (const request of this.#arriving) {
      if (largest === undefined || request.heldBytes > largest.heldBytes) largest = request;
    }
    return largest;
  }
}
