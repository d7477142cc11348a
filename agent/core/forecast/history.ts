import type { Seasons } from './forecaster.ts';

/**
 * The last steps of one metric with gaps filled as they arrive: a gap becomes the value one cycle ago (longest cycle
 * first), else the last value; a filled step is marked, and never counts as truth. Gaps before the first value are
 * dropped. Holds at most `capacity` steps, at 9 bytes each.
 */
export class GapFilledHistory {
  readonly #values: Float64Array<ArrayBuffer>;
  readonly #filled: Uint8Array<ArrayBuffer>;
  readonly #seasons: Seasons;
  #length = 0;

  constructor(capacity: number, seasons: Seasons) {
    this.#values = new Float64Array(capacity);
    this.#filled = new Uint8Array(capacity);
    this.#seasons = seasons;
  }

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    const gap = !Number.isFinite(value);
    if (gap && this.#length === 0) return;
    if (this.#length === this.#values.length) this.keepLast(this.#values.length - 1);
    this.#filled[this.#length] = gap ? 1 : 0;
    this.#values[this.#length] = gap ? this.#guess() : value;
    this.#length++;
  }

  keepLast(count: number): void {
    const start = Math.max(0, this.#length - count);
    this.#values.copyWithin(0, start, this.#length);
    this.#filled.copyWithin(0, start, this.#length);
    this.#length -= start;
  }

  clear(): void {
    this.#length = 0;
  }

  /** A copy, so that no expert can change what the next one sees. */
  values(): Float64Array<ArrayBuffer> {
    return this.#values.slice(0, this.#length);
  }

  /** 1 where a value was filled in. */
  filled(): Uint8Array<ArrayBuffer> {
    return this.#filled.slice(0, this.#length);
  }

  /** For restoring: steps as they were kept, filled ones included. */
  restore(values: readonly number[], filled: ReadonlySet<number>): void {
    this.clear();
    const start = Math.max(0, values.length - this.#values.length);
    for (let i = start; i < values.length; i++) {
      this.#values[this.#length] = values[i]!;
      this.#filled[this.#length++] = filled.has(i) ? 1 : 0;
    }
  }

  #guess(): number {
    for (let i = this.#seasons.length - 1; i >= 0; i--) {
      const at = this.#length - this.#seasons[i]!;
      if (at >= 0) return this.#values[at]!;
    }
    return this.#values[this.#length - 1]!;
  }
}
