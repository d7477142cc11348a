/** What was found out, as messages. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { CapacityAnswer, CapacityReport, LoadAnswer } from '../../core/forecast/capacity.ts';
import type { Interval } from '../../core/forecast/forecaster.ts';
import type { Breach, Limit } from '../../core/forecast/limits.ts';
import type { Forecast, ForecastStep, ObservedAnomaly, ObservedPattern } from '../../core/insight/finding.ts';
import type {
  AnomalySchema,
  ComponentCapacitySchema,
  ForecastStepSchema,
  GetForecastResponseSchema,
  LimitForecastSchema,
  LoadCapacitySchema,
  MetricCapacitySchema,
  PatternSchema,
} from '../../gen/performance_optimizer/control/v1/insight_pb.ts';
import { encodeDurationMs, encodeTimeMs } from '../../rpc/knob_codec.ts';

export function encodeAnomaly(anomaly: ObservedAnomaly): MessageInitShape<typeof AnomalySchema> {
  const { id, component, metric, state, kind, value, expectedRange, severity, channel, explanation } = anomaly;
  const { endReason = '', acknowledgedBy = '', incident, endedMs } = anomaly;
  return {
    ...{ id, component, metric, state, kind, severity, channel, explanation, endReason, acknowledgedBy },
    ...(Number.isFinite(value) && { value }),
    expectedRange: { ...expectedRange },
    since: encodeTimeMs(anomaly.sinceMs),
    time: encodeTimeMs(anomaly.atMs),
    ...(endedMs !== undefined && { end: encodeTimeMs(endedMs) }),
    surpriseDecades: anomaly.surprise,
    barDecades: anomaly.bar,
    ...(incident !== undefined && {
      incident: {
        ...{ id: incident.id, severity: incident.severity, firstMover: incident.firstMover },
        ...{ start: encodeTimeMs(incident.startedMs), lead: encodeDurationMs(incident.leadMs) },
        anomalies: incident.anomalies,
      },
    }),
  };
}

export function encodePattern(pattern: ObservedPattern): MessageInitShape<typeof PatternSchema> {
  const { component, metric, type, confidence, samples, impact, sinceMs, evidence, cause = '' } = pattern;
  return {
    ...{ component, metric, type, confidence, samples, cause, evidence: { ...evidence } },
    ...(impact !== undefined && { impact }),
    since: encodeTimeMs(sinceMs),
  };
}

export function encodeForecast(forecast: Forecast): MessageInitShape<typeof GetForecastResponseSchema> {
  const { at, value, low, high, coverage, limit, timeToLimit = {} } = forecast;
  return {
    time: encodeTimeMs(forecast.madeAtMs),
    target: encodeStep({ atMs: at, value, low, high }),
    steps: forecast.path.map(encodeStep),
    step: encodeDurationMs(forecast.stepMs),
    nominalCoverage: coverage.nominal,
    ...(coverage.measured !== undefined && { measuredCoverage: coverage.measured }),
    coverageSamples: coverage.samples,
    samples: forecast.samples,
    ...(limit !== undefined && { limit: encodeLimit(limit, timeToLimit) }),
  };
}

export function encodeCapacity(report: CapacityReport): MessageInitShape<typeof ComponentCapacitySchema> {
  const { component, atMs, horizonMs, metrics, load } = report;
  return {
    component,
    metrics: metrics.map((metric) => encodeMetric(metric, atMs + horizonMs)),
    ...(load !== undefined && { load: encodeLoad(load) }),
  };
}

function encodeMetric(answer: CapacityAnswer, horizonAtMs: number): MessageInitShape<typeof MetricCapacitySchema> {
  const { metric, unit, now, forecast, worst, limit, breach = {}, headRoomRatio, headRoomRatioAtWorst } = answer;
  const encodeInterval = ({ median, low, high }: Interval) =>
    encodeStep({ atMs: horizonAtMs, value: median, low, high });
  return {
    ...{ metric, unit, now },
    ...(forecast !== undefined && { forecast: encodeInterval(forecast) }),
    ...(worst !== undefined && { worst: { ...encodeInterval(worst), time: undefined } }),
    ...(limit !== undefined && { limit: encodeLimit(limit, breach) }),
    ...(headRoomRatio !== undefined && { headRoomRatio }),
    ...(headRoomRatioAtWorst !== undefined && { headRoomRatioAtWorst }),
  };
}

function encodeLoad(load: LoadAnswer): MessageInitShape<typeof LoadCapacitySchema> {
  const { throughputPerSecond, low, high, concurrency, observedConcurrency, extrapolated, samples } = load;
  const { expectedPeakPerSecond, headRoomRatio } = load;
  return {
    ...{ throughputPerSecond, concurrency, observedConcurrency, extrapolated, samples, interval: { low, high } },
    ...(expectedPeakPerSecond !== undefined && { expectedPeakPerSecond }),
    ...(headRoomRatio !== undefined && { headRoomRatio }),
  };
}

function encodeStep({ atMs, value, low, high }: ForecastStep): MessageInitShape<typeof ForecastStepSchema> {
  return { time: encodeTimeMs(atMs), value, low, high };
}

function encodeLimit(limit: Limit, breach: Breach): MessageInitShape<typeof LimitForecastSchema> {
  const { soonestMs, expectedMs, latestMs } = breach;
  return {
    value: limit.value,
    ...(soonestMs !== undefined && { soonest: encodeDurationMs(soonestMs) }),
    ...(expectedMs !== undefined && { expected: encodeDurationMs(expectedMs) }),
    ...(latestMs !== undefined && { latest: encodeDurationMs(latestMs) }),
  };
}
