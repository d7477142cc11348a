import type { SampleBatch, Series } from '../core/model.ts';
import { SampleBatchBuilder } from '../core/series/batch.ts';
import type { SeriesInterner } from '../core/series/interner.ts';
import type { ResourceAllocation } from './component.ts';

/** Upper bounds in seconds, 8 % apart from 50 µs to half an hour: a percentile is off by 4 % at most. */
export const BOUNDS_S: readonly number[] = Array.from({ length: 226 }, (_, i) => 5e-5 * 1.08 ** i);

/** What the allocations of requests are called, and what their unit is. */
export const ALLOCATIONS = {
  cpu: ['performance_optimizer.allocation.cpu', '%'],
  memory: ['performance_optimizer.allocation.memory', 'MiBy'],
  gpu: ['performance_optimizer.allocation.gpu', '%'],
} as const;

const RESOURCES = ['cpu', 'memory', 'gpu'] as const;

interface Durations {
  readonly series: Series;
  readonly counts: Float64Array;
  count: number;
  sum: number;
  min: number;
  max: number;
}

interface Meters {
  readonly ok: Durations;
  readonly failed: Durations;
  readonly allocations: { readonly [resource in keyof ResourceAllocation]: Series };
  /** Of the latest request; undefined before the first. */
  allocation: ResourceAllocation | undefined;
}

/**
 * Times requests of components in this process and hands the durations over as OpenTelemetry would report them:
 * `gen_ai.server.request.duration` by outcome, delta, over the time since the last report; and what the latest request was
 * allocated. Also reports "no requests", so that an idle component is not taken for one that has fallen silent.
 */
export class RequestMeter {
  readonly #interner: SeriesInterner;
  readonly #components = new Map<string, Meters>();
  #reportedMs: number;

  constructor(interner: SeriesInterner, nowMs: number) {
    this.#interner = interner;
    this.#reportedMs = nowMs;
  }

  /** False: there is no room for another component. */
  open(component: string): boolean {
    if (this.#components.has(component)) return true;
    const ok = this.#durations(component, false);
    const failed = this.#durations(component, true);
    const cpu = this.#gauge(component, 'cpu');
    const memory = this.#gauge(component, 'memory');
    const gpu = this.#gauge(component, 'gpu');
    if (!ok || !failed || !cpu || !memory || !gpu) return false;
    const allocations = { cpu, memory, gpu };
    this.#components.set(component, {
      ok: durations(ok),
      failed: durations(failed),
      allocations,
      allocation: undefined,
    });
    return true;
  }

  close(component: string): void {
    this.#components.delete(component);
  }

  record(component: string, durationMs: number, outcome: 'ok' | 'error', allocation: ResourceAllocation): void {
    const meters = this.#components.get(component);
    if (meters === undefined) return;
    meters.allocation = allocation;
    const into = outcome === 'ok' ? meters.ok : meters.failed;
    const seconds = Math.max(0, durationMs / 1_000);
    into.counts[bucketOf(seconds)]! += 1;
    into.count += 1;
    into.sum += seconds;
    into.min = Math.min(into.min, seconds);
    into.max = Math.max(into.max, seconds);
  }

  /** Requests have finished in the very millisecond of the last report: they can only be reported in the next one. */
  isAhead(nowMs: number): boolean {
    if (nowMs !== this.#reportedMs) return false;
    return [...this.#components.values()].some(({ ok, failed }) => ok.count + failed.count > 0);
  }

  /** Everything since the last report; undefined when no time has passed, or when the clock went back (then it begins anew). */
  report(nowMs: number): SampleBatch | undefined {
    const startMs = this.#reportedMs;
    if (nowMs === startMs) return undefined;
    this.#reportedMs = nowMs;
    if (nowMs < startMs || this.#components.size === 0) return undefined;
    const batch = new SampleBatchBuilder(5 * this.#components.size);
    for (const { ok, failed, allocations, allocation } of this.#components.values()) {
      for (const meter of [ok, failed]) {
        const { series, counts, count, sum, min, max } = meter;
        const extremes = count > 0 && { min, max };
        const point = { count, sum, bounds: BOUNDS_S, counts: counts.slice(), ...extremes };
        batch.histogramOverMs(series, startMs, nowMs, point);
        Object.assign(meter, durations(series));
      }
      if (allocation === undefined) continue;
      for (const resource of RESOURCES) batch.gaugeAtMs(allocations[resource], nowMs, allocation[resource]);
    }
    return batch.build();
  }

  #durations(component: string, failed: boolean): Series | undefined {
    return this.#interner.intern({
      ...{ name: 'gen_ai.server.request.duration', unit: 's', monotonic: true, scope: 'performance-optimizer' },
      kind: 'histogram',
      temporality: 'delta',
      resource: new Map([['service.name', component]]),
      attributes: new Map(failed ? [['error.type', '_OTHER']] : []),
    });
  }

  #gauge(component: string, resource: keyof ResourceAllocation): Series | undefined {
    const [name, unit] = ALLOCATIONS[resource];
    return this.#interner.intern({
      ...{ name, unit, monotonic: false, scope: 'performance-optimizer' },
      kind: 'gauge',
      resource: new Map([['service.name', component]]),
      attributes: new Map(),
    });
  }
}

function durations(series: Series): Durations {
  const counts = new Float64Array(BOUNDS_S.length + 1);
  return { series, counts, count: 0, sum: 0, min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY };
}

/** The first bucket whose upper bound is not below. */
function bucketOf(seconds: number): number {
  let low = 0;
  let high = BOUNDS_S.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (seconds <= BOUNDS_S[middle]!) high = middle;
    else low = middle + 1;
  }
  return low;
}
