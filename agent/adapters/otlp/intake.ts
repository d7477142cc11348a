import { constants, type ServerHttp2Stream } from 'node:http2';
import { Duplex } from 'node:stream';
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import type { Format } from './door.ts';
import { type Arriving, InFlight } from './in_flight.ts';
import type { Reception } from './reception.ts';
import { OVERLOADED, RETRY_MS } from './requests.ts';
import { unavailable } from './status.ts';

type GrpcEncoding = 'gzip' | 'deflate';

export function formatOf(encoding: GrpcEncoding | undefined): Format {
  return `grpc ${encoding ?? 'none'}`;
}

/** Beside its payload each frame costs a buffer object; a client that sends single bytes must not get them for free. */
const FRAME_OVERHEAD_BYTES = 256;
/** A refused client that has more than this still to send is told to stop. */
const MAX_REST_BYTES = 1_024 * 1_024;

/**
 * Watches requests while they arrive, which grpc-js itself does not limit: it collects messages of any number of clients
 * at the same time, and inflates them all at once.
 *
 * - Their bytes stay under `maxInFlightBytes`, and new ones are refused while the process holds too much memory. Both
 *   answers are UNAVAILABLE with a time to come back.
 * - A request for whose points there is no room is refused with its first frame, before the rest of it has come.
 * - Decompression is taken out of grpc-js's hands; `encodingOf` says what the handler has to undo.
 *
 * Both need what grpc-js 1.14 does not offer: the HTTP/2 stream of a call, and its `incomingEncoding`. They are read by
 * name from the call that an interceptor gets. Should a later version rename them, `isWatching` is false, requests still
 * work, and the tests of the limits fail.
 */
export class Intake {
  readonly #maxMessageBytes: number;
  readonly #reception: Reception;
  readonly #inFlight: InFlight;
  readonly #weighed: string;
  readonly #streams = new Set<ServerHttp2Stream>();
  readonly #encodings = new WeakMap<Metadata, GrpcEncoding>();
  isWatching = true;

  /** `weighed`: path of the requests whose points have to find room in the sink. */
  constructor(maxInFlightBytes: number, maxMessageBytes: number, reception: Reception, weighed: string) {
    this.#weighed = weighed;
    this.#maxMessageBytes = maxMessageBytes;
    this.#reception = reception;
    this.#inFlight = new InFlight(maxInFlightBytes, reception.counters);
  }

  readonly interceptor: ServerInterceptor = (method, call) => {
    const stream: unknown = Reflect.get(call, 'stream');
    if (!isHttp2Stream(stream)) {
      this.isWatching = false;
      return new ServerInterceptingCall(call);
    }
    const named: unknown = Reflect.get(call, 'incomingEncoding');
    const encoding = named === 'gzip' || named === 'deflate' ? named : undefined;
    this.#watch(call, stream, method.path === this.#weighed ? formatOf(encoding) : undefined);
    if (encoding === undefined) return new ServerInterceptingCall(call);
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
    for (const stream of this.#streams) stream.session?.destroy();
  }

  /** How the messages of the call with this metadata may be compressed, still. */
  encodingOf(metadata: Metadata): GrpcEncoding | undefined {
    return this.#encodings.get(metadata);
  }

  /** `format`: of a request whose points have to find room. */
  #watch(call: ServerInterceptingCallInterface, stream: ServerHttp2Stream, format: Format | undefined): void {
    const { counters, gate, door, turns } = this.#reception;
    const inFlight = this.#inFlight;
    const refuse = (why: string, retryMs: number): void => {
      call.sendStatus(unavailable(why, retryMs));
      throwAwayRest(stream);
    };
    const request: Arriving = {
      heldBytes: 0,
      isReleased: false,
      refuse: () => refuse('too many bytes of requests in work', RETRY_MS.inFlight),
    };
    this.#streams.add(stream);
    inFlight.add(request);
    let isFirst = true;
    stream.on('data', (frame: Buffer) => {
      if (isFirst) {
        isFirst = false;
        const bytes = frame.length >= 5 ? frame.readUInt32BE(1) : frame.length;
        if (bytes > this.#maxMessageBytes) counters.refused.tooLarge += 1;
        else if (!gate.admits(bytes)) {
          counters.refused.memory += 1;
          inFlight.release(request);
          refuse('the agent is short of memory', RETRY_MS.memory);
          return;
        } else if (format !== undefined && !door.hasRoom(format, bytes)) {
          counters.refused.overloaded += 1;
          turns.refused();
          inFlight.release(request);
          refuse(OVERLOADED, RETRY_MS.overloaded);
          return;
        }
      }
      // Already answered (too large for grpc-js, refused below): what still comes is thrown away by grpc-js.
      if (stream.headersSent) inFlight.release(request);
      else inFlight.hold(request, frame.length + FRAME_OVERHEAD_BYTES);
    });
    stream.once('close', () => {
      inFlight.release(request);
      this.#streams.delete(stream);
    });
  }
}

/**
 * What is on its way to a call that has been answered comes all the same, and grpc-js would keep it until the message is whole. A
 * reset at once would be wrong in another way: HTTP/2 ignores the end of a stream that is being reset, so that for a
 * moment the client counts fewer open streams than we do, opens the next, and all of its connection is torn down for it.
 */
function throwAwayRest(stream: ServerHttp2Stream): void {
  let bytes = 0;
  stream.removeAllListeners('data');
  stream.on('data', (frame: Buffer) => {
    bytes += frame.length;
    if (bytes > MAX_REST_BYTES) stream.close(constants.NGHTTP2_NO_ERROR);
  });
  // grpc-js gets the frame that is being handed out, and pauses where it completes a message.
  setImmediate(() => stream.resume());
}

function isHttp2Stream(value: unknown): value is ServerHttp2Stream {
  return value instanceof Duplex && 'headersSent' in value && 'session' in value;
}
