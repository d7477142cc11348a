/** What was found out and what is recommended, read from messages: as much of it as is shown. */
import { RECOMMENDATION_SOURCES, type Recommendation, type Step } from '../core/advice/recommendation.ts';
import type { ExpectedImprovement } from '../core/analytics/results.ts';
import { SEVERITIES } from '../core/detect/anomaly.ts';
import type { ObservedAnomaly, ObservedPattern } from '../core/insight/finding.ts';
import { PATTERN_TYPES } from '../core/pattern/pattern.ts';
import { isWatchedSignal } from '../core/profile/watched_signal.ts';
import type { Anomaly, Pattern } from '../gen/performance_optimizer/control/v1/insight_pb.ts';
import type {
  ExpectedImprovement as WireExpected,
  Recommendation as WireRecommendation,
} from '../gen/performance_optimizer/control/v1/recommendation_pb.ts';
import { decodeTimeMs, decodeValue } from './knob_codec.ts';

export type FoundPattern = Pick<ObservedPattern, 'type' | 'metric' | 'confidence' | 'impact' | 'sinceMs' | 'samples'>;
export type FoundAnomaly = Pick<
  ObservedAnomaly,
  'metric' | 'value' | 'expectedRange' | 'severity' | 'kind' | 'state' | 'atMs' | 'explanation'
>;

const STATES = ['open', 'resolved', 'explained'] as const;
const STEP_KINDS = ['knob', 'command', 'flag', 'environment', 'manifest'] as const;
const BASES = ['knobs', 'component', 'strategy'] as const;

/** Undefined for what this version does not know. */
export function decodePattern(wire: Pattern): FoundPattern | undefined {
  const { metric, confidence, samples, impact, since } = wire;
  const type = PATTERN_TYPES.find((known) => known === wire.type);
  if (type === undefined || !isWatchedSignal(metric)) return undefined;
  const sinceMs = since === undefined ? 0 : decodeTimeMs(since);
  return { type, metric, confidence, samples, sinceMs, ...(impact !== undefined && { impact }) };
}

/** Undefined for what this version does not know. */
export function decodeAnomaly(wire: Anomaly): FoundAnomaly | undefined {
  const { metric, value = Number.NaN, expectedRange, time, explanation } = wire;
  const severity = SEVERITIES.find((known) => known === wire.severity);
  const state = STATES.find((known) => known === wire.state);
  if (severity === undefined || state === undefined || expectedRange === undefined) return undefined;
  return {
    ...{ metric, value, severity, state, explanation },
    expectedRange: { low: expectedRange.low, high: expectedRange.high },
    kind: wire.kind === 'missing' ? 'missing' : 'value',
    atMs: time === undefined ? 0 : decodeTimeMs(time),
  };
}

/** Undefined for what this version does not know. */
export function decodeRecommendation(wire: WireRecommendation): Recommendation | undefined {
  const { id, component, optimization, reason, signals, since, seen, expected, confidence, proposalId } = wire;
  const source = RECOMMENDATION_SOURCES.find((known) => known === wire.source);
  if (source === undefined) return undefined;
  return {
    ...{ id, component, source, optimization, reason, signals },
    steps: wire.steps.flatMap(({ kind, text }): readonly Step[] => {
      const known = STEP_KINDS.find((word) => word === kind);
      return known === undefined ? [] : [{ kind: known, text }];
    }),
    changes: wire.changes.flatMap(({ knob, from, to }) => {
      const [before, after] = [decodeValue(from), decodeValue(to)];
      return before === undefined || after === undefined ? [] : [{ knob, from: before, to: after }];
    }),
    sinceMs: since === undefined ? 0 : decodeTimeMs(since),
    seenMs: seen === undefined ? 0 : decodeTimeMs(seen),
    ...(expected !== undefined && { expected: decodeExpected(expected) }),
    ...(confidence !== undefined && { confidence }),
    ...(proposalId !== '' && { proposalId }),
  };
}

function decodeExpected({ estimate, low, high, samples, kept, basis }: WireExpected): ExpectedImprovement {
  return { estimate, low, high, samples, kept, basis: BASES.find((known) => known === basis) ?? 'strategy' };
}
