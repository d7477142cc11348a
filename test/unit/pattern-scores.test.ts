import { describe, expect, it } from 'vitest';
import { covering, f1 } from '../bench/changepoints/scores.ts';

describe('the scores of the Turing change point data set, by hand', () => {
  it('F1: precision against all marks, recall averaged over annotators, index 0 always among them', () => {
    // Truths {0, 50} and {0}; answer {0, 52, 80}. Precision: 0 and 50 hit by two of three. Recall: 2/2 and 1/1.
    expect(f1({ a: [50], b: [] }, [52, 80])).toBeCloseTo((2 * (2 / 3) * 1) / (2 / 3 + 1), 12);
    // Answer {0}: precision 1, recall (1/2 + 1)/2 = 3/4.
    expect(f1({ a: [50], b: [] }, [])).toBeCloseTo((2 * 0.75) / 1.75, 12);
  });

  it('F1: the margin is inclusive, and one answer hits one mark', () => {
    expect(f1({ a: [50] }, [55])).toBe(1);
    expect(f1({ a: [50] }, [56])).toBeCloseTo(0.5, 12);
    // {0, 50, 53} against {0, 51}: precision 2/2, recall 2/3.
    expect(f1({ a: [50, 53] }, [51])).toBeCloseTo((2 * (2 / 3)) / (5 / 3), 12);
  });

  it('covering: the best overlap of each true segment, weighted by its length', () => {
    // Truth [0,60) [60,100); answer [0,50) [50,100): 60 % · 50/60 + 40 % · 40/50.
    expect(covering({ a: [60] }, [50], 100)).toBeCloseTo(0.6 * (50 / 60) + 0.4 * (40 / 50), 12);
    // No answer: each segment against the whole.
    expect(covering({ a: [60] }, [], 100)).toBeCloseTo(0.6 * 0.6 + 0.4 * 0.4, 12);
    expect(covering({ a: [60], b: [] }, [60], 100)).toBeCloseTo((1 + 0.6) / 2, 12);
  });
});
