import type { LatencySignal } from '../signals.ts';
import { IntervalRing } from './interval_ring.ts';
import type { LatencyMetrics } from './latency_window.ts';
import { kendallTau } from './trend.ts';

interface Slot {
  requests: number;
  outputTokens: number;
  readonly timeMs: Map<LatencySignal, number>;
}

/**
 * Mean durations from two counters, for servers that have no histogram: time spent, and what it was spent on.
 *
 *     mean over an interval = Σ time / Σ requests      (Σ output tokens for `timePerOutputToken`)
 *
 * Milliseconds. Both counters are spread evenly over the intervals that their increments cover, and stand on the same page,
 * so they cover the same ones. There are no percentiles: two counters cannot tell them. Fails where the time of a long
 * request is added only when it ends: then an interval shows the requests that ended in it, whenever they began.
 *
 * Example: 40 requests and 8,000,000 µs in an interval: 200 ms.
 */
export class TotalsWindow {
  readonly #ring: IntervalRing<Slot>;

  constructor(intervalMs: number, size: number) {
    const make = (): Slot => ({ requests: 0, outputTokens: 0, timeMs: new Map() });
    this.#ring = new IntervalRing(intervalMs, size, make, (slot) => {
      slot.requests = 0;
      slot.outputTokens = 0;
      slot.timeMs.clear();
    });
  }

  /** Returns false when the increment is older than the window. */
  count(what: 'requests' | 'outputTokens', amount: number, startMs: number, endMs: number, nowMs: number): boolean {
    const last = this.#ring.spread(startMs, endMs, nowMs, (slot, share) => {
      slot[what] += amount * share;
    });
    return last !== undefined;
  }

  /** Returns false when the increment is older than the window. */
  spend(signal: LatencySignal, timeMs: number, startMs: number, endMs: number, nowMs: number): boolean {
    const last = this.#ring.spread(startMs, endMs, nowMs, (slot, share) => {
      slot.timeMs.set(signal, (slot.timeMs.get(signal) ?? 0) + timeMs * share);
    });
    return last !== undefined;
  }

  /** Mean over the intervals numbered `first` to `last`. */
  over(signal: LatencySignal, first: number, last: number): number | undefined {
    let totalMs = 0;
    let count = 0;
    for (const slot of this.#ring.range(first, last)) {
      totalMs += slot.timeMs.get(signal) ?? 0;
      count += signal === 'timePerOutputToken' ? slot.outputTokens : slot.requests;
    }
    return count > 0 && totalMs > 0 ? totalMs / count : undefined;
  }

  get reportMs(): number {
    return this.#ring.reportMs;
  }

  /** Undefined while there are not both a time and a count. */
  metrics(signal: LatencySignal, nowMs: number): LatencyMetrics | undefined {
    const means: number[] = [];
    let totalMs = 0;
    let count = 0;
    for (const slot of this.#ring.window(nowMs)) {
      const timeMs = slot.timeMs.get(signal);
      const inSlot = signal === 'timePerOutputToken' ? slot.outputTokens : slot.requests;
      if (timeMs === undefined || inSlot <= 0) continue;
      totalMs += timeMs;
      count += inSlot;
      means.push(timeMs / inSlot);
    }
    const current = means.at(-1);
    if (current === undefined) return undefined;
    const trend = kendallTau(means);
    return { current, average: totalMs / count, count, ...(trend !== undefined && { trend }) };
  }
}
