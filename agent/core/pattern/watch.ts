import { Rollup } from '../forecast/rollup.ts';
import { bimodal } from './bimodal.ts';
import { Cusum, type CusumState } from './cusum.ts';
import { MAX_STEPS } from './grid.ts';
import { type LeakState, LeakWatch } from './memory-leak.ts';
import type { Pattern, PatternType, Recogniser, Window } from './pattern.ts';
import { saturation } from './saturation.ts';
import { seasonality } from './seasonality.ts';
import { levelShift, varianceShift } from './shifts.ts';
import { spikeTrain } from './spike-train.ts';
import { trend } from './trend.ts';

/** Looks at most this often without being rung for. */
const LOOK_EVERY_STEPS = 30;
/** A metric that changes by less than this (in its logarithm: 2 %) has not changed enough to be told of. */
const LEAST_IMPACT_LOG = 0.02;
/** After the CUSUM rings: wait until the new regime has the steps that a shift needs. */
const LOOK_AFTER_ALARM_STEPS = 10;

export interface WatchSettings {
  readonly stepMs: number;
  /** Where the metric ends; lets saturation and leaks say when. */
  readonly limit?: number;
  /** The metric is memory that a process may fail to give back. */
  readonly leak?: { readonly horizonMs: number };
  /** Steps before the first look; differs between many watches so that they do not all look at once. */
  readonly firstLookSteps?: number;
}

export interface WatchState {
  readonly rollup: ReturnType<Rollup['save']>;
  readonly timesMs: readonly number[];
  readonly values: readonly (number | null)[];
  readonly cusum: CusumState;
  readonly dueIn: number;
  readonly leak: LeakState | null;
  readonly present: readonly Pattern[];
  readonly lastSeenMs: Readonly<Partial<Record<PatternType, number>>>;
  /** Of a look that is under way: the recognisers that have looked, and what they saw. */
  readonly looking?: { readonly looked: number; readonly seen: readonly Pattern[] };
}

/** What a gauge can show over six hours of minutes. */
export function recognisersFor(limit?: number): readonly Recogniser[] {
  return [trend, seasonality, levelShift, varianceShift, spikeTrain, saturation(limit), bimodal];
}

/**
 * The patterns of one metric as it comes: samples become steps, the last 360 steps are kept, and the recognisers look
 * at them every 30 steps, and 10 steps after a CUSUM alarm. Patterns that change the metric by under 2 % are left out. A
 * pattern is news when its type was not seen for one window's length. State: 360 values and times, under 7 KB, plus 4 KB for a leak's.
 */
export class PatternWatch {
  readonly #settings: WatchSettings;
  #limit: number | undefined;
  #recognisers: readonly Recogniser[];
  readonly #rollup: Rollup;
  readonly #leak: LeakWatch | undefined;
  #timesMs: number[];
  #values: number[];
  #cusum: Cusum;
  #dueIn: number;
  #present: readonly Pattern[];
  #looked: number;
  #seen: readonly Pattern[];
  #lastSeenMs: Partial<Record<PatternType, number>>;

  constructor(settings: WatchSettings, state?: WatchState) {
    const { limit, leak } = settings;
    this.#settings = settings;
    this.#limit = limit;
    this.#recognisers = recognisersFor(limit);
    this.#rollup = new Rollup(settings.stepMs, MAX_STEPS);
    if (state !== undefined) this.#rollup.restore(state.rollup);
    if (leak !== undefined) {
      const leakSettings = { ...leak, ...(limit !== undefined && { limit }) };
      this.#leak = new LeakWatch(leakSettings, state?.leak ?? undefined);
    }
    this.#timesMs = [...(state?.timesMs ?? [])];
    this.#values = (state?.values ?? []).map((v) => v ?? Number.NaN);
    this.#cusum = new Cusum(state?.cusum);
    this.#dueIn = state?.dueIn ?? settings.firstLookSteps ?? LOOK_EVERY_STEPS;
    this.#present = state?.present ?? [];
    this.#lastSeenMs = { ...state?.lastSeenMs };
    this.#looked = state?.looking?.looked ?? 0;
    this.#seen = state?.looking?.seen ?? [];
  }

