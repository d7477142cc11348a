import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TimeSeries } from './series.ts';

export interface ScoredSeries {
  readonly series: TimeSeries;
  /** Asked for only when scores are written. */
  readonly scores: () => Float64Array;
}

/**
 * One CSV per series under `outDir`, named like it: `timestamp,score`, a score a row, timestamps in epoch seconds. Scores
 * are in [0, 1): ½ and more where an anomaly opened, the farther above its bar the more.
 */
export function writeScores(outDir: string, scored: readonly ScoredSeries[]): void {
  for (const { series, scores } of scored) {
    const path = join(outDir, series.name.replace(/\.gz$/, ''));
    mkdirSync(dirname(path), { recursive: true });
    const rows = Array.from(scores(), (score, i) => `${series.timesMs[i]! / 1000},${score}`);
    writeFileSync(path.endsWith('.csv') ? path : `${path}.csv`, `timestamp,score\n${rows.join('\n')}\n`);
  }
}
