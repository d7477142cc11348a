import { decode, encode } from '../space.ts';
import type { TunableKnob } from '../strategy.ts';

/** The smallest value the knob can take that is not below the wanted one. */
export function upwards({ axis }: TunableKnob, wanted: number): number {
  if (axis === undefined) return wanted;
  const nearest = decode(axis, encode(axis, wanted));
  const step = axis.spec.step ?? (axis.spec.type === 'int' ? 1 : 0);
  return nearest >= wanted ? nearest : Math.min(nearest + step, axis.max);
}

/** The value nearest to the wanted one. */
export function nearest({ axis }: TunableKnob, wanted: number): number {
  return axis === undefined ? wanted : decode(axis, encode(axis, wanted));
}
