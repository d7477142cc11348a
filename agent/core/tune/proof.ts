import type { Block, BlockOrder, ProofRule } from '../model.ts';

/**
 * Did the candidate help? Interleaved blocks, judged by a test that may be looked at after every block.
 *
 * Intuition. A block is three windows, one at the incumbent (A) and two at the candidate (B); which of the three is A is
 * drawn evenly. If the candidate does nothing, the draw alone decided which window is called A: whatever the noise looks
 * like (heavy tails, autocorrelation, spikes, another variance every hour), each of the three was equally likely. So we
 * bet on A being the worst. Starting from 1, each block multiplies our stake by
 *
 *   ε + (1 − ε) · 3 exp(λ y_A) / Σ exp(λ yᵢ)        ε = .05,
 *
 * whose mean over the three draws is exactly 1: a martingale under "no effect". By Ville's inequality the stake ever reaches
 * 1/α with probability at most α, at whichever block we choose to stop. `λ = c / s` for c ∈ {.5, 1.5} (a mixture with equal
 * weights). `s` is the noise of a window: from the pairs of B in the blocks before, and from the closest pair of this one,
 * which no draw changes, so the bet stays fair. A block can triple the stake where a pair could only double it, and two
 * thirds of the time are spent at the candidate: a proof of a clear gain takes 15 windows, of which 5 at the incumbent
 * (ABBA: 28, of which 14). ε bounds what one wild block can cost.
 *
 * To be worth keeping, a change must beat the smallest worthwhile effect and not just zero: the bet is laid on `y_B + h` with
 * h = −ln(1 − minimumEffect). That also covers a small disadvantage of the incumbent's windows, which follow a change more
 * often than the candidate's.
 *
 * The interval inverts the test: all effects δ for which the bets on `y_B − δ` do not reach 1/α on either side; its
 * coverage is 1 − 2α at every block at once. The estimate is Hodges and Lehmann's (median of pairwise means).
 *
 * Units: log objective; −0.1 is about 10 % better. Needs `ln(1/α) / ln 2.9` blocks at least: 4 at α = .02.
 * Fails when the candidate's effect outlasts its window (carry-over): the settle time must cover it.
 *
 * Sources: randomisation tests (Fisher 1935); test martingales and Ville's inequality (Shafer et al. 2011); e-processes
 * by betting (Waudby-Smith and Ramdas 2024, arXiv 2010.09686); switchback designs (Bojinov et al., arXiv 2009.00148);
 * Hodges and Lehmann 1963.
 *
 * Example: four blocks with A worse by .3 and s = .05 multiply the stake to more than 50: proven at α = .02.
 */
export interface Proof {
  /** ln of the stake bet on "the candidate is better by more than the smallest worthwhile effect". */
  readonly logBetter: number;
  /** ln of the stake bet on "the candidate is worse". */
  readonly logWorse: number;
  readonly estimate: number;
  /** Standard deviation of one window. */
  readonly noise: number;
  readonly low: number;
  readonly high: number;
}

export type Verdict = 'better' | 'worse' | 'futile' | 'undecided';

export const BLOCK_ORDERS: readonly BlockOrder[] = ['ABB', 'BAB', 'BBA'];
const WINDOWS = 3;
const BET_SIZES = [0.5, 1.5] as const;
/** Share of each bet that is kept back. */
const KEPT_BACK = 0.05;
const NOISE_FLOOR = 1e-6;
/** The closest two of three windows lie this much closer (in variance) than two drawn at random would. */
const CLOSEST_PAIR = 3.9;
// Stopping for harm spends no error budget, so it may be quick: 1 in 20 by luck.
const HARM_ALPHA = 0.05;
// From here on, what the blocks left cannot be expected to prove is futile.
const FUTILITY_FROM_BLOCK = 3;
/** The effect is given the benefit of so many standard errors before it is called futile. */
const HOPE = 1.3;
/** Of a block's difference, in windows: one against the mean of two. */
const VARIANCE_OF_DIFFERENCE = 1.5;

export function blockOf(order: BlockOrder, y: readonly number[], startMs: number, endMs: number): Block {
  const { a, b } = armsOf(order, y);
  return { order, startMs, endMs, y: [...y], difference: (b[0] + b[1]) / 2 - a };
}

/** `precision`: to which the interval's ends are found. */
export function prove(
  blocks: readonly Block[],
  { alpha, minimumEffect }: Omit<ProofRule, 'maxBlocks'>,
  precision = 0,
): Proof {
  const arms = blocks.map(({ order, y }) => armsOf(order, y));
  const scales = noiseScales(arms);
  const differences = blocks.map((block) => block.difference);
  const threshold = Math.log(1 / alpha);
  const stake = (shift: number, side: 1 | -1): number => logStake(arms, scales, shift, side);
  return {
    logBetter: stake(Math.log(1 - minimumEffect), -1),
    logWorse: stake(0, 1),
    estimate: hodgesLehmann(differences),
    noise: scales.at(-1) ?? 0,
    // Betting that the effect is below δ wins more the larger δ is: the first δ at which it wins is the upper end.
    high: invert((shift) => stake(shift, -1), threshold, differences, scales, 1, precision),
    low: invert((shift) => stake(shift, 1), threshold, differences, scales, -1, precision),
  };
}

