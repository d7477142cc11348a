/** Why a scrape brought nothing. */
export const FAILURES = [
  'unreachable',
  'timeout',
  'status',
  'too_large',
  'encoding',
  'truncated',
  'not_metrics',
  'credentials',
] as const;
export type Failure = (typeof FAILURES)[number];

/** Why a sample of a page that was read became no point. */
export const DROPS = [
  /** The line could not be read, or says what its type does not allow. */
  'bad_line',
  /** The same series twice on a page. */
  'duplicate',
  /** Not a number, infinite, or a counter below zero. */
  'no_value',
  /** DCGM's words for "not available". */
  'blank',
  /** A timestamp that is far from now. */
  'timestamp',
  /** Buckets that do not increase, or a count that is missing. */
  'bad_histogram',
  /** Quantiles, which cannot be merged; `info` metrics; gauge histograms. */
  'unsupported',
  /** No room for another series. */
  'series_limit',
  /** Refused by the inbox behind. */
  'overloaded',
] as const;
export type Drop = (typeof DROPS)[number];

/** Totals since the start; `targetsUp` and `targetsDown` are as of the last scrapes. */
export interface ScrapeCounts {
  /** Scrapes begun. */
  readonly scrapes: number;
  /** Pages read to their end. */
  readonly pages: number;
  readonly failures: Readonly<Record<Failure, number>>;
  /** Scrapes left out because the one before was still under way. */
  readonly skipped: number;
  /** Points handed to the sink and taken. */
  readonly points: number;
  readonly dropped: Readonly<Record<Drop, number>>;
  /** Series whose end was told: their target stopped answering, or no longer has them. */
  readonly ended: number;
  /** Of pages, decompressed. */
  readonly bytes: number;
  readonly targetsUp: number;
  readonly targetsDown: number;
}

/** The totals while they are being counted. */
export class Tally {
  scrapes = 0;
  pages = 0;
  skipped = 0;
  points = 0;
  ended = 0;
  bytes = 0;
  readonly failures = zeros(FAILURES);
  readonly dropped = zeros(DROPS);
}

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  // `Object.fromEntries` cannot know its keys.
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}
