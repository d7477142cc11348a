import { GaussianProcess } from '../gaussian_process.ts';
import { clamp, type MethodFactory } from '../method.ts';

/**
 * TuRBO-like (one trust region, batch of one): Thompson sampling from a Gaussian process inside a box around the best point; the box
 * doubles after three successes in a row, halves after max(4, d) failures, and starts over from a random point when it has
 * shrunk below 2⁻⁷. Sides L₀ = .8, at most 1.6. Success: better than the best by a thousandth. The last 60 windows
 * are kept, so that a best point that has become stale is forgotten.
 *
 * Fails live: noise makes lucky points "best", and every restart is a jump into the unknown.
 *
 * Source: Eriksson et al., "Scalable Global Optimization via Local Bayesian Optimization" (NeurIPS 2019, arXiv 1910.01739), algorithm 1 and
 * appendix A. Started at the baseline instead of at a Latin hypercube.
 */
export const turbo: MethodFactory = ({ start, random }) => {
  const KEPT = 60;
  const CANDIDATES = 80;
  const SHORTEST = 2 ** -7;
  const lengths = start.map(() => 0.25);
  let seen: { readonly x: readonly number[]; readonly y: number }[] = [];
  let side = 0.8;
  let wins = 0;
  let losses = 0;
  let center: readonly number[] = start;
  let asked: readonly number[] = start;
  const bestOf = () => seen.reduce((a, b) => (b.y < a.y ? b : a));
  return {
    ask() {
      if (seen.length < 2 * start.length) {
        asked = seen.length === 0 ? center : center.map((at) => clamp(at + random.between(-0.2, 0.2)));
        return asked;
      }
      const process = new GaussianProcess(
        seen.map(({ x }) => x),
        seen.map(({ y }) => y),
        lengths,
        0.08,
      );
      const best = bestOf().x;
      // Perturbs each coordinate with probability min(1, 20 / d), as the paper does.
      const chance = Math.min(1, 20 / start.length);
      const candidates = Array.from({ length: CANDIDATES }, () =>
        best.map((at) => (random.chance(chance) ? clamp(at + random.between(-side / 2, side / 2)) : at)),
      );
      const drawn = process.sample(candidates, () => random.normal());
      asked = candidates[drawn.reduce((least, value, i) => (value < drawn[least] ? i : least), 0)];
      return asked;
    },
    tell({ y }) {
      const isWin = seen.length > 0 && y < bestOf().y - 1e-3 * Math.abs(bestOf().y);
      seen.push({ x: asked, y });
      if (seen.length > KEPT) seen.shift();
      if (seen.length <= 2 * start.length) return;
      wins = isWin ? wins + 1 : 0;
      losses = isWin ? 0 : losses + 1;
      if (wins >= 3) {
        side = Math.min(1.6, 2 * side);
        wins = 0;
      }
      if (losses >= Math.max(4, start.length)) {
        side /= 2;
        losses = 0;
      }
      if (side >= SHORTEST) return;
      side = 0.8;
      center = start.map(() => random.uniform());
      seen = [];
    },
    incumbent: () => (seen.length === 0 ? center : bestOf().x),
  };
};
