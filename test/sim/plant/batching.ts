import type { KnobSpec } from '../../../agent/core/model.ts';
import type { BatchingPlantSpec, QueueingPlantSpec } from '../scenario.ts';
import type { Truth } from './plant.ts';
import type { Model } from './surface.ts';

/**
 * An inference server with dynamic batching, in closed form: M/G/c with batches.
 *
 *   A batch is sent off when it is full (B items) or its first item has waited w.
 *   service   S(b) = (batchMs + itemMs · b) · max(1, c / cores)
 *   batch     b = min(B, 1 + λ · max(w, queueing time))         fixed point, four rounds
 *   load      ρ = λ S(b) / (b c)
 *   queueing  Wq = ρ^(√(2(c+1)) − 1) / (c (1 − ρ)) · S · (Ca² + Cs²) / 2,  with Ca² = 1/b (batches of Poisson arrivals)
 *   latency   half the forming time + Wq + S(b)
 *   errors    share waiting longer than the queue timeout T, ρ·exp(−T / Wq), or what exceeds the capacity
 *
 * Fails as approximations do: within a few per cent below ρ ≈ .9, in shape only beyond. `queueing.ts` is the same server
 * request by request. Source: Allen-Cunneen approximation of GI/G/c (Allen 1990; Whitt 1993).
 */
export function createBatchingModel(
  spec: BatchingPlantSpec | QueueingPlantSpec,
  knobs: readonly KnobSpec[],
  requestsPerSecond: number,
): Model {
  const parts = partsOf(spec, knobs);
  const { batchMs, itemMs, variation } = spec.service;
  const model = {
    spread: 0.4,
    evaluate(
      _u: ArrayLike<number>,
      natural: ArrayLike<number>,
      loadFactor: number,
      _shifts: ArrayLike<number>,
      latencyShift: number,
      out: Truth,
    ) {
      const maxBatch = Math.max(1, parts.batch(natural));
      const waitMs = parts.waitMs(natural);
      const servers = Math.max(1, parts.concurrency(natural));
      const timeoutMs = parts.queueTimeoutMs(natural);
      const perMs = (requestsPerSecond * loadFactor) / 1_000;
      const sharing = Math.max(1, servers / spec.cores);

      let batch = 1;
      let queueMs = 0;
      let serviceMs = 0;
      let utilization = 0;
      for (let round = 0; round < 4; round++) {
        const gathered = Math.min(maxBatch, 1 + perMs * Math.max(waitMs, queueMs));
        batch = round === 0 ? gathered : (batch + gathered) / 2;
        serviceMs = (batchMs + itemMs * batch) * sharing;
        utilization = (perMs * serviceMs) / (batch * servers);
        const stable = Math.min(utilization, 0.98);
        const variability = (1 / batch + variation * variation) / 2;
        queueMs = (stable ** (Math.sqrt(2 * (servers + 1)) - 1) / (servers * (1 - stable))) * serviceMs * variability;
        // Beyond saturation the queue grows until the timeout cuts it.
        if (utilization > 0.98) queueMs = Math.max(queueMs, Math.min(timeoutMs, timeoutMs * (utilization - 0.9)));
      }
      queueMs = Math.min(queueMs, timeoutMs);
      const formingMs = Math.min(waitMs, (maxBatch - 1) / Math.max(perMs, 1e-9)) / 2;
      const late = queueMs > 0 ? Math.min(1, utilization) * Math.exp(-timeoutMs / queueMs) : 0;
      const overload = utilization > 1 ? 1 - 1 / utilization : 0;
      const mean = formingMs + queueMs + serviceMs;
      // Queueing time is about exponential, service and forming are not: the tail is weighed between them.
      const p95 = formingMs * 1.9 + queueMs * 3 + serviceMs * (1 + 1.645 * variation);
      const slowdown = Math.exp(latencyShift);
      out.latencyMsMean = mean * slowdown;
      out.latencyMsP95 = Math.max(p95, mean * 1.05) * slowdown;
      // Of a log-normal with this mean and p95; the smaller root of s²/2 − 1.645 s + ln(p95 / mean) = 0.
      const reach = Math.log(out.latencyMsP95 / out.latencyMsMean);
      model.spread = 1.6449 - Math.sqrt(Math.max(0.01, 1.6449 ** 2 - 2 * reach));
      out.errorRatio = Math.min(0.95, Math.max(late, overload));
      out.requestsPerSecond = perMs * 1_000 * (1 - out.errorRatio);
      out.memoryBytes = spec.memory ? spec.memory.baseBytes + spec.memory.itemBytes * maxBatch * servers : 0;
    },
  };
  return model;
}

interface Parts {
  readonly batch: (natural: ArrayLike<number>) => number;
  readonly waitMs: (natural: ArrayLike<number>) => number;
  readonly concurrency: (natural: ArrayLike<number>) => number;
  readonly queueTimeoutMs: (natural: ArrayLike<number>) => number;
}

/** Reads each part of the server from its knob, or from its fixed value; durations are seconds and become ms. */
export function partsOf(spec: BatchingPlantSpec | QueueingPlantSpec, knobs: readonly KnobSpec[]): Parts {
  const reader = (part: keyof Parts, isTime: boolean) => {
    const index = knobs.findIndex((knob) => knob.id === spec.knobs[part]);
    if (index < 0) return () => spec.fixed[part];
    const factor = isTime && knobs[index]?.type === 'duration' ? 1_000 : 1;
    return (natural: ArrayLike<number>) => natural[index] * factor;
  };
  return {
    batch: reader('batch', false),
    waitMs: reader('waitMs', true),
    concurrency: reader('concurrency', false),
    queueTimeoutMs: reader('queueTimeoutMs', true),
  };
}
