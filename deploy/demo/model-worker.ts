/**
 * One thread that runs the Silero voice-activity model on batches of clips. `onnxruntime-node` computes on the calling
 * thread, so the HTTP server keeps its event loop free by having the model here.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { FRAME_SAMPLES, SAMPLE_RATE_HZ } from './audio.ts';

/** Clips of one batch, one after the other, each padded with silence to the longest one. */
export interface BatchRequest {
  readonly id: number;
  readonly samples: Int16Array;
  readonly clips: number;
  readonly frames: number;
}
/** Probabilities of speech, `clips × frames`, or what went wrong. */
export type BatchReply =
  | { readonly id: number; readonly probabilities: Float32Array }
  | { readonly id: number; readonly error: string };

/** The model sees each frame after the last 64 samples of the one before. */
const CONTEXT_SAMPLES = 64;
const INPUT_SAMPLES = CONTEXT_SAMPLES + FRAME_SAMPLES;
const STATE_SIZE = 128;

const packageMain = createRequire(import.meta.url).resolve('@ricky0123/vad-web');
const session = await InferenceSession.create(join(dirname(packageMain), 'silero_vad_v5.onnx'), {
  // One thread a run: parallelism is the server's `concurrency` knob, and more threads buy 10 % here for twice the CPU.
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
});
const sampleRate = new Tensor('int64', BigInt64Array.of(BigInt(SAMPLE_RATE_HZ)), []);

async function infer({ samples, clips, frames }: BatchRequest): Promise<Float32Array> {
  const probabilities = new Float32Array(clips * frames);
  const input = new Float32Array(clips * INPUT_SAMPLES);
  const feeds: Record<string, Tensor> = {
    input: new Tensor('float32', input, [clips, INPUT_SAMPLES]),
    state: new Tensor('float32', new Float32Array(2 * clips * STATE_SIZE), [2, clips, STATE_SIZE]),
    sr: sampleRate,
  };
  for (let frame = 0; frame < frames; frame++) {
    for (let clip = 0; clip < clips; clip++) {
      const to = clip * INPUT_SAMPLES;
      const from = (clip * frames + frame) * FRAME_SAMPLES;
      input.copyWithin(to, to + FRAME_SAMPLES, to + INPUT_SAMPLES);
      for (let i = 0; i < FRAME_SAMPLES; i++) input[to + CONTEXT_SAMPLES + i] = samples[from + i]! / 32_768;
    }
    const result = await session.run(feeds);
    feeds.state = result.stateN!;
    const speech = result.output!.data;
    for (let clip = 0; clip < clips; clip++) probabilities[clip * frames + frame] = Number(speech[clip]);
  }
  return probabilities;
}

const port = parentPort!;
port.on('message', (request: BatchRequest) => {
  infer(request).then(
    (probabilities) =>
      port.postMessage({ id: request.id, probabilities } satisfies BatchReply, [probabilities.buffer as ArrayBuffer]),
    (error: unknown) => port.postMessage({ id: request.id, error: String(error) } satisfies BatchReply),
  );
});
port.postMessage('ready');
