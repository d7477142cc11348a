import type { Pattern } from '../pattern/pattern.ts';

/** Signals of which more is better; of every other one, more is worse. */
const MORE_IS_BETTER = /throughput|tokens|reliability|efficiency/i;

/**
 * By how much a pattern makes its metric worse.
 *
 *     impact = exp(±impactLog) − 1      [−1, ∞)
 *
 * `impactLog` is the change of the metric's logarithm that the pattern accounts for; the sign is + for metrics of which
 * more is worse (response time, errors, queues, resources) and − for those of which more is better (throughput,
 * reliability, tokens per second, efficiency). 0.25: the metric is a quarter worse than without the pattern; negative: it
 * is better. Absent where the metric is not positive, so has no logarithm.
 *
 * Example: a level shift that doubles the response time has an impact of 1; one that doubles the throughput of −0.5.
 *
 * @figure Impact of a pattern [relative]
 */
export function patternImpact({ impactLog }: Pick<Pattern, 'impactLog'>, metric: string): number | undefined {
  if (impactLog === undefined) return undefined;
  return Math.expm1(MORE_IS_BETTER.test(metric) ? -impactLog : impactLog);
}
