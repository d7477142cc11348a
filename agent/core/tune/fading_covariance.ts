/**
 * The covariance of a Kalman filter's weights, where what was learned fades towards what was known beforehand.
 *
 * Intuition. Between two windows each entry returns towards the prior, by a factor of its row and one of its column. To do that to all F²
 * entries costs more than to learn from the window itself. So only the factors are kept up to date, F of them, and what was learned
 * is stored without them: one triangle of it, since it is symmetric. A factor that has become small is multiplied in.
 *
 *   P = prior + S D S,  S = diag(s)
 *   fade by K = diag(k):   P ← K P K + prior − K prior K,  that is  s ← k s
 *   learn v vᵀ / t:        P ← P − v vᵀ / t,               that is  D ← D − (S⁻¹v) (S⁻¹v)ᵀ / t
 *
 * The prior couples few weights with each other (a curve's knots), so its part of a product is next to nothing.
 *
 * Costs for 158 weights: fading 158 multiplications, learning 12,500, a product with a sum of 68 of them 11,000, its variance 2,300.
 * Fails as any covariance does that is updated by subtraction: rounding leaves standard deviations right to some 1e-8 of the prior's.
 *
 * Source: Kalman 1960.
 * Example: prior 1, learned v = .6 at t = 1 → .64; faded by .5 → 1 + .25 · (−.36) = .91.
 */
export class FadingCovariance {
  readonly size: number;
  /** The prior's rows, from the first weight on that the row's own is coupled with. */
  readonly #prior: readonly Float64Array[];
  readonly #priorFrom: readonly number[];
  /** The lower triangle of D, row after row. */
  readonly #learned: Float64Array;
  readonly #factors: Float64Array;
  /** Coefficients times, or a vector over, the factors. */
  readonly #scaled: Float64Array;

  /** `prior`: the blocks along its diagonal, of weights that it couples. */
  constructor(prior: readonly (readonly Float64Array[])[]) {
    this.#prior = prior.flat();
    this.size = this.#prior.length;
    let from = 0;
    this.#priorFrom = prior.flatMap((block) => {
      const rows = block.map(() => from);
      from += block.length;
      return rows;
    });
    this.#learned = new Float64Array(rowAt(this.size));
    this.#factors = new Float64Array(this.size).fill(1);
    this.#scaled = new Float64Array(this.size);
  }

  /** `kept`: of each weight, how much of what was learned remains. */
  fade(kept: Float64Array): void {
    const factors = this.#factors;
    let least = 1;
    for (let i = 0; i < factors.length; i++) {
      factors[i] *= kept[i];
      least = Math.min(least, factors[i]);
    }
    if (least < LEAST_FACTOR) this.#multiplyIn();
  }

  /** What was learned of the weights from `from` on is lost. */
  forget(from: number): void {
    this.#learned.fill(0, rowAt(from));
  }

  /** P h. */
  times({ at, by, length }: Sparse): Float64Array {
    const product = new Float64Array(this.size);
    const [learned, factors, scaled] = [this.#learned, this.#factors, this.#scaled];
    for (let k = 0; k < length; k++) scaled[k] = by[k] * factors[at[k]];
    let before = 0;
    for (let i = 0, row = 0; i < product.length; row += ++i) {
      let sum = 0;
      for (let k = 0; k < before; k++) sum += learned[row + at[k]] * scaled[k];
      if (at[before] === i && before < length) {
        const own = scaled[before++];
        for (let j = 0; j < i; j++) product[j] += learned[row + j] * own;
        sum += learned[row + i] * own;
      }
      product[i] += sum;
    }
    for (let i = 0; i < product.length; i++) product[i] *= factors[i];
    for (let k = 0; k < length; k++) {
      const [prior, from] = [this.#prior[at[k]], this.#priorFrom[at[k]]];
      for (let j = 0; j < prior.length; j++) product[from + j] += prior[j] * by[k];
    }
    return product;
  }

  /** hᵀ P h. */
  variance({ at, by, length }: Sparse): number {
    const [learned, factors, scaled] = [this.#learned, this.#factors, this.#scaled];
    let sum = 0;
    for (let k = 0; k < length; k++) {
      const i = at[k];
      const own = by[k] * factors[i];
      scaled[k] = own;
      const row = rowAt(i);
      let inner = (own * learned[row + i]) / 2;
      for (let m = 0; m < k; m++) inner += learned[row + at[m]] * scaled[m];
      sum += 2 * own * inner + by[k] * this.#priorInner(at, by, k);
    }
    return Math.max(0, sum);
  }

  /** P −= v vᵀ / total. */
  learn(v: Float64Array, total: number): void {
    const [learned, factors, scaled] = [this.#learned, this.#factors, this.#scaled];
    for (let i = 0; i < v.length; i++) scaled[i] = v[i] / factors[i];
    for (let i = 0, row = 0; i < v.length; row += ++i) {
      const share = scaled[i] / total;
      for (let j = 0; j <= i; j++) learned[row + j] -= share * scaled[j];
    }
  }

  /** Of row `at[k]` of the prior: its product with the coefficients up to `k`, the earlier ones twice. */
  #priorInner(at: Int32Array, by: Float64Array, k: number): number {
    const [prior, from] = [this.#prior[at[k]], this.#priorFrom[at[k]]];
    let inner = by[k] * prior[at[k] - from];
    for (let m = k - 1; m >= 0 && at[m] >= from; m--) inner += 2 * by[m] * prior[at[m] - from];
    return inner;
  }

  #multiplyIn(): void {
    const [learned, factors] = [this.#learned, this.#factors];
    for (let i = 0, row = 0; i < factors.length; row += ++i) {
      for (let j = 0; j <= i; j++) learned[row + j] *= factors[i] * factors[j];
    }
    factors.fill(1);
  }
}

/** A sum of a few of the weights, each named once, in ascending order. */
export class Sparse {
  readonly at: Int32Array;
  readonly by: Float64Array;
  length = 0;

  constructor(capacity: number) {
    this.at = new Int32Array(capacity);
    this.by = new Float64Array(capacity);
  }

  /** Empty again, for the next sum. */
  clear(): this {
    this.length = 0;
    return this;
  }

  /** The same weight as the last one, or a later one. */
  add(at: number, by: number): void {
    if (this.length > 0 && this.at[this.length - 1] === at) this.by[this.length - 1] += by;
    else {
      this.at[this.length] = at;
      this.by[this.length++] = by;
    }
  }

  dot(weights: Float64Array): number {
    const { at, by, length } = this;
    let sum = 0;
    for (let k = 0; k < length; k++) sum += weights[at[k]] * by[k];
    return sum;
  }
}

/** A vector is divided by the factors, so they must not become nothing. */
const LEAST_FACTOR = 1e-3;

/** Where a row of the triangle begins. */
function rowAt(i: number): number {
  return (i * (i + 1)) / 2;
}
