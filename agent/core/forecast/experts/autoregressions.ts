import type { Expert } from '../forecaster.ts';
import { type AutoregressionShape, extrapolate } from './autoregression.ts';

/** Autoregression of the values themselves: what the last steps and the last cycles say about the next step. */
export function autoregression(name: string, shape: AutoregressionShape): Expert {
  return {
    name: `autoregression_${name}`,
    minHistory: 8,
    predict: (history, horizon) => extrapolate(history, horizon, shape),
  };
}

/**
 * Autoregression of the change against one cycle ago, `y_t − y_{t−m}`, added back onto the last cycle: the cycle is
 * taken as it was, and only the deviation from it is modelled. Follows a level that wanders from cycle to cycle.
 */
export function differencedAutoregression(period: number, shape: AutoregressionShape): Expert {
  return {
    name: `autoregression_of_change_${period}`,
    minHistory: 2 * period + 8,
    predict(history, horizon) {
      const n = history.length;
      const change = Float64Array.from({ length: n - period }, (_, i) => history[i + period]! - history[i]!);
      const next = extrapolate(change, horizon, shape);
      const path = new Float64Array(n + horizon);
      path.set(history);
      for (let h = 0; h < horizon; h++) path[n + h] = path[n + h - period]! + next[h]!;
      return path.slice(n);
    },
  };
}

export interface ProfileShape extends AutoregressionShape {
  /** Weight of a long cycle one older. */
  readonly cycleDecay: number;
  /** The long profile is shrunk towards the short one as if this many cycles had shown no difference. */
  readonly shrinkCycles: number;
}

/**
 * Takes a profile of the short cycle (hour of day), and on top of it a shrunken profile of the long one (hour of week),
 * out of the values, both measured against a one-long-cycle moving average; models the rest by autoregression; puts the
 * profiles back. The profile holds the shape steady while the autoregression carries today's deviation forward.
 */
export function profiledAutoregression(shortPeriod: number, longPeriod: number, shape: ProfileShape): Expert {
  return {
    name: `autoregression_of_profile_rest_${shape.cycleDecay}`,
    minHistory: 2 * longPeriod,
    predict(history, horizon) {
      const n = history.length;
      const trend = movingAverage(history, longPeriod);
      const weight = (t: number) => shape.cycleDecay ** Math.floor((n - 1 - t) / longPeriod);
      const short = profile(n, shortPeriod, 0, weight, (t) => history[t]! - trend[t]!);
      const long = profile(
        n,
        longPeriod,
        shape.shrinkCycles,
        weight,
        (t) => history[t]! - trend[t]! - short[t % shortPeriod]!,
      );
      const shapeAt = (t: number) => short[t % shortPeriod]! + long[t % longPeriod]!;
      const rest = history.map((v, t) => v - shapeAt(t));
      return extrapolate(rest, horizon, shape).map((v, h) => v + shapeAt(n + h));
    },
  };
}

function profile(
  n: number,
  period: number,
  shrink: number,
  weight: (t: number) => number,
  value: (t: number) => number,
): Float64Array {
  const sum = new Float64Array(period);
  const total = new Float64Array(period).fill(shrink);
  for (let t = 0; t < n; t++) {
    const w = weight(t);
    sum[t % period]! += w * value(t);
    total[t % period]! += w;
  }
  return sum.map((s, i) => (total[i]! > 0 ? s / total[i]! : 0));
}

/** Centred where it can be, held at the ends; every window has the full length (or the history's, if shorter). */
function movingAverage(values: Float64Array, length: number): Float64Array {
  const n = values.length;
  const width = Math.min(length, n);
  const before = new Float64Array(n + 1);
  for (let t = 0; t < n; t++) before[t + 1] = before[t]! + values[t]!;
  return Float64Array.from({ length: n }, (_, t) => {
    const start = Math.min(Math.max(0, t - (length >> 1)), n - width);
    return (before[start + width]! - before[start]!) / width;
  });
}
