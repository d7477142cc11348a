import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { levelView } from '../../agent/core/detect/level.ts';
import { layOut, STANDING_SET } from '../../agent/core/detect/standing-set.ts';
import { SurpriseDetector } from '../../agent/core/detect/surprise.ts';
import {
  addToSketch,
  emptySketch,
  rescaleSketch,
  SKETCH_SLOTS,
  sketchSize,
  sketchSurprise,
} from '../../agent/core/detect/tail-sketch.ts';
import { seeded } from '../bench/detect/blind.ts';

function sketchOf(sizes: readonly number[]): Float32Array {
  const sketch = new Float32Array(SKETCH_SLOTS);
  emptySketch(sketch, 0);
  for (const size of sizes) addToSketch(sketch, 0, size, 1);
  return sketch;
}

describe('tail sketch', () => {
  test("the head comment's example: 10 of 1000 points as large is one in a hundred", () => {
    const sketch = sketchOf([...Array(990).fill(1), ...Array(10).fill(4)]);
    expect(sketchSurprise(sketch, 0, 4, 1000, 1)).toBeCloseTo(Math.log10(1001 / 10.5) - 0.3 * Math.log10(1.001), 5);
  });

  test('bins are absolute: the same history in another order says the same', () => {
    const sizes = [0.001, 5, 3, 0.2, 700, 12, 0.04, 6000];
    expect(sketchOf(sizes)).toEqual(sketchOf([...sizes].sort((a, b) => a - b)));
  });

  test('never seen: surprise grows without end, but slower than the tail is straight', () => {
    const sketch = sketchOf(Array.from({ length: 1000 }, (_, i) => 1 + (i % 16) / 8));
    const at = (size: number) => sketchSurprise(sketch, 0, size, 1000, 1);
    const steps = [8, 16, 32, 64].map((size, i, all) => at(size) - (i === 0 ? 0 : at(all[i - 1]!)));
    expect(steps.every((step) => step > 0)).toBe(true);
    expect(steps[3]!).toBeLessThan(steps[2]!);
  });

  test('one enormous value makes the detector dull, and is forgotten in the end', () => {
    const detector = new SurpriseDetector(layOut('level', [levelView]));
    const random = seeded(5);
    let atMs = 0;
    const learn = (value: number) => {
      atMs += 60_000;
      detector.learn(value, atMs);
    };
    const usual = (points: number) => {
      for (let i = 0; i < points; i++) learn(100 + 3 * random());
    };
    usual(1000);
    learn(1e12);
    usual(1000);
    expect(detector.score(200, atMs + 60_000).surprise).toBeLessThan(1);
    usual(10_000);
    expect(detector.score(200, atMs + 60_000).surprise).toBeGreaterThan(4);
  });

  test('days of outage at the start do not hide the next one', () => {
    const detector = new SurpriseDetector(STANDING_SET);
    const random = seeded(9);
    const surpriseOf = (minute: number, value: number) => detector.score(value, minute * 60_000).surprise;
    for (let i = 0; i < 9_000; i++) {
      // Two days of nothing, and of bursts that find no server; then it works.
      const value = i < 3_000 ? (i % 200 < 60 ? 130 * random() : 0) : 20 + 2 * random();
      detector.learn(value, i * 60_000);
    }
    const before = surpriseOf(9_000, 21);
    expect(before).toBeLessThan(1.5);
    expect(surpriseOf(9_000, 0)).toBeGreaterThan(4);
  });

  test('what comes back every week is not forgotten', () => {
    const detector = new SurpriseDetector(layOut('level', [levelView]));
    const random = seeded(3);
    const weekPoints = 2016;
    for (let i = 0; i < 8 * weekPoints; i++) {
      const isBackup = i % weekPoints < 12;
      detector.learn((isBackup ? 900 : 100) + 3 * random(), i * 300_000);
    }
    expect(detector.score(900, 8 * weekPoints * 300_000).surprise).toBeLessThan(2.5);
  });

  test('a quiet night of many points does not make the day unknown', () => {
    const detector = new SurpriseDetector(layOut('level', [levelView]));
    const random = seeded(4);
    const stepMs = 10_000;
    const hourPoints = 3_600_000 / stepMs;
    const learn = (hours: number) => {
      for (let i = 0; i < hours * hourPoints; i++) {
        const hour = Math.floor(i / hourPoints) % 24;
        detector.learn((hour < 10 ? 50 : 0.1) * (1 + 0.1 * random()), i * stepMs);
      }
    };
    learn(4 * 24);
    expect(detector.score(50, 4 * 24 * hourPoints * stepMs).surprise).toBeLessThan(3);
  });

  test('weights in another unit mean the same', () => {
    const sketch = sketchOf([1, 2, 2, 3, 9]);
    const before = sketchSurprise(sketch, 0, 3, 5, 1);
    rescaleSketch(sketch, 0, 0.25);
    expect(sketchSurprise(sketch, 0, 3, 1.25, 0.25)).toBeCloseTo(before, 5);
  });

  test('larger is never less surprising, and a size gives back its surprise', () => {
    const sizes = fc.array(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), { minLength: 5, maxLength: 300 });
    fc.assert(
      fc.property(sizes, fc.double({ min: 1e-6, max: 1e12, noNaN: true }), (history, size) => {
        const sketch = sketchOf(history);
        const surprise = sketchSurprise(sketch, 0, size, history.length, 1);
        expect(sketchSurprise(sketch, 0, size * 1.5, history.length, 1)).toBeGreaterThanOrEqual(surprise);
        const edge = sketchSize(sketch, 0, surprise, history.length, 1);
        expect(edge).toBeLessThanOrEqual(size * (1 + 1e-6));
      }),
    );
  });

  test('a size of zero is no surprise and is not counted', () => {
    const sketch = sketchOf([0, 0]);
    expect(sketch).toEqual(sketchOf([]));
    expect(sketchSurprise(sketch, 0, 0, 2, 1)).toBe(0);
  });
});
