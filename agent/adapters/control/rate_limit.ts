/** Lets `perSecond` through on average, and as many at once as two seconds' worth. */
export class RateLimit {
  readonly #perSecond: number;
  readonly #nowMs: () => number;
  #left: number;
  #atMs: number;

  constructor(perSecond: number, nowMs: () => number) {
    this.#perSecond = perSecond;
    this.#nowMs = nowMs;
    this.#left = 2 * perSecond;
    this.#atMs = nowMs();
  }

  /** Whether one more may pass now. */
  take(): boolean {
    const nowMs = this.#nowMs();
    this.#left = Math.min(2 * this.#perSecond, this.#left + ((nowMs - this.#atMs) / 1_000) * this.#perSecond);
    this.#atMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
