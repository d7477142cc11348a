import { clamp, type MethodFactory } from '../method.ts';

/**
 * BlueFin with two-point feedback, the algorithm of SelfTune.
 *
 *   s uniform on the unit sphere; play w + δs, then w − δs; with rewards r₁, r₂ (here −exp(y), so that a ratio of latencies counts)
 *   g = d · (r₁ − r₂) / max(|r₁|, |r₂|) / 2δ · s;   w ← clip(w + ηg, δ, 1 − δ)
 *
 * Defaults of the authors' code: η = .01, δ = .1. Fails as SPSA does; the normalised difference keeps one bad window from throwing
 * the centre across the range.
 *
 * Source: Karthikeyan et al., "SelfTune: Tuning Cluster Managers" (NSDI 2023), section 4; after Flaxman et al. 2005 and Agarwal et al. 2010.
 */
export function bluefin({ eta = 0.01, delta = 0.1 } = {}): MethodFactory {
  return ({ start, random }) => {
    const inside = (at: number) => clamp(at, delta, 1 - delta);
    let center = start.map(inside);
    let direction: number[] | undefined;
    let firstReward: number | undefined;
    const onSphere = () => {
      const drawn = center.map(() => random.normal());
      const norm = Math.hypot(...drawn);
      return drawn.map((value) => value / norm);
    };
    return {
      ask() {
        direction ??= onSphere();
        const side = firstReward === undefined ? 1 : -1;
        const along = direction;
        return center.map((at, i) => clamp(at + side * delta * along[i]));
      },
      tell({ y }) {
        const reward = -Math.exp(y);
        if (firstReward === undefined) {
          firstReward = reward;
          return;
        }
        const relative = (firstReward - reward) / Math.max(Math.abs(firstReward), Math.abs(reward));
        const gain = (eta * center.length * relative) / (2 * delta);
        const along = direction ?? [];
        center = center.map((at, i) => inside(at + gain * along[i]));
        direction = undefined;
        firstReward = undefined;
      },
      incumbent: () => center,
    };
  };
}
