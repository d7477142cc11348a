/**
 * What every forecaster is: it learns values of one metric on a fixed time grid, oldest first, and says what the next
 * ones will be, with an interval. Values are in the metric's own unit; a step is whatever the caller's grid is
 * (`rollup.ts` makes an hourly one); `NaN` is a gap.
 */
export interface Forecaster {
  /** Forgets everything, learns `values` (oldest first) and recalibrates. Does not change `values`. */
  fit(values: ArrayLike<number>): void;
  /** Takes one more step in, at once and cheaply; weights and calibration stay until `fit` or a due `refit`. */
  update(value: number): void;
  /** The next `horizon` steps; empty while there is too little to say anything from. */
  forecast(horizon: number): readonly Interval[];
  /** Everything needed to go on exactly as if nothing had happened; plain JSON. */
  save(): ForecasterState;
}

/** A prediction interval at the forecaster's confidence. `low ≤ median ≤ high`. */
export interface Interval {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export interface ForecasterState {
  /** The steps kept, gaps filled in. */
  readonly values: readonly number[];
  /** Which of them were filled in. */
  readonly gaps: readonly number[];
  /** How many of them were known at the last calibration. */
  readonly fitted: number;
}

/** The cycles of a metric in steps, shortest first: `[24, 168]` for hourly values with days and weeks; none is fine. */
export type Seasons = readonly number[];

/**
 * One opinion on the future. Pure: the same history gives the same path, and nothing after the history's end is seen,
 * so a backtest is the very code that forecasts.
 */
export interface Expert {
  readonly name: string;
  /** Fewer values than this and the expert is not asked. */
  readonly minHistory: number;
  /** `history` is complete (gaps filled), oldest first. */
  predict(history: Float64Array, horizon: number): Float64Array;
}
