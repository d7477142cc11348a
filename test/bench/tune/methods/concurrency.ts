import { positionOf, valueAt } from '../../../sim/knob_space.ts';
import type { MethodContext, MethodFactory, Observation } from '../method.ts';

/**
 * Adaptive concurrency limits, from the congestion control of TCP. They move one knob (role `concurrency`) and leave the others at the
 * baseline. A window stands for one sample: the mean response time is the round trip, errors are drops, and the requests in
 * flight follow from Little's law, offered rate × response time, at most the limit.
 *
 * Fail where latency is not queueing for slots: a batch server's best concurrency says little about its batches.
 */
export interface LimitLaw {
  /** The new limit after a sample. */
  update(limit: number, rttMs: number, inFlight: number, didDrop: boolean): number;
}

/**
 * Additive increase, multiplicative decrease (Chiu and Jain 1989): + 1 when at least half the limit is in use, × 0.9 on a drop or
 * beyond the timeout.
 */
export function aimd({ backoff = 0.9, timeoutMs = Number.POSITIVE_INFINITY } = {}): LimitLaw {
  return {
    update(limit, rttMs, inFlight, didDrop) {
      if (didDrop || rttMs > timeoutMs) return limit * backoff;
      // App-limited: success says nothing about a higher limit.
      return inFlight * 2 >= limit ? limit + 1 : limit;
    },
  };
}

/**
 * TCP Vegas (Brakmo and Peterson 1995) as Netflix applies it: queue = limit · (1 − rtt₀ / rtt); with l = max(1, ⌊log₁₀ limit⌋):
 * queue ≤ l: + 6l; < 3l: + l; > 6l: − l. rtt₀ is the least seen, taken anew after some 30 limits' worth of samples.
 */
export function vegas({
  alpha = (limit: number) => 3 * log10Root(limit),
  beta = (limit: number) => 6 * log10Root(limit),
  threshold = log10Root,
  probeAfter = 30,
} = {}): LimitLaw {
  let noLoadMs = 0;
  let samples = 0;
  return {
    update(limit, rttMs, inFlight, didDrop) {
      samples++;
      if (samples >= probeAfter * limit) {
        samples = 0;
        noLoadMs = rttMs;
        return limit;
      }
      if (noLoadMs === 0 || rttMs < noLoadMs) {
        noLoadMs = rttMs;
        return limit;
      }
      const queue = Math.ceil(limit * (1 - noLoadMs / rttMs));
      if (didDrop) return limit - log10Root(limit);
      if (inFlight * 2 < limit) return limit;
      if (queue <= threshold(limit)) return limit + beta(limit);
      if (queue < alpha(limit)) return limit + log10Root(limit);
      if (queue > beta(limit)) return limit - log10Root(limit);
      return limit;
    },
  };
}

/**
 * Gradient2 (Netflix 2018): limit ← .8 limit + .2 (g · limit + queue), g = clamp(long / short, ½, 1) with a long exponential mean of the round
 * trip; the long mean decays by a tenth while it is more than twice the short one.
 */
export function gradient2({ queue = 4, smoothing = 0.2, longWindow = 600, warmup = 10 } = {}): LimitLaw {
  let longMs = 0;
  let samples = 0;
  return {
    update(limit, rttMs, inFlight) {
      samples++;
      // A plain mean at first: an exponential one would take a whole window to forget its first sample.
      if (samples <= warmup) longMs += (rttMs - longMs) / samples;
      else longMs += (rttMs - longMs) * (2 / (longWindow + 1));
      const ratio = longMs / rttMs;
      if (ratio > 2) longMs *= 0.9;
      if (inFlight < limit / 2) return limit;
      const gradient = Math.max(0.5, Math.min(1, ratio));
      return limit * (1 - smoothing) + (limit * gradient + queue) * smoothing;
    },
  };
}

/** The law at the wheel of the first knob with the role `concurrency`; undefined where there is none. */
export function limiter(makeLaw: () => LimitLaw, context: MethodContext): ReturnType<MethodFactory> | undefined {
  const index = context.knobs.findIndex((knob) => knob.role === 'concurrency' && knob.type === 'int');
  const knob = context.knobs[index];
  if (knob === undefined || knob.type !== 'int') return undefined;
  const law = makeLaw();
  let limit = knob.baseline;
  const positions = () =>
    context.start.map((at, i) => (i === index ? positionOf(knob, valueAt(knob, positionOf(knob, limit))) : at));
  return {
    ask: positions,
    tell(observation: Observation) {
      const inFlight = Math.min(limit, (observation.offeredPerSecond * observation.latencyMsMean) / 1_000);
      const didDrop = observation.errorRatio > context.limits.errorRatio || observation.killed;
      limit = Math.min(knob.max, Math.max(knob.min, law.update(limit, observation.latencyMsMean, inFlight, didDrop)));
    },
    incumbent: positions,
  };
}

function log10Root(limit: number): number {
  return Math.max(1, Math.floor(Math.log10(limit)));
}
