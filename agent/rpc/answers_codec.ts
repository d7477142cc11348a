/** What anybody may ask of the engine, as messages, and back. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Analytics, ComponentAnalytics, HealthReport, OptimizationState, SystemFigures } from '../core/answers.ts';
import { HEALTH_PARTS, type Health, type HealthPart } from '../core/health.ts';
import type { Effectiveness } from '../core/model.ts';
import {
  CheckHealthResponseSchema,
  type ComponentAnalyticsSchema,
  GetAnalyticsResponseSchema,
  type HealthFiguresSchema,
  type OptimizationStandingSchema,
  type GetAnalyticsResponse as WireAnalytics,
  type ComponentAnalytics as WireComponent,
  type HealthFigures as WireFigures,
  type CheckHealthResponse as WireHealth,
  type OptimizationStanding as WireStanding,
  type SystemFigures as WireSystem,
} from '../gen/performance_optimizer/control/v1/analytics_pb.ts';
import { decodeTimeMs, encodeTimeMs } from './knob_codec.ts';
import { tierWords } from './words.ts';

const STATES = ['kept', 'trying', 'proposed', 'frozen', 'absent', 'waiting'] as const;

export function encodeAnalytics({ atMs, system, components }: Analytics): WireAnalytics {
  const { totalThroughputPerSecond, resourceEfficiency, health, ...figures } = system;
  return create(GetAnalyticsResponseSchema, {
    time: encodeTimeMs(atMs),
    figures: { ...figures },
    ...(totalThroughputPerSecond !== undefined && { totalThroughputPerSecond }),
    ...(resourceEfficiency !== undefined && { resourceEfficiency }),
    health: encodeHealth(health),
    components: components.map(encodeComponent),
  });
}

export function decodeAnalytics(wire: WireAnalytics): Analytics {
  const { totalThroughputPerSecond, resourceEfficiency } = wire;
  return {
    atMs: wire.time === undefined ? 0 : decodeTimeMs(wire.time),
    system: {
      ...decodeFigures(wire.figures),
      ...(totalThroughputPerSecond !== undefined && { totalThroughputPerSecond }),
      ...(resourceEfficiency !== undefined && { resourceEfficiency }),
      health: decodeHealth(wire.health),
    },
    components: wire.components.map(decodeComponent),
  };
}

export function decodeFigures(wire: WireSystem | undefined): SystemFigures {
  const { averageThinkTimeMs, optimizationScore = 0, adaptationRatePerHour = 0 } = wire ?? {};
  return {
    ...(averageThinkTimeMs !== undefined && { averageThinkTimeMs }),
    ...{ optimizationScore, adaptationRatePerHour },
  };
}

export function encodeHealthReport({ atMs, health, components, ...figures }: HealthReport): WireHealth {
  return create(CheckHealthResponseSchema, {
    time: encodeTimeMs(atMs),
    health: encodeHealth(health),
    ...figures,
    components: components.map(({ component, health: own }) => ({ component, health: encodeHealth(own) })),
  });
}

export function decodeHealthReport(wire: WireHealth): HealthReport {
  const { responseTimeMs, requestsPerSecond, errorRatio } = wire;
  return {
    atMs: wire.time === undefined ? 0 : decodeTimeMs(wire.time),
    health: decodeHealth(wire.health),
    ...(responseTimeMs !== undefined && { responseTimeMs }),
    ...(requestsPerSecond !== undefined && { requestsPerSecond }),
    ...(errorRatio !== undefined && { errorRatio }),
    components: wire.components.map(({ component, health }) => ({ component, health: decodeHealth(health) })),
  };
}

export function encodeOptimization(state: OptimizationState): MessageInitShape<typeof OptimizationStandingSchema> {
  const { inForce } = state;
  return {
    state: state.state,
    strategy: state.strategy ?? '',
    trialId: state.trialId ?? '',
    reason: state.reason,
    ...(inForce !== undefined && { inForce: { ...inForce, effect: { ...inForce.effect } } }),
  };
}

export function decodeOptimization(component: string, wire: WireStanding): OptimizationState {
  const { strategy, trialId, reason, inForce } = wire;
  const effect = inForce?.effect && decodeEffect(inForce.effect);
  return {
    component,
    state: STATES.find((state) => state === wire.state) ?? 'waiting',
    ...(strategy !== '' && { strategy }),
    ...(trialId !== '' && { trialId }),
    reason,
    ...(inForce !== undefined &&
      effect !== undefined && { inForce: { strategy: inForce.strategy, trialId: inForce.trialId, effect } }),
  };
}

function decodeEffect({ estimate, low, high, confidence, blocks }: Effectiveness): Effectiveness {
  return { estimate, low, high, confidence, blocks };
}

function encodeHealth(health: Health): MessageInitShape<typeof HealthFiguresSchema> {
  return { ...health, ...(health.status !== 'unknown' && { parts: { ...health.parts } }) };
}

function decodeHealth(wire: WireFigures | undefined): Health {
  const status = (['healthy', 'degraded', 'unhealthy'] as const).find((known) => known === wire?.status);
  const worst = HEALTH_PARTS.find((part) => part === wire?.worst);
  if (wire?.score === undefined || status === undefined || worst === undefined) return { status: 'unknown' };
  const parts: { [part in HealthPart]?: number } = {};
  for (const part of HEALTH_PARTS) if (wire.parts[part] !== undefined) parts[part] = wire.parts[part];
  return { status, score: wire.score, worst, parts };
}

function encodeComponent({
  health,
  tier,
  ...same
}: ComponentAnalytics): MessageInitShape<typeof ComponentAnalyticsSchema> {
  return { ...same, health: encodeHealth(health), ...(tier !== undefined && { tier: tierWords.encode(tier) }) };
}

function decodeComponent(wire: WireComponent): ComponentAnalytics {
  const { component, performanceScore, responseTimeMs, responseTimeMsP95, requestsPerSecond, errorRatio, trend } = wire;
  const tier = tierWords.decode(wire.tier);
  return {
    component,
    ...(tier !== undefined && { tier }),
    ...(performanceScore !== undefined && { performanceScore }),
    health: decodeHealth(wire.health),
    ...(responseTimeMs !== undefined && { responseTimeMs }),
    ...(responseTimeMsP95 !== undefined && { responseTimeMsP95 }),
    ...(requestsPerSecond !== undefined && { requestsPerSecond }),
    ...(errorRatio !== undefined && { errorRatio }),
    ...(trend !== undefined && { trend }),
  };
}
