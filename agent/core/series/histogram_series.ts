import type { HistogramPoint, SampleBatch, Series } from '../model.ts';
import { exponentialDifference, reducedExponential } from './exponential.ts';
import type { ExponentialGrids } from './exponential_grid.ts';
import { bucketDifference, countGained } from './histogram_difference.ts';
import type { SeriesState } from './state.ts';

/** Whether points of the series are histograms of some kind; a summary is one without buckets. */
export function isHistogram(series: Series): boolean {
  return series.kind === 'histogram' || series.kind === 'exponential_histogram' || series.kind === 'summary';
}

/** Whether the row holds what its series says. */
export function hasHistogram(batch: SampleBatch, row: number, series: Series): boolean {
  return (series.kind === 'exponential_histogram' ? batch.exponential?.[row] : batch.histogram[row]) !== undefined;
}

/** Whether fewer things were counted than before: the stream started again from zero. */
export function histogramFell(batch: SampleBatch, row: number, state: SeriesState): boolean {
  const exponential = batch.exponential?.[row];
  if (exponential !== undefined && state.exponential !== undefined) return exponential.count < state.exponential.count;
  const histogram = batch.histogram[row];
  return histogram !== undefined && state.histogram !== undefined && countGained(state.histogram, histogram) < 0;
}

/** Everything in the row's point, in explicit buckets. */
export function wholeHistogram(
  batch: SampleBatch,
  row: number,
  state: SeriesState,
  grids: ExponentialGrids,
): HistogramPoint | undefined {
  const exponential = batch.exponential?.[row];
  if (exponential === undefined) return batch.histogram[row];
  const reduced = reducedExponential(exponential);
  state.grid = grids.gridFor(reduced, state.grid);
  return state.grid.explicit(reduced);
}

/**
 * What the row adds to the last cumulative point, which it becomes. `undefined` where the two cannot be compared: other
 * bounds, or a bucket that fell while the total did not.
 */
export function gainedHistogram(
  batch: SampleBatch,
  row: number,
  state: SeriesState,
  grids: ExponentialGrids,
): HistogramPoint | undefined {
  const exponential = batch.exponential?.[row];
  if (exponential !== undefined) {
    const before = state.exponential;
    const after = reducedExponential(exponential);
    state.exponential = after;
    const gained = before === undefined ? undefined : exponentialDifference(before, after);
    if (gained === undefined) return undefined;
    state.grid = grids.gridFor(gained, state.grid);
    return state.grid.explicit(gained);
  }
  const before = state.histogram;
  const after = batch.histogram[row];
  state.histogram = after;
  return before === undefined || after === undefined ? undefined : bucketDifference(before, after);
}
