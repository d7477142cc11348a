import { known, timeAt, toGrid } from './grid.ts';
import { mannKendall } from './mann-kendall.ts';
import { impactOf, type Pattern, type Recogniser } from './pattern.ts';
import { effectiveCount, lagOneCorrelation, median, poissonTail } from './statistics.ts';

/** At the limit: within this share of it. */
const NEAR = 0.05;
/** Share of the time there that is still no pattern. */
const HARMLESS = 0.1;
/** Without a known limit: within this share of the range below the highest value … */
const AT_TOP = 0.01;
/** … where a value of a smooth distribution hardly ever is. */
const AT_TOP_BY_CHANCE = 0.03;

/**
 * A resource that is used up, or about to be.
 *
 * With a known limit: the metric is within 5 % of it more than a tenth of the time (`p < .001`, Poisson count over the
 * effective number of values), or climbs (`mann-kendall.ts`, `p < .001`) so that its line reaches the limit within one
 * more window. Without one: values pile up right below the highest ever seen, as they do under a ceiling (`p < .001`),
 * with at least ten different values below it. Confidence: `1 − p`. A metric that is meant to sit at its limit (a batch
 * that is always full) is reported too: whether it should is not to be seen in it.
 */
export function saturation(limit?: number): Recogniser {
  return {
    type: 'saturation',
    recognise(window): Pattern | undefined {
      const grid = toGrid(window);
      if (grid === undefined) return undefined;
      const values = known(grid.values);
      const n = values.length;
      if (n < 30) return undefined;
      const effective = Math.max(1, effectiveCount(n, lagOneCorrelation(values)));
      const top = values.reduce((a, v) => Math.max(a, v), Number.NEGATIVE_INFINITY);
      const bottom = values.reduce((a, v) => Math.min(a, v), Number.POSITIVE_INFINITY);
      const ceiling = limit ?? top;
      const from = limit === undefined ? top - AT_TOP * (top - bottom) : limit - NEAR * Math.abs(limit);
      const there = values.filter((v) => v >= from).length / n;
      const byChance = limit === undefined ? AT_TOP_BY_CHANCE : HARMLESS;
      const p = poissonTail(Math.round(there * effective), effective * byChance);
      const varied = new Set(values.filter((v) => v < from)).size >= 10;
      const usual = median(values);
      if (p < 1e-3 && (limit !== undefined || varied)) {
        const first = grid.values.findIndex((v) => v >= from);
        return {
          type: 'saturation',
          confidence: 1 - p,
          samples: effective,
          ...impactOf(usual, ceiling),
          sinceMs: timeAt(grid, first),
          evidence: { p, ceiling, atCeilingRatio: there, usual },
        };
      }
      return limit === undefined ? undefined : approach(grid, limit);
    },
  };
}

function approach(
  grid: { readonly startMs: number; readonly stepMs: number; readonly values: Float64Array },
  limit: number,
): Pattern | undefined {
  const climb = mannKendall(grid.values);
  if (climb === undefined || climb.p > 1e-3 || climb.slope <= 0) return undefined;
  const n = grid.values.length;
  const now = median(known(grid.values.map((v, i) => v + climb.slope * (n - 1 - i))));
  const steps = (limit - now) / climb.slope;
  if (steps > n) return undefined;
  return {
    type: 'saturation',
    confidence: 1 - climb.p,
    samples: climb.samples,
    ...impactOf(now, limit),
    sinceMs: timeAt(grid, 0),
    evidence: { p: climb.p, ceiling: limit, now, tau: climb.tau, timeToLimitMs: Math.max(0, steps) * grid.stepMs },
  };
}
