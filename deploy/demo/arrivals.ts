/**
 * When requests arrive: a Poisson process whose rate follows the shape of a real trace.
 *
 * Open-loop users do not wait for each other, so their gaps are exponential; that they come and go is what the trace
 * adds. Thinning (Lewis & Shedler 1979): draw arrivals at the highest rate of all, and keep each with probability
 * `rate(t) / highest`. Times in seconds from the start of the replay, rates per second.
 */

/** Uniform numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Shape {
  /** Requests counted in each interval of the trace, in order. */
  readonly counts: readonly number[];
  /** The whole trace is replayed once in this time. */
  readonly replayS: number;
  /** Mean and highest rate of the replay, per second. The trace's swings are damped so that both hold. */
  readonly meanPerSecond: number;
  readonly peakPerSecond: number;
}

/** The rate at a time, linear between the middles of the trace's intervals; the replay starts over when it ends. */
export function rateOf({ counts, replayS, meanPerSecond, peakPerSecond }: Shape): (atS: number) => number {
  const meanCount = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const peakSwing = Math.max(...counts) / meanCount - 1;
  const damping = peakSwing > 0 ? (peakPerSecond / meanPerSecond - 1) / peakSwing : 0;
  const rates = counts.map((count) => Math.max(0, meanPerSecond * (1 + damping * (count / meanCount - 1))));
  return (atS) => {
    const place = ((atS / replayS) % 1) * rates.length - 0.5;
    const before = Math.floor(place);
    const left = rates[(before + rates.length) % rates.length]!;
    const right = rates[(before + 1) % rates.length]!;
    return left + (right - left) * (place - before);
  };
}

/** Arrival times, ascending and without end. */
export function* arrivals(shape: Shape, random: () => number): Generator<number, never, undefined> {
  const rate = rateOf(shape);
  let atS = 0;
  for (;;) {
    atS -= Math.log(1 - random()) / shape.peakPerSecond;
    if (random() * shape.peakPerSecond < rate(atS)) yield atS;
  }
}
