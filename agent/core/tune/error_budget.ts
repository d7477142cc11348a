import type { ProofBudget } from '../model.ts';

/**
 * How sure a proof must be, so that of everything ever kept at most `q` is false.
 *
 * Intuition. A fixed α per trial keeps about α of all the useless changes that are ever tried: a tuner that runs for months
 * collects them. Here α is a wealth: each trial spends some of it, each proven change earns some back. On a process whose
 * knobs do nothing the chance of *ever* keeping a change stays below `q`; where much is found, much may be tried.
 *
 * Formula (LORD++): with γⱼ ∝ j^−1.6 summing to 1, W₀ = 0.7 q, and τ₁ < τ₂ < … the trials that were kept,
 *   αₜ = γₜ W₀ + (q − W₀) γ_{t−τ₁} + q Σ_{j≥2} γ_{t−τⱼ}
 * Controls the false discovery rate at q for independent trials (ours share no window, and the proof's error bound holds conditionally
 * on the past). Source: Ramdas, Yang, Wainwright and Jordan, "Online control of the false discovery rate with decaying memory" (2017).
 *
 * Fails softly: after a long run of failures αₜ is small and a proof takes more blocks (about one more per halving of αₜ).
 * Example: q = .05 → α₁ = .015; after ten failures .0003; right after the first success at least .007.
 */
const DECAY = 1.6;
const ZETA_AT_DECAY = 2.2857656656801297; // Σ j^−1.6
const INITIAL_SHARE = 0.7;
/** Discoveries older than this contribute less than q/1,000 each. */
const REMEMBERED = 64;

export type ErrorBudgetState = Omit<ProofBudget, 'q'>;

export class ErrorBudget {
  readonly #q: number;
  #trials: number;
  #discoveries: number[];
  #first: number | undefined;

  constructor(q: number, saved?: ErrorBudgetState) {
    this.#q = q;
    this.#trials = saved?.trials ?? 0;
    this.#discoveries = [...(saved?.discoveries ?? [])];
    this.#first = saved?.firstDiscovery;
  }

  /** The level for the next trial to be proven. */
  get alpha(): number {
    const t = this.#trials + 1;
    const initial = INITIAL_SHARE * this.#q;
    let alpha = gamma(t) * initial;
    for (const found of this.#discoveries) {
      alpha += (found === this.#first ? this.#q - initial : this.#q) * gamma(t - found);
    }
    return alpha;
  }

  /** A proof has ended: its level is spent, and earned back where something was found. */
  spend(found: boolean): void {
    this.#trials++;
    if (!found) return;
    this.#first ??= this.#trials;
    this.#discoveries.push(this.#trials);
    if (this.#discoveries.length > REMEMBERED) this.#discoveries.shift();
  }

  state(): ErrorBudgetState {
    const first = this.#first !== undefined && { firstDiscovery: this.#first };
    return { trials: this.#trials, discoveries: [...this.#discoveries], ...first };
  }
}

function gamma(j: number): number {
  return j < 1 ? 0 : j ** -DECAY / ZETA_AT_DECAY;
}
