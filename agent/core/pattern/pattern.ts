export const PATTERN_TYPES = [
  'trend',
  'seasonality',
  'level_shift',
  'variance_shift',
  'spike_train',
  'saturation',
  'memory_leak',
  'bimodal',
  'correlation',
  'load_dependence',
] as const;
export type PatternType = (typeof PATTERN_TYPES)[number];

/** Something lasting that was seen in a metric. Every confidence is a statistic, and says how much it rests on. */
export interface Pattern {
  readonly type: PatternType;
  /** `1 − p` of the test against "nothing is there", or a posterior probability. Each recogniser says which. */
  readonly confidence: number;
  /** Independent observations behind the confidence: fewer than the samples where neighbours resemble each other. */
  readonly samples: number;
  /**
   * What it does to the metric, in the objective's units: the change of `log(metric)` it accounts for (0.1 is about
   * 10 % more). Absent where the metric is not positive, so has no logarithm.
   */
  readonly impactLog?: number;
  readonly sinceMs: number;
  /** Figures by name, unit last. */
  readonly evidence: Readonly<Record<string, number>>;
}

/** Samples of one metric in order of time; `NaN` is a gap. At most a few hundred: recognisers may take O(n²). */
export interface Window {
  readonly timesMs: ArrayLike<number>;
  readonly values: ArrayLike<number>;
}

/** Looks for one type of pattern in a window. Pure: the window stays as it is, and only what is in it counts. */
export interface Recogniser {
  readonly type: PatternType;
  recognise(window: Window): Pattern | undefined;
}

/** `{ impactLog: ln(after/before) }`, or nothing where a side is not positive. */
export function impactOf(before: number, after: number): { readonly impactLog?: number } {
  return before > 0 && after > 0 ? { impactLog: Math.log(after / before) } : {};
}
