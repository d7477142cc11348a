import type { HealthThresholds } from '../core/health.ts';
import type { ComponentPolicy, EngineSettings } from '../core/settings.ts';
import { DEFAULT_MAPPINGS, type SignalMapping } from '../core/signals.ts';
import type { Config, LogLevel } from './schema.ts';

/** The part of the configuration that the engine needs, in its own words. */
export function engineSettings(config: Config): EngineSettings {
  const { tuning, control, optimization } = config;
  return {
    tickMs: tuning.tick,
    window: { minMs: tuning.window.min, maxMs: tuning.window.max, minRequests: tuning.window.minRequests },
    lease: { ttlMs: control.leaseTtl, applyDeadlineMs: control.applyDeadline, maxResends: control.maxResends },
    objective: tuning.objective,
    limits: limitsOf(tuning.limits),
    ...(tuning.slo === null
      ? {}
      : { slo: { responseTimeMs: tuning.slo.responseTime, targetRatio: tuning.slo.targetRatio } }),
    proof: tuning.proof,
    probe: tuning.probe,
    // Without observation there is nothing to tune on.
    optimization: { ...optimization, enabled: optimization.enabled && config.monitoring.enabled },
    cooldown: tuning.cooldown,
    tiers: tuning.tiers,
    components: Object.fromEntries(
      Object.entries(config.components).map(([name, policy]) => [name, componentPolicy(policy)]),
    ),
    thresholds: healthThresholds(config),
    profile: { intervalMs: config.monitoring.interval, windowSize: config.monitoring.windowSize },
    analytics: analyticsOf(config),
    capacity: { maxComponents: config.capacity.maxComponents, maxSeries: config.capacity.maxSeries },
  };
}

/** What counts as good, in the core's words; of one component where it has limits of its own. */
export function healthThresholds({ thresholds, tuning, components }: Config, component?: string): HealthThresholds {
  const own = component === undefined ? undefined : components[component]?.limits;
  return {
    responseTimeMs: thresholds.responseTime,
    throughputPerSecond: thresholds.throughput,
    resourcePercent: thresholds.resourceUsage,
    errorRatio: own?.errorRatio ?? tuning.limits.errorRatio,
  };
}

function analyticsOf({ analytics }: Config): EngineSettings['analytics'] {
  const { enabled, anomalyDetection, patternRecognition, predictiveAnalysis, capacityReport, ...same } = analytics;
  return {
    ...same,
    anomalyDetection: enabled && anomalyDetection,
    patternRecognition: enabled && patternRecognition,
    predictiveAnalysis: enabled && predictiveAnalysis,
  };
}

/** The least severe level that is logged: `debug` shows more than `log.level` asks for. */
export function logLevel({ debug, log }: Config): LogLevel {
  return debug ? 'debug' : log.level;
}

/** What metrics mean: the configuration's own rows, which win, and then the defaults. */
export function signalMappings(config: Config): readonly SignalMapping[] {
  return [...config.signals, ...DEFAULT_MAPPINGS];
}

function componentPolicy(policy: Config['components'][string]): ComponentPolicy {
  const { limits, resources: _, ...same } = policy;
  if (limits === undefined) return same;
  const { responseTimeP95, ...others } = limits;
  return {
    ...same,
    limits: { ...others, ...(responseTimeP95 === undefined ? {} : { responseTimeMsP95: responseTimeP95 }) },
  };
}

function limitsOf(limits: Config['tuning']['limits']): EngineSettings['limits'] {
  const { errorRatio, responseTimeP95 } = limits;
  return { errorRatio, ...(responseTimeP95 === null ? {} : { responseTimeMsP95: responseTimeP95 }) };
}
