import { symmetricEigen } from '../linear_algebra.ts';
import { clamp, type MethodFactory } from '../method.ts';

/**
 * CMA-ES: samples λ points from N(m, σ²C) a generation, moves m to the weighted mean of the best half and learns C and σ from the way
 * it moved (rank-one and rank-μ update, cumulative step-size adaptation). Started at the baseline with σ = .15; kept from
 * collapsing below σ = .02, since the plant drifts. One window evaluates one point.
 *
 * Fails live through its generations: half of all windows are at points worse than the mean, and it knows no limits.
 *
 * Source: Hansen, "The CMA Evolution Strategy: A Tutorial" (arXiv 1604.00772), figure 6 and table 1 for all constants.
 */
export function cmaEs({ sigma: firstSigma = 0.15, minimumSigma = 0.02 } = {}): MethodFactory {
  return ({ start, random }) => {
    const n = start.length;
    const lambda = 4 + Math.floor(3 * Math.log(n));
    const mu = Math.floor(lambda / 2);
    const raw = Array.from({ length: mu }, (_, i) => Math.log((lambda + 1) / 2) - Math.log(i + 1));
    const rawSum = raw.reduce((sum, value) => sum + value, 0);
    const weights = raw.map((value) => value / rawSum);
    const muEff = 1 / weights.reduce((sum, weight) => sum + weight * weight, 0);
    const cSigma = (muEff + 2) / (n + muEff + 5);
    const dSigma = 1 + 2 * Math.max(0, Math.sqrt((muEff - 1) / (n + 1)) - 1) + cSigma;
    const cC = (4 + muEff / n) / (n + 4 + (2 * muEff) / n);
    const c1 = 2 / ((n + 1.3) ** 2 + muEff);
    const cMu = Math.min(1 - c1, (2 * (muEff - 2 + 1 / muEff)) / ((n + 2) ** 2 + muEff));
    const chiN = Math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));

    let mean = [...start];
    let sigma = firstSigma;
    let covariance = start.map((_, i) => start.map((_, j) => Number(i === j)));
    let pathC = start.map(() => 0);
    let pathSigma = start.map(() => 0);
    let eigen = symmetricEigen(covariance);
    let generation = 0;
    let batch: { readonly x: readonly number[]; readonly step: readonly number[]; y?: number }[] = [];
    let at = 0;

    const sample = () => {
      const z = start.map(() => random.normal());
      const scaled = z.map((value, i) => value * Math.sqrt(Math.max(eigen.values[i], 1e-20)));
      const step = start.map((_, i) => scaled.reduce((sum, value, j) => sum + eigen.vectors[i][j] * value, 0));
      return { step, x: mean.map((value, i) => value + sigma * step[i]) };
    };
    const update = () => {
      const ranked = [...batch].sort((a, b) => (a.y ?? 0) - (b.y ?? 0)).slice(0, mu);
      const drift = start.map((_, i) => ranked.reduce((sum, { step }, k) => sum + weights[k] * step[i], 0));
      mean = mean.map((value, i) => clamp(value + sigma * drift[i]));
      // C^(−1/2) · drift, through the eigenvectors.
      const projected = start.map((_, j) => drift.reduce((sum, value, i) => sum + eigen.vectors[i][j] * value, 0));
      const whitened = start.map((_, i) =>
        projected.reduce(
          (sum, value, j) => sum + (eigen.vectors[i][j] * value) / Math.sqrt(Math.max(eigen.values[j], 1e-20)),
          0,
        ),
      );
      const keepSigma = Math.sqrt(cSigma * (2 - cSigma) * muEff);
      pathSigma = pathSigma.map((value, i) => (1 - cSigma) * value + keepSigma * whitened[i]);
      generation++;
      const length = Math.hypot(...pathSigma);
      const isStalled = length / Math.sqrt(1 - (1 - cSigma) ** (2 * generation)) >= (1.4 + 2 / (n + 1)) * chiN;
      const keepC = isStalled ? 0 : Math.sqrt(cC * (2 - cC) * muEff);
      pathC = pathC.map((value, i) => (1 - cC) * value + keepC * drift[i]);
      const lost = isStalled ? c1 * cC * (2 - cC) : 0;
      covariance = covariance.map((row, i) =>
        row.map((value, j) => {
          const rankMu = ranked.reduce((sum, { step }, k) => sum + weights[k] * step[i] * step[j], 0);
          return (1 - c1 - cMu + lost) * value + c1 * pathC[i] * pathC[j] + cMu * rankMu;
        }),
      );
      sigma = Math.max(minimumSigma, sigma * Math.exp((cSigma / dSigma) * (length / chiN - 1)));
      eigen = symmetricEigen(covariance);
    };
    return {
      ask() {
        if (at === batch.length) {
          batch = Array.from({ length: lambda }, sample);
          at = 0;
        }
        return batch[at].x.map((value) => clamp(value));
      },
      tell({ y }) {
        batch[at].y = y;
        at++;
        if (at === lambda) update();
      },
      incumbent: () => mean,
    };
  };
}
