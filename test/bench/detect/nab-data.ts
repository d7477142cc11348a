import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Window } from './nab-score.ts';
import { parseTimeMs, readSeries, type TimeSeries } from './series.ts';

export interface NabSeries extends TimeSeries {
  readonly windows: readonly Window[];
}

/** Reads a folder in NAB's layout: `labels/combined_windows.json` beside `category/file.csv`. */
export function readNab(dir: string): NabSeries[] {
  const labelled: unknown = JSON.parse(readFileSync(join(dir, 'labels', 'combined_windows.json'), 'utf8'));
  if (typeof labelled !== 'object' || labelled === null) throw new Error(`${dir}: combined_windows.json is no object`);
  const out: NabSeries[] = [];
  for (const [name, limits] of Object.entries(labelled)) {
    const path = [join(dir, name), join(dir, 'data', name)].find((candidate) => existsSync(candidate));
    if (path === undefined) continue; // a selection of the corpus is welcome
    const series = readSeries(path, name);
    out.push({ ...series, windows: windowRows(series.timesMs, limits) });
  }
  return out.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function windowRows(timesMs: Float64Array, limits: readonly (readonly [string, string])[]): Window[] {
  return limits.map(([from, to]) => {
    const first = timesMs.findIndex((atMs) => atMs >= parseTimeMs(from));
    const last = timesMs.findLastIndex((atMs) => atMs <= parseTimeMs(to));
    return { first, last };
  });
}
