/** Why a point is refused while its siblings are taken; the text is what the sender reads in `partial_success`. */
export const REJECTION_REASONS = {
  no_time: 'time_unix_nano is 0',
  start_after_time: 'start_time_unix_nano is after time_unix_nano',
  no_temporality: 'aggregation_temporality is not DELTA or CUMULATIVE',
  no_value: 'the point has no value',
  histogram_shape: 'a histogram needs one bucket count more than bounds, or neither',
  histogram_bounds: 'explicit_bounds must be finite and strictly increase',
  exponential_shape: 'zero_threshold must be finite and not negative, and bucket numbers within 32 bits',
  too_many_buckets: 'more than 16384 buckets',
  series_limit: 'the limit of series is reached',
  refused_by_engine: 'refused by the engine',
} as const;
export type RejectionReason = keyof typeof REJECTION_REASONS;

/** Rejected points of one request, by reason. */
export class Rejections {
  readonly byReason = new Map<RejectionReason, number>();
  total = 0;

  add(reason: RejectionReason, points = 1): void {
    this.byReason.set(reason, (this.byReason.get(reason) ?? 0) + points);
    this.total += points;
  }

  /** For the sender: `2 points: time_unix_nano is 0; 1 point: …`. */
  describe(): string {
    return [...this.byReason]
      .map(([reason, points]) => `${points} point${points === 1 ? '' : 's'}: ${REJECTION_REASONS[reason]}`)
      .join('; ');
  }
}
