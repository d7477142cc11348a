/**
 * Has the level moved? Two sums of the standardised deviation from the reference, one for each side, that leak half a
 * standard deviation a step; an alarm when one exceeds ten:
 *
 *     up = max(0, up + z − ½);  down = max(0, down − z − ½);   alarm at > 10
 *
 * The reference (mean, spread) follows slowly (weight 1/64 a step) while quiet and is learned anew after an alarm. Cheap
 * enough for every point; what it rings for is looked at by `change-points.ts`. On white noise it rings about once in
 * 20,000 steps; on strongly autocorrelated metrics more often, which costs a look and nothing else. `z` is held to ±5,
 * so that one outlier cannot ring it. Page 1954.
 */
export interface CusumState {
  readonly count: number;
  readonly mean: number;
  readonly variance: number;
  readonly up: number;
  readonly down: number;
}

const WARM_UP = 32;
const SLACK = 0.5;
const ALARM = 10;

export class Cusum {
  #count: number;
  #mean: number;
  #variance: number;
  #up: number;
  #down: number;

  constructor(state: CusumState = { count: 0, mean: 0, variance: 0, up: 0, down: 0 }) {
    this.#count = state.count;
    this.#mean = state.mean;
    this.#variance = state.variance;
    this.#up = state.up;
    this.#down = state.down;
  }

  /** True when the level has moved. Gaps are left out. */
  learn(value: number): boolean {
    if (!Number.isFinite(value)) return false;
    const warm = this.#count >= WARM_UP;
    const distance = value - this.#mean;
    if (warm) {
      const spread = Math.sqrt(this.#variance);
      const z = spread > 0 ? Math.max(-5, Math.min(5, distance / spread)) : 5 * Math.sign(distance);
      this.#up = Math.max(0, this.#up + z - SLACK);
      this.#down = Math.max(0, this.#down - z - SLACK);
      if (Math.max(this.#up, this.#down) > ALARM) {
        this.#count = this.#mean = this.#variance = this.#up = this.#down = 0;
        return true;
      }
    }
    this.#count++;
    const weight = Math.max(1 / 64, 1 / this.#count);
    this.#mean += weight * distance;
    this.#variance = (1 - weight) * (this.#variance + weight * distance * distance);
    return false;
  }

  save(): CusumState {
    return {
      count: this.#count,
      mean: this.#mean,
      variance: this.#variance,
      up: this.#up,
      down: this.#down,
    };
  }
}
