import type { Grounds, StrategyInsights } from '../../agent/core/tune/strategy.ts';
import type { MemoryUse } from '../../agent/core/tune/usage_histogram.ts';

/** What a strategy sees where nothing was found out, and no use of memory was measured. */
export const NO_INSIGHTS: StrategyInsights = { patterns: () => [], forecast: () => undefined };
export const NO_MEMORY_USE: MemoryUse = { peakMib: undefined, observedMs: 0, fractionAbove: () => 0 };
/** Nothing was won, and nowhere was looked. */
export const NO_GROUNDS: Grounds = { isInVain: () => false, won: 0, noise: 0.08, looked: [], isBanned: () => false };
