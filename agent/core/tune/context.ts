/**
 * The circumstances that what was learned holds under, in bins: the load to the nearest power of two of requests per second, and the
 * quarter of the day (UTC). Coarse on purpose: a bin must come back often enough to teach something.
 *
 * Example: 190 requests/s at 14:30 → `load 2^8 · 12-18 h`.
 */
export type ContextKey = string;

const QUARTER_MS = 21_600_000;

export function contextOf(perSecond: number | undefined, nowMs: number): ContextKey {
  const quarter = ((Math.floor(nowMs / QUARTER_MS) % 4) + 4) % 4;
  const load = perSecond === undefined || !(perSecond > 0) ? 'unknown' : `2^${Math.round(Math.log2(perSecond))}`;
  return `load ${load} · ${quarter * 6}-${quarter * 6 + 6} h`;
}