export function judge(proof: Proof, blocks: number, rule: ProofRule): Verdict {
  const threshold = Math.log(1 / rule.alpha);
  const worthwhile = Math.log(1 - rule.minimumEffect);
  if (proof.logBetter >= threshold) return 'better';
  if (proof.logWorse >= Math.log(1 / HARM_ALPHA)) return 'worse';
  if (proof.low > worthwhile) return 'futile';
  // Half way to a proof when the blocks run out: as many again cost less than beginning anew.
  const isPromising = proof.logBetter >= threshold / 2;
  const left = (isPromising ? 2 : 1) * rule.maxBlocks - blocks;
  if (left <= 0) return 'futile';
  return blocks >= FUTILITY_FROM_BLOCK && blocksToGo(proof, blocks, worthwhile, threshold) > left
    ? 'futile'
    : 'undecided';
}

/** How many more blocks the proof takes if the effect is somewhat better than it looks. */
function blocksToGo(proof: Proof, blocks: number, worthwhile: number, threshold: number): number {
  const hoped =
    proof.estimate - (HOPE * proof.noise * Math.sqrt(VARIANCE_OF_DIFFERENCE)) / Math.sqrt(blocks) - worthwhile;
  const missing = Math.max(0, threshold - proof.logBetter);
  return hoped >= 0 ? Number.POSITIVE_INFINITY : expectedBlocks(hoped, proof.noise, Math.exp(-missing));
}

/**
 * Blocks that a proof at level `alpha` takes: near zero a bet gains about `e² / 2` of its stake a block, with the effect `e`
 * in units of the noise of a block's difference; it cannot gain more than the threefold stake.
 */
export function expectedBlocks(effect: number, noise: number, alpha: number): number {
  const gain = effect ** 2 / (2 * VARIANCE_OF_DIFFERENCE * Math.max(noise, NOISE_FLOOR) ** 2);
  return Math.log(1 / alpha) / Math.min(gain, Math.log(WINDOWS));
}

interface Arms {
  readonly a: number;
  readonly b: readonly [number, number];
}

function armsOf(order: BlockOrder, [first = 0, second = 0, third = 0]: readonly number[]): Arms {
  switch (order) {
    case 'ABB':
      return { a: first, b: [second, third] };
    case 'BAB':
      return { a: second, b: [first, third] };
    case 'BBA':
      return { a: third, b: [first, second] };
  }
}

/** Noise of a window as known at each block: from what came before, and from what no draw could have changed in it. */
function noiseScales(arms: readonly Arms[]): readonly number[] {
  let sum = 0;
  return arms.map(({ a, b: [first, second] }, before) => {
    const closest = Math.min((first - second) ** 2, (first - a) ** 2, (second - a) ** 2);
    const scale = Math.sqrt((sum + CLOSEST_PAIR * closest) / (2 * (before + 1)));
    sum += (first - second) ** 2;
    return Math.max(scale, NOISE_FLOOR);
  });
}

function logStake(arms: readonly Arms[], scales: readonly number[], shift: number, side: 1 | -1): number {
  let total = 0;
  for (const size of BET_SIZES) {
    let log = 0;
    for (let i = 0; i < arms.length; i++) {
      const bet = (-side * size) / scales[i];
      const { a, b } = arms[i];
      // Of B against A, so that nothing overflows where the difference is large.
      const others = Math.exp(bet * (b[0] - shift - a)) + Math.exp(bet * (b[1] - shift - a));
      log += Math.log(KEPT_BACK + ((1 - KEPT_BACK) * WINDOWS) / (1 + others));
    }
    total += Math.exp(log);
  }
  return Math.log(total / BET_SIZES.length);
}

function invert(
  stakeAt: (shift: number) => number,
  threshold: number,
  differences: readonly number[],
  scales: readonly number[],
  side: 1 | -1,
  precision: number,
): number {
  const spread = Math.max(...scales, 0) * 64 + 1e-9;
  let inside = hodgesLehmann(differences);
  let outside = side === 1 ? Math.max(...differences) + spread : Math.min(...differences) - spread;
  // Even with every block on its side, the stake may be too small: with few blocks nothing can be excluded.
  if (stakeAt(outside) < threshold) return side * Number.POSITIVE_INFINITY;
  if (stakeAt(inside) >= threshold)
    inside = side === 1 ? Math.min(...differences) - spread : Math.max(...differences) + spread;
  for (let round = 0; round < 60; round++) {
    const middle = (inside + outside) / 2;
    const isFound = Math.abs(outside - inside) <= precision || middle === inside || middle === outside;
    if (isFound) break;
    if (stakeAt(middle) >= threshold) outside = middle;
    else inside = middle;
  }
  return outside;
}

function hodgesLehmann(values: readonly number[]): number {
  const means: number[] = [];
  for (let i = 0; i < values.length; i++) {
    for (let j = i; j < values.length; j++) means.push((values[i] + values[j]) / 2);
  }
  return median(means);
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
