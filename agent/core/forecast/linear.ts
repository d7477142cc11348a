/**
 * Solves `A x = b` for a symmetric positive definite `A` (Cholesky), given its lower triangle row by row. Overwrites
 * both arguments; `b` becomes the solution. A pivot lost to rounding is held at 1e-12, so a collinear column gets a
 * finite coefficient instead of poisoning the rest.
 */
export function solvePositive(lower: Float64Array, b: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const d = b.length;
  for (let j = 0; j < d; j++) {
    let pivot = lower[j * d + j]!;
    for (let k = 0; k < j; k++) pivot -= lower[j * d + k]! ** 2;
    const root = Math.sqrt(Math.max(pivot, 1e-12));
    lower[j * d + j] = root;
    for (let i = j + 1; i < d; i++) {
      let sum = lower[i * d + j]!;
      for (let k = 0; k < j; k++) sum -= lower[i * d + k]! * lower[j * d + k]!;
      lower[i * d + j] = sum / root;
    }
  }
  for (let i = 0; i < d; i++) {
    let sum = b[i]!;
    for (let k = 0; k < i; k++) sum -= lower[i * d + k]! * b[k]!;
    b[i] = sum / lower[i * d + i]!;
  }
  for (let i = d - 1; i >= 0; i--) {
    let sum = b[i]!;
    for (let k = i + 1; k < d; k++) sum -= lower[k * d + i]! * b[k]!;
    b[i] = sum / lower[i * d + i]!;
  }
  return b;
}
