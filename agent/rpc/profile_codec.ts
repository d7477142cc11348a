/** A profile as a message, and back: what was not measured is absent on both sides. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { LatencyMetrics } from '../core/profile/latency_window.ts';
import type { Level } from '../core/profile/level_window.ts';
import type { PerformanceProfile } from '../core/profile/performance_profile.ts';
import type { ResourceUsage } from '../core/profile/resource_window.ts';
import type { ReliabilityMetrics, ThroughputMetrics } from '../core/profile/traffic_window.ts';
import { DISK_SIGNALS, LATENCY_SIGNALS, RESOURCES, type ResourceScope, STALL_SIGNALS } from '../core/signals.ts';
import {
  type LatencyFigures,
  type LevelFigures,
  type LevelFiguresSchema,
  ProfileSchema,
  type RateFigures,
  type ResourceFigures,
  type ShareFigures,
  type Profile as WireProfile,
} from '../gen/performance_optimizer/control/v1/profile_pb.ts';
import { decodeDurationMs, decodeTimeMs, encodeTimeMs } from './knob_codec.ts';

const RATES = ['throughput', 'inputTokens', 'outputTokens'] as const;
const LEVELS = ['queueDepth', 'inFlight', 'cacheUsage'] as const;
const SCOPES: readonly ResourceScope[] = ['process', 'container', 'host'];

type Metrics = PerformanceProfile['metrics'];
type QueueDepth = NonNullable<Metrics['queueDepth']>;

export function encodeProfile(profile: PerformanceProfile): WireProfile {
  const { metrics, resources, stalls = {}, disks = {}, optimization } = profile;
  const { lastOptimized, optimizations, lastImprovement } = optimization;
  return create(ProfileSchema, {
    component: profile.component,
    time: encodeTimeMs(profile.atMs),
    window: durationFromMs(profile.windowMs),
    ...(profile.measuredAtMs !== undefined && { measuredAt: encodeTimeMs(profile.measuredAtMs) }),
    latencies: picked(LATENCY_SIGNALS, metrics, (figures: LatencyMetrics) => ({ ...figures })),
    rates: picked(RATES, metrics, (figures: ThroughputMetrics) => ({ ...figures })),
    ...(metrics.reliability !== undefined && { reliability: { ...metrics.reliability } }),
    levels: picked(LEVELS, metrics, encodeLevel),
    resources: picked(RESOURCES, resources, (figures: ResourceUsage) => ({ ...figures })),
    stalls: picked(STALL_SIGNALS, stalls, encodeLevel),
    disks: picked(DISK_SIGNALS, disks, encodeLevel),
    optimization: {
      ...(lastOptimized !== 0 && { lastOptimized: encodeTimeMs(lastOptimized) }),
      optimizations,
      ...(lastImprovement !== undefined && { lastImprovement }),
    },
  });
}

export function decodeProfile(wire: WireProfile): PerformanceProfile {
  const reliability = wire.reliability && decodeShare(wire.reliability);
  const { lastOptimized, optimizations = 0, lastImprovement } = wire.optimization ?? {};
  return {
    component: wire.component,
    atMs: wire.time === undefined ? 0 : decodeTimeMs(wire.time),
    windowMs: decodeDurationMs(wire.window),
    ...(wire.measuredAt !== undefined && { measuredAtMs: decodeTimeMs(wire.measuredAt) }),
    metrics: {
      ...picked(LATENCY_SIGNALS, wire.latencies, decodeLatency),
      ...picked(RATES, wire.rates, decodeRate),
      ...(reliability !== undefined && { reliability, errorRate: 1 - reliability.average }),
      ...picked(LEVELS, wire.levels, decodeLevel),
    },
    resources: picked(RESOURCES, wire.resources, decodeResource),
    stalls: picked(STALL_SIGNALS, wire.stalls, decodeLevel),
    disks: picked(DISK_SIGNALS, wire.disks, decodeLevel),
    optimization: {
      lastOptimized: lastOptimized === undefined ? 0 : decodeTimeMs(lastOptimized),
      optimizations,
      ...(lastImprovement !== undefined && { lastImprovement }),
    },
  };
}

/** Of the names, those that are there, each turned into something else. */
function picked<const N extends string, From, To>(
  names: readonly N[],
  from: { readonly [name in N]?: From },
  turn: (value: From) => To,
): { [name in N]?: To } {
  const found: { [name in N]?: To } = {};
  for (const name of names) {
    const value = from[name];
    if (value !== undefined) found[name] = turn(value);
  }
  return found;
}

function encodeLevel({ measuredAtMs, ...level }: QueueDepth): MessageInitShape<typeof LevelFiguresSchema> {
  return { ...level, measuredAt: encodeTimeMs(measuredAtMs) };
}

function decodeLevel({ current, average, peak, measuredAt, trend }: LevelFigures): Level & QueueDepth {
  const measuredAtMs = measuredAt === undefined ? 0 : decodeTimeMs(measuredAt);
  return { current, average, peak, measuredAtMs, ...(trend !== undefined && { trend }) };
}

function decodeLatency({ current, average, p95, p99, trend, count }: LatencyFigures): LatencyMetrics {
  return {
    ...{ current, average, count },
    ...(p95 !== undefined && { p95 }),
    ...(p99 !== undefined && { p99 }),
    ...(trend !== undefined && { trend }),
  };
}

function decodeRate({ current, average, peak, trend }: RateFigures): ThroughputMetrics {
  return { current, average, peak, ...(trend !== undefined && { trend }) };
}

function decodeShare({ current, average, trend }: ShareFigures): ReliabilityMetrics {
  return { current, average, ...(trend !== undefined && { trend }) };
}

function decodeResource(wire: ResourceFigures): ResourceUsage {
  const { usage, average, peak, efficiency, utilizationRatio, capacity } = wire;
  return {
    ...{ usage, average, peak },
    ...(efficiency !== undefined && { efficiency }),
    ...(utilizationRatio !== undefined && { utilizationRatio }),
    ...(capacity !== undefined && { capacity }),
    // An agent of a later version may know more; the machine as a whole is what claims the least.
    scope: SCOPES.find((scope) => scope === wire.scope) ?? 'host',
  };
}
