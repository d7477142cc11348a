import { type EnsembleSettings, HOURLY } from '../forecast/ensemble.ts';
import { panel } from '../forecast/experts/panel.ts';
import { type Breach, type Limit, timeToLimit } from '../forecast/limits.ts';
import type { WatchedSignal } from '../profile/watched_signal.ts';
import type { Forecast, ForecastBreach } from './finding.ts';
import { ForecastTrack, type TrackPlan, type TrackState } from './forecast-track.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Minutes ahead: a day of five-minute steps, an hour ahead, no cycles. */
const FIVE_MINUTES: EnsembleSettings = { ...HOURLY, seasons: [], horizon: 12, maxHistory: 288, refitAfter: 12 };
const HOURS: TrackPlan = { stepMs: HOUR_MS, experts: panel(HOURLY.seasons), settings: HOURLY };
const MINUTES: TrackPlan = { stepMs: 5 * MINUTE_MS, experts: panel(FIVE_MINUTES.seasons), settings: FIVE_MINUTES };

/** Up to this far ahead the five-minute steps answer, beyond it the hours. */
const FINE_HORIZON_MS = 2 * HOUR_MS;
/** The farthest that anybody may ask. */
export const FARTHEST_MS = 14 * DAY_MS;
/** How far ahead breaches are looked for, by grid. */
const BREACH_HORIZON_MS = { minutes: HOUR_MS, hours: 2 * DAY_MS };
/** One breach is told again after a day at the earliest. */
const TELL_AGAIN_MS = DAY_MS;

export interface SignalForecastState {
  readonly hours: TrackState;
  readonly minutes: TrackState;
  readonly toldMs: number | null;
}

/** One signal by the hour (five weeks of them) and by five minutes (a day). */
export class SignalForecast {
  readonly #component: string;
  readonly #signal: WatchedSignal;
  readonly #hours: ForecastTrack;
  readonly #minutes: ForecastTrack;
  #toldMs: number;

  constructor(component: string, signal: WatchedSignal, saved?: SignalForecastState) {
    this.#component = component;
    this.#signal = signal;
    this.#hours = new ForecastTrack(HOURS, saved?.hours);
    this.#minutes = new ForecastTrack(MINUTES, saved?.minutes);
    this.#toldMs = saved?.toldMs ?? Number.NEGATIVE_INFINITY;
  }

  take(value: number, atMs: number): void {
    this.#hours.take(value, atMs);
    this.#minutes.take(value, atMs);
  }

  get isDue(): boolean {
    return this.#hours.isDue || this.#minutes.isDue;
  }

  /** Learns one finished step; with a limit, says when it will be reached for certain. */
  work(nowMs: number, now: number, limit: Limit | undefined): ForecastBreach | undefined {
    const isFine = this.#minutes.isDue;
    const track = isFine ? this.#minutes : this.#hours;
    track.work();
    if (limit === undefined || track.isDue || nowMs - this.#toldMs < TELL_AGAIN_MS) return undefined;
    const horizonMs = isFine ? BREACH_HORIZON_MS.minutes : BREACH_HORIZON_MS.hours;
    const breach = timeToLimit(track.path(Math.ceil(horizonMs / track.stepMs)), limit, track.stepMs);
    // What is beyond the limit already is an anomaly or an alarm, and no forecast.
    const isBeyond = limit.side === 'above' ? now >= limit.value : now <= limit.value;
    if (breach.latestMs === undefined || isBeyond) return undefined;
    this.#toldMs = nowMs;
    const [component, signal] = [this.#component, this.#signal];
    const explanation = explainBreach(signal, now, limit, breach);
    return { component, signal, limit, timeToLimit: breach, atMs: nowMs, now, explanation };
  }

  /** Undefined while there is too little history (nine steps). */
  forecast(nowMs: number, horizonMs: number, limit: Limit | undefined): Forecast | undefined {
    const first = horizonMs <= FINE_HORIZON_MS ? this.#minutes : this.#hours;
    const second = first === this.#minutes ? this.#hours : this.#minutes;
    return this.#from(first, nowMs, horizonMs, limit) ?? this.#from(second, nowMs, horizonMs, limit);
  }

  /** For capacity reports: hours, or five minutes while there are too few hours. */
  get track(): ForecastTrack {
    return this.#hours.path(1).length > 0 ? this.#hours : this.#minutes;
  }

  /** Hourly history from before the agent started, oldest first, `NaN` for gaps. */
  warm(hours: ArrayLike<number>): boolean {
    return this.#hours.warm(hours);
  }

  save(): SignalForecastState {
    return {
      hours: this.#hours.save(),
      minutes: this.#minutes.save(),
      toldMs: Number.isFinite(this.#toldMs) ? this.#toldMs : null,
    };
  }

  #from(track: ForecastTrack, nowMs: number, horizonMs: number, limit: Limit | undefined): Forecast | undefined {
    const { openMs, stepMs } = track;
    if (openMs === undefined) return undefined;
    const at = nowMs + horizonMs;
    const index = Math.floor((at - openMs) / stepMs);
    const path = track.path(index + 1);
    const target = path[index];
    if (target === undefined) return undefined;
    const skipped = Math.max(0, Math.floor((nowMs - openMs) / stepMs));
    const ahead = path.slice(skipped);
    return {
      component: this.#component,
      signal: this.#signal,
      ...{ at, value: target.median, low: target.low, high: target.high, coverage: track.coverage },
      ...(limit !== undefined && { limit, timeToLimit: timeToLimit(ahead, limit, stepMs) }),
      ...{ madeAtMs: nowMs, horizonMs, stepMs, samples: track.samples },
      path: ahead.map(({ median, low, high }, i) => ({
        atMs: openMs + (skipped + i + 1) * stepMs,
        ...{ value: median, low, high },
      })),
    };
  }
}

function explainBreach(signal: WatchedSignal, now: number, limit: Limit, breach: Breach): string {
  const hours = (ms: number | undefined): string => (ms === undefined ? '?' : (ms / HOUR_MS).toPrecision(2));
  const { soonestMs, expectedMs, latestMs } = breach;
  return (
    `${signal} is ${Number(now.toPrecision(4))} and reaches its limit of ${Number(limit.value.toPrecision(4))} in about ` +
    `${hours(expectedMs)} h (${hours(soonestMs)} to ${hours(latestMs)} h)`
  );
}
