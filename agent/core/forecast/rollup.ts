/**
 * Puts irregular samples onto a grid of steps: each step is the mean of its samples, `NaN` where there were none. A
 * step belongs to `[k·stepMs, (k+1)·stepMs)` of the Unix epoch, so hourly steps start on the hour. Order does not
 * matter; the grid runs from the first to the last sample.
 */
export function rollUp(timesMs: ArrayLike<number>, values: ArrayLike<number>, stepMs: number): Float64Array {
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < timesMs.length; i++) {
    const step = Math.floor(timesMs[i]! / stepMs);
    first = Math.min(first, step);
    last = Math.max(last, step);
  }
  if (first > last) return new Float64Array(0);
  const sums = new Float64Array(last - first + 1);
  const counts = new Float64Array(last - first + 1);
  for (let i = 0; i < timesMs.length; i++) {
    if (!Number.isFinite(values[i]!)) continue;
    const at = Math.floor(timesMs[i]! / stepMs) - first;
    sums[at]! += values[i]!;
    counts[at]!++;
  }
  return sums.map((sum, i) => (counts[i]! > 0 ? sum / counts[i]! : Number.NaN));
}

/** The same, as samples come: hands each finished step on, with a `NaN` for every step that nothing came in. */
export class Rollup {
  readonly #stepMs: number;
  readonly #maxGapSteps: number;
  #step = Number.NEGATIVE_INFINITY;
  #sum = 0;
  #count = 0;

  /** A silence of more than `maxGapSteps` is handed on as that many gaps: the clock of the series then starts anew. */
  constructor(stepMs: number, maxGapSteps = 168) {
    this.#stepMs = stepMs;
    this.#maxGapSteps = maxGapSteps;
  }

  /** Steps finished by this sample, oldest first; mostly none. A sample older than the open step is left out. */
  push(value: number, atMs: number): readonly number[] {
    const step = Math.floor(atMs / this.#stepMs);
    const finished: number[] = [];
    if (step < this.#step) return finished;
    if (step > this.#step && Number.isFinite(this.#step)) {
      finished.push(this.#count > 0 ? this.#sum / this.#count : Number.NaN);
      const silent = Math.min(this.#maxGapSteps, step - this.#step - 1);
      for (let i = 0; i < silent; i++) finished.push(Number.NaN);
      this.#sum = 0;
      this.#count = 0;
    }
    this.#step = step;
    if (Number.isFinite(value)) {
      this.#sum += value;
      this.#count++;
    }
    return finished;
  }

  save(): { readonly step: number | null; readonly sum: number; readonly count: number } {
    return { step: Number.isFinite(this.#step) ? this.#step : null, sum: this.#sum, count: this.#count };
  }

  restore(state: { readonly step: number | null; readonly sum: number; readonly count: number }): void {
    this.#step = state.step ?? Number.NEGATIVE_INFINITY;
    this.#sum = state.sum;
    this.#count = state.count;
  }
}
