import type { Writable } from 'node:stream';
import type { status } from '@grpc/grpc-js';

/** What of a grpc-js server stream is written to. */
export type WritableCall = Pick<Writable, 'write' | 'end' | 'emit' | 'on'>;

/**
 * Writes to a stream without ever waiting for its reader: what the reader does not take is queued up to a limit, and a
 * reader that lets the queue run over is cut off.
 */
export class Outgoing<Message> {
  readonly #call: WritableCall;
  readonly #maxQueued: number;
  readonly #overflow: () => void;
  readonly #queue: Message[] = [];
  #blocked = false;
  #ended = false;

  constructor(call: WritableCall, maxQueued: number, overflow: () => void) {
    this.#call = call;
    this.#maxQueued = maxQueued;
    this.#overflow = overflow;
    call.on('drain', () => this.#flush());
  }

  send(message: Message): void {
    if (this.#ended) return;
    if (!this.#blocked) this.#blocked = !this.#call.write(message);
    else if (this.#queue.length < this.#maxQueued) this.#queue.push(message);
    else this.#overflow();
  }

  /** Ends the stream in peace. */
  end(): void {
    if (this.#stop()) this.#call.end();
  }

  /** Ends the stream with a status. */
  fail(code: status, details: string): void {
    if (this.#stop()) this.#call.emit('error', { code, details });
  }

  #stop(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.#queue.length = 0;
    return true;
  }

  #flush(): void {
    this.#blocked = false;
    while (!this.#blocked) {
      const message = this.#queue.shift();
      if (message === undefined) return;
      this.#blocked = !this.#call.write(message);
    }
  }
}