  /** Patterns that are new with this sample; mostly none. */
  learn(value: number, atMs: number): readonly Pattern[] {
    const news: Pattern[] = [];
    const leak = this.#each(value, atMs, () => {
      while (this.isDue) news.push(...this.look());
    });
    return leak === undefined ? news : [leak, ...news];
  }

  /** The same without looking, for who has many to watch and looks at those that are due by turns. */
  take(value: number, atMs: number): readonly Pattern[] {
    const leak = this.#each(value, atMs, () => {});
    return leak === undefined ? [] : [leak];
  }

  /** Enough has come since the last look. */
  get isDue(): boolean {
    return this.#dueIn <= 0;
  }

  /**
   * One recogniser's part of a look, at the window as it is now: at most some milliseconds. With the last one's part come
   * the patterns that are new since the last look.
   */
  look(): readonly Pattern[] {
    const seen = this.#recognisers[this.#looked]!.recognise(this.window());
    if (seen !== undefined) this.#seen = [...this.#seen, seen];
    this.#looked++;
    if (this.#looked < this.#recognisers.length) return [];
    const all = this.#seen;
    this.#looked = 0;
    this.#seen = [];
    this.#dueIn = LOOK_EVERY_STEPS;
    return this.#tell(all);
  }

  /** Where the metric ends, once that is known. */
  set limit(limit: number | undefined) {
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#recognisers = recognisersFor(limit);
    if (this.#leak !== undefined) this.#leak.limit = limit;
  }

  /** The process behind the metric began anew. */
  restarted(): void {
    this.#leak?.restarted();
  }

  /** What is there now: the last look's, and the leak. */
  current(): readonly Pattern[] {
    const leak = this.#leak?.current();
    return leak === undefined ? this.#present : [...this.#present, leak];
  }

  /** The steps kept, for recognisers of two metrics. */
  window(): Window {
    return { timesMs: this.#timesMs, values: this.#values };
  }

  save(): WatchState {
    return {
      rollup: this.#rollup.save(),
      timesMs: [...this.#timesMs],
      values: this.#values.map((v) => (Number.isFinite(v) ? v : null)),
      cusum: this.#cusum.save(),
      dueIn: this.#dueIn,
      leak: this.#leak?.save() ?? null,
      present: this.#present,
      lastSeenMs: { ...this.#lastSeenMs },
      ...(this.#looked > 0 && { looking: { looked: this.#looked, seen: this.#seen } }),
    };
  }

  #each(value: number, atMs: number, onStep: () => void): Pattern | undefined {
    const leak = this.#leak?.learn(value, atMs);
    const steps = this.#rollup.push(value, atMs);
    const openMs = Math.floor(atMs / this.#settings.stepMs) * this.#settings.stepMs;
    for (const [i, step] of steps.entries()) {
      this.#take(step, openMs - (steps.length - i) * this.#settings.stepMs);
      onStep();
    }
    return leak;
  }

  #take(step: number, atMs: number): void {
    this.#timesMs.push(atMs);
    this.#values.push(step);
    if (this.#values.length > MAX_STEPS) {
      this.#timesMs.shift();
      this.#values.shift();
    }
    this.#dueIn--;
    if (this.#cusum.learn(step)) this.#dueIn = Math.min(this.#dueIn, LOOK_AFTER_ALARM_STEPS);
  }

  #tell(seen: readonly Pattern[]): readonly Pattern[] {
    const nowMs = this.#timesMs.at(-1)!;
    this.#present = seen.filter((p) => p.impactLog === undefined || Math.abs(p.impactLog) >= LEAST_IMPACT_LOG);
    const silence = MAX_STEPS * this.#settings.stepMs;
    return this.#present.filter((p) => {
      const seenMs = this.#lastSeenMs[p.type] ?? Number.NEGATIVE_INFINITY;
      this.#lastSeenMs[p.type] = nowMs;
      return nowMs - seenMs > silence;
    });
  }
}
