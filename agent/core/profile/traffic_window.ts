import type { Outcome } from '../outcome.ts';
import { IntervalRing } from './interval_ring.ts';
import { kendallTau } from './trend.ts';

/** Requests per second that succeeded. Failing quickly is no throughput, so failures do not count. */
export interface ThroughputMetrics {
  /** Of the latest interval that telemetry covers: successes / seconds covered. */
  readonly current: number;
  /** Of the window: Σ successes / Σ seconds covered. Seconds without telemetry are unknown, not zero. */
  readonly average: number;
  /** Highest of any interval that telemetry covers by at least half; of the latest one while there is no such interval. */
  readonly peak: number;
  /** Kendall's τ of the intervals' rates with time, in [−1, 1]; absent below four covered intervals. */
  readonly trend?: number;
}

/**
 * Share of finished requests that succeeded.
 *
 *     reliability = Σ successes / Σ finished requests      [0, 1]
 *
 * over the window (`average`), and over the latest interval with requests (`current`). What counts as failed is decided from
 * the server's side: 5xx, 408, 429, 499 and their gRPC counterparts, and requests with an `error.type`. Absent where no
 * request finished.
 *
 * @figure Reliability [0, 1]
 */
export interface ReliabilityMetrics {
  /** In the latest interval with requests. */
  readonly current: number;
  /** In the window: Σ successes / Σ requests. */
  readonly average: number;
  /** Kendall's τ of the intervals' shares with time, in [−1, 1]; absent below four intervals with requests. */
  readonly trend?: number;
}

export interface Traffic {
  readonly throughput?: ThroughputMetrics;
  readonly reliability?: ReliabilityMetrics;
  /** Finished requests in the window. */
  readonly requests: number;
  /** End of the latest moment that telemetry covers; absent when it covers none. */
  readonly measuredAtMs?: number;
}

interface Slot {
  ok: number;
  errors: number;
  /** Hull of what increments cover of the interval: series report the same times, so their hull is their union. */
  fromMs: number;
  toMs: number;
}

/** Finished requests over the last intervals, by outcome. */
export class TrafficWindow {
  readonly #ring: IntervalRing<Slot>;

  constructor(intervalMs: number, size: number) {
    const make = () => ({ ok: 0, errors: 0, fromMs: Number.POSITIVE_INFINITY, toMs: Number.NEGATIVE_INFINITY });
    this.#ring = new IntervalRing<Slot>(intervalMs, size, make, (slot) => Object.assign(slot, make()));
  }

  /** Returns false when the increment is older than the window. */
  add(outcome: Outcome, requests: number, startMs: number, endMs: number, nowMs: number): boolean {
    const last = this.#ring.spread(startMs, endMs, nowMs, (slot, share, fromMs, toMs) => {
      if (outcome === 'ok') slot.ok += requests * share;
      else slot.errors += requests * share;
      slot.fromMs = Math.min(slot.fromMs, fromMs);
      slot.toMs = Math.max(slot.toMs, toMs);
    });
    return last !== undefined;
  }

  metrics(nowMs: number): Traffic {
    const used = this.#ring.window(nowMs).filter((slot) => slot.toMs >= slot.fromMs);
    const latest = used.at(-1);
    const ok = used.reduce((total, slot) => total + slot.ok, 0);
    const requests = used.reduce((total, slot) => total + slot.ok + slot.errors, 0);
    const throughput = this.#throughput(used, ok);
    const reliability = reliabilityOf(used, ok, requests);
    return {
      requests,
      ...(latest !== undefined && { measuredAtMs: latest.toMs }),
      ...(throughput !== undefined && { throughput }),
      ...(reliability !== undefined && { reliability }),
    };
  }

  /** `throughput.average` alone: without the trends it costs a fiftieth. */
  okPerSecond(nowMs: number): number | undefined {
    let ok = 0;
    let seconds = 0;
    for (const slot of this.#ring.window(nowMs)) {
      if (slot.toMs >= slot.fromMs) ok += slot.ok;
      if (slot.toMs > slot.fromMs) seconds += (slot.toMs - slot.fromMs) / 1_000;
    }
    return seconds > 0 ? ok / seconds : undefined;
  }

  /** Of the intervals numbered `first` to `last`: successes a second covered, and the share of requests that failed. */
  over(first: number, last: number): { readonly okPerSecond?: number; readonly errorRatio?: number } {
    let ok = 0;
    let errors = 0;
    let coveredMs = 0;
    for (const slot of this.#ring.range(first, last)) {
      ok += slot.ok;
      errors += slot.errors;
      if (slot.toMs > slot.fromMs) coveredMs += slot.toMs - slot.fromMs;
    }
    const requests = ok + errors;
    return {
      ...(coveredMs > 0 && { okPerSecond: (1_000 * ok) / coveredMs }),
      ...(requests > 0 && { errorRatio: errors / requests }),
    };
  }

  get reportMs(): number {
    return this.#ring.reportMs;
  }

  clear(): void {
    this.#ring.clear();
  }

  #throughput(used: readonly Slot[], ok: number): ThroughputMetrics | undefined {
    const covered = used.filter((slot) => slot.toMs > slot.fromMs);
    const latest = covered.at(-1);
    if (latest === undefined) return undefined;
    const seconds = covered.reduce((total, slot) => total + (slot.toMs - slot.fromMs) / 1_000, 0);
    const rates = covered.map(ratePerSecond);
    // A sliver of an interval with one request in it is a huge rate; half an interval is a fair sample.
    const fair = covered.filter((slot) => slot.toMs - slot.fromMs >= this.#ring.intervalMs / 2).map(ratePerSecond);
    const trend = kendallTau(rates);
    return {
      current: ratePerSecond(latest),
      average: ok / seconds,
      peak: fair.length > 0 ? Math.max(...fair) : ratePerSecond(latest),
      ...(trend !== undefined && { trend }),
    };
  }
}

function ratePerSecond(slot: Slot): number {
  return slot.ok / ((slot.toMs - slot.fromMs) / 1_000);
}

function reliabilityOf(used: readonly Slot[], ok: number, requests: number): ReliabilityMetrics | undefined {
  const shares = used.filter((slot) => slot.ok + slot.errors > 0).map((slot) => slot.ok / (slot.ok + slot.errors));
  const current = shares.at(-1);
  if (current === undefined) return undefined;
  const trend = kendallTau(shares);
  return { current, average: ok / requests, ...(trend !== undefined && { trend }) };
}
