/** The seam of this room. Pure and streaming: `score` changes nothing, `learn` takes the value in. */
export interface Detector {
  /** How surprising `value` would be at `atMs`, given what was learned before. A value that is no number scores 0. */
  score(value: number, atMs: number): Score;
  learn(value: number, atMs: number): void;
  /** Plain data that JSON carries without loss; restoring it gives the same scores. */
  save(): unknown;
}

export interface Score {
  /** Decades: "one in 10^surprise". 0 when nothing is known. */
  readonly surprise: number;
  /** Which residual was surprised most; empty when none had anything to say. */
  readonly channel: string;
  /** The greatest surprise of any single channel that leads, before agreement was added. */
  readonly channelSurprise: number;
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}
