import { drawBeta } from './beta.ts';
import type { ContextKey } from './context.ts';
import type { Random } from './random.ts';

/**
 * Which strategy's turn it is: discounted Thompson sampling over strategy × context.
 *
 * Intuition. Each strategy in each context is an arm. What is known of it is a Beta distribution over its reward; a draw from each
 * says whose turn it is, so that an arm is tried about as often as it is likely to be the best one. Old evidence fades, because
 * what paid yesterday may be exhausted today.
 *
 *   reward  r = G·h / (G·h + H + e·T) if the trial proved a gain, else 0          in [0, 1)
 *   update  (won, lost) ← γ·(won, lost) for every arm, then += (r, 1 − r) for the one that was tried
 *   draw    θ ~ Beta(1 + won_c + s·m, 2 + lost_c + s·(1 − m))      (sceptical: most changes do not help)
 *
 * `G` is the proven gain in log units, `h` = 100 windows over which it is counted, `H` the harm spent (log units × windows), `T` the
 * trial's length in windows and `e` the smallest effect worth having: proven gain per harm and time spent. `m` is the strategy's mean
 * over all contexts and `s` the weight that it has in one that is new, at most 2. γ = 0.95 a trial: half-life 14 trials.
 *
 * Fails slowly where contexts change faster than trials end. Sources: Thompson 1933; discounted Thompson sampling for
 * non-stationary rewards (Qi et al., arXiv 2305.10718); Marsaglia and Tsang 2000 for the draws.
 *
 * Example: a gain of 20 % in 40 windows without harm: .22·100 / (22 + .015·40) = .97.
 */
export type Arms = Readonly<Record<string, Readonly<Record<ContextKey, readonly [won: number, lost: number]>>>>;

export interface TrialCost {
  /** Proven gain in log units, positive; 0 where none was proven. */
  readonly gain: number;
  /** Log units × windows. */
  readonly harm: number;
  readonly windows: number;
  readonly minimumEffect: number;
}

const HORIZON_WINDOWS = 100;
const DISCOUNT = 0.95;
const SHARED_WEIGHT = 2;
/** All contexts together. */
const ALL = '*';
/** Contexts kept per strategy; beyond, the one with the least evidence is forgotten. */
const MAX_CONTEXTS = 48;
/** Evidence below this weight says nothing any more. */
const FADED = 0.01;

export function rewardOf({ gain, harm, windows, minimumEffect }: TrialCost): number {
  if (!(gain > 0)) return 0;
  const won = gain * HORIZON_WINDOWS;
  return won / (won + Math.max(0, harm) + minimumEffect * Math.max(0, windows));
}

export function withReward(arms: Arms, strategy: string, context: ContextKey, reward: number): Arms {
  const faded = Object.fromEntries(Object.entries(arms).map(([name, cells]) => [name, fade(cells)]));
  const cells = { ...faded[strategy] };
  for (const key of [ALL, context]) {
    const [won, lost] = cells[key] ?? [0, 0];
    cells[key] = [won + reward, lost + 1 - reward];
  }
  return { ...faded, [strategy]: bounded(cells) };
}

/** Trials' worth of evidence about a strategy in all contexts. */
export function evidenceOf(arms: Arms, strategy: string): number {
  const [won, lost] = arms[strategy]?.[ALL] ?? [0, 0];
  return won + lost;
}

/** Parameters of the distribution that is drawn from. */
export function beliefOf(arms: Arms, strategy: string, context: ContextKey): readonly [a: number, b: number] {
  const [allWon, allLost] = arms[strategy]?.[ALL] ?? [0, 0];
  const [won, lost] = arms[strategy]?.[context] ?? [0, 0];
  const all = allWon + allLost;
  const shared = Math.min(SHARED_WEIGHT, all);
  const mean = all === 0 ? 0 : allWon / all;
  return [1 + won + shared * mean, 2 + lost + shared * (1 - mean)];
}

export function drawArm(arms: Arms, strategy: string, context: ContextKey, random: Random): number {
  return drawBeta(...beliefOf(arms, strategy, context), random);
}

type Cells = Arms[string];

function fade(cells: Cells): Cells {
  return Object.fromEntries(
    Object.entries(cells).flatMap(([key, [won, lost]]) =>
      (won + lost) * DISCOUNT < FADED ? [] : [[key, [won * DISCOUNT, lost * DISCOUNT] as const]],
    ),
  );
}

function bounded(cells: Cells): Cells {
  const contexts = Object.entries(cells).filter(([key]) => key !== ALL);
  if (contexts.length <= MAX_CONTEXTS) return cells;
  const [[least]] = contexts.sort(([, a], [, b]) => a[0] + a[1] - (b[0] + b[1]));
  const { [least]: _, ...kept } = cells;
  return kept;
}
