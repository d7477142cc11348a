import { type Finding, type MonitorState, SeriesMonitor } from '../detect/monitor.ts';
import type { QuietReason } from '../detect/quiet-time.ts';
import type { Pattern } from '../pattern/pattern.ts';
import { PatternWatch, type WatchState } from '../pattern/watch.ts';
import type { SignalReading, WatchedSignal } from '../profile/watched_signal.ts';
import type { AnalyticsSettings } from '../settings.ts';
import { WATCH_LIST } from './watch-list.ts';

/** Patterns are looked for in minutes: six hours of them. */
export const PATTERN_STEP_MS = 60_000;
/** A leak that takes longer to the limit is not worth a word yet. */
const LEAK_HORIZON_MS = 14 * 86_400_000;
/** Between two looks at a metric; first looks are spread over it. */
const LOOK_EVERY_STEPS = 30;

export interface SignalInsightState {
  readonly nextInterval: number;
  readonly latest: SignalReading | null;
  /** When that was. */
  readonly heardMs: number;
  readonly monitor: MonitorState | null;
  readonly watch: WatchState | null;
}

/** One signal of one component as a series: what is odd in it and what is lasting, as far as the settings want to know. */
export class SignalInsight {
  readonly signal: WatchedSignal;
  readonly #monitor: SeriesMonitor | undefined;
  readonly #watch: PatternWatch | undefined;
  /** Number of the first interval that was not taken in yet. */
  nextInterval: number;
  #latest: SignalReading | undefined;
  #heardMs: number;

  /** `place`: of this signal among all, to spread their looks over time. */
  constructor(
    signal: WatchedSignal,
    settings: AnalyticsSettings,
    place: number,
    nextInterval: number,
    saved?: SignalInsightState,
  ) {
    const plan = WATCH_LIST[signal];
    this.signal = signal;
    this.nextInterval = saved?.nextInterval ?? nextInterval;
    this.#latest = saved?.latest ?? undefined;
    this.#heardMs = saved?.heardMs ?? 0;
    if (settings.anomalyDetection) {
      this.#monitor = new SeriesMonitor(signal, {
        policy: { kind: 'budget', alertsPerDay: settings.falseAlertsPerDay },
        minimumEffect: plan.minimumEffect,
      });
      if (saved?.monitor) this.#monitor.restore(saved.monitor);
    }
    if (settings.patternRecognition) {
      this.#watch = new PatternWatch(
        {
          stepMs: PATTERN_STEP_MS,
          firstLookSteps: LOOK_EVERY_STEPS + ((7 * place) % LOOK_EVERY_STEPS),
          ...(plan.mayLeak && { leak: { horizonMs: LEAK_HORIZON_MS } }),
        },
        saved?.watch ?? undefined,
      );
      this.#watch.limit = this.#latest?.limit;
    }
  }

  /** The newest value, and the limit with it. */
  get latest(): SignalReading | undefined {
    return this.#latest;
  }

  /** When the newest value was measured. */
  get heardMs(): number {
    return this.#heardMs;
  }

  observe(
    reading: SignalReading,
    atMs: number,
  ): { readonly findings: readonly Finding[]; readonly news: readonly Pattern[] } {
    this.#latest = reading;
    this.#heardMs = atMs;
    const findings = this.#monitor?.observe(reading.value, atMs) ?? [];
    if (this.#watch === undefined) return { findings, news: [] };
    this.#watch.limit = reading.limit;
    return { findings, news: this.#watch.take(reading.value, atMs) };
  }

  /** `completeMs`: up to where everything that was sent has arrived. */
  tick(completeMs: number): readonly Finding[] {
    return WATCH_LIST[this.signal].alwaysThere ? (this.#monitor?.tick(completeMs) ?? []) : [];
  }

  get isLookDue(): boolean {
    return this.#watch?.isDue === true;
  }

  look(): readonly Pattern[] {
    return this.#watch?.look() ?? [];
  }

  get patterns(): readonly Pattern[] {
    return this.#watch?.current() ?? [];
  }

  /** The last six hours by the minute; empty where patterns are not wanted. */
  get window(): { readonly timesMs: ArrayLike<number>; readonly values: ArrayLike<number> } {
    return this.#watch?.window() ?? { timesMs: [], values: [] };
  }

  excuse(reason: QuietReason, fromMs: number, untilMs: number): void {
    this.#monitor?.excuse(reason, fromMs, untilMs);
    if (reason.kind === 'restart') this.#watch?.restarted();
  }

  resume(atMs: number): void {
    this.#monitor?.resume(atMs);
  }

  acknowledge(): void {
    this.#monitor?.acknowledge();
  }

  get isWarmingUp(): boolean {
    return this.#monitor?.warmingUp ?? false;
  }

  save(): SignalInsightState {
    return {
      nextInterval: this.nextInterval,
      latest: this.#latest ?? null,
      heardMs: this.#heardMs,
      monitor: this.#monitor?.save() ?? null,
      watch: this.#watch?.save() ?? null,
    };
  }
}
