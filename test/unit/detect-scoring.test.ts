/** The benchmarks' scorers, against cases worked out by hand. */
import { describe, expect, test } from 'vitest';
import { f1, kpiCounts } from '../bench/detect/kpi-score.ts';
import {
  NAB_PROFILES,
  type NabFile,
  nabAt,
  nabBest,
  nabCorpus,
  probationRows,
  scaledSigmoid,
} from '../bench/detect/nab-score.ts';
import { rangeF1, rangesOf, vusPr } from '../bench/detect/range-score.ts';

const [standard, lowFp, lowFn] = NAB_PROFILES;

/** 100 rows, so 15 on probation; one window on rows 40 to 59. */
function file(alarms: Readonly<Record<number, number>>): NabFile {
  const scores = new Float64Array(100);
  for (const [row, score] of Object.entries(alarms)) scores[Number(row)] = score;
  return { scores, windows: [{ first: 40, last: 59 }] };
}

const raw = (alarms: Readonly<Record<number, number>>, profile = standard!) =>
  nabAt(nabCorpus([file(alarms)]), profile, 0.5).raw;

describe('NAB', () => {
  test('probation is 15 %, at most 750 rows', () => {
    expect(probationRows(100)).toBe(15);
    expect(probationRows(4032)).toBe(604);
    expect(probationRows(22_695)).toBe(750);
  });

  test('the sigmoid at the points its paper names', () => {
    expect(scaledSigmoid(-1)).toBeCloseTo(0.98661, 5);
    expect(scaledSigmoid(-0.5)).toBeCloseTo(0.84828, 5);
    expect(scaledSigmoid(0)).toBe(0);
    expect(scaledSigmoid(1)).toBeCloseTo(-0.98661, 5);
    expect(scaledSigmoid(3.5)).toBe(-1);
  });

  test('no alarm costs each window', () => {
    expect(raw({})).toBe(-1);
    expect(raw({}, lowFn)).toBe(-2);
  });

  test('an alarm on the first row of a window is worth exactly one', () => {
    expect(raw({ 40: 1 })).toBeCloseTo(1, 10);
  });

  test('in the middle .86, on the last row still a little', () => {
    // Row 50: position −(59 − 50 + 1)/20 = −.5; last row: −1/20.
    expect(raw({ 50: 1 })).toBeCloseTo(0.84828 / 0.98661, 4);
    expect(raw({ 59: 1 })).toBeCloseTo((2 / (1 + Math.exp(-0.25)) - 1) / 0.986614, 4);
  });

  test('only the earliest alarm of a window counts', () => {
    expect(raw({ 42: 1, 50: 1, 58: 1 })).toBeCloseTo(raw({ 42: 1 }), 12);
  });

  test('before any window a false alarm costs its full weight, on probation nothing', () => {
    expect(raw({ 20: 1 })).toBeCloseTo(-1 - 0.11, 12);
    expect(raw({ 20: 1 }, lowFp)).toBeCloseTo(-1 - 0.22, 12);
    expect(raw({ 5: 1 })).toBe(-1);
  });

  test('soon after a window it costs less: distance in window widths less one', () => {
    // Row 60: 1/19 widths behind, so 2σ(−5/19) − 1.
    expect(raw({ 60: 1 })).toBeCloseTo(-1 + 0.11 * (2 / (1 + Math.exp(5 / 19)) - 1), 12);
    expect(raw({ 99: 1 })).toBeCloseTo(-1 + 0.11 * (2 / (1 + Math.exp((5 * 40) / 19)) - 1), 12);
  });

  test('normalised: never alarming is 0, perfect is 100', () => {
    expect(nabBest(nabCorpus([file({})]), standard!).normalised).toBe(0);
    expect(nabBest(nabCorpus([file({ 40: 1 })]), lowFn!).normalised).toBeCloseTo(100, 10);
  });

  test('one threshold for all files: the one that suits their sum', () => {
    const good = file({ 40: 0.6, 20: 0.4 });
    const bad: NabFile = {
      scores: Float64Array.from({ length: 100 }, (_, i) => (i > 20 && i < 60 ? 0.6 : 0)),
      windows: [],
    };
    const best = nabBest(nabCorpus([good, bad]), standard!);
    // The 39 false alarms at .6 cost 4.29, more than the window is worth: better never to alarm.
    expect(best.normalised).toBe(0);
    expect(nabBest(nabCorpus([good]), standard!)).toMatchObject({ threshold: 0.6, windowsFound: 1, falseAlarms: 0 });
  });

  test('a silent detector stays silent where all its scores are equal', () => {
    expect(nabBest(nabCorpus([file({})]), standard!).threshold).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('AIOps KPI', () => {
  const labels = [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1];
  const alarms = (...rows: number[]) => labels.map((_, i) => (rows.includes(i) ? 1 : 0));

  test('an alarm within the delay finds all the points of its segment', () => {
    expect(kpiCounts(alarms(9), labels, 7)).toMatchObject({ truePoints: 10, missedPoints: 2, falsePoints: 0 });
  });

  test('one point later it finds none', () => {
    expect(kpiCounts(alarms(10), labels, 7)).toMatchObject({ truePoints: 0, missedPoints: 12, falsePoints: 0 });
  });

  test('every alarmed point outside is false', () => {
    expect(kpiCounts(alarms(0, 1, 14), labels, 7)).toMatchObject({ truePoints: 2, missedPoints: 10, falsePoints: 2 });
  });

  test('F1 of 2 found, 2 false, 10 missed points is 4/16', () => {
    expect(f1(kpiCounts(alarms(0, 1, 14), labels, 7))).toBe(0.25);
  });
});

describe('ranges', () => {
  test('ranges of flags', () => {
    expect(rangesOf([1, 1, 0, 0, 1])).toEqual([
      { first: 0, last: 1 },
      { first: 4, last: 4 },
    ]);
  });

  test('half covered by one prediction of the same size, half of it outside', () => {
    const score = rangeF1([{ first: 5, last: 14 }], [{ first: 0, last: 9 }]);
    expect(score).toEqual({ precision: 0.5, recall: 0.5, f1: 0.5 });
  });

  test('covered by two pieces counts half', () => {
    const real = [{ first: 0, last: 9 }];
    const pieces = [
      { first: 0, last: 3 },
      { first: 6, last: 9 },
    ];
    expect(rangeF1(pieces, real)).toMatchObject({ recall: 0.4, precision: 1 });
  });

  test('VUS-PR: the labels themselves score 1 without shoulders, a constant the share of anomalous rows', () => {
    const labels = Array.from({ length: 1000 }, (_, i) => (i >= 400 && i < 500 ? 1 : 0));
    const sharp = { maxShoulder: 0, shoulderStep: 20, thresholds: 1000 };
    expect(vusPr(labels, labels, sharp)).toBeCloseTo(1, 10);
    expect(vusPr(new Float64Array(1000), labels, sharp)).toBeCloseTo(0.1, 10);
  });

  test('VUS-PR prefers the anomaly ranked first to the anomaly ranked last', () => {
    const labels = Array.from({ length: 1000 }, (_, i) => (i >= 400 && i < 500 ? 1 : 0));
    const inverted = labels.map((label) => 1 - label);
    expect(vusPr(labels, labels)).toBeGreaterThan(0.8);
    expect(vusPr(inverted, labels)).toBeLessThan(0.15);
  });
});
