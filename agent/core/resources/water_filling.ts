/** What one party is to get of something divisible: at least `min`, at most `max`, in proportion to `weight`. */
export interface Claim {
  /** Above 0. */
  readonly weight: number;
  readonly min: number;
  /** At least `min`. */
  readonly max: number;
}

/**
 * Weighted max-min fairness by water-filling.
 *
 * Intuition: pour water into vessels as wide as their weights, standing beside each other. The level is the same in all of
 * them, except in a vessel that is full (it wants no more) and in one that stands higher than the water (its minimum).
 *
 *     x_i = clamp(λ · w_i, min_i, max_i),      λ such that Σ x_i = min(capacity, Σ max_i)
 *
 * `λ` is the fair share for a weight of 1. `Σ x_i` is piecewise linear in `λ` with its breaks at `min_i/w_i` and
 * `max_i/w_i`, so walking the sorted breaks finds `λ` exactly, without iteration: O(n log n). Units: those of the capacity.
 *
 * Nobody can get more without taking from somebody whose share per weight is no larger: no envy by weight, nothing wasted while
 * anybody wants it, and more capacity takes nothing from anybody. Where the minima do not fit, they are shared out in the
 * same way themselves, and nobody gets more than that. Fails where one party's share is worth less without another's
 * (CPU without memory): each resource is shared out by itself.
 *
 * D. Bertsekas and R. Gallager, "Data Networks", 2nd ed. 1992, 6.5.2; B. Radunović and J.-Y. Le Boudec, "A unified framework for
 * max-min and min-max fairness", IEEE/ACM ToN 15 (2007).
 *
 * Example: capacity 10, weights 1 and 3, wanting 9 and 4: the second is full at 4, the first gets the other 6.
 */
export function waterFill(claims: readonly Claim[], capacity: number): readonly number[] {
  const least = claims.reduce((sum, { min }) => sum + min, 0);
  if (least >= capacity) {
    const minima = claims.map(({ weight, min }) => ({ weight, min: 0, max: min }));
    return least > capacity && least > 0 ? waterFill(minima, capacity) : claims.map(({ min }) => min);
  }
  const level = levelAt(claims, least, capacity);
  return claims.map(({ weight, min, max }) => Math.min(max, Math.max(min, level * weight)));
}

/** The level at which exactly `capacity` is given out; infinite where all can be full. */
function levelAt(claims: readonly Claim[], least: number, capacity: number): number {
  const breaks = claims
    .flatMap(({ weight, min, max }) => [
      { level: min / weight, widens: weight },
      { level: max / weight, widens: -weight },
    ])
    .sort((a, b) => a.level - b.level);
  let level = 0;
  let width = 0;
  let given = least;
  for (const next of breaks) {
    const rise = width * (next.level - level);
    if (width > 0 && given + rise >= capacity) return level + (capacity - given) / width;
    given += rise;
    level = next.level;
    // What is taken away again leaves no sliver of a width behind.
    width = Math.max(0, width + next.widens);
    if (width < 1e-12) width = 0;
  }
  return Number.POSITIVE_INFINITY;
}
