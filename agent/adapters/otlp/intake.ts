import { constants, type ServerHttp2Stream } from 'node:http2';
import { Duplex } from 'node:stream';
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import type { ReceiverCounters } from './counters.ts';
import type { Encoding } from './inflate.ts';
import { unavailable } from './status.ts';

/** Beside its payload each frame costs a buffer object; a client that sends single bytes must not get them for free. */
const FRAME_OVERHEAD_BYTES = 256;
const IN_FLIGHT_RETRY_MS = 1_000;

interface Arriving {
  readonly call: ServerInterceptingCallInterface;
  readonly stream: ServerHttp2Stream;
  heldBytes: number;
  /** Answered: nothing of it is kept any more, whatever the client still sends. */
  isReleased: boolean;
}

/**
 * Watches requests while they arrive, which grpc-js itself does not limit: it collects messages of any number of clients
 * at the same time, and inflates them all at once.
 *
 * - The bytes of all requests between their first frame and their answer stay under `maxInFlightBytes`. When they would
 *   not, the request that holds most is refused with UNAVAILABLE and a time to come back, so that a client that sends a
 *   large request slowly cannot keep small ones out.
 * - Decompression is taken out of grpc-js's hands; `encodingOf` says what the handler has to undo.
 *
 * Both need what grpc-js 1.14 does not offer: the HTTP/2 stream of a call, and its `incomingEncoding`. They are read by
 * name from the call that an interceptor gets. Should a later version rename them, `isWatching` is false, requests still
 * work, and the tests of the limits fail.
 */
export class Intake {
  readonly #maxInFlightBytes: number;
  readonly #maxMessageBytes: number;
  readonly #counters: ReceiverCounters;
  readonly #arriving = new Set<Arriving>();
  readonly #encodings = new WeakMap<Metadata, Encoding>();
  isWatching = true;

  constructor(maxInFlightBytes: number, maxMessageBytes: number, counters: ReceiverCounters) {
    this.#maxInFlightBytes = maxInFlightBytes;
    this.#maxMessageBytes = maxMessageBytes;
    this.#counters = counters;
  }

  readonly interceptor: ServerInterceptor = (_method, call) => {
    const stream: unknown = Reflect.get(call, 'stream');
    if (!isHttp2Stream(stream)) {
      this.isWatching = false;
      return new ServerInterceptingCall(call);
    }
    this.#watch(call, stream);
    const encoding: unknown = Reflect.get(call, 'incomingEncoding');
    if (encoding !== 'gzip' && encoding !== 'deflate') return new ServerInterceptingCall(call);
    Reflect.set(call, 'incomingEncoding', 'identity');
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, pass) => {
            this.#encodings.set(metadata, encoding);
            pass(metadata);
          },
        }),
    });
  };

  /** Ends the connections of all requests that are still arriving. */
  breakOff(): void {
    for (const { stream } of this.#arriving) stream.session?.destroy();
  }

  /** How the messages of the call with this metadata may be compressed, still. */
  encodingOf(metadata: Metadata): Encoding | undefined {
    return this.#encodings.get(metadata);
  }

  #watch(call: ServerInterceptingCallInterface, stream: ServerHttp2Stream): void {
    const request: Arriving = { call, stream, heldBytes: 0, isReleased: false };
    this.#arriving.add(request);
    let isFirst = true;
    stream.on('data', (frame: Buffer) => {
      if (isFirst && frame.length >= 5 && frame.readUInt32BE(1) > this.#maxMessageBytes) {
        this.#counters.refused.tooLarge += 1;
      }
      isFirst = false;
      // Already answered (too large for grpc-js, refused below): what still comes is thrown away by grpc-js.
      if (stream.headersSent) this.#release(request);
      else this.#hold(request, frame.length + FRAME_OVERHEAD_BYTES);
    });
    stream.once('close', () => {
      this.#release(request);
      this.#arriving.delete(request);
    });
  }

  #hold(request: Arriving, bytes: number): void {
    if (request.isReleased) return;
    const counters = this.#counters;
    request.heldBytes += bytes;
    counters.inFlightBytes += bytes;
    while (counters.inFlightBytes > this.#maxInFlightBytes) {
      const largest = this.#largest();
      if (largest === undefined) return;
      this.#release(largest);
      counters.refused.inFlight += 1;
      largest.call.sendStatus(unavailable('too many bytes of requests in work', IN_FLIGHT_RETRY_MS));
      // The rest of it is not wanted, and its frames must not be kept until the client is done sending.
      largest.stream.close(constants.NGHTTP2_NO_ERROR);
    }
    if (counters.inFlightBytes > counters.inFlightBytesMax) counters.inFlightBytesMax = counters.inFlightBytes;
  }

  #largest(): Arriving | undefined {
    let largest: Arriving | undefined;
    for (const request of this.#arriving) {
      if (request.isReleased) continue;
      if (largest === undefined || request.heldBytes > largest.heldBytes) largest = request;
    }
    return largest;
  }

  #release(request: Arriving): void {
    if (request.isReleased) return;
    request.isReleased = true;
    this.#counters.inFlightBytes -= request.heldBytes;
    request.heldBytes = 0;
  }
}

function isHttp2Stream(value: unknown): value is ServerHttp2Stream {
  return value instanceof Duplex && 'headersSent' in value && 'session' in value;
}
