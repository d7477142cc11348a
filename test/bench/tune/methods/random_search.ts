import type { MethodFactory } from '../method.ts';

/**
 * Random search (Bergstra and Bengio 2012), made live: one window in four tries a point drawn uniformly, the others stay at the best
 * point seen, whose estimate follows what is measured there (exponential mean, .3), so that it can be dethroned.
 *
 * Fails on anything with a cliff: every fourth window is a blind jump. The floor that any method has to beat.
 */
export const randomSearch: MethodFactory = ({ start, random }) => {
  let best = { positions: start, y: Number.POSITIVE_INFINITY };
  let asked = start;
  return {
    ask() {
      asked = random.chance(0.25) ? start.map(() => random.uniform()) : best.positions;
      return asked;
    },
    tell({ y }) {
      if (asked === best.positions) best = { ...best, y: Number.isFinite(best.y) ? 0.7 * best.y + 0.3 * y : y };
      else if (y < best.y) best = { positions: asked, y };
    },
    incumbent: () => best.positions,
  };
};
