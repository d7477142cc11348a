/**
 * Alarms that never look at the data. A benchmark that such alarms score well on measures little, so their score stands
 * beside every other.
 */

/** An alarm every `period` rows. */
export function periodicAlarms(rows: number, period: number): Uint8Array {
  const out = new Uint8Array(rows);
  for (let i = period - 1; i < rows; i += period) out[i] = 1;
  return out;
}

/** An alarm on each row with probability `rate`. */
export function randomAlarms(rows: number, rate: number, random: () => number): Uint8Array {
  const out = new Uint8Array(rows);
  for (let i = 0; i < rows; i++) out[i] = random() < rate ? 1 : 0;
  return out;
}

/** Mulberry32: small, seeded, good enough for alarms. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
