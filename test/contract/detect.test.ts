/** What every detector promises, whatever it is made of. A new detector joins by one line in `DETECTORS`. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cusumView } from '../../agent/core/detect/cusum.ts';
import type { Detector } from '../../agent/core/detect/detector.ts';
import { levelView } from '../../agent/core/detect/level.ts';
import { linearPredictionView } from '../../agent/core/detect/linear-prediction.ts';
import { recentWindowView } from '../../agent/core/detect/recent-window.ts';
import { roughnessView } from '../../agent/core/detect/roughness.ts';
import { layOut, STANDING_SET, type StandingSet } from '../../agent/core/detect/standing-set.ts';
import { stepView } from '../../agent/core/detect/step.ts';
import { isUsable, SurpriseDetector, type SurpriseState } from '../../agent/core/detect/surprise.ts';
import { timeOfDayView } from '../../agent/core/detect/time-of-day.ts';
import { volatilityView } from '../../agent/core/detect/volatility.ts';

interface Contracted extends Detector {
  readonly stateBytes: number;
  restore(saved: SurpriseState): void;
}

const of = (set: StandingSet) => (): Contracted => new SurpriseDetector(set);
const DETECTORS: Readonly<Record<string, () => Contracted>> = {
  'standing set': of(STANDING_SET),
  level: of(layOut('level', [levelView])),
  median: of(layOut('median', [levelView, recentWindowView('median', 7, 0.01)])),
  minimum: of(layOut('minimum', [levelView, recentWindowView('minimum', 6, 0.005)])),
  'time of day': of(layOut('time of day', [levelView, timeOfDayView])),
  'linear prediction': of(layOut('linear prediction', [levelView, linearPredictionView])),
  roughness: of(layOut('roughness', [levelView, roughnessView])),
  'cumulative sum': of(layOut('cumulative sum', [levelView, cusumView])),
  volatility: of(layOut('volatility', [levelView, volatilityView])),
  step: of(layOut('step', [levelView, stepView])),
};

interface Point {
  readonly value: number;
  readonly atMs: number;
}

/** Scores each point before learning it, as the agent does. */
function feed(detector: Detector, points: readonly Point[]): number[] {
  return points.map(({ value, atMs }) => {
    const { surprise } = detector.score(value, atMs);
    detector.learn(value, atMs);
    return surprise;
  });
}

/** Values of all magnitudes, gaps, equal times, and what a broken exporter sends. */
const points = fc
  .array(
    fc.record({
      value: fc.oneof(
        { weight: 8, arbitrary: fc.double({ min: -1000, max: 1000, noNaN: true }) },
        { weight: 1, arbitrary: fc.constantFrom(0, 1e-300, -1e-12, 3e10, 1e99, -1e99, 1e300, -1e300, 5e-324) },
        { weight: 1, arbitrary: fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY) },
      ),
      afterMs: fc.constantFrom(0, 1000, 60_000, 60_000, 60_000, 3_600_000, 40 * 86_400_000),
    }),
    { minLength: 120, maxLength: 250 },
  )
  .map((steps) => {
    let atMs = Date.UTC(2026, 10, 23);
    return steps.map(({ value, afterMs }) => {
      atMs += afterMs;
      return { value, atMs };
    });
  });

/** A wavy series with a little reproducible noise: enough for every view to have an opinion. */
function wave(count: number, at = 0): Point[] {
  return Array.from({ length: count }, (_, i) => {
    const noise = Math.sin(i * 12.9898) * 43758.5453;
    return { value: 50 + 10 * Math.sin(i / 50) + (noise - Math.floor(noise)), atMs: (at + i) * 60_000 };
  });
}

describe.each(Object.entries(DETECTORS))('%s', (_name, make) => {
  const bounds = { numRuns: 8 };

  test('scoring changes nothing', () => {
    fc.assert(
      fc.property(points, fc.double({ noNaN: true }), (series, other) => {
        const asked = make();
        const left = make();
        for (const { value, atMs } of series) {
          asked.score(other, atMs);
          const first = asked.score(value, atMs).surprise;
          expect(asked.score(value, atMs).surprise).toBe(first);
          expect(left.score(value, atMs).surprise).toBe(first);
          asked.learn(value, atMs);
          left.learn(value, atMs);
        }
      }),
      bounds,
    );
  });

  test('gaps, infinities and NaN are survived and leave no trace', () => {
    fc.assert(
      fc.property(points, (series) => {
        const scores = feed(make(), series);
        expect(scores.every((score) => Number.isFinite(score))).toBe(true);
        const usable = series.filter(({ value }) => isUsable(value));
        expect(scores.filter((_, i) => isUsable(series[i]!.value))).toEqual(feed(make(), usable));
      }),
      bounds,
    );
  });

  test('points of equal time are taken in the order they come', () => {
    const once = wave(300);
    const twice = once.flatMap((point) => [point, { ...point, value: point.value + 1 }]);
    const scores = feed(make(), twice);
    expect(scores).toEqual(feed(make(), twice));
    expect(scores.every((score) => Number.isFinite(score))).toBe(true);
  });

  test('there is no look-ahead: the scores of a prefix are the prefix of the scores', () => {
    fc.assert(
      fc.property(points, fc.nat(250), (series, length) => {
        expect(feed(make(), series.slice(0, length))).toEqual(feed(make(), series).slice(0, length));
      }),
      bounds,
    );
  });

  test('saved as JSON and restored, it gives the same scores', () => {
    fc.assert(
      fc.property(points, (series) => {
        const half = series.length >> 1;
        const original = make();
        feed(original, series.slice(0, half));
        const restored = make();
        restored.restore(JSON.parse(JSON.stringify(original.save())));
        expect(feed(restored, series.slice(half))).toEqual(feed(original, series.slice(half)));
      }),
      bounds,
    );
  });

  test('a constant series never surprises, and a step does, once', () => {
    const detector = make();
    const flat = Array.from({ length: 500 }, (_, i) => ({ value: 7, atMs: i * 60_000 }));
    expect(Math.max(...feed(detector, flat))).toBe(0);
    const stepped = feed(
      detector,
      Array.from({ length: 6000 }, (_, i) => ({ value: 9, atMs: (500 + i) * 60_000 })),
    );
    expect(Math.max(...stepped.slice(0, 60))).toBeGreaterThan(1.5);
    expect(Math.max(...stepped.slice(-1000))).toBeLessThan(1.5);
  });

  test('state is bounded: as many bytes after 5000 points as after none', () => {
    const detector = make();
    const before = detector.stateBytes;
    feed(detector, wave(5000));
    expect(detector.stateBytes).toBe(before);
    expect(before).toBeLessThanOrEqual(2048);
  });
});

test('weights are rescaled in time: after 75,000 points scores are what they were', () => {
  const detector = new SurpriseDetector(STANDING_SET);
  const scores = feed(detector, wave(75_000));
  expect(Math.max(...scores.slice(60_000))).toBeLessThan(6);
  expect(detector.score(1000, 75_000 * 60_000).surprise).toBeGreaterThan(3);
});
