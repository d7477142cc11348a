import type { IncomingMessage } from 'node:http';
import type { Arriving, InFlight } from './in_flight.ts';

/** Beside its payload each chunk costs a buffer object. */
const CHUNK_OVERHEAD_BYTES = 256;
/** Memory that bodies are put together in, one after the other; larger ones get their own. */
const SHARED_BYTES = 1024 * 1024;

/** Puts the chunks of bodies together. */
export class BodyCollector {
  readonly #inFlight: InFlight;
  readonly #maxBytes: number;
  #shared: Buffer | undefined;

  constructor(inFlight: InFlight, maxBytes: number) {
    this.#inFlight = inFlight;
    this.#maxBytes = maxBytes;
  }

  /**
   * Calls one of `done` (with the chunks and their length) and `tooLarge`, or neither when the client breaks off or the request is
   * released before. What comes after that is thrown away.
   */
  collect(
    request: IncomingMessage,
    arriving: Arriving,
    done: (chunks: Buffer[], bytes: number) => void,
    tooLarge: () => void,
  ): void {
    let chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      if (arriving.isReleased) {
        chunks = [];
        return;
      }
      bytes += chunk.length;
      if (bytes > this.#maxBytes) {
        chunks = [];
        tooLarge();
        return;
      }
      chunks.push(chunk);
      this.#inFlight.hold(arriving, chunk.length + CHUNK_OVERHEAD_BYTES);
    });
    request.on('end', () => {
      if (!arriving.isReleased) done(chunks, bytes);
    });
  }

  /** The chunks as one stretch of bytes, which is used again for the next: for what is done with before that, as all is that is done in `Turns`. */
  joinBriefly(chunks: readonly Buffer[]): Buffer {
    if (chunks.length === 1) return chunks[0]!;
    let bytes = 0;
    for (const chunk of chunks) bytes += chunk.length;
    if (bytes > SHARED_BYTES) return Buffer.concat(chunks, bytes);
    this.#shared ??= Buffer.allocUnsafeSlow(SHARED_BYTES);
    let at = 0;
    for (const chunk of chunks) at += chunk.copy(this.#shared, at);
    return this.#shared.subarray(0, bytes);
  }
}
