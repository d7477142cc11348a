import {
  constants,
  gunzip,
  gunzipSync,
  inflate,
  inflateSync,
  type ZlibOptions,
  type ZstdOptions,
  zstdDecompress,
  zstdDecompressSync,
} from 'node:zlib';

export type Encoding = 'gzip' | 'deflate' | 'zstd';
export type Inflated =
  | { readonly state: 'done'; readonly bytes: Buffer }
  | { readonly state: 'too_large'; readonly maxBytes: number }
  | { readonly state: 'corrupt' };

/** What inflates to this at most is done at once: a millisecond or two, less than handing it to a thread costs others. */
const SYNC_INPUT_BYTES = 128 * 1024;
const SYNC_OUTPUT_BYTES = 2 * 1024 * 1024;
/** A zstd frame says how much memory its reader must hold; all levels but the last three ask for no more than 8 MiB. */
const ZSTD_WINDOW = { [constants.ZSTD_d_windowLogMax]: 23 };

type Options = ZlibOptions & ZstdOptions;
type Done = (error: Error | null, inflated: Buffer) => void;
const CODECS = {
  gzip: { now: gunzipSync, later: (bytes: Uint8Array, options: Options, done: Done) => gunzip(bytes, options, done) },
  deflate: {
    now: inflateSync,
    later: (bytes: Uint8Array, options: Options, done: Done) => inflate(bytes, options, done),
  },
  zstd: {
    now: (bytes: Uint8Array, options: Options) => zstdDecompressSync(bytes, { ...options, params: ZSTD_WINDOW }),
    later: (bytes: Uint8Array, options: Options, done: Done) =>
      zstdDecompress(bytes, { ...options, params: ZSTD_WINDOW }, done),
  },
};

/**
 * Decompresses requests, never beyond `maxBytes`: inflating stops there, so a bomb costs no more than a large request.
 *
 * grpc-js can do this too, but inflates every request at the same time, so that a hundred small bombs hold a hundred
 * times the limit. Here the large ones wait for one another, in a thread; the usual small ones are done at once.
 */
export class Inflater {
  readonly #maxBytes: number;
  #last: Promise<unknown> = Promise.resolve();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** A compressed stream is recognised by its first bytes: gRPC lets a sender leave single messages uncompressed. */
  static isCompressed(bytes: Uint8Array, encoding: 'gzip' | 'deflate'): boolean {
    const [first = 0, second = 0] = bytes;
    // Neither start is possible in an OTLP request: 0x1f is a wire type that does not exist, and 0x?8 a field it lacks.
    if (encoding === 'gzip') return first === 0x1f && second === 0x8b;
    return (first & 0x0f) === 8 && (first * 256 + second) % 31 === 0;
  }

  /** The result, or a promise of it where that takes long. */
  inflate(bytes: Uint8Array, encoding: Encoding): Inflated | Promise<Inflated> {
    if (bytes.length <= SYNC_INPUT_BYTES) {
      const limit = Math.min(this.#maxBytes, SYNC_OUTPUT_BYTES);
      try {
        return { state: 'done', bytes: CODECS[encoding].now(bytes, { maxOutputLength: limit }) };
      } catch (error) {
        const failed = failure(error, this.#maxBytes);
        if (failed.state === 'corrupt' || limit === this.#maxBytes) return failed;
      }
    }
    const result = this.#last.then(() => this.#inThread(bytes, encoding));
    this.#last = result;
    return result;
  }

  #inThread(bytes: Uint8Array, encoding: Encoding): Promise<Inflated> {
    return new Promise((resolve) => {
      CODECS[encoding].later(bytes, { maxOutputLength: this.#maxBytes }, (error, inflated) => {
        resolve(error === null ? { state: 'done', bytes: inflated } : failure(error, this.#maxBytes));
      });
    });
  }
}

function failure(error: unknown, maxBytes: number): Inflated {
  const isTooLarge = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
  return isTooLarge ? { state: 'too_large', maxBytes } : { state: 'corrupt' };
}
