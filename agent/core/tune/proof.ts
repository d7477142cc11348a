import type { Block } from '../model.ts';

/**
 * Did the candidate help? Interleaved blocks, judged by a test that may be looked at after every block.
 *
 * Intuition. A block runs incumbent (A) and candidate (B) as ABBA or BAAB, by a fair coin; its difference
 * `d = mean(B) − mean(A)` cancels a linear drift of the load. If the candidate does nothing, the coin alone decided
 * the sign of `d`: whatever the noise looks like (heavy tails, autocorrelation, spikes, other variance every hour), `d` and
 * `−d` were equally likely. So we bet on the sign: starting from 1, each block multiplies our stake by
 *
 *   exp(−λd) / cosh(λd),      whose mean over the two signs is exactly 1,
 *
 * a martingale under "no effect". By Ville's inequality the stake ever reaches 1/α with probability at most α, at whichever block
 * we choose to stop. `λ = c / s` for c ∈ {0.3, 1, 3} (a mixture with equal weights), where `s` is the noise of a difference taken
 * from the same-arm pairs of each block, `s² = Σ[(y₁−y₄)² + (y₂−y₃)²] / 4n`, which swapping the arms leaves unchanged, so the
 * bet stays fair. For a clear effect the stake doubles every block (no test without an assumption on the noise can do better);
 * each factor is below 2, so one wild block cannot carry a verdict.
 *
 * The interval inverts the test: all effects δ for which the blocks `d − δ` do not reach 1/α on either side; its
 * coverage is 1 − 2α at every block at once. The estimate is Hodges and Lehmann's (median of pairwise means).
 *
 * Units: log objective; −0.1 is about 10 % better. Needs `log₂(1/α)` blocks at least: 5 at α = .05, 7 at .01.
 * Fails when the candidate's effect outlasts its window (carry-over): the settle time must cover it.
 *
 * Sources: randomisation tests (Fisher 1935); test martingales and Ville's inequality (Shafer et al. 2011); self-normalised
 * bounds from symmetry (de la Peña 1999); switchback designs (Bojinov et al., arXiv 2009.00148); Hodges and Lehmann 1963.
 *
 * Example: six blocks of about −0.2 with s = 0.05 multiply the stake to about 60: proven at α = .02.
 */
export interface Proof {
  /** ln of the stake bet on "the candidate is better". */
  readonly logBetter: number;
  /** ln of the stake bet on "the candidate is worse". */
  readonly logWorse: number;
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

export type Verdict = 'better' | 'worse' | 'futile' | 'undecided';

export interface ProofRule {
  /** Probability of keeping a change that does nothing. */
  readonly alpha: number;
  readonly maxBlocks: number;
  /** Smallest relative improvement worth keeping. */
  readonly minimumEffect: number;
}

const BET_SIZES = [0.3, 1, 3] as const;
const NOISE_FLOOR = 1e-6;
// Stopping for harm spends no error budget, so it may be quick: 1 in 20 by luck.
const HARM_ALPHA = 0.05;
// From here on, an estimate short of half the smallest worthwhile effect will not become a proof in the blocks left.
const FUTILITY_FROM_BLOCK = 8;

export function blockOf(order: Block['order'], y: readonly number[], startMs: number, endMs: number): Block {
  const [first = 0, second = 0, third = 0, fourth = 0] = y;
  const outer = (first + fourth) / 2;
  const inner = (second + third) / 2;
  return { order, startMs, endMs, y: [...y], difference: order === 'ABBA' ? inner - outer : outer - inner };
}

export function prove(blocks: readonly Block[], alpha: number): Proof {
  const scales = noiseScales(blocks);
  const differences = blocks.map((block) => block.difference);
  const threshold = Math.log(1 / alpha);
  const stake = (shift: number, side: 1 | -1): number => logStake(differences, scales, shift, side);
  return {
    logBetter: stake(0, -1),
    logWorse: stake(0, 1),
    estimate: hodgesLehmann(differences),
    // Betting that the effect is below δ wins more the larger δ is: the first δ at which it wins is the upper end.
    high: invert((shift) => stake(shift, -1), threshold, differences, scales, 1),
    low: invert((shift) => stake(shift, 1), threshold, differences, scales, -1),
  };
}

export function judge(proof: Proof, blocks: number, rule: ProofRule): Verdict {
  const worthwhile = Math.log(1 - rule.minimumEffect);
  if (proof.logBetter >= Math.log(1 / rule.alpha)) return 'better';
  if (proof.logWorse >= Math.log(1 / HARM_ALPHA)) return 'worse';
  if (proof.low > worthwhile) return 'futile';
  // Half way to a proof when the blocks run out: as many again cost less than beginning anew.
  const isPromising = proof.logBetter >= Math.log(1 / rule.alpha) / 2;
  if (blocks >= (isPromising ? 2 : 1) * rule.maxBlocks) return 'futile';
  if (blocks >= FUTILITY_FROM_BLOCK && proof.estimate > worthwhile / 2) return 'futile';
  return 'undecided';
}

/** Noise of a block difference as known after each block, from same-arm pairs only. */
function noiseScales(blocks: readonly Block[]): readonly number[] {
  let sum = 0;
  return blocks.map(({ y: [first = 0, second = 0, third = 0, fourth = 0] }, index) => {
    sum += (first - fourth) ** 2 + (second - third) ** 2;
    return Math.max(Math.sqrt(sum / (4 * (index + 1))), NOISE_FLOOR);
  });
}

function logStake(differences: readonly number[], scales: readonly number[], shift: number, side: 1 | -1): number {
  let total = 0;
  for (const size of BET_SIZES) {
    let log = 0;
    for (let i = 0; i < differences.length; i++) {
      const bet = (side * size * (differences[i] - shift)) / scales[i];
      log += bet - logCosh(bet);
    }
    total += Math.exp(log);
  }
  return Math.log(total / BET_SIZES.length);
}

/** ln cosh without overflow. */
function logCosh(x: number): number {
  const size = Math.abs(x);
  return size + Math.log1p(Math.exp(-2 * size)) - Math.LN2;
}

function invert(
  stakeAt: (shift: number) => number,
  threshold: number,
  differences: readonly number[],
  scales: readonly number[],
  side: 1 | -1,
): number {
  // Even with every block on its side, the stake stays below 2^n: with fewer blocks nothing can be excluded.
  if (differences.length * Math.LN2 <= threshold) return side * Number.POSITIVE_INFINITY;
  const spread = Math.max(...scales) * 64 + 1e-9;
  let inside = hodgesLehmann(differences);
  let outside = side === 1 ? Math.max(...differences) + spread : Math.min(...differences) - spread;
  if (stakeAt(outside) < threshold) return side * Number.POSITIVE_INFINITY;
  if (stakeAt(inside) >= threshold) inside = side === 1 ? Math.min(...differences) : Math.max(...differences);
  for (let round = 0; round < 60; round++) {
    const middle = (inside + outside) / 2;
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

export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
