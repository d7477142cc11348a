import type { Pattern } from './pattern.ts';
import { impactOf } from './pattern.ts';
import { fTail, median } from './statistics.ts';

/** One moment: how much load there was, and how a metric stood. */
export interface LoadSample {
  readonly atMs: number;
  readonly load: number;
  readonly value: number;
}

const BINS = 40;
/** Beyond the knee the metric must grow this many times as fast. */
const STEEPER = 2;

/**
 * The knee: up to some load a metric (latency, mostly) grows slowly, beyond it fast.
 *
 *     value = a + b·load + c·max(0, load − knee),  c > 0
 *
 * fitted to the medians of 40 load bins of equal count (outliers and neighbours in time do not reach the fit), the knee
 * by trying every bin from the fifth to the fifth last; against the straight line by an F test with two extra
 * parameters. Reported where `p < .001` and the slope at least doubles. Confidence: `1 − p`. It needs load on both sides
 * of the knee: below it there is nothing to see, and `forecast/slo-load.ts` extrapolates by law instead.
 */
export function loadKnee(samples: readonly LoadSample[]): Pattern | undefined {
  const usable = samples
    .filter((s) => Number.isFinite(s.load) && Number.isFinite(s.value))
    .sort((a, b) => a.load - b.load || a.atMs - b.atMs || a.value - b.value);
  const bins = Math.min(BINS, Math.floor(usable.length / 5));
  if (bins < 12) return undefined;
  const part = (b: number) =>
    usable.slice(Math.floor((b * usable.length) / bins), Math.floor(((b + 1) * usable.length) / bins));
  const points = Array.from({ length: bins }, (_, b) => ({
    x: median(part(b).map((s) => s.load)),
    y: median(part(b).map((s) => s.value)),
  }));
  const straight = fitHinge(points, Number.POSITIVE_INFINITY);
  if (straight === undefined) return undefined;
  let best: (Hinge & { knee: number }) | undefined;
  for (let k = 4; k < bins - 4; k++) {
    const knee = points[k]!.x;
    const hinge = fitHinge(points, knee);
    if (hinge !== undefined && (best === undefined || hinge.left < best.left)) best = { ...hinge, knee };
  }
  if (best === undefined) return undefined;
  const freedom = bins - 4;
  const f = (straight.left - best.left) / 2 / (best.left / freedom);
  const p = best.left === 0 ? Number(straight.left === 0) : fTail(f, 2, freedom);
  const after = best.slope + best.extra;
  if (p > 1e-3 || best.extra <= 0 || after <= 0 || after < STEEPER * Math.max(0, best.slope)) return undefined;
  const highest = points.at(-1)!.x;
  const atKnee = best.start + best.slope * best.knee;
  return {
    type: 'load_dependence',
    confidence: 1 - p,
    samples: bins,
    ...impactOf(atKnee, atKnee + after * (highest - best.knee)),
    sinceMs: usable.reduce((a, s) => Math.min(a, s.atMs), Number.POSITIVE_INFINITY),
    evidence: {
      p,
      kneeLoad: best.knee,
      valueAtKnee: atKnee,
      slopeBelow: best.slope,
      slopeAbove: after,
      highestLoad: highest,
    },
  };
}

interface Hinge {
  readonly start: number;
  readonly slope: number;
  readonly extra: number;
  /** Squares left over. */
  readonly left: number;
}

/** Least squares by orthogonalising the columns 1, x, (x − knee)₊ in turn; without the last for an infinite knee. */
function fitHinge(points: readonly { x: number; y: number }[], knee: number): Hinge | undefined {
  const n = points.length;
  const x = points.map((p) => p.x);
  const h = points.map((p) => Math.max(0, p.x - knee));
  const y = points.map((p) => p.y);
  const [mx, mh, my] = [mean(x), mean(h), mean(y)];
  const xx = dot(x, x, mx, mx);
  if (!(xx > 1e-12 * (mx * mx * n + 1e-300))) return undefined;
  const xh = dot(x, h, mx, mh) / xx;
  const xy = dot(x, y, mx, my) / xx;
  const hPure = h.map((v, i) => v - mh - xh * (x[i]! - mx));
  const yPure = y.map((v, i) => v - my - xy * (x[i]! - mx));
  const hh = hPure.reduce((a, v) => a + v * v, 0);
  const extra = hh > 1e-12 * xx ? hPure.reduce((a, v, i) => a + v * yPure[i]!, 0) / hh : 0;
  const left = yPure.reduce((a, v, i) => a + (v - extra * hPure[i]!) ** 2, 0);
  const slope = xy - extra * xh;
  return { start: my - slope * mx - extra * mh, slope, extra, left };
}

function mean(v: readonly number[]): number {
  return v.reduce((a, b) => a + b, 0) / v.length;
}

function dot(a: readonly number[], b: readonly number[], ma: number, mb: number): number {
  return a.reduce((s, v, i) => s + (v - ma) * (b[i]! - mb), 0);
}
