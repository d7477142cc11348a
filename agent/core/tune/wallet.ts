/**
 * The harm wallet: what exploring may cost.
 *
 * Every window earns `harmRatio` log units of credit (stable: .25 % of the objective), up to a hundred windows' worth; every
 * window spent at another setting than the incumbent costs what it was worse than the incumbent, and gains what it was better:
 * signed, because of noise alone half of all windows look worse. Exploration needs a positive balance, so over any long run the
 * mean objective given up stays below `harmRatio`, plus at most one window beyond zero and the credit saved before. What
 * proven settings gain later is not counted: what was won is not put at stake.
 *
 * Units: log objective × windows. Source: conservative bandits (Wu et al., arXiv 1611.06426), with the incumbent as the
 * baseline.
 */
const SAVED_WINDOWS = 100;
/** A trial opens with at least this share of the full wallet, so that it is not cut short by an empty one. */
const SHARE_TO_START = 0.25;

export class Wallet {
  readonly #harmRatio: number;
  readonly #windowMs: number;
  #balance: number;
  #earnedMs: number;

  /** `balance`: as saved; a new wallet is full. */
  constructor(harmRatio: number, windowMs: number, nowMs: number, balance?: number) {
    this.#harmRatio = harmRatio;
    this.#windowMs = windowMs;
    this.#earnedMs = nowMs;
    this.#balance = Math.min(balance ?? this.ceiling, this.ceiling);
  }

  /** The most that is ever saved up. */
  get ceiling(): number {
    return this.#harmRatio * SAVED_WINDOWS;
  }

  get balance(): number {
    return this.#balance;
  }

  get mayGoOn(): boolean {
    return this.#balance > 0;
  }

  get mayStart(): boolean {
    return this.#balance > 0 && this.#balance >= this.ceiling * SHARE_TO_START;
  }

  /** Credit for the whole windows that have passed. After a step back of the clock it starts anew. */
  earn(nowMs: number): void {
    if (nowMs < this.#earnedMs) this.#earnedMs = nowMs;
    const windows = Math.floor((nowMs - this.#earnedMs) / this.#windowMs);
    this.#earnedMs += windows * this.#windowMs;
    this.#balance = Math.min(this.#balance + windows * this.#harmRatio, this.ceiling);
  }

  /** `excess`: log units × windows that were worse than the incumbent; negative where they were better. */
  spend(excess: number): void {
    this.#balance = Math.min(this.#balance - excess, this.ceiling);
  }
}
