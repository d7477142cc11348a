import type { HOUR_MS, MINUTE_MS, Rollup } from './rollup.ts';
import type { HistorySignal } from './signal.ts';

export type HistoryStepMs = typeof MINUTE_MS | typeof HOUR_MS;

export interface HistoryQuery {
  readonly component: string;
  readonly signal: HistorySignal;
  readonly stepMs: HistoryStepMs;
  /** Steps that begin at or after `fromMs` and before `toMs`. */
  readonly fromMs: number;
  readonly toMs: number;
  /** At most so many; `MAX_ROWS` when absent, and never more. */
  readonly limit?: number;
}

/** A month of hours, or most of a day of minutes. */
export const MAX_ROWS = 1_000;

/**
 * What happened before, also before the agent's last start: oldest first, steps without telemetry left out. The minute
 * and the hour that are not over yet are there with what is known by now; a row of either may still grow for five minutes
 * after its end, for telemetry that comes late. Reading is synchronous and takes some 10 µs a row.
 *
 *     const dayMs = 24 * HOUR_MS;
 *     history.read({ component: 'embedder', signal: 'throughput', stepMs: HOUR_MS, fromMs: nowMs - dayMs, toMs: nowMs })
 *       .map(({ startMs, sum, count }) => ({ startMs, mean: sum / count }));
 */
export interface HistoryReader {
  read(query: HistoryQuery): readonly Rollup[];
  /** Components and signals of which there is anything. */
  kept(): readonly { readonly component: string; readonly signal: HistorySignal }[];
}
