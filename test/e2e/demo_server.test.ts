import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomFrom } from '../../deploy/demo/arrivals.ts';
import { end, ServerProcess } from '../../deploy/demo/processes.ts';
import { makeClip } from '../../deploy/demo/voice.ts';

// The model and its runtime are not part of the agent's install: `npm run test:demo` installs them and runs this.
describe("the demo's server, with no agent about", () => {
  let server: ServerProcess;
  beforeAll(async () => {
    server = await ServerProcess.start([], 'inherit');
  });
  afterAll(() => end(server.child));

  async function ask(clip: Int16Array): Promise<{ status: number; speech: number; probabilities: number[] }> {
    const response = await fetch(`http://127.0.0.1:${server.port}/v1/vad`, {
      method: 'POST',
      headers: { 'content-type': 'audio/l16' },
      body: Buffer.from(clip.buffer),
    });
    return { status: response.status, ...JSON.parse(await response.text()) };
  }
  const clipOf = (kind: 'vowel' | 'noise' | 'silence', frames: number) => makeClip(kind, frames, randomFrom(3));

  it('hears speech where there is some', async () => {
    const [vowel, noise, silence] = [
      await ask(clipOf('vowel', 8)),
      await ask(clipOf('noise', 8)),
      await ask(clipOf('silence', 8)),
    ];
    expect(vowel.speech).toBeGreaterThan(0.5);
    expect(Math.max(noise.speech, silence.speech)).toBeLessThan(0.3);
    expect(vowel.probabilities).toHaveLength(8);
  });

  it('says the same of a clip whether it rides alone or with longer ones', async () => {
    const clips = [clipOf('vowel', 8), clipOf('noise', 3), clipOf('vowel', 20), clipOf('silence', 1)];
    await server.setKnobs({ max_batch_size: 1, batch_wait_ms: 0 });
    const alone: Awaited<ReturnType<typeof ask>>[] = [];
    for (const clip of clips) alone.push(await ask(clip));
    // Waits until all four are there.
    await server.setKnobs({ max_batch_size: 4, batch_wait_ms: 10 });
    const together = await Promise.all(clips.map(ask));
    together.forEach(({ probabilities }, i) => {
      probabilities.forEach((p, frame) => {
        expect(p).toBeCloseTo(alone[i]!.probabilities[frame]!, 3);
      });
    });
  });

  it('turns away what waits too long, and answers the rest', async () => {
    await server.setKnobs({ max_batch_size: 1, batch_wait_ms: 0, concurrency: 1, queue_timeout_ms: 20 });
    const statuses = (await Promise.all(Array.from({ length: 60 }, () => ask(clipOf('noise', 64))))).map(
      ({ status }) => status,
    );
    expect(new Set(statuses)).toEqual(new Set([200, 503]));
  });

  it('says what it cannot take', async () => {
    expect((await ask(new Int16Array(100))).status).toBe(400);
    await expect(server.setKnobs({ max_batch_size: 65 })).rejects.toThrow(/64/);
    await expect(server.setKnobs({ size: 1 })).rejects.toThrow(/unknown knob size; known: max_batch_size/);
    expect(await server.knobs()).toMatchObject({ max_batch_size: 1 });
  });
});
