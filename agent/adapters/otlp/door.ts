import type { SampleSink } from '../../core/model.ts';

/** How a request is written, as far as its size goes: `application/json gzip`, say. */
export type Format = `${string} ${string}`;

/** A request that was let in and waits to be decoded. */
export interface Admitted {
  readonly format: Format;
  /** As they were sent. */
  readonly bytes: number;
  readonly expectedPoints: number;
}

/** What has no points. */
export const WEIGHTLESS: Admitted = { format: 'any none', bytes: 0, expectedPoints: 0 };

/** Share of a new ratio in the running mean. */
const LEARNING = 0.1;

/**
 * Asks the sink for room before a request is inflated and decoded: work that a full sink would make worthless, and that
 * would keep the next senders waiting for their refusals. What was let in and is not decoded yet counts as if it were in
 * the sink already.
 *
 * How many points a request will hold is told from its size, by the mean ratio of the requests before it in the same
 * format. A guess: too high, and a request is refused that would just have fitted into a sink that is nearly full; too
 * low, and it is refused after all when it is decoded. While the ratio is unknown everything is let in.
 */
export class Door {
  readonly #sink: SampleSink;
  readonly #pointsPerByte = new Map<Format, number>();
  #expectedPoints = 0;

  constructor(sink: SampleSink) {
    this.#sink = sink;
  }

  /** Whether it is worth to go on reading. `bytes`: as they are sent; 0 where that is not known yet. */
  hasRoom(format: Format, bytes: number): boolean {
    return this.#fits(this.#expected(format, bytes));
  }

  /** Lets a request in that has arrived; `undefined`: no room. Whoever is let in must `leave`. */
  enter(format: Format, bytes: number): Admitted | undefined {
    const expectedPoints = this.#expected(format, bytes);
    if (!this.#fits(expectedPoints)) return undefined;
    this.#expectedPoints += expectedPoints;
    return { format, bytes, expectedPoints };
  }

  /** It is decoded, or nobody waits for it any more. */
  leave({ expectedPoints }: Admitted): void {
    this.#expectedPoints -= expectedPoints;
  }

  learn({ format, bytes }: Admitted, points: number): void {
    if (bytes === 0) return;
    const known = this.#pointsPerByte.get(format);
    const ratio = points / bytes;
    this.#pointsPerByte.set(format, known === undefined ? ratio : known + LEARNING * (ratio - known));
  }

  #expected(format: Format, bytes: number): number {
    return Math.ceil((this.#pointsPerByte.get(format) ?? 0) * bytes);
  }

  #fits(points: number): boolean {
    const room = this.#sink.room?.();
    if (room === undefined) return true;
    // As the sink does: a request that is larger than all the room there is gets in alone.
    const isAlone = room.free === room.capacity && this.#expectedPoints === 0;
    return isAlone || (room.free > this.#expectedPoints && points <= room.free - this.#expectedPoints);
  }
}
