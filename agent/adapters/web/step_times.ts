/** Seconds. A step is well below a millisecond; what is above ten is worth seeing in detail. */
const BOUNDS_S = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

/** How long the engine's steps took, as a histogram for the page: a few additions a step. */
export class StepTimes {
  readonly #counts: number[] = Array(BOUNDS_S.length + 1).fill(0);
  #sumS = 0;

  record(durationMs: number): void {
    const durationS = durationMs / 1_000;
    this.#sumS += durationS;
    let bucket = 0;
    while (bucket < BOUNDS_S.length && durationS > (BOUNDS_S[bucket] ?? 0)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
  }

  read(): { readonly bounds: readonly number[]; readonly counts: readonly number[]; readonly sum: number } {
    return { bounds: BOUNDS_S, counts: [...this.#counts], sum: this.#sumS };
  }
}
