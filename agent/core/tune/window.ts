import type { Distribution } from '../series/distribution.ts';
import type { Increment } from '../series/store.ts';
import { isTuned, type SignalRole } from '../signals.ts';

/** What one window showed. Latencies are of successful requests; absent where nothing was measured. */
export interface Measurement {
  readonly startMs: number;
  readonly endMs: number;
  readonly requests: number;
  readonly errors: number;
  readonly errorRatio?: number;
  readonly latencyMsMean?: number;
  readonly latencyMsP95?: number;
  readonly requestsPerSecond?: number;
  /** Mean of what the process says its work was worth. */
  readonly rewardMean?: number;
}

export interface WindowRule {
  readonly minMs: number;
  readonly maxMs: number;
  readonly minRequests: number;
}

export type WindowState = 'open' | 'complete' | 'thin' | 'silent';

/**
 * Collects what happened at one setting.
 *
 * A point speaks of `(start, end]`. Only points that start after the setting was in force and settled belong to the window: a
 * point that straddles the change mixes two settings and is left out, whatever the exporter's interval. The window is
 * complete when its points cover `minMs` and `minRequests`. At `maxMs` (stretched for slow exporters: at least three of
 * their intervals) it is `thin`, with too few requests to say anything, or `silent`, with no telemetry at all.
 */
export class MeasurementWindow {
  readonly startMs: number;
  readonly #rule: WindowRule;
  readonly #latencies: Distribution;
  #requests = 0;
  #errors = 0;
  #countedRequests = 0;
  #countedErrors = 0;
  #counterKnowsOutcomes = false;
  #totalMs = 0;
  #rewards = 0;
  #rewardSum = 0;
  #fromMs = Number.POSITIVE_INFINITY;
  #toMs = Number.NEGATIVE_INFINITY;

  /** `latencies` is scratch space, emptied here: one distribution serves a component's windows one after another. */
  constructor(rule: WindowRule, startMs: number, latencies: Distribution) {
    this.#rule = rule;
    this.startMs = startMs;
    this.#latencies = latencies;
    latencies.reset();
  }

  observe(role: SignalRole, increment: Increment): void {
    if (increment.startMs < this.startMs) return;
    if (role.signal === 'reward' && increment.kind === 'histogram' && increment.sum !== undefined) {
      this.#rewards += increment.count;
      this.#rewardSum += increment.sum;
    }
    if (!isTuned(role)) return;
    if (role.signal === 'responseTime' && increment.kind === 'histogram') {
      this.#requests += increment.count;
      if (role.outcome === 'error') this.#errors += increment.count;
      else {
        const { bounds, counts, count, sum } = increment;
        this.#latencies.addHistogram(bounds, counts, count, sum, role.msPerUnit);
      }
    } else if (role.signal === 'requests' && increment.kind === 'sum') {
      this.#countedRequests += increment.delta;
      if (role.outcome === 'error') this.#countedErrors += increment.delta;
      if (role.times === 'histogram' && increment.delta > 0) this.#counterKnowsOutcomes = true;
    } else if (role.signal === 'totalTime' && increment.kind === 'sum') {
      this.#totalMs += increment.delta * role.msPerUnit;
    } else return;
    if (increment.startMs < this.#fromMs) this.#fromMs = increment.startMs;
    if (increment.endMs > this.#toMs) this.#toMs = increment.endMs;
  }

  /** `exportIntervalMs`: the sender's interval as observed, 0 while unknown. */
  state(nowMs: number, exportIntervalMs: number): WindowState {
    const coveredMs = this.#toMs - this.#fromMs;
    if (coveredMs >= this.#rule.minMs && this.requests >= this.#rule.minRequests) return 'complete';
    const limitMs = Math.max(this.#rule.maxMs, this.#rule.minMs + 3 * exportIntervalMs);
    const silentMs = Math.max(2 * this.#rule.minMs, this.#rule.minMs + 3 * exportIntervalMs);
    if (coveredMs < 0 && nowMs - this.startMs >= silentMs) return 'silent';
    return nowMs - this.startMs >= limitMs ? 'thin' : 'open';
  }

  get requests(): number {
    return this.#isCounted() ? this.#countedRequests : this.#requests;
  }

  get errors(): number {
    return this.#isCounted() ? this.#countedErrors : this.#errors;
  }

  measurement(): Measurement {
    const { requests, errors } = this;
    const seconds = (this.#toMs - this.#fromMs) / 1000;
    const mean = this.#latencies.mean() ?? this.#meanFromTotal();
    const p95 = this.#latencies.quantile(0.95);
    return {
      startMs: this.startMs,
      endMs: Math.max(this.#toMs, this.startMs),
      requests,
      errors,
      ...(requests > 0 && { errorRatio: errors / requests }),
      ...(mean !== undefined && { latencyMsMean: mean }),
      ...(p95 !== undefined && { latencyMsP95: p95 }),
      ...(seconds > 0 && { requestsPerSecond: requests / seconds }),
      ...(this.#rewards > 0 && { rewardMean: this.#rewardSum / this.#rewards }),
    };
  }

  /**
   * A duration histogram counts its requests; a counter is believed only where there is none, or where it stands beside
   * one that does not tell which of them failed.
   */
  #isCounted(): boolean {
    return this.#requests === 0 || this.#counterKnowsOutcomes;
  }

  /** Of successful requests: only they are timed. */
  #meanFromTotal(): number | undefined {
    const served = this.#countedRequests - this.#countedErrors;
    return this.#totalMs > 0 && served > 0 ? this.#totalMs / served : undefined;
  }
}
