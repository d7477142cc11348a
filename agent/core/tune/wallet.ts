/**
 * The harm wallet: what exploring may cost.
 *
 * Every window earns `harmRatio` log units of credit (stable: .25 % of the objective), up to a hundred windows' worth; every window spent
 * at another setting than the incumbent costs what it was worse than the incumbent. Exploration needs a positive balance, so over any
 * long run the mean objective given up stays below `harmRatio`, plus at most one window beyond zero and the credit
 * saved before. Proven gains are not counted as credit: what was won is not put at stake.
 *
 * Units: log objective × windows. Source: conservative bandits (Wu et al., arXiv 1611.06426), with the incumbent as the baseline.
 */
const SAVED_WINDOWS = 100;

export class Wallet {
  readonly #harmRatio: number;
  #balance: number;

  constructor(harmRatio: number, balance?: number) {
    this.#harmRatio = harmRatio;
    this.#balance = Math.min(balance ?? this.ceiling, this.ceiling);
  }

  /** The most that is ever saved up. */
  get ceiling(): number {
    return this.#harmRatio * SAVED_WINDOWS;
  }

  get balance(): number {
    return this.#balance;
  }

  get canExplore(): boolean {
    return this.#balance > 0;
  }

  /** A window has passed. `excess` is what it was worse than the incumbent (0 at the incumbent itself). */
  settle(excess: number): void {
    this.#balance = Math.min(this.#balance + this.#harmRatio - Math.max(0, excess), this.ceiling);
  }
}
