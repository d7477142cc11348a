import { figure, percent } from '../figures.ts';
import type { Tier } from '../model.ts';
import type { PerformanceProfile } from '../profile/performance_profile.ts';
import { type ComponentUsage, ownUse, type SharedResource } from './usage.ts';

/** What one tier is worth against another: each twice the next. */
export const TIER_WEIGHTS: Readonly<Record<Tier, number>> = {
  critical: 16,
  stable: 8,
  advanced: 4,
  experimental: 2,
  research: 1,
};

/** A priority of 50, the default, leaves the tier's weight as it is; 0 halves it and 100 makes it half as much again. */
export const DEFAULT_PRIORITY = 50;

/** What a component would use of a resource, and what its claim to it weighs. */
export interface Demand {
  readonly component: string;
  readonly weight: number;
  /** In the resource's unit; absent where the component's own use is not measured. */
  readonly amount?: number;
  readonly used?: number;
  readonly reason: string;
}

/** More than half of the time spent waiting says "far too little", not how much. */
const MOST_STALLED = 0.5;

/**
 * Weight of a component's claim: by tier, and within a tier by priority.
 *
 *     weight = tier · (0.5 + priority / 100)      tier: critical 16, stable 8, advanced 4, experimental 2, research 1
 *
 * @figure Weight of a component's claim (0, 24]
 */
export function weightOf(tier: Tier, priority: number): number {
  return TIER_WEIGHTS[tier] * (0.5 + Math.min(100, Math.max(0, priority)) / 100);
}

/**
 * How much of a resource a component would use if it got what it wants.
 *
 *     demand = reach / (1 − stalled)      [cores, MiB, percent of the GPUs]
 *
 * `reach` is the larger of the peak over the window and the upper end of the forecast for the horizon; without a forecast the peak
 * and `headroom` of it on top. `stalled` is the share of time in which the component waited for the resource (pressure, or
 * throttling where that is more; at most 0.5): who was kept waiting a fifth of the time would have used a quarter more. Never
 * below what is used. Absent where the component's own use is not measured.
 *
 * Example: peak of 1.2 cores, forecast up to 1.5, throttled 25 % of the time: 2 cores.
 *
 * @figure Demand for a resource [cores, MiB, percent of the GPUs]
 */
export function demandOf(
  { component, tier, priority, profile }: ComponentUsage,
  resource: SharedResource,
  headroomRatio: number,
  forecastHigh: number | undefined,
): Demand {
  const weight = weightOf(tier, priority);
  const own = ownUse(profile, resource);
  if (own === undefined) {
    return { component, weight, reason: `its own use of ${resource} is not measured: by weight alone` };
  }
  const stalled = Math.min(MOST_STALLED, stalledRatio(profile, resource));
  const reach = Math.max(own.peak, forecastHigh ?? own.peak * (1 + headroomRatio));
  const ahead =
    forecastHigh === undefined ? `${percent(headroomRatio)} headroom` : `a forecast of up to ${figure(forecastHigh)}`;
  const waited = stalled === 0 ? '' : `, waiting ${percent(stalled)} of the time`;
  return {
    component,
    weight,
    amount: reach / (1 - stalled),
    used: own.now,
    reason: `uses ${figure(own.now)} (peak ${figure(own.peak)}, ${ahead}${waited})`,
  };
}

function stalledRatio({ stalls }: PerformanceProfile, resource: SharedResource): number {
  if (resource === 'cpu') return Math.max(stalls?.cpuPressure?.current ?? 0, stalls?.cpuThrottled?.current ?? 0);
  return resource === 'memory' ? (stalls?.memoryPressure?.current ?? 0) : 0;
}
