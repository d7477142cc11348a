import type { PerformanceProfile } from '../../profile/performance_profile.ts';
import type { Strategy } from '../strategy.ts';
import { nearest } from './value.ts';

/**
 * How much may run at once: a step of Gradient2, with the number in the system from Little's law.
 *
 * Intuition. While response times stay at their long-run level, a limit that is used up may grow; when they rise above it, work
 * waits inside, and the limit should fall in proportion.
 *
 *   L = in-flight requests, or λ · W (throughput × mean response time) where they are not counted
 *   gradient = clamp(1.5 · W_long / W_short, 0.5, 1)       limit ← gradient · limit + √limit
 *
 * W_short is the latest interval's mean, W_long the window's. App-limited (L below half of the limit and nothing queued): response
 * times say nothing about the limit, so there is no plan. Units: requests, seconds, requests per second.
 * Fails where response times rise for another reason than concurrency (then the trial shows no gain) and where the limit counts
 * batches rather than requests (L is then compared with the wrong number; the trial decides).
 * Sources: Little 1961; Gradient2 of Netflix' concurrency-limits (growth by √limit as in its first Gradient limit).
 *
 * Example: limit 16, L = 15, response times steady → 20; response times doubled → 0.75 · 16 + 4 = 16: no plan.
 */
const TOLERANCE = 1.5;
const MIN_GRADIENT = 0.5;
const APP_LIMITED_BELOW = 0.5;

export const concurrencyStrategy: Strategy = {
  name: 'Concurrency Optimization',
  description: 'Adjusts how much runs at once to what response times and queues say',
  applicableTiers: ['stable', 'advanced', 'experimental', 'research'],
  roles: ['concurrency'],
  priority: 4,
  canApply: ({ profile }) => inSystem(profile) !== undefined,
  plan(context, modes) {
    const { profile, incumbent } = context;
    const responseTime = profile?.metrics.responseTime;
    const requests = inSystem(profile);
    if (responseTime === undefined || requests === undefined) return undefined;
    if (!isMeasured(responseTime.average) || !isMeasured(responseTime.current)) return undefined;
    const queued = profile?.metrics.queueDepth?.average ?? 0;
    const gradient = gradientOf(responseTime.average, responseTime.current);
    for (const knob of context.knobs) {
      const { spec, axis } = knob;
      const now = incumbent[spec.id];
      if (spec.role !== 'concurrency' || axis === undefined || typeof now !== 'number' || now <= 0) continue;
      if (!modes.includes(knob.mode)) continue;
      if (requests < now * APP_LIMITED_BELOW && queued < 1) continue;
      const value = nearest(knob, gradient * now + Math.sqrt(now));
      if (value === now || context.rejection(spec.id, value) !== undefined) continue;
      return {
        kind: 'candidate',
        setting: { [spec.id]: value },
        reason: `${requests.toFixed(1)} requests in the system at ${spec.id} ${now}, response times ${(responseTime.current / responseTime.average).toFixed(2)} of their long-run level: ${now} → ${value}`,
        signals: {
          requestsInSystem: requests,
          gradient,
          queueDepth: queued,
          responseTimeMsCurrent: responseTime.current,
        },
      };
    }
    return undefined;
  },
};

/** Little's law where nothing counts them. */
export function inSystem(profile: PerformanceProfile | undefined): number | undefined {
  const { inFlight, throughput, responseTime } = profile?.metrics ?? {};
  const counted = inFlight?.average ?? ((throughput?.average ?? 0) * (responseTime?.average ?? 0)) / 1000;
  return isMeasured(counted) ? counted : undefined;
}

/** A level that something can be concluded from. */
export function isMeasured(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value) && value > 0;
}

export function gradientOf(longMs: number, shortMs: number): number {
  return Math.max(MIN_GRADIENT, Math.min(1, (TOLERANCE * longMs) / shortMs));
}
