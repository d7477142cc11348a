export interface BackoffOptions {
  /** Wait before the first retry, on average. */
  readonly initialMs: number;
  /** Longest wait, unless the upstream asks for more. */
  readonly maxMs: number;
}

/** No upstream may silence us for longer, whatever it asks for. */
const MAX_ASKED_MS = 15 * 60_000;

/**
 * How long to wait after the `failures`-th failure in a row: `initial · 2^(failures − 1)`, at most `max`, drawn evenly from
 * ±50 % of it, so that agents that lost the same upstream at the same time do not return together.
 *
 * What the upstream asks for (RetryInfo, Retry-After) is a lower bound; up to a tenth more is added, for the same reason.
 * `random` is in [0, 1).
 */
export function backoffMs(
  failures: number,
  askedMs: number | undefined,
  { initialMs, maxMs }: BackoffOptions,
  random: number,
): number {
  const full = Math.min(maxMs, initialMs * 2 ** Math.min(failures - 1, 30));
  const own = full * (0.5 + random);
  if (askedMs === undefined) return own;
  return Math.max(own, Math.min(askedMs, MAX_ASKED_MS) * (1 + random / 10));
}
