import { DEFAULT_ENGINE_SETTINGS, type EngineSettings } from '../../agent/core/settings.ts';
import { COMPONENT } from './process.ts';
import type { Scenario } from './scenario.ts';

/** The engine's settings for a scenario: the defaults, with the scenario's windows, objective, limits and tier. */
export function settingsFor(scenario: Scenario): EngineSettings {
  const { windowMs, telemetry, limits, objective, tier } = scenario;
  const requests = (scenario.load.requestsPerSecond * windowMs) / 1_000;
  return {
    ...DEFAULT_ENGINE_SETTINGS,
    tickMs: telemetry.intervalMs,
    window: { minMs: windowMs, maxMs: 3 * windowMs, minRequests: Math.min(200, Math.floor(requests / 2)) },
    lease: {
      ttlMs: Math.max(DEFAULT_ENGINE_SETTINGS.lease.ttlMs, 6 * telemetry.intervalMs),
      applyDeadlineMs: Math.max(DEFAULT_ENGINE_SETTINGS.lease.applyDeadlineMs, telemetry.intervalMs),
      maxResends: DEFAULT_ENGINE_SETTINGS.lease.maxResends,
    },
    objective,
    limits: {
      errorRatio: limits.errorRatio,
      ...(limits.responseTimeMsP95 === undefined ? {} : { responseTimeMsP95: limits.responseTimeMsP95 }),
    },
    components: { [COMPONENT]: { tier } },
    // Anomalies pause tuning. Patterns and forecasts only tell, and would take most of the time of a long run.
    analytics: { ...DEFAULT_ENGINE_SETTINGS.analytics, patternRecognition: false, predictiveAnalysis: false },
    profile: { ...DEFAULT_ENGINE_SETTINGS.profile, intervalMs: Math.max(5_000, telemetry.intervalMs) },
  };
}
