import type { Block, BlockOrder, Effectiveness, ProofBudget, ProofRecord, ProofRule } from '../model.ts';
import { OBJECTIVES, type ObjectiveName, type ObjectiveValues } from './objectives.ts';
import type { Objectives } from './pareto.ts';
import { BLOCK_ORDERS, blockOf, judge, mean, type Proof, prove, type Verdict } from './proof.ts';
import { Random } from './random.ts';

/** Of error ratio and p95, as declared. */
export interface ProofLimits {
  readonly errorRatio: number;
  readonly responseTimeMsP95?: number;
}

/** What a proof is held to, fixed when it begins. */
export interface ProofTerms {
  readonly rule: ProofRule;
  /** Where the level comes from; see `error_budget.ts`. */
  readonly budget: ProofBudget;
  /** Of the draws that say which window is the incumbent's. */
  readonly coinSeed: number;
}

/** Of each objective's effect as it is shown and chosen by: to a millionth, which takes half the time of all digits. */
const SHOWN = 1e-6;
/** Standard errors that a limit which is crossed already may seem to be crossed by more. */
const BEYOND_CHANCE = 2;

/**
 * One proof, window by window: whose turn the next window is, and what the blocks so far come to. It draws from a stream of its
 * own, so that the journal can show afterwards that the draws were what they had to be.
 */
export class Proving {
  readonly #terms: ProofTerms;
  readonly #coins: Random;
  #blocks: readonly Block[] = [];
  #proof: Proof | undefined;
  #verdict: Verdict = 'undecided';
  #order: BlockOrder;
  #y: readonly number[] = [];
  /** Of every window of whole blocks, its objectives apart. */
  readonly #windows: ObjectiveValues[] = [];
  #fromMs: number;

  constructor(terms: ProofTerms, nowMs: number) {
    this.#terms = terms;
    this.#coins = Random.seeded(terms.coinSeed);
    this.#order = drawOrder(this.#coins);
    this.#fromMs = nowMs;
  }

  /** Whose turn the next window is. */
  get isCandidatesTurn(): boolean {
    return this.#order[this.#y.length] === 'B';
  }

  get blocks(): readonly Block[] {
    return this.#blocks;
  }

  /** The next window has shown `y`; the verdict so far, `undecided` also within a block. */
  onWindow(y: number, nowMs: number, objectives: ObjectiveValues = {}): Verdict {
    this.#windows.push(objectives);
    const { rule } = this.#terms;
    this.#y = [...this.#y, y];
    if (this.#y.length < this.#order.length) return 'undecided';
    this.#blocks = [...this.#blocks, blockOf(this.#order, this.#y, this.#fromMs, nowMs)];
    this.#proof = prove(this.#blocks, rule);
    this.#verdict = judge(this.#proof, this.#blocks.length, rule);
    this.#order = drawOrder(this.#coins);
    this.#y = [];
    this.#fromMs = nowMs;
    return this.#verdict;
  }

  /** ln of what betting on the candidate has won so far; absent before the first block. */
  get logStake(): number | undefined {
    return this.#proof?.logBetter;
  }

  get effect(): Effectiveness | undefined {
    return this.#proof && effectOf(this.#proof, this.#terms.rule, this.#blocks.length);
  }

  /** The candidate's effect on each objective that every window has shown, as far as the blocks exclude anything. */
  get objectives(): Objectives {
    const { rule } = this.#terms;
    return Object.fromEntries(
      OBJECTIVES.flatMap((name) => {
        const values = this.#windows.flatMap((window) => window[name] ?? []);
        if (values.length !== this.#windows.length) return [];
        let at = 0;
        const blocks = this.#blocks.map(({ order, startMs, endMs }) => {
          const y = values.slice(at, at + order.length);
          at += order.length;
          return blockOf(order, y, startMs, endMs);
        });
        // An effect on one objective alone need not be worth keeping: the bet is against "none at all".
        const { estimate, low, high } = prove(blocks, { ...rule, minimumEffect: 0 }, SHOWN);
        return Number.isFinite(low + high) ? [[name, { estimate, low, high }]] : [];
      }),
    );
  }

  /** The candidate's windows in whole blocks crossed a limit on average: constraints come before weights. */
  crosses(limits: ProofLimits): boolean {
    return asObjectives(limits).some(([name, limit]) => this.#isOver('B', name, limit));
  }

  /**
   * The same, and the incumbent's own did not, or by less: a repair may end above the limit, as long as it does not lead away from it by
   * more than chance.
   */
  breaks(limits: ProofLimits): boolean {
    return asObjectives(limits).some(([name, limit]) => this.#exceeds(name, limit));
  }

  #exceeds(name: ObjectiveName, limit: number): boolean {
    if (!this.#isOver('B', name, limit)) return false;
    if (!this.#isOver('A', name, limit)) return true;
    const [before, after] = [this.#values('A', name), this.#values('B', name)];
    return mean(after) - mean(before) > BEYOND_CHANCE * Math.sqrt(squaredError(before) + squaredError(after));
  }

  #isOver(arm: 'A' | 'B', name: ObjectiveName, limit: number): boolean {
    const values = this.#values(arm, name);
    return values.length > 0 && mean(values) > limit;
  }

  #values(wanted: 'A' | 'B', name: ObjectiveName): readonly number[] {
    const arms = this.#blocks.flatMap(({ order }) => [...order]);
    return arms.flatMap((arm, i) => (arm === wanted ? (this.#windows[i]?.[name] ?? []) : []));
  }

  /** All that the verdict follows from, with the blocks. */
  record(): ProofRecord {
    const { rule, budget, coinSeed } = this.#terms;
    const { logBetter = 0, logWorse = 0 } = this.#proof ?? {};
    return { rule: { ...rule }, budget, coinSeed, logBetter, logWorse, verdict: this.#verdict };
  }
}

/** What the blocks say of the candidate; absent while they exclude nothing yet. */
export function effectOf(
  { estimate, low, high }: Proof,
  { alpha }: ProofRule,
  blocks: number,
): Effectiveness | undefined {
  if (!Number.isFinite(low + high)) return undefined;
  const ends = { estimate: Math.expm1(estimate), low: Math.expm1(low), high: Math.expm1(high) };
  return { ...ends, confidence: 1 - 2 * alpha, blocks };
}

export function drawOrder(coins: Random): BlockOrder {
  const drawn = BLOCK_ORDERS[Math.floor(coins.next() * BLOCK_ORDERS.length)];
  if (drawn === undefined) throw new Error('a draw below 1 always names an order');
  return drawn;
}

/** The limits in the units of a window's objectives. */
function asObjectives({ errorRatio, responseTimeMsP95 = Number.POSITIVE_INFINITY }: ProofLimits) {
  return [
    ['errorRate', -Math.log1p(-errorRatio)],
    ['responseTimeP95', Math.log(responseTimeMsP95)],
  ] as const;
}

/** Of a mean, from the values it is of. */
function squaredError(values: readonly number[]): number {
  const centre = mean(values);
  return (
    values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length * Math.max(1, values.length - 1))
  );
}
