import { type CapacityQuestion, type CapacityReport, capacityReport, type LoadQuestion } from '../forecast/capacity.ts';
import type { Limit } from '../forecast/limits.ts';
import type { LoadPoint } from '../forecast/scalability.ts';
import type { Window } from '../pattern/pattern.ts';
import { type SignalReading, WATCHED_SIGNALS, type WatchedSignal } from '../profile/watched_signal.ts';
import type { Forecast, Insight } from './finding.ts';
import { FARTHEST_MS, SignalForecast, type SignalForecastState } from './signal-forecast.ts';
import { WATCH_LIST } from './watch-list.ts';

export type ForecastBookState = Readonly<Partial<Record<WatchedSignal, SignalForecastState>>>;

/** Limits that must be told of before they are reached. Others (a busy CPU, a full cache) are no harm by themselves. */
const BREACHABLE: ReadonlySet<WatchedSignal> = new Set([
  ...(['memoryMiB', 'gpuMemoryMiB', 'diskUsedRatio', 'inodesUsedRatio', 'responseTimeMsP95'] as const),
]);

export interface ForecastBookOptions {
  readonly component: string;
  /** The 95th percentile that the limits or the service level allow. */
  readonly latencyLimitMs: number | undefined;
  readonly latest: (signal: WatchedSignal) => SignalReading | undefined;
  /** The last hours of a signal by the minute. */
  readonly window: (signal: WatchedSignal) => Window | undefined;
}

/** The forecasts of one component's signals, and what they mean for its capacity. */
export class ForecastBook {
  readonly #options: ForecastBookOptions;
  readonly #signals = new Map<WatchedSignal, SignalForecast>();

  constructor(options: ForecastBookOptions, saved: ForecastBookState = {}) {
    this.#options = options;
    for (const signal of WATCHED_SIGNALS) {
      const state = saved[signal];
      if (state !== undefined) this.#signals.set(signal, new SignalForecast(options.component, signal, state));
    }
  }

  take(signal: WatchedSignal, value: number, atMs: number): void {
    if (WATCH_LIST[signal].isForecast === true) this.#open(signal).take(value, atMs);
  }

  /** Does one piece of the work that is due; undefined when none is. */
  work(nowMs: number): readonly Insight[] | undefined {
    for (const [signal, forecast] of this.#signals) {
      if (!forecast.isDue) continue;
      const now = this.#options.latest(signal)?.value ?? Number.NaN;
      const limit = BREACHABLE.has(signal) ? this.#limitOf(signal) : undefined;
      const breach = forecast.work(nowMs, now, limit);
      return breach === undefined ? [] : [{ kind: 'forecast_breach', breach }];
    }
    return undefined;
  }

  /** Undefined for a signal that is not forecast, or of which there is too little history. */
  forecast(signal: WatchedSignal, nowMs: number, horizonMs: number): Forecast | undefined {
    const horizon = Math.min(FARTHEST_MS, Math.max(1, horizonMs));
    return this.#signals.get(signal)?.forecast(nowMs, horizon, this.#limitOf(signal));
  }

  /** How long the present resources suffice, and at which load the service level breaks. */
  capacity(nowMs: number, horizonMs: number): CapacityReport {
    const questions = [...this.#signals].flatMap(([signal, forecast]): readonly CapacityQuestion[] => {
      const now = this.#options.latest(signal)?.value;
      if (now === undefined) return [];
      const limit = this.#limitOf(signal);
      const { track } = forecast;
      const forecaster = { forecast: (steps: number) => track.path(steps) };
      const unit = unitOf(signal);
      return [{ metric: signal, unit, forecaster, stepMs: track.stepMs, now, ...(limit !== undefined && { limit }) }];
    });
    return capacityReport(this.#options.component, nowMs, horizonMs, questions, this.#load(horizonMs));
  }

  get signals(): readonly WatchedSignal[] {
    return [...this.#signals.keys()];
  }

  warm(signal: WatchedSignal, hours: ArrayLike<number>): boolean {
    return WATCH_LIST[signal].isForecast === true && this.#open(signal).warm(hours);
  }

  save(): ForecastBookState {
    return Object.fromEntries([...this.#signals].map(([signal, forecast]) => [signal, forecast.save()]));
  }

  #open(signal: WatchedSignal): SignalForecast {
    let forecast = this.#signals.get(signal);
    if (forecast === undefined) {
      forecast = new SignalForecast(this.#options.component, signal);
      this.#signals.set(signal, forecast);
    }
    return forecast;
  }

  #limitOf(signal: WatchedSignal): Limit | undefined {
    const value = signal === 'responseTimeMsP95' ? this.#options.latencyLimitMs : this.#options.latest(signal)?.limit;
    return value === undefined ? undefined : { value, side: 'above' };
  }

  #load(horizonMs: number): LoadQuestion | undefined {
    const { latencyLimitMs, window } = this.#options;
    if (latencyLimitMs === undefined) return undefined;
    const points = loadPoints(window('throughputPerSecond'), window('responseTimeMs'), window('inFlight'));
    const track = this.#signals.get('throughputPerSecond')?.track;
    const arrivals = track?.path(Math.max(1, Math.ceil(horizonMs / track.stepMs))) ?? [];
    return { points, latencyLimitMs, arrivals };
  }
}

/** Minutes with a throughput and a latency. Where nobody counts what is in flight, Little's law does: `N = X · R`. */
function loadPoints(
  throughput: Window | undefined,
  latency: Window | undefined,
  inFlight: Window | undefined,
): readonly LoadPoint[] {
  if (throughput === undefined || latency === undefined) return [];
  const latencies = byTime(latency);
  const counted = inFlight === undefined ? new Map<number, number>() : byTime(inFlight);
  return Array.from(throughput.timesMs).flatMap((atMs, i) => {
    const throughputPerSecond = throughput.values[i]!;
    const latencyMs = latencies.get(atMs);
    if (latencyMs === undefined || !(throughputPerSecond > 0) || !(latencyMs > 0)) return [];
    const concurrency = counted.get(atMs) ?? (throughputPerSecond * latencyMs) / 1_000;
    return Number.isFinite(concurrency) ? [{ concurrency, throughputPerSecond, latencyMs }] : [];
  });
}

function byTime({ timesMs, values }: Window): ReadonlyMap<number, number> {
  return new Map(Array.from(timesMs, (atMs, i) => [atMs, values[i]!]));
}

/** The end of a signal's name, as UCUM. */
function unitOf(signal: WatchedSignal): string {
  if (signal.endsWith('PerSecond')) return signal === 'throughputPerSecond' ? '{request}/s' : '{token}/s';
  if (signal.endsWith('MiB')) return 'MiB';
  if (signal.endsWith('Percent')) return '%';
  if (signal.endsWith('Ratio')) return '1';
  return signal.includes('Ms') ? 'ms' : '{request}';
}
