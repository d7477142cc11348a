import { clamp, type MethodFactory } from '../method.ts';

/**
 * Simultaneous perturbation stochastic approximation, the peer to beat.
 *
 *   x± = w ± cΔ, Δᵢ = ±1 by a fair coin; in random order; g = (y₊ − y₋) / 2c · Δ
 *   w ← w − clip(aₖ g, ±0.1),  aₖ = a ((A + 1) / (k + 1 + A))^.602, floored at .45 a so that it keeps following drift
 *
 * with c = .06, a = .01, A = 20. Positions in [0, 1], y in log units. Fails where c says nothing: plateaus, and hills
 * between the optimum and here; it has no idea of limits.
 *
 * Source: Spall, "Implementation of the simultaneous perturbation algorithm for stochastic optimization" (IEEE TAES 1998), which also gives
 * the exponents .602 and A as about a tenth of the iterations.
 */
export function spsa({ a = 0.01, c = 0.06, stability = 20, floor = 0.45 } = {}): MethodFactory {
  return ({ start, random }) => {
    let center = [...start];
    let round = 0;
    let signs: number[] = [];
    let first: { readonly side: 1 | -1; readonly y?: number } | undefined;
    return {
      ask() {
        if (first === undefined) {
          signs = center.map(() => random.sign());
          first = { side: random.sign() };
        }
        const side = first.y === undefined ? first.side : -first.side;
        return center.map((at, i) => clamp(at + side * c * signs[i]));
      },
      tell({ y }) {
        if (first?.y === undefined) {
          first = { side: first?.side ?? 1, y };
          return;
        }
        const slope = (first.side * (first.y - y)) / (2 * c);
        const gain = a * Math.max(floor, ((stability + 1) / (round + 1 + stability)) ** 0.602);
        center = center.map((at, i) => clamp(at - clamp(gain * slope * signs[i], -0.1, 0.1)));
        first = undefined;
        round++;
      },
      incumbent: () => center,
    };
  };
}
