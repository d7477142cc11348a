import type { Expert } from '../forecaster.ts';

export interface AnalogueShape {
  /** Steps of the past that are compared; recent ones count up to three times as much. */
  readonly window: number;
  readonly neighbours: number;
  /** Candidates end a multiple of this many steps before now, so that the time of day fits. */
  readonly period: number;
  /** What is adjusted before comparing: the candidate's mean is shifted, or its size scaled, to the present's. */
  readonly match: 'shift' | 'scale';
}

/**
 * "It went on like this the last times it looked like this": find the past windows nearest to the present one, and
 * average what came after them, nearer ones more (weights ∝ 1/distance²).
 *
 *     d(c) = Σ w_i (fit(y_{c+i}) − y_{now+i})²;   ŷ(h) = Σ fit(y_{c+h}) / d(c)  ÷  Σ 1 / d(c)
 *
 * Learns calendars nobody told it of (a quiet Monday looks like the other quiet days). Fails on anything never seen.
 * Lorenz 1969, "Atmospheric predictability as revealed by naturally occurring analogues".
 */
export function analogue(shape: AnalogueShape): Expert {
  const { window, neighbours, period, match } = shape;
  return {
    name: `analogue_${match}_${window}`,
    minHistory: window + 4 * period,
    predict(history, horizon) {
      const n = history.length;
      const present = mean(history, n - window, window);
      const found: { distance: number; end: number; shift: number; scale: number }[] = [];
      for (let end = n - period; end - window >= 0; end -= period) {
        if (end + horizon > n) continue;
        const past = mean(history, end - window, window);
        const shift = match === 'shift' ? present - past : 0;
        const scale = match === 'scale' && past !== 0 ? present / past : 1;
        // A window of a fifth or five times the size is no analogue, and scaling it would blow its noise up.
        if (!(scale > 0.2 && scale < 5)) continue;
        let distance = 0;
        for (let i = 0; i < window; i++) {
          const gap = shift + scale * history[end - window + i]! - history[n - window + i]!;
          distance += (0.5 + i / window) * gap * gap;
        }
        found.push({ distance, end, shift, scale });
      }
      if (found.length === 0) return new Float64Array(horizon).fill(present);
      found.sort((a, b) => a.distance - b.distance);
      const nearest = found.slice(0, neighbours);
      const path = new Float64Array(horizon);
      let total = 0;
      const best = nearest[0]!.distance + Number.MIN_VALUE;
      for (const c of nearest) {
        const weight = best / (c.distance + Number.MIN_VALUE);
        total += weight;
        for (let h = 0; h < horizon; h++) path[h]! += weight * (c.shift + c.scale * history[c.end + h]!);
      }
      return path.map((v) => v / total);
    },
  };
}

function mean(values: Float64Array, start: number, length: number): number {
  let sum = 0;
  for (let i = start; i < start + length; i++) sum += values[i]!;
  return sum / length;
}
