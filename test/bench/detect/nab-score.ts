/**
 * The Numenta Anomaly Benchmark's score, exactly.
 *
 * Each labelled window is worth one detection: only the earliest alarm inside counts, and the sooner the more:
 * `2σ(−5y) − 1` with `y` running from −1 (left edge) to 0 (right edge), divided by its value at −1. Every alarm
 * outside costs `fp · (1 − 2σ(−5y))`, with `y` the distance behind the last window in window widths, so alarms soon
 * after a window cost less. A window with no alarm costs `fn`. The first min(15 %, 750) rows of a file are not scored.
 * One threshold for all files, the one that scores best for the profile, as NAB's own optimiser does; then
 * `100 (s − s_null) / (s_perfect − s_null)`: 0 is a detector that never alarms, 100 a perfect one.
 *
 * Source: Lavin and Ahmad, Evaluating Real-time Anomaly Detection Algorithms, ICMLA 2015; NAB's `sweeper.py`.
 */

export interface NabProfile {
  readonly name: 'standard' | 'reward_low_FP_rate' | 'reward_low_FN_rate';
  readonly tp: number;
  readonly fp: number;
  readonly fn: number;
}

export const NAB_PROFILES: readonly NabProfile[] = [
  { name: 'standard', tp: 1, fp: 0.11, fn: 1 },
  { name: 'reward_low_FP_rate', tp: 1, fp: 0.22, fn: 1 },
  { name: 'reward_low_FN_rate', tp: 1, fp: 0.11, fn: 2 },
];

/** Inclusive row indices of a labelled window. */
export interface Window {
  readonly first: number;
  readonly last: number;
}

/** One file: its alarm score a row (higher is more anomalous; equal scores fall together) and its windows. */
export interface NabFile {
  readonly scores: ArrayLike<number>;
  readonly windows: readonly Window[];
}

export interface NabResult {
  readonly threshold: number;
  /** Not normalised. */
  readonly raw: number;
  /** 0 (null detector) to 100 (perfect). */
  readonly normalised: number;
  readonly windowsFound: number;
  readonly windows: number;
  readonly falseAlarms: number;
}

export function probationRows(rows: number): number {
  return Math.min(Math.floor(0.15 * rows), 750);
}

export function scaledSigmoid(position: number): number {
  return position > 3 ? -1 : 2 / (1 + Math.exp(5 * position)) - 1;
}

interface Row {
  readonly score: number;
  /** Index of the window the row lies in, counted over all files; −1 outside. */
  readonly window: number;
  /** Value of an alarm here before weights: in (0, 1] inside a window, in [−1, 0) outside. */
  readonly value: number;
}

/** What an alarm on each scored row would be worth. */
export function nabRows(file: NabFile, firstWindow: number): Row[] {
  const rows: Row[] = [];
  const n = file.scores.length;
  let next = 0;
  let behind: Window | undefined;
  for (let i = 0; i < n; i++) {
    while (next < file.windows.length && i > file.windows[next]!.last) behind = file.windows[next++];
    const here = file.windows[next];
    if (i < probationRows(n)) continue;
    const score = file.scores[i]!;
    if (here !== undefined && i >= here.first) {
      const position = -(here.last - i + 1) / (here.last - here.first + 1);
      rows.push({ score, window: firstWindow + next, value: scaledSigmoid(position) / scaledSigmoid(-1) });
    } else if (behind === undefined) rows.push({ score, window: -1, value: -1 });
    else {
      const position = (i - behind.last) / (behind.last - behind.first);
      rows.push({ score, window: -1, value: scaledSigmoid(position) });
    }
  }
  return rows;
}

/** All rows of a corpus, ready to be swept: sort once, score for any profile. */
export function nabCorpus(files: readonly NabFile[]): { readonly rows: readonly Row[]; readonly windows: number } {
  let windows = 0;
  const rows: Row[] = [];
  for (const file of files) {
    for (const row of nabRows(file, windows)) rows.push(row);
    windows += file.windows.length;
  }
  rows.sort((a, b) => b.score - a.score);
  return { rows, windows };
}

type Corpus = ReturnType<typeof nabCorpus>;

/** Sweeps the threshold down through `corpus` and calls `at` with the running result after each distinct score. */
function sweep(
  corpus: Corpus,
  profile: NabProfile,
  at: (threshold: number, raw: number, found: number, falseAlarms: number) => void,
): void {
  const best = new Float64Array(corpus.windows).fill(-profile.fn);
  let raw = -profile.fn * corpus.windows;
  let found = 0;
  let falseAlarms = 0;
  at(Number.POSITIVE_INFINITY, raw, found, falseAlarms);
  for (let i = 0; i < corpus.rows.length; i++) {
    const row = corpus.rows[i]!;
    if (row.window < 0) {
      raw += row.value * profile.fp;
      falseAlarms++;
    } else {
      const before = best[row.window]!;
      const value = row.value * profile.tp;
      if (before === -profile.fn) found++;
      if (value > before) {
        best[row.window] = value;
        raw += value - before;
      }
    }
    if (i + 1 === corpus.rows.length || corpus.rows[i + 1]!.score !== row.score) at(row.score, raw, found, falseAlarms);
  }
}

function normalise(raw: number, windows: number, profile: NabProfile): number {
  return windows === 0 ? 0 : (100 * (raw + profile.fn * windows)) / ((profile.tp + profile.fn) * windows);
}

/** The score at the best single threshold for this profile. */
export function nabBest(corpus: Corpus, profile: NabProfile): NabResult {
  let result: NabResult | undefined;
  sweep(corpus, profile, (threshold, raw, windowsFound, falseAlarms) => {
    if (result !== undefined && raw <= result.raw) return;
    const normalised = normalise(raw, corpus.windows, profile);
    result = { threshold, raw, normalised, windowsFound, windows: corpus.windows, falseAlarms };
  });
  return result!;
}

/** The score at a threshold that was chosen elsewhere. */
export function nabAt(corpus: Corpus, profile: NabProfile, threshold: number): NabResult {
  let result: NabResult | undefined;
  sweep(corpus, profile, (reached, raw, windowsFound, falseAlarms) => {
    if (reached < threshold) return;
    const normalised = normalise(raw, corpus.windows, profile);
    result = { threshold, raw, normalised, windowsFound, windows: corpus.windows, falseAlarms };
  });
  return result!;
}
