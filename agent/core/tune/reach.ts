import type { Setting } from '../model.ts';
import { type Axis, decode, encode } from './space.ts';

/** The largest distance of any knob between two settings, as a share of its range. */
export function distance(axes: readonly Axis[], from: Setting, to: Setting): number {
  return axes.reduce((most, axis) => {
    const apart = encode(axis, Number(to[axis.id])) - encode(axis, Number(from[axis.id]));
    return Math.max(most, Math.abs(apart));
  }, 0);
}

/** The setting a share of the way, knob by knob; knobs without a range are already there. */
export function between(axes: readonly Axis[], from: Setting, to: Setting, share: number): Setting {
  if (share >= 1) return to;
  const moved = axes.flatMap((axis) => {
    const start = encode(axis, Number(from[axis.id]));
    const end = encode(axis, Number(to[axis.id]));
    return from[axis.id] === to[axis.id] ? [] : [[axis.id, decode(axis, start + share * (end - start))] as const];
  });
  return { ...to, ...Object.fromEntries(moved) };
}

/** `wanted`, or as much of the way there as `limit` allows. */
export function within(axes: readonly Axis[], from: Setting, wanted: Setting, limit: number): Setting {
  const to = { ...from, ...wanted };
  const apart = distance(axes, from, to);
  return apart <= limit ? to : between(axes, from, to, limit / apart);
}
