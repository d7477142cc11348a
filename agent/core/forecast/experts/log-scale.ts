import type { Expert } from '../forecaster.ts';

/**
 * Lets an expert work on logarithms, where a cycle that grows with the level becomes a constant one. Values of zero or
 * below have none: then the expert works on the values as they are. The exponent is held below 60 (1e26).
 */
export function onLogScale(expert: Expert): Expert {
  return {
    name: `log_${expert.name}`,
    minHistory: expert.minHistory,
    predict(history, horizon) {
      if (history.some((v) => v <= 0)) return expert.predict(history, horizon);
      return expert.predict(history.map(Math.log), horizon).map((v) => Math.exp(Math.min(v, 60)));
    },
  };
}
