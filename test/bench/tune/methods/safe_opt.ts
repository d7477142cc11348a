import { GaussianProcess } from '../gaussian_process.ts';
import { clamp, type MethodFactory, type Observation } from '../method.ts';

/**
 * SafeOpt-like: upper-confidence search inside a learned safe set, with the load as context.
 *
 * One Gaussian process for the objective and one for each limit, over (positions, log load). A point is safe when
 * `μ + 2σ` is below the limit for each of them and its objective's `μ + 2σ` is no more than 10 % above the baseline's; of 150
 * candidates near points already seen, the safe one with the lowest `μ − 2σ` is played; none safe: the baseline.
 * The last 60 windows are kept.
 *
 * Fails by freezing: where the baseline itself crosses a limit nothing is ever safe (TUNING.md, finding 3).
 *
 * Sources: Sui et al., "Safe Exploration for Optimization with Gaussian Processes" (ICML 2015); Berkenkamp et al. 2016 (no
 * Lipschitz constant); Fiducioso et al. 2019 (context).
 */
export const safeOpt: MethodFactory = ({ start, limits, random }) => {
  const KEPT = 60;
  const CANDIDATES = 150;
  const BETA = 2;
  const lengths = [...start.map(() => 0.3), 0.5];
  const seen: { readonly x: readonly number[]; readonly observation: Observation }[] = [];
  let asked: readonly number[] = start;
  let best: readonly number[] = start;
  const worst = [
    { of: (o: Observation) => o.errorRatio, limit: limits.errorRatio, noise: 0.002, least: 0.01 },
    ...(limits.responseTimeMsP95 === undefined
      ? []
      : [
          {
            of: (o: Observation) => Math.log(o.latencyMsP95),
            limit: Math.log(limits.responseTimeMsP95),
            noise: 0.1,
            least: 0.3,
          },
        ]),
    ...(limits.memoryBytes === undefined
      ? []
      : [
          {
            of: (o: Observation) => o.memoryBytes / 1e9,
            limit: limits.memoryBytes / 1e9,
            noise: 0.15,
            least: limits.memoryBytes / 4e9,
          },
        ]),
  ];
  return {
    ask() {
      if (seen.length < 4) {
        asked = start.map((at) => clamp(at + (seen.length === 0 ? 0 : 0.02 * random.normal())));
        return asked;
      }
      const load = Math.log(seen.at(-1)?.observation.offeredPerSecond ?? 1);
      const x = seen.map((entry) => entry.x);
      const objective = new GaussianProcess(
        x,
        seen.map(({ observation }) => observation.y),
        lengths,
        0.08,
      );
      const guards = worst.map(({ of, limit, noise, least }) => ({
        limit,
        process: new GaussianProcess(
          x,
          seen.map(({ observation }) => of(observation)),
          lengths,
          noise,
          least,
        ),
      }));
      const base = objective.predict([...start, load]).mean;
      const candidates = Array.from({ length: CANDIDATES }, (_, i) => {
        const from = i % 2 === 0 ? best : x[random.below(x.length)];
        return start.map((_, j) => clamp(from[j] + 0.08 * random.normal()));
      });
      const safe = candidates.flatMap((positions) => {
        const at = [...positions, load];
        const { mean, sd } = objective.predict(at);
        if (mean + BETA * sd > base + 0.1) return [];
        for (const { process, limit } of guards) {
          const guess = process.predict(at);
          if (guess.mean + BETA * guess.sd > limit) return [];
        }
        return [{ positions, lower: mean - BETA * sd, mean }];
      });
      if (safe.length === 0) {
        asked = start;
        best = start;
        return asked;
      }
      asked = safe.reduce((a, b) => (b.lower < a.lower ? b : a)).positions;
      best = safe.reduce((a, b) => (b.mean < a.mean ? b : a)).positions;
      return asked;
    },
    tell(observation) {
      seen.push({ x: [...asked, Math.log(Math.max(observation.offeredPerSecond, 1e-3))], observation });
      if (seen.length > KEPT) seen.shift();
    },
    incumbent: () => best,
  };
};
