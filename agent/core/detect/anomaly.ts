import type { Interval } from './detector.ts';

export const SEVERITIES = ['low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** Something a metric did that its own past makes improbable. Never changed; an escalation is a new record. */
export interface Anomaly {
  readonly metric: string;
  readonly kind: 'value' | 'missing';
  /** NaN for missing data. */
  readonly value: number;
  /** What would have been ordinary at that moment. */
  readonly expectedRange: Interval;
  readonly severity: Severity;
  /** When the metric was last ordinary. */
  readonly sinceMs: number;
  readonly atMs: number;
  /** Decades: "one in 10^surprise". */
  readonly surprise: number;
  /** What the surprise had to reach, decades. */
  readonly bar: number;
  /** The residual that saw it. */
  readonly channel: string;
  /** One sentence for a human. */
  readonly explanation: string;
}

/**
 * Severity from the tail probability and the duration: `rank = (surprise − bar) + log₁₀(1 + points / 10)` decades, so
 * ninety points of duration weigh as much as a value ten times rarer. Below 1 low, below 2 medium, below 4 high.
 *
 * @figure Severity of an anomaly [low, medium, high, critical]
 */
export function severityOf(excessDecades: number, points: number): Severity {
  const rank = excessDecades + Math.log10(1 + points / 10);
  if (rank < 1) return 'low';
  if (rank < 2) return 'medium';
  return rank < 4 ? 'high' : 'critical';
}

/**
 * One sentence. How rare is said only as far as it was counted: what was never seen in `points` points is said to be
 * that, however far beyond them the tail was continued.
 */
export function explain(
  metric: string,
  value: number,
  range: Interval,
  channel: string,
  surprise: number,
  points: number,
): string {
  const oneIn = 10 ** surprise;
  const rarity =
    oneIn < points
      ? `about one in ${readable(oneIn)} points`
      : `nothing like it in ${readable(Math.round(points))} points`;
  const where =
    value > range.high
      ? 'above the expected'
      : value < range.low
        ? 'below the expected'
        : 'in an unusual pattern within';
  return `${metric} is ${readable(value)}, ${where} ${readable(range.low)} to ${readable(range.high)} (${channel}: ${rarity})`;
}

function readable(value: number): string {
  return Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-3)
    ? value.toExponential(2)
    : String(Number(value.toPrecision(4)));
}
