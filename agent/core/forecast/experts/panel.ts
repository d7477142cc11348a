import type { Expert, Seasons } from '../forecaster.ts';
import { analogue } from './analogue.ts';
import { autoregression, differencedAutoregression, profiledAutoregression } from './autoregressions.ts';
import { dampedTrend } from './damped-trend.ts';
import { doubleSeasonalSmoothing } from './double-seasonal-smoothing.ts';
import { drift } from './drift.ts';
import { onLogScale } from './log-scale.ts';
import { recentMedian } from './recent-median.ts';
import { seasonalMean } from './seasonal-mean.ts';
import { seasonalNaive } from './seasonal-naive.ts';
import { withinReach } from './within-reach.ts';

/**
 * The experts for a grid with these cycles; with fewer cycles, those that need the missing one are left out.
 *
 * With days and weeks: the twelve that backward elimination kept of 47 on M4 Hourly. Mean OWA over five origins of the
 * series left out, four folds: .3725 with ten experts, .3695 with fourteen, .3709 with eighteen, .3833 with all. The five
 * flat and damped ones at the front cost M4 nothing, and are what metrics without a cycle need (five-minute GPU duty of
 * pods: scaled error .41 with them, .55 without, .49 for "as now").
 */
export function panel(seasons: Seasons): readonly Expert[] {
  return candidates(seasons).map(withinReach);
}

function candidates(seasons: Seasons): readonly Expert[] {
  const [short, long] = seasons;
  const recent = { forgetting: 0.995, ridge: 1 };
  const steady = { forgetting: 0.999, ridge: 5 };
  const experts: Expert[] = [
    seasonalNaive(1),
    recentMedian(12),
    recentMedian(48),
    dampedTrend({ level: 0.2, trend: 0, damping: 1 }),
    dampedTrend({ level: 0.5, trend: 0.05, damping: 0.98 }),
    drift(12),
    drift(48),
  ];
  if (short === undefined) {
    experts.push(autoregression('recent', { ...recent, lags: [1, 2, 3, 4] }));
    return experts;
  }
  experts.push(
    seasonalNaive(short),
    autoregression('recent', { ...recent, lags: [1, 2, 3, 4, short, short + 1] }),
    differencedAutoregression(short, {
      ...steady,
      lags: [1, 2, 3, short - 1, short, short + 1, 2 * short, 5 * short, 6 * short, 7 * short],
    }),
    analogue({ window: short, neighbours: 4, period: short, match: 'scale' }),
    analogue({ window: short >> 1, neighbours: 3, period: short, match: 'shift' }),
  );
  if (long === undefined) return experts;
  const quick = { lags: [1, 2, short, short + 1], cycleDecay: 0.8, shrinkCycles: 1 };
  const slow = { lags: [1, 2, 3, short, short + 1, 2 * short, long], cycleDecay: 0.95, shrinkCycles: 2 };
  experts.push(
    seasonalNaive(long),
    seasonalMean(long, 3),
    onLogScale(doubleSeasonalSmoothing(short, long, { level: 0.01, short: 0.1, long: 0.3, carry: 0.9 })),
    differencedAutoregression(long, { ...steady, lags: [1, 2, 3, short - 1, short, short + 1, long] }),
    profiledAutoregression(short, long, { ...quick, forgetting: 0.998, ridge: 2 }),
    onLogScale(profiledAutoregression(short, long, { ...quick, forgetting: 0.998, ridge: 2 })),
    onLogScale(profiledAutoregression(short, long, { ...slow, forgetting: 0.998, ridge: 3 })),
  );
  return experts;
}
