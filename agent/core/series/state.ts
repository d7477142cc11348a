import type { ExponentialPoint, HistogramPoint, SampleBatch } from '../model.ts';
import { reducedExponential } from './exponential.ts';
import type { ExponentialGrid } from './exponential_grid.ts';

/** What is remembered of one series: how far it was counted, and the last cumulative point. */
export class SeriesState {
  /** Start of the stream that is being counted. 0, 0: not known. */
  startMs = 0;
  startSubMsNs = 0;
  /** How far the series has been counted. */
  endMs = 0;
  endSubMsNs = 0;
  /** Last cumulative value, or the level of a non-monotonic sum. */
  value = 0;
  valueRest = 0;
  /** Last cumulative histogram or summary. */
  histogram: HistogramPoint | undefined = undefined;
  /** Last cumulative exponential histogram, reduced. */
  exponential: ExponentialPoint | undefined = undefined;
  /** Buckets that its increments were given out in, so that the next ones have the same. */
  grid: ExponentialGrid | undefined = undefined;
  /** Has advanced since the last sweep; `seenMs` is the agent's time of that sweep, so sender clocks play no part. */
  touched = true;
  seenMs = 0;

  /** Counted up to this point's time. */
  advance(batch: SampleBatch, row: number): void {
    this.endMs = batch.timeMs[row]!;
    this.endSubMsNs = batch.timeSubMsNs[row]!;
    this.touched = true;
  }

  /** A new stream begins with this point. */
  restart(batch: SampleBatch, row: number): void {
    this.startMs = batch.startMs[row]!;
    this.startSubMsNs = batch.startSubMsNs[row]!;
    this.value = batch.value[row]!;
    this.valueRest = restOf(batch, row);
    this.histogram = batch.histogram[row];
    const exponential = batch.exponential?.[row];
    this.exponential = exponential === undefined ? undefined : reducedExponential(exponential);
    this.advance(batch, row);
  }
}

/** What the value lacks to the integer that was sent. */
export function restOf(batch: SampleBatch, row: number): number {
  return batch.valueRest?.[row] ?? 0;
}

// Instants are compared as milliseconds, then nanoseconds; as one double they would be equal up to 256 ns apart.

export function compareTimeToEnd(batch: SampleBatch, row: number, state: SeriesState): number {
  return batch.timeMs[row]! - state.endMs || batch.timeSubMsNs[row]! - state.endSubMsNs;
}

export function compareStartToEnd(batch: SampleBatch, row: number, state: SeriesState): number {
  return batch.startMs[row]! - state.endMs || batch.startSubMsNs[row]! - state.endSubMsNs;
}

export function compareStartToStart(batch: SampleBatch, row: number, state: SeriesState): number {
  return batch.startMs[row]! - state.startMs || batch.startSubMsNs[row]! - state.startSubMsNs;
}

export function hasStart(batch: SampleBatch, row: number): boolean {
  return batch.startMs[row] !== 0 || batch.startSubMsNs[row] !== 0;
}

export function hasKnownStart(state: SeriesState): boolean {
  return state.startMs !== 0 || state.startSubMsNs !== 0;
}

export function isInstant(batch: SampleBatch, row: number): boolean {
  return batch.startMs[row] === batch.timeMs[row] && batch.startSubMsNs[row] === batch.timeSubMsNs[row];
}

export function startsAfterItsTime(batch: SampleBatch, row: number): boolean {
  return (batch.startMs[row]! - batch.timeMs[row]! || batch.startSubMsNs[row]! - batch.timeSubMsNs[row]!) > 0;
}

// For increments: one double in milliseconds, good to a quarter of a microsecond.

export function timeOfMs(batch: SampleBatch, row: number): number {
  return batch.timeMs[row]! + batch.timeSubMsNs[row]! / 1e6;
}

export function startOfMs(batch: SampleBatch, row: number): number {
  return batch.startMs[row]! + batch.startSubMsNs[row]! / 1e6;
}

export function endOfMs(state: SeriesState): number {
  return state.endMs + state.endSubMsNs / 1e6;
}
