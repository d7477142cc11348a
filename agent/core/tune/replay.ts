import type { Block, Decision, Effectiveness, Evidence, ProofBudget, ProofRecord } from '../model.ts';
import { ErrorBudget } from './error_budget.ts';
import { blockOf, judge, prove } from './proof.ts';
import { drawOrder, effectOf } from './proving.ts';
import { Random } from './random.ts';

/**
 * Decisions computed again from what was recorded of them, bit for bit.
 *
 * A proof's record holds all that its verdict follows from: the windows' objectives, the seed of the draws, the level's budget and
 * the rule. So whoever has the journal can check: that the draws fell as the seed says, that each block's difference, the stakes, the
 * estimate and the interval follow from the windows, that the level follows from the budget and the budget from the proofs before,
 * that the verdict follows from the stakes and the decision from the verdict, and that the harm spent is the sum of its charges.
 *
 * It checks arithmetic, not honesty: windows that were never measured would replay as well. What an older build recorded without a
 * proof's record is counted as `unrecorded` and not judged.
 */
export interface Replay {
  /** Decisions whose proof was computed again. */
  readonly replayed: number;
  /** Figures compared. */
  readonly compared: number;
  /** Decisions with blocks but no record of their proof. */
  readonly unrecorded: number;
  readonly mismatches: readonly Mismatch[];
}

export interface Mismatch {
  readonly decisionId: string;
  readonly what: string;
  readonly recorded: unknown;
  readonly recomputed: unknown;
}

/** `decisions`: oldest first. */
export function replay(decisions: readonly Decision[]): Replay {
  const replayer = new Replayer();
  for (const decision of decisions) replayer.decision(decision);
  return replayer.result();
}

class Replayer {
  #replayed = 0;
  #compared = 0;
  #unrecorded = 0;
  readonly #mismatches: Mismatch[] = [];
  /** By component: the budget that the next proof must find; absent where it cannot be known. */
  readonly #budgets = new Map<string, ProofBudget>();

  decision(decision: Decision): void {
    const { id, evidence } = decision;
    if (evidence === undefined) return this.#cutShort(decision);
    if (evidence.charges !== undefined) {
      this.#compare(id, 'harm spent', evidence.harmSpent, evidence.charges.reduce(sum, 0));
    }
    const { proof } = evidence;
    if (proof === undefined) {
      if (evidence.blocks.length > 0) this.#unrecorded++;
      return;
    }
    this.#replayed++;
    this.#blocks(id, evidence.blocks, proof);
    // An audit is held to the level that is promised, on nobody's budget.
    if (decision.kind === 'audited') this.#compare(id, 'level', proof.rule.alpha, proof.budget.q);
    else this.#budget(decision, proof);
    this.#verdict(decision, evidence, proof);
  }

  /** A trial that a restart of the agent ended has no evidence any more, and has spent its level. */
  #cutShort({ kind, trialId, component }: Decision): void {
    const before = this.#budgets.get(component);
    if (kind !== 'rolled_back' || trialId === undefined || before === undefined) return;
    const ledger = new ErrorBudget(before.q, before);
    ledger.spend(false);
    this.#budgets.set(component, { q: before.q, ...ledger.state() });
  }

  result(): Replay {
    const [replayed, compared, unrecorded] = [this.#replayed, this.#compared, this.#unrecorded];
    return { replayed, compared, unrecorded, mismatches: this.#mismatches };
  }

  #blocks(id: string, blocks: readonly Block[], { coinSeed }: ProofRecord): void {
    const coins = Random.seeded(coinSeed);
    for (const [i, { order, y, startMs, endMs, difference }] of blocks.entries()) {
      const drawn = drawOrder(coins);
      this.#compare(id, `order of block ${i + 1}`, order, drawn);
      this.#compare(id, `difference of block ${i + 1}`, difference, blockOf(drawn, y, startMs, endMs).difference);
    }
  }

  #budget({ id, component, kind }: Decision, { budget, rule }: ProofRecord): void {
    const before = this.#budgets.get(component);
    if (before !== undefined) {
      this.#compare(id, 'proofs before this one', budget.trials, before.trials);
      this.#compare(id, 'discoveries before this one', budget.discoveries, before.discoveries);
    }
    const ledger = new ErrorBudget(budget.q, budget);
    this.#compare(id, 'level', rule.alpha, ledger.alpha);
    // The decision that opens a trial comes before its proof has ended.
    if (kind === 'trial_started') return;
    ledger.spend(kind === 'promoted');
    this.#budgets.set(component, { q: budget.q, ...ledger.state() });
  }

  #verdict({ id, kind }: Decision, { blocks, effect }: Evidence, recorded: ProofRecord): void {
    const { rule } = recorded;
    if (blocks.length > 0) {
      const proof = prove(blocks, rule);
      this.#compare(id, 'stake on better', recorded.logBetter, proof.logBetter);
      this.#compare(id, 'stake on worse', recorded.logWorse, proof.logWorse);
      this.#compare(id, 'verdict', recorded.verdict, judge(proof, blocks.length, rule));
      const again = effectOf(proof, rule, blocks.length);
      for (const part of ['estimate', 'low', 'high', 'confidence', 'blocks'] satisfies (keyof Effectiveness)[]) {
        this.#compare(id, part, effect?.[part], again?.[part]);
      }
    }
    // Kept exactly when proven; what was proven may still be given up, when the process refuses it at the last moment.
    if (kind === 'promoted' || (recorded.verdict === 'better' && kind !== 'audited')) {
      const expected = kind === 'rolled_back' ? 'rolled_back' : 'promoted';
      this.#compare(id, 'decision', recorded.verdict === 'better' ? kind : `${kind} on ${recorded.verdict}`, expected);
    }
  }

  #compare(decisionId: string, what: string, recorded: unknown, recomputed: unknown): void {
    this.#compared++;
    if (isSame(recorded, recomputed)) return;
    this.#mismatches.push({ decisionId, what, recorded, recomputed });
  }
}

function isSame(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((value, i) => isSame(value, b[i]));
  // JSON knows no negative zero.
  return Object.is(a, b) || (a === 0 && b === 0);
}

function sum(total: number, value: number): number {
  return total + value;
}
