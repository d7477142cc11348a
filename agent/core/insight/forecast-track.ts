import { Ensemble, type EnsembleSettings } from '../forecast/ensemble.ts';
import type { Expert, ForecasterState, Interval } from '../forecast/forecaster.ts';
import { Rollup } from '../forecast/rollup.ts';
import type { Coverage } from './finding.ts';

export interface TrackPlan {
  readonly stepMs: number;
  readonly experts: readonly Expert[];
  readonly settings: EnsembleSettings;
}

export interface TrackState {
  readonly rollup: ReturnType<Rollup['save']>;
  readonly pending: readonly (number | null)[];
  readonly forecaster: ForecasterState | null;
  readonly next: Interval | null;
  readonly held: number;
  readonly judged: number;
}

/** Of how many intervals the measured coverage speaks at most: the newer half counts once that many were judged. */
const MOST_JUDGED = 400;

/**
 * One signal on one grid of steps: rolls values up, hands finished steps to the ensemble when it is told to work, and
 * counts how often a value lay in the interval that was given for it one step ahead.
 */
export class ForecastTrack {
  readonly #plan: TrackPlan;
  readonly #rollup: Rollup;
  #pending: number[];
  #ensemble: Ensemble | undefined;
  /** An ensemble as saved: made on first use, because its calibration takes milliseconds. */
  #asSaved: ForecasterState | undefined;
  #next: Interval | undefined;
  #held: number;
  #judged: number;

  constructor(plan: TrackPlan, saved?: TrackState) {
    this.#plan = plan;
    this.#rollup = new Rollup(plan.stepMs);
    if (saved !== undefined) this.#rollup.restore(saved.rollup);
    this.#pending = (saved?.pending ?? []).map((v) => v ?? Number.NaN);
    this.#asSaved = saved?.forecaster ?? undefined;
    this.#next = saved?.next ?? undefined;
    this.#held = saved?.held ?? 0;
    this.#judged = saved?.judged ?? 0;
  }

  get stepMs(): number {
    return this.#plan.stepMs;
  }

  take(value: number, atMs: number): void {
    this.#pending.push(...this.#rollup.push(value, atMs));
  }

  get isDue(): boolean {
    return this.#pending.length > 0;
  }

  /** Learns one finished step. */
  work(): void {
    const value = this.#pending.shift();
    if (value === undefined) return;
    this.#judge(value);
    const forecaster = this.#forecaster();
    forecaster.update(value);
    this.#next = forecaster.forecast(1)[0];
  }

  /** The steps from the one under way on; empty while there is too little history. */
  path(steps: number): readonly Interval[] {
    this.#catchUp();
    return this.#forecaster().forecast(steps);
  }

  /** When the step under way began: where `path` begins. */
  get openMs(): number | undefined {
    const { step } = this.#rollup.save();
    return step === null ? undefined : step * this.#plan.stepMs;
  }

  /** Steps of history. */
  get samples(): number {
    return (this.#ensemble?.length ?? this.#asSaved?.values.length ?? 0) + this.#pending.length;
  }

  get coverage(): Coverage {
    const measured = this.#judged === 0 ? {} : { measured: this.#held / this.#judged };
    return { nominal: this.#plan.settings.confidence, ...measured, samples: this.#judged };
  }

  /** History from elsewhere, oldest first, for a track that has none of its own. */
  warm(steps: ArrayLike<number>): boolean {
    if (this.samples > 0) return false;
    this.#forecaster().fit(steps);
    return true;
  }

  save(): TrackState {
    return {
      rollup: this.#rollup.save(),
      pending: this.#pending.map((v) => (Number.isFinite(v) ? v : null)),
      forecaster: this.#ensemble?.save() ?? this.#asSaved ?? null,
      next: this.#next ?? null,
      held: this.#held,
      judged: this.#judged,
    };
  }

  #catchUp(): void {
    while (this.#pending.length > 0) this.work();
  }

  #judge(value: number): void {
    if (this.#next === undefined || !Number.isFinite(value)) return;
    if (this.#judged >= MOST_JUDGED) {
      this.#held /= 2;
      this.#judged /= 2;
    }
    this.#judged++;
    if (value >= this.#next.low && value <= this.#next.high) this.#held++;
  }

  #forecaster(): Ensemble {
    if (this.#ensemble === undefined) {
      this.#ensemble = new Ensemble(this.#plan.experts, this.#plan.settings, this.#asSaved);
      this.#asSaved = undefined;
    }
    return this.#ensemble;
  }
}
