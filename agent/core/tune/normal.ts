/**
 * The standard normal distribution.
 *
 * The tail is to 1e-7, by a polynomial: Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 26.2.17.
 * Example: beyond 1.96 there is .025.
 */
const SCALE = 0.2316419;
const COEFFICIENTS = [0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429] as const;

export function density(z: number): number {
  return Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
}

/** The probability of more than `z`. */
export function upperTail(z: number): number {
  if (z < 0) return 1 - upperTail(-z);
  const t = 1 / (1 + SCALE * z);
  return density(z) * t * COEFFICIENTS.reduceRight((sum, coefficient) => coefficient + t * sum, 0);
}
