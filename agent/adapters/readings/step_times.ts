import { STEP_DURATION } from './own_metrics.ts';

const BOUNDS_S: readonly number[] = STEP_DURATION.bounds;

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
