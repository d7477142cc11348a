import type { KnobSpec } from '../../model.ts';
import { msPerUnit } from '../../signals.ts';
import type { Plan, Strategy, StrategyContext, TunableKnob } from '../strategy.ts';
import { percent } from '../triggers.ts';
import { upwards } from './value.ts';

/**
 * The design document's Timeout Optimization, judged on the latency distribution before anything is touched.
 *
 * Intuition. A timeout far above what requests take lets stuck requests hold their place. The document proposes `1.5 × average`, at least
 * 10 ms, where the average is below 80 % of the present timeout. But a timeout also cuts every honest request that is slower: with a
 * heavy tail 1.5 × average would cut several percent of them. So the proposal is raised to the quantile that cuts at most a tenth of the
 * error limit, with a fifth of head room; what is left of the gain is then put to trial like any change, and if that is no longer
 * below the present timeout, the reason is recorded instead.
 *
 *   proposal = max(1.5 · mean, 10 ms, 1.2 · Q(1 − errorLimit / 10))
 *
 * The other way round, a timeout that is too short shows as errors while honest requests take until it ends: where more fail than the
 * limit allows, and that quantile with its head room is not below the timeout, twice the timeout is tried. How much longer those that
 * were cut would have taken nobody knows; a doubling that is proven may be followed by the next.
 *
 * Units: milliseconds inside, the knob's own unit outside. Censoring: requests that the present timeout already cut are missing above it,
 * so the distribution is only believed below 80 % of the present timeout.
 * Fails when fewer than 1,000 requests have been seen (a tail quantile needs them): no plan.
 * Sources: the design document; quantile-based limits with margin as in Autopilot (Rzadca et al., EuroSys 2020).
 */
const AVERAGE_FACTOR = 1.5;
const FLOOR_MS = 10;
const APPLIES_BELOW = 0.8;
const MIN_REQUESTS = 1000;
const TAIL_MARGIN = 1.2;
/** Share of the error limit that a new timeout may use up. */
const LIMIT_SHARE = 0.1;
const LONGER = 2;

export const timeoutStrategy: Strategy = {
  name: 'Timeout Optimization',
  description: 'Adjusts component timeout based on performance patterns',
  applicableTiers: ['stable', 'advanced', 'experimental'],
  roles: ['timeout'],
  priority: 8,
  canApply: (context) => timeoutKnobs(context).some((knob) => isLong(knob, context) || cutsTooMany(knob, context)),
  plan(context, modes) {
    if (context.responseTimes.count < MIN_REQUESTS) return undefined;
    for (const knob of timeoutKnobs(context)) {
      if (!modes.includes(knob.mode)) continue;
      const plan = cutsTooMany(knob, context) ? longer(knob, context) : shorter(knob, context);
      if (plan !== undefined) return plan;
    }
    return undefined;
  },
};

function shorter(knob: TimeoutKnob, context: StrategyContext): Plan | undefined {
  const { spec, unitMs, nowTimeoutMs } = knob;
  const { responseTimes } = context;
  const [mean, tail] = [responseTimes.mean(), tailMs(context)];
  if (mean === undefined || tail === undefined || !isLong(knob, context)) return undefined;
  const documentMs = Math.max(mean * AVERAGE_FACTOR, FLOOR_MS);
  const safeMs = Math.max(documentMs, tail * TAIL_MARGIN);
  const cutRatio = responseTimes.fractionAbove(documentMs);
  const value = upwards(knob, safeMs / unitMs);
  const signals = {
    responseTimeMsAverage: mean,
    responseTimeMsTail: tail,
    timeoutMs: nowTimeoutMs,
    documentTimeoutMs: documentMs,
    cutRatioAtDocumentTimeout: cutRatio,
    requests: responseTimes.count,
  };
  if (value * unitMs >= nowTimeoutMs * APPLIES_BELOW) {
    return {
      kind: 'shadow_rejected',
      setting: { [spec.id]: upwards(knob, documentMs / unitMs) },
      reason: `a ${spec.id} of ${documentMs.toFixed(1)} ms (1.5 × the average) would have cut ${(cutRatio * 100).toFixed(2)} % of ${responseTimes.count} requests; one that is safe (${(value * unitMs).toFixed(1)} ms) is not worth changing from ${nowTimeoutMs.toFixed(1)} ms`,
      signals,
    };
  }
  if (context.rejection(spec.id, value) !== undefined) return undefined;
  return {
    kind: 'candidate',
    setting: { [spec.id]: value },
    reason: `the average response time of ${mean.toFixed(1)} ms is below 80 % of ${spec.id} (${nowTimeoutMs.toFixed(1)} ms); ${(value * unitMs).toFixed(1)} ms would have cut ${(responseTimes.fractionAbove(value * unitMs) * 100).toFixed(3)} % of ${responseTimes.count} requests`,
    signals,
  };
}

function longer(knob: TimeoutKnob, context: StrategyContext): Plan | undefined {
  const { spec, unitMs, nowTimeoutMs } = knob;
  const [errorRatio, tail] = [failing(context), tailMs(context)];
  const value = upwards(knob, (LONGER * nowTimeoutMs) / unitMs);
  if (value * unitMs <= nowTimeoutMs || context.rejection(spec.id, value) !== undefined) return undefined;
  return {
    kind: 'candidate',
    setting: { [spec.id]: value },
    reason: `${percent(errorRatio)} of the requests fail, and others take until ${spec.id} (${nowTimeoutMs.toFixed(1)} ms) is over; ${(value * unitMs).toFixed(1)} ms may let those finish that are cut`,
    signals: { errorRatio, timeoutMs: nowTimeoutMs, ...(tail !== undefined && { safeTailMs: tail * TAIL_MARGIN }) },
  };
}

/** The document's condition: far above what requests take. */
function isLong({ nowTimeoutMs }: TimeoutKnob, { responseTimes }: StrategyContext): boolean {
  const mean = responseTimes.mean();
  return mean !== undefined && mean < nowTimeoutMs * APPLIES_BELOW;
}

/** More fail than may, while the requests that do not take until it is over. */
function cutsTooMany({ nowTimeoutMs }: TimeoutKnob, context: StrategyContext): boolean {
  const tail = failing(context) > context.limits.errorRatio ? tailMs(context) : undefined;
  return tail !== undefined && tail * TAIL_MARGIN >= nowTimeoutMs;
}

function failing({ profile }: StrategyContext): number {
  return 1 - (profile?.metrics.reliability?.current ?? 1);
}

/** What all but a tenth of the error limit take. */
function tailMs({ responseTimes, limits }: StrategyContext): number | undefined {
  return responseTimes.quantile(1 - limits.errorRatio * LIMIT_SHARE);
}

/** Milliseconds per unit of a timeout knob; undefined when its unit is not a time. */
function timeUnitMs(spec: KnobSpec): number | undefined {
  return spec.type === 'duration' ? 1000 : msPerUnit(spec.unit);
}

type TimeoutKnob = TunableKnob & { readonly unitMs: number; readonly nowTimeoutMs: number };

function timeoutKnobs({ knobs, incumbent }: StrategyContext): readonly TimeoutKnob[] {
  return knobs.flatMap((knob) => {
    const unitMs = timeUnitMs(knob.spec);
    const now = incumbent[knob.spec.id];
    if (knob.spec.role !== 'timeout' || knob.axis === undefined || unitMs === undefined) return [];
    return typeof now === 'number' ? [{ ...knob, unitMs, nowTimeoutMs: now * unitMs }] : [];
  });
}
