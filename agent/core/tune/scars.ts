import type { Setting } from '../model.ts';
import { type Axis, encode } from './space.ts';

/**
 * Where it hurt. A setting that had to be abandoned at once (errors, a crash, far worse twice) bans the half-space beyond the middle
 * between it and the incumbent of that time:
 *
 *   x is banned when (x − w)·d ≥ ½ d·d,   d = u(abandoned) − u(incumbent w)
 *
 * so the next probes look elsewhere instead of finding the same cliff again. A ban ends by itself: load and software change. Distances
 * are shares of the knobs' ranges. Fails safely: at worst a good region is looked at later.
 * Source: the cautious-region rule of safe exploration in its simplest form (a linear cut, as in cutting-plane methods).
 */
export interface Scar {
  readonly from: Setting;
  readonly at: Setting;
  readonly untilMs: number;
  /** Log units that it was worse than the incumbent of that time, where that alone was why. */
  readonly worseBy?: number;
}

const MAX_SCARS = 16;

export function withScar(scars: readonly Scar[], scar: Scar, nowMs: number): readonly Scar[] {
  return [...scars.filter((old) => old.untilMs > nowMs), scar].slice(-MAX_SCARS);
}

/** Whether any ban in force covers a setting. What was merely worse than the incumbent is no ban where there is `room` for more. */
export function isBanned(
  scars: readonly Scar[],
  axes: readonly Axis[],
  setting: Setting,
  nowMs: number,
  room = 0,
): boolean {
  return scars.some(({ from, at, untilMs, worseBy = Number.POSITIVE_INFINITY }) => {
    if (untilMs <= nowMs || worseBy < room) return false;
    let along = 0;
    let length = 0;
    for (const axis of axes) {
      const [start, end, here] = [from[axis.id], at[axis.id], setting[axis.id]];
      if (typeof start !== 'number' || typeof end !== 'number' || typeof here !== 'number') continue;
      const d = encode(axis, end) - encode(axis, start);
      along += (encode(axis, here) - encode(axis, start)) * d;
      length += d * d;
    }
    return length > 0 && along >= 0.5 * length;
  });
}
