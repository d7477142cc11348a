const FIRST_MS = 200;
/** An attempt on this machine costs next to nothing, and a restarted agent is worth nothing until its processes are back. */
const LONGEST_MS = 2_000;
/** Before asking again what was refused. */
export const AFTER_REFUSAL_MS = 8_000;

/** Exponential, with half of each wait left to chance, so that many clients of a restarted agent do not return at once. */
export function backoffMs(failures: number, random: () => number): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 16));
  return ceiling * (0.5 + 0.5 * random());
}

const LONGEST_AFTER_TAKEOVER_MS = 300_000;

/** An instance has one session. Whoever loses it to another process of the same name asks again less and less often. */
export function afterTakeoverMs(takeovers: number): number {
  return Math.min(LONGEST_AFTER_TAKEOVER_MS, AFTER_REFUSAL_MS * 2 ** Math.min(takeovers, 16));
}
