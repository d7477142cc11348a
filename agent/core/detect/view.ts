/**
 * A view is one way of looking at a series' past. For each value it gives one or more residuals: signed numbers that
 * say how far the value lies from what this view led to expect. Zero is no surprise; what counts as far is left to a
 * tail sketch. Views hold no state of their own: it lies in `slots` numbers of a buffer that each series owns, from
 * index `at`, zero-filled at birth, so that a thousand series cost a thousand buffers and one set of views.
 */
export interface View {
  readonly channels: readonly Channel[];
  readonly slots: number;
  /** Writes one residual per channel into `out` from index `first`. NaN: nothing to say yet. Changes no state. */
  measure(state: Float64Array, at: number, value: number, atMs: number, out: Float64Array, first: number): void;
  learn(state: Float64Array, at: number, value: number, atMs: number): void;
  /** Takes `level` as the new normal at once; views that follow within some points anyway have no need of it. */
  rebaseline?(state: Float64Array, at: number, level: number): void;
}

export interface Channel {
  readonly name: string;
  /**
   * `both`: a deviation upwards and one downwards are equally ordinary, as for errors of a prediction, so their sizes
   * share one tail sketch, which then learns twice as fast. `each`: the two sides differ by construction (a minimum
   * falls faster than it rises) and have a sketch each.
   */
  readonly sides: 'both' | 'each';
  /** `lead` channels can raise an alert alone; `support` channels only strengthen one (half weight, never the maximum). */
  readonly role: 'lead' | 'support';
  /** The residual is `value − expectation` in the metric's unit, so an expected range follows from it. */
  readonly inValueUnit: boolean;
}
