import type { Expert } from '../forecaster.ts';

/**
 * Holds an expert to values within one range-width of what was ever seen, and to zero or more where nothing negative
 * ever was. An autoregression fitted on a shift can explode; two days ahead, nothing real goes that far.
 */
export function withinReach(expert: Expert): Expert {
  return {
    name: expert.name,
    minHistory: expert.minHistory,
    predict(history, horizon) {
      let lowest = Number.POSITIVE_INFINITY;
      let highest = Number.NEGATIVE_INFINITY;
      for (const v of history) {
        lowest = Math.min(lowest, v);
        highest = Math.max(highest, v);
      }
      const reach = highest - lowest;
      const floor = lowest >= 0 ? Math.max(0, lowest - reach) : lowest - reach;
      return expert.predict(history, horizon).map((v) => Math.min(highest + reach, Math.max(floor, v)));
    },
  };
}
