/** The shape of the audio that the model takes: 16 kHz mono, frames of 512 samples (32 ms). */
export const SAMPLE_RATE_HZ = 16_000;
export const FRAME_SAMPLES = 512;
/** A request carries at most this much audio (64 frames are about two seconds). */
export const MAX_FRAMES = 64;

/** One clip of audio: 16-bit samples, a whole number of frames. */
export interface Clip {
  readonly samples: Int16Array;
  readonly frames: number;
}

/**
 * Reads a request body as a clip. `audio/l16` and `application/octet-stream` carry little-endian 16-bit samples,
 * `audio/x-float32` carries little-endian floats in [-1, 1].
 *
 * @returns the clip, or what is wrong with the body.
 */
export function parseClip(body: Buffer, contentType: string): Clip | { readonly error: string } {
  const isFloat = contentType.startsWith('audio/x-float32');
  const frameBytes = FRAME_SAMPLES * (isFloat ? 4 : 2);
  const frames = body.length / frameBytes;
  if (!Number.isInteger(frames) || frames < 1 || frames > MAX_FRAMES) {
    return {
      error: `body is ${body.length} bytes; allowed: 1 to ${MAX_FRAMES} whole frames of ${frameBytes} bytes (${FRAME_SAMPLES} samples at ${SAMPLE_RATE_HZ} Hz)`,
    };
  }
  const samples = new Int16Array(frames * FRAME_SAMPLES);
  if (isFloat) {
    for (let i = 0; i < samples.length; i++) {
      const value = body.readFloatLE(i * 4);
      // NaN would poison the whole recurrent state, so it counts as silence.
      samples[i] = Number.isNaN(value) ? 0 : Math.round(Math.max(-1, Math.min(1, value)) * 32_767);
    }
  } else {
    // Copied because a body from the socket may start at an odd address, where no Int16Array can.
    body.copy(Buffer.from(samples.buffer));
  }
  return { samples, frames };
}
