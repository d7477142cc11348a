import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseClip } from '../../deploy/demo/audio.ts';
import { Batcher, type BatchPolicy } from '../../deploy/demo/batcher.ts';

function setUp(policy: Partial<BatchPolicy> = {}, capacity = 100) {
  const inForce: BatchPolicy = { maxBatchSize: 4, batchWaitMs: 0, concurrency: 1, queueTimeoutMs: 1_000, ...policy };
  const launched: number[][] = [];
  const refused: [number, string][] = [];
  const batcher = new Batcher<number>(
    () => inForce,
    capacity,
    (items) => launched.push([...items]),
    (item, why) => refused.push([item, why]),
  );
  return { batcher, launched, refused };
}

describe('dynamic batching', () => {
  it('starts at once when nothing runs, and gathers while something does', () => {
    const { batcher, launched } = setUp();
    batcher.offer(1, 0);
    batcher.pump(0);
    for (const item of [2, 3, 4, 5, 6, 7]) batcher.offer(item, item);
    batcher.pump(8);
    expect(launched).toEqual([[1]]);
    batcher.finished();
    batcher.pump(9);
    batcher.finished();
    batcher.pump(10);
    expect(launched).toEqual([[1], [2, 3, 4, 5], [6, 7]]);
  });

  it('waits for more from the first request on, but not for a full batch', () => {
    const { batcher, launched } = setUp({ batchWaitMs: 5 });
    batcher.offer(1, 100);
    expect(batcher.pump(100)).toBe(105);
    batcher.offer(2, 104);
    expect(batcher.pump(104)).toBe(105);
    batcher.pump(105);
    expect(launched).toEqual([[1, 2]]);
    batcher.finished();
    for (const item of [3, 4, 5, 6]) batcher.offer(item, 106);
    batcher.pump(106);
    expect(launched.at(-1)).toEqual([3, 4, 5, 6]);
  });

  it('turns away who waited too long, first come first, and who finds the queue full', () => {
    const { batcher, launched, refused } = setUp({ queueTimeoutMs: 10, maxBatchSize: 1 }, 2);
    batcher.offer(1, 0);
    batcher.pump(0);
    batcher.offer(2, 1);
    batcher.offer(3, 5);
    batcher.offer(4, 6);
    expect(refused).toEqual([[4, 'queue_full']]);
    expect(batcher.pump(7)).toBe(11);
    expect(batcher.pump(11)).toBe(15);
    expect(refused.at(-1)).toEqual([2, 'queue_timeout']);
    batcher.finished();
    batcher.pump(12);
    expect(launched).toEqual([[1], [3]]);
  });

  it('answers every request exactly once and keeps to its limits, whatever the knobs do meanwhile', () => {
    const step = fc.record({
      offers: fc.integer({ min: 0, max: 5 }),
      finish: fc.boolean(),
      elapsedMs: fc.integer({ min: 0, max: 8 }),
      policy: fc.record({
        maxBatchSize: fc.integer({ min: 1, max: 8 }),
        batchWaitMs: fc.integer({ min: 0, max: 6 }),
        concurrency: fc.integer({ min: 1, max: 3 }),
        queueTimeoutMs: fc.integer({ min: 1, max: 20 }),
      }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let policy: BatchPolicy = { maxBatchSize: 1, batchWaitMs: 0, concurrency: 1, queueTimeoutMs: 10 };
        const answered: number[] = [];
        const batcher = new Batcher<number>(
          () => policy,
          6,
          (items) => {
            expect(items.length).toBeLessThanOrEqual(policy.maxBatchSize);
            expect(batcher.inFlight).toBeLessThanOrEqual(policy.concurrency);
            answered.push(...items);
          },
          (item) => answered.push(item),
        );
        let offered = 0;
        let nowMs = 0;
        for (const { offers, finish, elapsedMs, policy: next } of steps) {
          policy = next;
          nowMs += elapsedMs;
          if (finish && batcher.inFlight > 0) batcher.finished();
          for (let i = 0; i < offers; i++) batcher.offer(offered++, nowMs);
          const againAtMs = batcher.pump(nowMs);
          expect(batcher.queued).toBeLessThanOrEqual(6);
          if (againAtMs !== undefined) expect(againAtMs).toBeGreaterThan(nowMs);
          if (batcher.queued > 0) expect(againAtMs).toBeDefined();
        }
        nowMs += 100;
        batcher.pump(nowMs);
        expect(answered.toSorted((a, b) => a - b)).toEqual(Array.from({ length: offered }, (_, i) => i));
      }),
    );
  });
});

describe('a clip', () => {
  it('is a whole number of frames of 16-bit samples', () => {
    const body = Buffer.alloc(2 * 1_024);
    body.writeInt16LE(-1_234, 2);
    const clip = parseClip(body, 'audio/l16');
    expect(clip).toMatchObject({ frames: 2 });
    expect('samples' in clip && clip.samples[1]).toBe(-1_234);
  });

  it('may be floats, clamped, with NaN as silence', () => {
    const body = Buffer.alloc(2_048);
    for (const [i, value] of [0.5, 2, -2, Number.NaN].entries()) body.writeFloatLE(value, i * 4);
    const clip = parseClip(body, 'audio/x-float32');
    expect('samples' in clip && [...clip.samples.subarray(0, 4)]).toEqual([16_384, 32_767, -32_767, 0]);
  });

  it.each([0, 1, 1_023, 1_025, 65 * 1_024])('is refused at %i bytes, with what is allowed', (bytes) => {
    const clip = parseClip(Buffer.alloc(bytes), 'audio/l16');
    expect('error' in clip && clip.error).toMatch(/1 to 64 whole frames of 1024 bytes/);
  });
});
