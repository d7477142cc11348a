import { ReportPeriod } from './report_period.ts';

/**
 * The last `size` intervals of `intervalMs`, aligned to the epoch, each with one reusable slot. Slots are made on first
 * use and cleared when their place in the ring is taken by a later interval, so memory is bounded by `size` slots.
 *
 * `nowMs` may jump in either direction: an interval is in the window exactly when it is one of the `size` that end with
 * the one `nowMs` lies in, and what a slot holds for any other interval is forgotten on the next use.
 */
export class IntervalRing<T> {
  readonly intervalMs: number;
  readonly size: number;
  readonly #make: () => T;
  readonly #clear: (slot: T) => void;
  readonly #slots: (T | undefined)[];
  /** Interval number held at each place; NaN: none. */
  readonly #numbers: Float64Array;
  readonly #period = new ReportPeriod();

  constructor(intervalMs: number, size: number, make: () => T, clear: (slot: T) => void) {
    this.intervalMs = intervalMs;
    this.size = size;
    this.#make = make;
    this.#clear = clear;
    this.#slots = new Array<T | undefined>(size).fill(undefined);
    this.#numbers = new Float64Array(size).fill(Number.NaN);
  }

  /** The slot for an interval number, or undefined when that interval is not in the window at `nowMs`. */
  slot(number: number, nowMs: number): T | undefined {
    const newest = this.numberAt(nowMs);
    if (!(number <= newest && number > newest - this.size)) return undefined;
    const place = positiveModulo(number, this.size);
    let slot = this.#slots[place];
    if (slot === undefined) {
      slot = this.#make();
      this.#slots[place] = slot;
    } else if (this.#numbers[place] !== number) {
      this.#clear(slot);
    }
    this.#numbers[place] = number;
    return slot;
  }

  /** Number of the interval that an instant lies in: `[n · intervalMs, (n + 1) · intervalMs)`. */
  numberAt(atMs: number): number {
    return Math.floor(atMs / this.intervalMs);
  }

  /** Used slots in the window at `nowMs`, oldest first. */
  window(nowMs: number): readonly T[] {
    const newest = this.numberAt(nowMs);
    // Before its first step the engine has no time yet, and minus infinity never ends.
    return Number.isFinite(newest) ? this.range(newest - this.size + 1, newest) : [];
  }

  /** The newest used slot in the window at `nowMs`. */
  newest(nowMs: number): T | undefined {
    const newest = this.numberAt(nowMs);
    for (let number = newest; number > newest - this.size; number--) {
      const place = positiveModulo(number, this.size);
      if (this.#slots[place] !== undefined && this.#numbers[place] === number) return this.#slots[place];
    }
    return undefined;
  }

  /** Used slots of the intervals numbered `first` to `last`, oldest first. */
  range(first: number, last: number): readonly T[] {
    const used: T[] = [];
    for (let number = Math.max(first, last - this.size + 1); number <= last; number++) {
      const place = positiveModulo(number, this.size);
      const slot = this.#slots[place];
      if (slot !== undefined && this.#numbers[place] === number) used.push(slot);
    }
    return used;
  }

  /** The longest that one `spread` has lately covered: how often the slowest sender reports. */
  get reportMs(): number {
    return this.#period.ms;
  }

  /**
   * Spreads `(startMs, endMs]` over the intervals that it touches: `add(slot, share, fromMs, toMs)` with shares that
   * add up to 1 over all intervals, in the window or not. Returns the newest slot touched, undefined when the
   * whole of it is older than the window.
   */
  spread(
    startMs: number,
    endMs: number,
    nowMs: number,
    add: (slot: T, share: number, fromMs: number, toMs: number) => void,
  ): T | undefined {
    // The sender's clock may be ahead of ours; what has arrived has happened.
    const shiftMs = Math.min(0, nowMs - endMs);
    const end = endMs + shiftMs;
    const start = Math.min(startMs + shiftMs, end);
    this.#period.note(end - start, nowMs);
    // The end belongs to its interval: one that ends exactly on a border is the interval before it.
    const last = Math.max(this.numberAt(start), Math.ceil(end / this.intervalMs) - 1);
    const first = Math.max(this.numberAt(start), this.numberAt(nowMs) - this.size + 1);
    let newest: T | undefined;
    for (let number = first; number <= last; number++) {
      const slot = this.slot(number, nowMs);
      if (slot === undefined) continue;
      const fromMs = Math.max(start, number * this.intervalMs);
      const toMs = Math.min(end, (number + 1) * this.intervalMs);
      add(slot, end > start ? (toMs - fromMs) / (end - start) : 1, fromMs, toMs);
      newest = slot;
    }
    return newest;
  }

  clear(): void {
    this.#numbers.fill(Number.NaN);
    for (const slot of this.#slots) if (slot !== undefined) this.#clear(slot);
  }
}

function positiveModulo(n: number, size: number): number {
  return ((n % size) + size) % size;
}
