import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Block } from '../../agent/core/model.ts';
import { ErrorBudget } from '../../agent/core/tune/error_budget.ts';
import { BLOCK_ORDERS, blockOf, judge, prove } from '../../agent/core/tune/proof.ts';
import { Proving } from '../../agent/core/tune/proving.ts';
import { Random } from '../../agent/core/tune/random.ts';

const RULE = { alpha: 0.02, maxBlocks: 24, minimumEffect: 0.015 };

/** A block whose difference is `effect` plus window noise, the incumbent's window drawn evenly. */
function measure(random: Random, effect: number, noise: () => number): Block {
  const order = BLOCK_ORDERS[Math.floor(random.next() * BLOCK_ORDERS.length)];
  const y = [...order].map((arm) => (arm === 'B' ? effect : 0) + noise());
  return blockOf(order, y, 0, 1);
}

function gaussian(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

function runTrial(random: Random, effect: number, noise: () => number, rule = RULE) {
  const blocks: Block[] = [];
  for (;;) {
    blocks.push(measure(random, effect, noise));
    const proof = prove(blocks, rule);
    const verdict = judge(proof, blocks.length, rule);
    if (verdict !== 'undecided') return { verdict, proof, blocks: blocks.length };
  }
}

describe('a block', () => {
  test('is the mean of B minus A, wherever A ran', () => {
    expect(blockOf('ABB', [1, 5, 7], 0, 1).difference).toBe(5);
    expect(blockOf('BAB', [1, 5, 7], 0, 1).difference).toBe(-1);
    expect(blockOf('BBA', [1, 5, 7], 0, 1).difference).toBe(-4);
  });
});

describe('the stake', () => {
  test('is worth exactly 1 on average over the draw, whatever was measured: the bet is fair', () => {
    const y = fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(y, { minLength: 1, maxLength: 5 }), (windows) => {
        let better = 0;
        let worse = 0;
        const outcomes = BLOCK_ORDERS.length ** windows.length;
        for (let draw = 0; draw < outcomes; draw++) {
          const blocks = windows.map((w, i) => {
            const order = BLOCK_ORDERS[Math.floor(draw / BLOCK_ORDERS.length ** i) % BLOCK_ORDERS.length];
            return blockOf(order, w, 0, 1);
          });
          const proof = prove(blocks, { alpha: 0.05, minimumEffect: 0 });
          better += Math.exp(proof.logBetter);
          worse += Math.exp(proof.logWorse);
        }
        expect(better / outcomes).toBeCloseTo(1, 6);
        expect(worse / outcomes).toBeCloseTo(1, 6);
      }),
      { numRuns: 100 },
    );
  });

  test('rarely proves a change that does nothing, under heavy tails and autocorrelation as well', () => {
    const kinds: Record<string, (random: Random) => () => number> = {
      gaussian: (random) => () => gaussian(random),
      cauchy: (random) => () => Math.tan(Math.PI * (random.next() - 0.5)),
      autocorrelated: (random) => {
        let level = 0;
        return () => {
          level = 0.9 * level + gaussian(random);
          return level;
        };
      },
      spikes: (random) => () => gaussian(random) + (random.next() < 0.1 ? 20 : 0),
    };
    for (const noiseOf of Object.values(kinds)) {
      let kept = 0;
      for (let seed = 1; seed <= 500; seed++) {
        const random = Random.seeded(seed);
        if (runTrial(random, 0, noiseOf(random)).verdict === 'better') kept++;
      }
      // 2 % allowed: 10 of 500 expected at most, and three standard errors of chance.
      expect(kept).toBeLessThanOrEqual(10 + 3 * Math.sqrt(10));
    }
  });

  test('proves a clear gain in four to six blocks of three windows', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = Random.seeded(seed);
      const { verdict, blocks } = runTrial(random, -0.4, () => 0.05 * gaussian(random));
      expect(verdict).toBe('better');
      expect(blocks).toBeGreaterThanOrEqual(4);
      expect(blocks).toBeLessThanOrEqual(6);
    }
  });

  test('gives up on a change that does nothing long before the blocks run out', () => {
    let blocks = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const random = Random.seeded(seed);
      blocks += runTrial(random, 0, () => 0.05 * gaussian(random)).blocks;
    }
    expect(blocks / 100).toBeLessThan(RULE.maxBlocks / 2);
  });

  test('keeps no gain smaller than the smallest worthwhile one, however sure it is', () => {
    const random = Random.seeded(3);
    expect(runTrial(random, -0.01, () => 0.001 * gaussian(random)).verdict).toBe('futile');
  });

  test('calls clear harm harm', () => {
    const random = Random.seeded(5);
    expect(runTrial(random, 0.4, () => 0.05 * gaussian(random)).verdict).toBe('worse');
  });
});

