/**
 * Chance for the simulations: seeded, small, and in two shapes.
 *
 * `Random` is a stream (xoshiro128**, seeded through splitmix32; Blackman and Vigna 2018): what happens next depends on
 * what was drawn before. `hash32` and its `uniformAt`/`normalAt` are counter-based: the draw for (seed, lane, index) is
 * the same whoever asks and in whatever order, so that every tuning method meets the same load, the same spikes and the
 * same noise at the same virtual instant (common random numbers), however differently it behaves in between.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number) {
    let state = seed >>> 0;
    const next = () => {
      state = (state + 0x9e3779b9) >>> 0;
      return mix32(state);
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1;
  }

  /** A whole number in [0, 2^32). */
  uint32(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** In (0, 1): neither end, so that logarithms are finite. */
  uniform(): number {
    return (this.uint32() + 0.5) / 4_294_967_296;
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    return Math.min(limit - 1, Math.floor(this.uniform() * limit));
  }

  chance(ratio: number): boolean {
    return ratio > 0 && this.uniform() < ratio;
  }

  normal(): number {
    return Math.sqrt(-2 * Math.log(this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  exponential(mean: number): number {
    return -mean * Math.log(this.uniform());
  }

  sign(): 1 | -1 {
    return this.uint32() & 0x8000 ? 1 : -1;
  }
}

/** Derives an independent seed for a named part of a run. */
export function seedFor(seed: number, part: string): number {
  let hash = mix32(seed >>> 0);
  for (let i = 0; i < part.length; i++) hash = mix32((hash ^ part.charCodeAt(i)) >>> 0);
  return hash;
}

/** The draw of lane `lane` at position `index`: a whole number in [0, 2^32). */
export function hash32(seed: number, lane: number, index: number): number {
  return mix32((mix32((seed + Math.imul(lane + 1, 0x9e3779b9)) >>> 0) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0);
}

export function uniformAt(seed: number, lane: number, index: number): number {
  return (hash32(seed, lane, index) + 0.5) / 4_294_967_296;
}

export function normalAt(seed: number, lane: number, index: number): number {
  const radius = Math.sqrt(-2 * Math.log(uniformAt(seed, lane, index)));
  return radius * Math.cos(2 * Math.PI * uniformAt(seed, lane + 7_919, index));
}

/** Bijective mixing of 32 bits (the finaliser of splitmix32). */
function mix32(value: number): number {
  let z = value >>> 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}
