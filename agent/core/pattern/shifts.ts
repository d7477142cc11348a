import { changePoints, type SegmentShape, shapeOf } from './change-points.ts';
import { Cusum } from './cusum.ts';
import { known, timeAt, toGrid } from './grid.ts';
import { impactOf, type Pattern, type Recogniser, type Window } from './pattern.ts';
import { effectiveCount, fTail, lagOneCorrelation, median, twoSidedP } from './statistics.ts';

/** Fewer steps on a side are an episode, not a regime. */
const LEAST_SIDE = 8;

interface Shift {
  readonly values: Float64Array;
  readonly cut: number;
  readonly atMs: number;
  readonly posterior: number;
  readonly before: SegmentShape;
  readonly after: SegmentShape;
  /** Independent values on either side. */
  readonly effective: readonly [before: number, after: number];
}

/**
 * The newest change of level that still holds: a change point (`change-points.ts`) with eight steps or more on each
 * side, levels two standard deviations of the noise apart, little slope, and a *sudden* change:
 *
 *     z = (mean of the 8 steps after − mean of the 8 before) ÷ the robust spread of that difference elsewhere
 *
 * with `p < .001`, times the number of places it could have been. A random walk and a slow wave get cut into segments
 * too, but their difference is no larger there than anywhere. Confidence: the posterior, at most `1 − p`.
 */
export const levelShift: Recogniser = {
  type: 'level_shift',
  recognise(window) {
    return newestShift(window, ({ values, cut, before, after, effective, atMs, posterior }) => {
      const jump = after.level - before.level;
      const noise = Math.sqrt((before.noise ** 2 + after.noise ** 2) / 2);
      const p = Math.min(1, (twoSidedP(suddenness(values, cut)) * values.length) / LEAST_SIDE);
      const drift = Math.abs(before.slopePerStep) * before.count + Math.abs(after.slopePerStep) * after.count;
      if (p > 1e-3 || Math.abs(jump) < 2 * noise || drift > Math.abs(jump)) return undefined;
      return {
        type: 'level_shift',
        confidence: Math.min(posterior, 1 - p),
        samples: effective[0] + effective[1],
        ...impactOf(before.level, after.level),
        sinceMs: atMs,
        evidence: { before: before.level, after: after.level, change: jump, noise, p, posterior },
      };
    });
  },
};

/**
 * The newest change of noise that still holds: a change point with eight steps or more on each side, between which the
 * standard deviation around the line at least doubles or halves, `p < .001` by an F test on the effective numbers of
 * values, times the number of places it could have been. Confidence: `1 − p`. Its impact is on what the
 * metric often reaches: the level plus one standard deviation.
 */
export const varianceShift: Recogniser = {
  type: 'variance_shift',
  recognise(window) {
    return newestShift(window, ({ values, before, after, effective, atMs, posterior }) => {
      const [quiet, loud] = before.noise < after.noise ? [0, 1] : [1, 0];
      const noise = [before.noise, after.noise] as const;
      const ratio = noise[loud]! / noise[quiet]!;
      if (!(noise[quiet]! > 0) || ratio < 2) return undefined;
      const places = values.length / LEAST_SIDE;
      const tail = fTail(ratio ** 2, Math.max(1, effective[loud]! - 2), Math.max(1, effective[quiet]! - 2));
      const p = Math.min(1, 2 * tail * places);
      if (p > 1e-3) return undefined;
      return {
        type: 'variance_shift',
        confidence: 1 - p,
        samples: effective[0] + effective[1],
        ...impactOf(before.level + before.noise, after.level + after.noise),
        sinceMs: atMs,
        evidence: { noiseBefore: before.noise, noiseAfter: after.noise, ratio: noise[1] / noise[0], p, posterior },
      };
    });
  },
};

/** Asks about each change point, newest first, with the regimes on both sides. */
function newestShift(window: Window, judge: (shift: Shift) => Pattern | undefined): Pattern | undefined {
  const grid = toGrid(window);
  if (grid === undefined || !mayHaveShifted(grid.values)) return undefined;
  const points = changePoints(grid.values);
  for (let i = points.length - 1; i >= 0; i--) {
    const start = points[i - 1]?.index ?? 0;
    const end = points[i + 1]?.index ?? grid.values.length;
    const cut = points[i]!.index;
    const before = shapeOf(grid.values, start, cut);
    const after = shapeOf(grid.values, cut, end);
    if (before.count < LEAST_SIDE || after.count < LEAST_SIDE) continue;
    const found = judge({
      values: grid.values,
      cut,
      atMs: timeAt(grid, cut),
      posterior: points[i]!.posterior,
      before,
      after,
      effective: [effectiveIn(grid.values, start, cut, before), effectiveIn(grid.values, cut, end, after)],
    });
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Linear, and lets most windows of quiet metrics go by without the quadratic search: does a CUSUM of level or size ring? */
function mayHaveShifted(values: Float64Array): boolean {
  const centre = median(known(values));
  const level = new Cusum();
  const size = new Cusum();
  let rung = false;
  for (const v of values) {
    const levelRang = level.learn(v);
    const sizeRang = size.learn(Math.abs(v - centre));
    rung ||= levelRang || sizeRang;
  }
  return rung;
}

function effectiveIn(values: Float64Array, start: number, end: number, shape: SegmentShape): number {
  const rest: number[] = [];
  for (let i = start; i < end; i++) if (Number.isFinite(values[i]!)) rest.push(values[i]! - shape.slopePerStep * i);
  return effectiveCount(shape.count, lagOneCorrelation(rest));
}

function suddenness(values: Float64Array, cut: number): number {
  const here = Math.abs(differenceAt(values, cut));
  const elsewhere: number[] = [];
  for (let i = LEAST_SIDE; i + LEAST_SIDE <= values.length; i++) {
    if (Math.abs(i - cut) < LEAST_SIDE) continue;
    const difference = differenceAt(values, i);
    if (Number.isFinite(difference)) elsewhere.push(Math.abs(difference));
  }
  // Without any noise every jump is sudden: then the smallest number that keeps this finite.
  const spread = Math.max(1.4826 * median(elsewhere), 1e-9 * here);
  return here === 0 || !Number.isFinite(here) ? 0 : here / spread;
}

function differenceAt(values: Float64Array, cut: number): number {
  const before = known(values.subarray(Math.max(0, cut - LEAST_SIDE), cut));
  const after = known(values.subarray(cut, cut + LEAST_SIDE));
  const mean = (v: Float64Array) => v.reduce((a, x) => a + x, 0) / v.length;
  return mean(after) - mean(before);
}
