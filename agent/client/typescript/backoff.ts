const FIRST_MS = 200;
/** Below the usual lease (15 s), so that a restarted agent finds its clients while their values still hold. */
export const LONGEST_MS = 8_000;

/** Exponential, with half of each wait left to chance, so that many clients of a restarted agent do not return at once. */
export function backoffMs(failures: number, random: () => number): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 16));
  return ceiling * (0.5 + 0.5 * random());
}

const LONGEST_AFTER_TAKEOVER_MS = 300_000;

/** A component has one session. Whoever loses it to another instance asks again less and less often. */
export function afterTakeoverMs(takeovers: number): number {
  return Math.min(LONGEST_AFTER_TAKEOVER_MS, LONGEST_MS * 2 ** Math.min(takeovers, 16));
}