describe('the interval', () => {
  test('contains the truth at least as often as it says, at whichever block the trial stopped', () => {
    let covered = 0;
    const runs = 300;
    for (let seed = 1; seed <= runs; seed++) {
      const random = Random.seeded(seed);
      const { proof } = runTrial(random, -0.1, () => 0.1 * gaussian(random));
      if (proof.low <= -0.1 && -0.1 <= proof.high) covered++;
    }
    expect(covered / runs).toBeGreaterThanOrEqual(1 - 2 * RULE.alpha);
  });

  test('lies clear of the smallest worthwhile effect exactly when the stake has been won, and contains the estimate', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.double({ min: -1, max: 1, noNaN: true }),
        (seed, effect) => {
          const random = Random.seeded(seed);
          const blocks = Array.from({ length: 12 }, () => measure(random, effect, () => 0.2 * gaussian(random)));
          const proof = prove(blocks, RULE);
          expect(proof.high < Math.log(1 - RULE.minimumEffect)).toBe(proof.logBetter >= Math.log(1 / RULE.alpha));
          expect(proof.low > 0).toBe(proof.logWorse >= Math.log(1 / RULE.alpha));
          expect(proof.low).toBeLessThanOrEqual(proof.estimate);
          expect(proof.estimate).toBeLessThanOrEqual(proof.high);
        },
      ),
    );
  });

  test('has no ends while too few blocks are there to exclude anything', () => {
    const proof = prove([blockOf('ABB', [0, -1, -1], 0, 1)], RULE);
    expect([proof.low, proof.high]).toEqual([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]);
  });
});

describe('the error budget', () => {
  test('never hands out more than q in total while nothing is found', () => {
    const budget = new ErrorBudget(0.05);
    let spent = 0;
    for (let trial = 0; trial < 10_000; trial++) {
      spent += budget.alpha;
      budget.spend(false);
    }
    expect(spent).toBeLessThan(0.05);
  });

  test('keeps the sum of levels within q per discovery (LORD)', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 300 }), (outcomes) => {
        const budget = new ErrorBudget(0.05);
        let spent = 0;
        let found = 0;
        for (const outcome of outcomes) {
          spent += budget.alpha;
          budget.spend(outcome);
          if (outcome) found++;
          expect(spent).toBeLessThanOrEqual(0.05 * Math.max(1, found) + 1e-12);
        }
      }),
    );
  });

  test('goes on where it was after saving', () => {
    const budget = new ErrorBudget(0.05);
    for (const outcome of [false, true, false, false, true]) budget.spend(outcome);
    const again = new ErrorBudget(0.05, JSON.parse(JSON.stringify(budget.state())));
    expect(again.alpha).toBe(budget.alpha);
  });
});

describe('limits in a proof', () => {
  const rule = { alpha: 0.05, maxBlocks: 24, minimumEffect: 0.015 };

  /** A clear gain, with these error ratios at incumbent and candidate. */
  function proven(incumbent: number, candidate: number, noise = (_window: number) => 0): Proving {
    const proving = new Proving({ rule, budget: { q: 0.05, trials: 0, discoveries: [] }, coinSeed: 3 }, 0);
    for (let i = 0; i < 24; i++) {
      const isB = proving.isCandidatesTurn;
      const errorRate = -Math.log1p(-(isB ? candidate : incumbent) - noise(i));
      proving.onWindow((isB ? -0.5 : 0) + 0.01 * (i % 3), i, { errorRate, responseTimeP95: Math.log(isB ? 80 : 100) });
    }
    return proving;
  }

  test('what crosses a limit that the incumbent keeps breaks it; a repair that comes nearer does not', () => {
    const limits = { errorRatio: 0.02, responseTimeMsP95: 90 };
    expect([proven(0.001, 0.03).breaks(limits), proven(0.001, 0.03).crosses(limits)]).toEqual([true, true]);
    expect([proven(0.05, 0.03).breaks(limits), proven(0.05, 0.03).crosses(limits)]).toEqual([false, true]);
    expect([proven(0.001, 0.01).breaks(limits), proven(0.001, 0.01).crosses(limits)]).toEqual([false, false]);
    expect(proven(0.001, 0.01).breaks({ errorRatio: 0.02, responseTimeMsP95: 70 })).toBe(false);
  });

  test('where the incumbent crosses a limit itself, chance alone breaks nothing, and what leads away from it does', () => {
    const limits = { errorRatio: 0.02 };
    const wave = (window: number) => (window % 2 === 0 ? 0.01 : -0.01);
    expect(proven(0.05, 0.0505, wave).breaks(limits)).toBe(false);
    expect(proven(0.05, 0.07, wave).breaks(limits)).toBe(true);
    expect(proven(0.05, 0.0505).breaks(limits)).toBe(true);
  });
});
