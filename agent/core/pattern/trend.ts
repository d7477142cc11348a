import { shapeOf } from './change-points.ts';
import { known, timeAt, toGrid } from './grid.ts';
import { mannKendall } from './mann-kendall.ts';
import { impactOf, type Pattern, type Recogniser } from './pattern.ts';
import { robustSpread } from './statistics.ts';

/** Longer windows are judged on means of consecutive steps: the test is quadratic, and means carry less noise. */
const BLOCKS = 120;

/**
 * A metric that goes one way: Mann–Kendall on the window, with the slope of Theil and Sen. Reported where `p < .001`,
 * `|τ| ≥ .3`, the way covered exceeds the scatter around it, and a straight line describes the window better than one
 * step does (that would be a level shift). Confidence: `1 − p`.
 */
export const trend: Recogniser = {
  type: 'trend',
  recognise(window): Pattern | undefined {
    const grid = toGrid(window);
    if (grid === undefined) return undefined;
    const size = Math.ceil(grid.values.length / BLOCKS);
    const blocks = Float64Array.from({ length: Math.floor(grid.values.length / size) }, (_, b) => {
      const part = known(grid.values.subarray(b * size, (b + 1) * size));
      return part.length === 0 ? Number.NaN : part.reduce((a, v) => a + v, 0) / part.length;
    });
    const found = mannKendall(blocks);
    if (found === undefined || found.p > 1e-3 || Math.abs(found.tau) < 0.3) return undefined;
    const way = found.slope * (blocks.length - 1);
    const scatter = robustSpread(known(blocks.map((v, i) => v - found.slope * i)));
    if (Math.abs(way) < scatter || stepFitsBetter(blocks)) return undefined;
    const line = shapeOf(blocks, 0, blocks.length);
    const middle = line.level;
    return {
      type: 'trend',
      confidence: 1 - found.p,
      samples: found.samples,
      ...impactOf(middle - way / 2, middle + way / 2),
      sinceMs: timeAt(grid, 0),
      evidence: {
        tau: found.tau,
        p: found.p,
        change: way,
        changePerHour: (found.slope / (size * grid.stepMs)) * 3_600_000,
        scatter,
      },
    };
  },
};

/** Two levels with one jump leave less unexplained than a line does. */
function stepFitsBetter(values: Float64Array): boolean {
  const y = known(values);
  const n = y.length;
  const total = y.reduce((a, v) => a + v, 0);
  let left = 0;
  let explainedByStep = 0;
  for (let k = 1; k < n; k++) {
    left += y[k - 1]!;
    explainedByStep = Math.max(explainedByStep, left ** 2 / k + (total - left) ** 2 / (n - k) - total ** 2 / n);
  }
  const middle = (n - 1) / 2;
  const tilt = y.reduce((a, v, i) => a + (i - middle) * v, 0);
  const explainedByLine = tilt ** 2 / ((n * (n * n - 1)) / 12);
  return explainedByStep > explainedByLine;
}
