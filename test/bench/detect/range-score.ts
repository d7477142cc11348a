/**
 * Scores for anomalies that are ranges of rows.
 *
 * **Range-based precision and recall** (N. Tatbul et al., Precision and recall for time series, NeurIPS 2018), flat
 * bias, no existence reward: the recall of a true range is the share of it that is covered, divided by the number of
 * predicted ranges that cover it; precision is the same with the roles exchanged; both are averaged over ranges.
 *
 * **VUS-PR** (J. Paparrizos et al., Volume under the surface, VLDB 2022): labels get soft shoulders of ℓ/2 rows on
 * each side, falling as √(1 − distance/ℓ); recall is weighed with the share of ranges that are touched at all; the
 * area under precision against recall is averaged over shoulders ℓ = 0 … L, so it needs no threshold and forgives a
 * small delay. A random score gets about the share of anomalous rows.
 */
import type { Window } from './nab-score.ts';

export function rangesOf(flags: ArrayLike<number>): Window[] {
  const out: Window[] = [];
  for (let i = 0; i < flags.length; i++) {
    if (flags[i]! <= 0) continue;
    const first = i;
    while (i + 1 < flags.length && flags[i + 1]! > 0) i++;
    out.push({ first, last: i });
  }
  return out;
}

export function rangeF1(predicted: readonly Window[], real: readonly Window[]) {
  const precision = meanCoverage(predicted, real);
  const recall = meanCoverage(real, predicted);
  return { precision, recall, f1: precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall) };
}

/** Mean over `ranges` of the share covered by `others`, divided by how many of them it takes. */
function meanCoverage(ranges: readonly Window[], others: readonly Window[]): number {
  if (ranges.length === 0) return 0;
  let sum = 0;
  let from = 0;
  for (const { first, last } of ranges) {
    let covered = 0;
    let touching = 0;
    while (from < others.length && others[from]!.last < first) from++;
    for (let k = from; k < others.length && others[k]!.first <= last; k++) {
      covered += Math.min(last, others[k]!.last) - Math.max(first, others[k]!.first) + 1;
      touching++;
    }
    if (touching > 0) sum += covered / (last - first + 1) / touching;
  }
  return sum / ranges.length;
}

export interface VusOptions {
  readonly maxShoulder: number;
  readonly shoulderStep: number;
  readonly thresholds: number;
}

export const VUS_DEFAULTS: VusOptions = { maxShoulder: 100, shoulderStep: 20, thresholds: 250 };

export function vusPr(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  options: VusOptions = VUS_DEFAULTS,
): number {
  const n = scores.length;
  const order = Uint32Array.from({ length: n }, (_, i) => i).sort((a, b) => scores[b]! - scores[a]!);
  const real = rangesOf(labels);
  if (real.length === 0) return 0;
  let sum = 0;
  let surfaces = 0;
  for (let shoulder = 0; shoulder <= options.maxShoulder; shoulder += options.shoulderStep) {
    sum += prArea(order, scores, softLabels(real, n, shoulder), real, shoulder, options.thresholds);
    surfaces++;
  }
  return sum / surfaces;
}

function softLabels(real: readonly Window[], n: number, shoulder: number): Float64Array {
  const soft = new Float64Array(n);
  const half = shoulder >> 1;
  for (const { first, last } of real) {
    for (let i = Math.max(0, first - half); i <= Math.min(n - 1, last + half); i++) {
      const distance = i < first ? first - i : i > last ? i - last : 0;
      soft[i] = Math.min(1, soft[i]! + (distance === 0 ? 1 : Math.sqrt(1 - distance / shoulder)));
    }
  }
  return soft;
}

function prArea(
  order: Uint32Array,
  scores: ArrayLike<number>,
  soft: Float64Array,
  real: readonly Window[],
  shoulder: number,
  thresholds: number,
): number {
  const n = order.length;
  const half = shoulder >> 1;
  const hard = real.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  const positives = (hard + soft.reduce((a, b) => a + b, 0)) / 2;
  const touched = new Uint8Array(real.length);
  const rangeAt = new Int32Array(n).fill(-1);
  real.forEach(({ first, last }, r) => {
    rangeAt.fill(r, Math.max(0, first - half), Math.min(n, last + half + 1));
  });
  let touchedRanges = 0;
  let truth = 0;
  let area = 0;
  let recallBefore = 0;
  let thresholdAt = 0;
  const every = Math.max(1, Math.floor(n / thresholds));
  for (let i = 0; i < n; i++) {
    const row = order[i]!;
    truth += soft[row]!;
    const range = rangeAt[row]!;
    if (range >= 0 && touched[range] === 0) {
      touched[range] = 1;
      touchedRanges++;
    }
    // A threshold takes all rows of equal score at once.
    const ties = i + 1 < n && scores[order[i + 1]!] === scores[row];
    if (ties || (i < thresholdAt && i + 1 < n)) continue;
    thresholdAt = i + every;
    const recall = Math.min(1, truth / positives) * (touchedRanges / real.length);
    area += Math.max(0, recall - recallBefore) * (truth / (i + 1));
    recallBefore = Math.max(recallBefore, recall);
  }
  return area;
}
