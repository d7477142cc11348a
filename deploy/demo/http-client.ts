/**
 * Just enough of an HTTP/1.1 client for the load generator: whole requests made in advance, keep-alive connections, one
 * request at a time on each. It costs a third of what `node:http` does, and the load shares two cores with the server.
 */
import { connect, type Socket } from 'node:net';

/** An HTTP status, or 0 where the connection failed. */
export type Answered = (status: number) => void;

const HEAD_END = Buffer.from('\r\n\r\n');

/** A whole request, ready to be written. */
export function encodeRequest(path: string, contentType: string, body: Buffer): Buffer {
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${contentType}\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), body]);
}

/** Reads one response after the other off a connection's bytes. Exported for its test. */
export class ResponseReader {
  #buffer: Buffer = Buffer.alloc(0);

  /** @returns the status of a response that these bytes complete. @throws where it is not one that we can read. */
  push(chunk: Buffer): number | undefined {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    const headEnd = this.#buffer.indexOf(HEAD_END);
    if (headEnd < 0) return undefined;
    const head = this.#buffer.toString('latin1', 0, headEnd);
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? Number.NaN);
    const bodyBytes = Number(/^content-length: *(\d+)\r?$/im.exec(head)?.[1] ?? Number.NaN);
    if (Number.isNaN(status) || Number.isNaN(bodyBytes)) {
      throw new Error(`cannot read this response (a status and a content-length are needed): ${head.slice(0, 200)}`);
    }
    const end = headEnd + HEAD_END.length + bodyBytes;
    if (this.#buffer.length < end) return undefined;
    this.#buffer = this.#buffer.subarray(end);
    return status;
  }
}

export class HttpClient {
  readonly #port: number;
  readonly #maxConnections: number;
  readonly #idle: Connection[] = [];
  #open = 0;

  constructor(port: number, maxConnections: number) {
    this.#port = port;
    this.#maxConnections = maxConnections;
  }

  /** Sends at once or not at all. @returns false where every connection is busy and no more are allowed. */
  send(request: Buffer, answered: Answered): boolean {
    const connection = this.#idle.pop() ?? this.#connect();
    if (connection === undefined) return false;
    connection.send(request, answered);
    return true;
  }

  close(): void {
    for (const connection of this.#idle) connection.socket.destroy();
  }

  #connect(): Connection | undefined {
    if (this.#open >= this.#maxConnections) return undefined;
    this.#open++;
    return new Connection(
      this.#port,
      (connection) => this.#idle.push(connection),
      (connection) => {
        this.#open--;
        const index = this.#idle.indexOf(connection);
        if (index >= 0) this.#idle.splice(index, 1);
      },
    );
  }
}

class Connection {
  readonly socket: Socket;
  readonly #reader = new ResponseReader();
  #answered: Answered | undefined;

  constructor(port: number, idle: (self: Connection) => void, gone: (self: Connection) => void) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (chunk) => {
      try {
        // A string only where an encoding was set, which it was not.
        const status = this.#reader.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
        if (status === undefined) return;
        idle(this);
        this.#finish(status);
      } catch (error) {
        this.socket.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    // 'close' always follows 'error' and does the work.
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      gone(this);
      this.#finish(0);
    });
  }

  send(request: Buffer, answered: Answered): void {
    this.#answered = answered;
    this.socket.write(request);
  }

  #finish(status: number): void {
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.(status);
  }
}
