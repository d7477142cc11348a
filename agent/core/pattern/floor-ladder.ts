/**
 * Block minima (and maxima) of one metric at several scales at once: a leak that fills the memory in an hour shows in the fine ones,
 * one that takes two weeks in the coarse ones. Each rung holds the last `blocks` minima; a block of the next rung is
 * `ratio` blocks of this one. Bounded: `2 · rungs · blocks` numbers, whatever comes.
 *
 * The minimum is what is left after garbage collections and finished requests: a leak lifts the floor, load lifts the
 * ceiling.
 */
export interface LadderShape {
  readonly blockMs: number;
  readonly ratio: number;
  readonly rungs: number;
  readonly blocks: number;
}

export interface RungState {
  readonly minima: readonly number[];
  readonly maxima: readonly number[];
  /** The block that is still filling; absent before its first sample. */
  readonly open: { readonly sinceMs: number; readonly minimum: number; readonly maximum: number } | null;
}

export interface FinishedBlock {
  readonly rung: number;
  readonly endMs: number;
}

export class FloorLadder {
  readonly #rungs: readonly Rung[];

  constructor(shape: LadderShape, state?: readonly RungState[]) {
    this.#rungs = Array.from(
      { length: shape.rungs },
      (_, r) => new Rung(shape.blockMs * shape.ratio ** r, shape.blocks, state?.[r]),
    );
  }

  /** Blocks that this sample finished, finest first. A gap finishes nothing. */
  push(value: number, atMs: number): readonly FinishedBlock[] {
    if (!Number.isFinite(value)) return [];
    const finished: FinishedBlock[] = [];
    for (const [rung, r] of this.#rungs.entries()) {
      const endMs = r.push(value, atMs);
      if (endMs !== undefined) finished.push({ rung, endMs });
    }
    return finished;
  }

  /** Minima of a rung's finished blocks, oldest first. */
  minima(rung: number): readonly number[] {
    return this.#rungs[rung]!.minima;
  }

  /** Maxima of the same blocks. */
  maxima(rung: number): readonly number[] {
    return this.#rungs[rung]!.maxima;
  }

  /** Forgets everything at every scale. */
  clear(): void {
    for (const r of this.#rungs) r.clear();
  }

  save(): readonly RungState[] {
    return this.#rungs.map((r) => r.save());
  }
}

class Rung {
  readonly #blockMs: number;
  readonly #capacity: number;
  readonly minima: number[];
  readonly maxima: number[];
  #open: { sinceMs: number; minimum: number; maximum: number } | undefined;

  constructor(blockMs: number, capacity: number, state?: RungState) {
    this.#blockMs = blockMs;
    this.#capacity = capacity;
    this.minima = [...(state?.minima ?? [])];
    this.maxima = [...(state?.maxima ?? [])];
    if (state?.open) this.#open = { ...state.open };
  }

  /** The end of the block that this sample finished. */
  push(value: number, atMs: number): number | undefined {
    const open = this.#open;
    if (open !== undefined && atMs - open.sinceMs < this.#blockMs) {
      open.minimum = Math.min(open.minimum, value);
      open.maximum = Math.max(open.maximum, value);
      return undefined;
    }
    this.#open = { sinceMs: atMs, minimum: value, maximum: value };
    if (open === undefined) return undefined;
    this.minima.push(open.minimum);
    this.maxima.push(open.maximum);
    if (this.minima.length > this.#capacity) {
      this.minima.shift();
      this.maxima.shift();
    }
    return open.sinceMs + this.#blockMs;
  }

  clear(): void {
    this.minima.length = 0;
    this.maxima.length = 0;
    this.#open = undefined;
  }

  save(): RungState {
    return { minima: [...this.minima], maxima: [...this.maxima], open: this.#open ? { ...this.#open } : null };
  }
}
