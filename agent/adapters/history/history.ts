import type { HistoryReader } from '../../core/history/reader.ts';
import type { Rollup } from '../../core/history/rollup.ts';

/** What history has done since the agent started; never reset. */
export interface HistoryCounts {
  /** Rows written: minutes, each time that they have changed, and hours. */
  written: number;
  /** Minutes that were given up before they could be written, because the disk refused for too long. */
  unwritten: number;
  /** Rows that were deleted before their time because the file would have outgrown its limit. */
  evicted: number;
  /** Rows that were deleted because they were older than the retention. */
  pruned: number;
}

/** Rollups on disk. */
export interface History extends HistoryReader {
  readonly counts: Readonly<HistoryCounts>;
  /** Of the file, without its log. */
  readonly bytes: number;
  /** Why it cannot be written now; `undefined` while it can. */
  readonly problem: string | undefined;
  /**
   * Writes minutes, in place of what an earlier call wrote of them, and makes hours of minutes when they are over. Gives way
   * to the event loop between small transactions. What cannot be written is kept and tried again with the next call.
   */
  keep(minutes: readonly Rollup[], nowMs: number): Promise<void>;
  /** Deletes what is older than the retention. */
  prune(nowMs: number): Promise<void>;
  /** Writes these as well, at once, and closes. */
  close(minutes: readonly Rollup[]): void;
}

/** A file that cannot be used, and what can be done about it. */
export class HistoryError extends Error {
  override readonly name = 'HistoryError';
}
