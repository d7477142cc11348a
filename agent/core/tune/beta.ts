import type { Random } from './random.ts';

/**
 * A draw from Beta(a, b) for a, b ≥ 1, as X / (X + Y) of two gamma variates.
 *
 * Gamma by squeezing a transformed normal (Marsaglia and Tsang, "A simple method for generating gamma variables", 2000): exact, about
 * 1.05 normals a draw for a ≥ 1. Deterministic in the state of `random`.
 */
export function drawBeta(a: number, b: number, random: Random): number {
  const x = drawGamma(Math.max(1, a), random);
  const y = drawGamma(Math.max(1, b), random);
  return x / (x + y);
}

function drawGamma(shape: number, random: Random): number {
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = drawNormal(random);
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    if (Math.log(1 - random.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** Standard normal (Box and Muller 1958); 1 − u keeps the logarithm finite. */
function drawNormal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
  return radius * Math.cos(2 * Math.PI * random.next());
}
