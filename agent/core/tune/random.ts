/**
 * Seeded randomness as data: `sfc32` (Doty-Humphrey), 128 bits of state, passes PractRand to 2^40 bytes and is four
 * integer operations a draw. The state is plain numbers, so that a saved engine continues the same sequence.
 * Not for cryptography.
 */
export type RandomState = readonly [number, number, number, number];

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  constructor(state: RandomState) {
    [this.#a, this.#b, this.#c, this.#counter] = state;
  }

  static seeded(seed: number): Random {
    const random = new Random([seed | 0, (seed / 0x1_0000_0000) | 0, 0x9e3779b9 | 0, 1]);
    // The author's recommendation: a small seed needs a dozen rounds before its bits have spread.
    for (let round = 0; round < 15; round++) random.next();
    return random;
  }

  /** Uniform in [0, 1). */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 0x1_0000_0000;
  }

  /** A fair coin: +1 or −1 (Rademacher). */
  sign(): 1 | -1 {
    return this.next() < 0.5 ? -1 : 1;
  }

  state(): RandomState {
    return [this.#a, this.#b, this.#c, this.#counter];
  }
}

/** A seed for a stream of its own. */
export function seedFrom(random: Random): number {
  return Math.floor(random.next() * 0x1_0000_0000);
}
