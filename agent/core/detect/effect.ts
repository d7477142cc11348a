/**
 * Intuition: a metric that never moves makes any movement "one in a million", and nobody wants to be woken because a
 * memory ratio went from .4193 to .4194. Rare is not enough; it has to matter.
 *
 * Formula: e = max(|x − m|, s);  matters when e ≥ a and e ≥ ρ·|m|. m is the slow level, s the usual distance of values
 * from it (so that a change of rhythm at an unchanged level can matter), a absolute in the metric's unit, ρ relative.
 *
 * Fails: near zero the relative part is met by anything; give such metrics an absolute minimum.
 *
 * Source: practical against statistical significance; e.g. J. Cohen, The earth is round (p < .05), 1994.
 *
 * Example: a = 0, ρ = .01, level 200, usual distance .5: a value of 201 does not matter (1 < 2), 203 does.
 */
export interface MinimumEffect {
  /** In the metric's unit. */
  readonly absolute: number;
  /** Share of the level. */
  readonly relative: number;
}

export const DEFAULT_MINIMUM_EFFECT: MinimumEffect = { absolute: 0, relative: 0.01 };

export function matters(value: number, level: number, usualDistance: number, minimum: MinimumEffect): boolean {
  const effect = Math.max(Math.abs(value - level), usualDistance);
  return effect >= minimum.absolute && effect >= minimum.relative * Math.abs(level);
}
