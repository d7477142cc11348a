import type { Setting } from '../model.ts';
import { beliefOf } from './belief.ts';
import { logLoad } from './reference.ts';
import { type Axis, encode } from './space.ts';
import { type Difference, Surface, type WindowAhead } from './surface.ts';
import type { Measurement } from './window.ts';

/**
 * How the objective responds to some knobs, as all windows have shown it, whoever asked for them: searches, proofs, other strategies'
 * trials, and the incumbent's while nothing is tried. A search looks around by it, and what others would try is judged by it first.
 *
 * Its curves are those of one place: at other values of the other knobs, or with other signals, the level is another one and the
 * curves may be. So it learns only at its place; a search at another one takes it there (`Surface.elsewhere`).
 *
 * The noise σ² of a window follows the surprises e: of each, the share that is noise, `(σ²/S)² e² + σ² v/S` with S = σ² + v and v the
 * surface's own variance (expectation maximisation). A surprise counts up to two standard deviations, so that a spike neither moves
 * the surface far nor blinds the search.
 *
 * Units: y is the log objective. Sources: Dempster, Laird and Rubin 1977; Huber 1964; `surface.ts` for the model.
 *
 * Example: σ = .05, v = .05², e = .1 → σ² becomes .9 · .0025 + .1 · (.0025 + .00125) = .0026.
 */
const NOISE_MEMORY = 0.9;
const NOISE_FLOOR = 0.01;
const HUBER = 2;
/**
 * Of the incumbent's noise: as much as windows elsewhere vary by. A search whose surface is wrong takes its errors for noise, and would
 * bear with anything: on a server that had come out of saturation with settings 350 % worse for sixty windows.
 */
export const MOST_NOISE = 2;
/** As many as a search takes at least before it says anything. */
const LEAST_WINDOWS = 16;

/** One window, as the response sees it. */
export interface ResponseWindow {
  readonly y: number;
  /** ln of the load. */
  readonly x: number;
  readonly atMs: number;
}

/** What a change is expected to do to the log objective; negative is better. */
export interface Foreseen {
  readonly mean: number;
  readonly sd: number;
}

export function responseWindow(y: number, measurement: Measurement): ResponseWindow {
  return { y, x: logLoad(measurement), atMs: measurement.endMs };
}

export class Response {
  readonly axes: readonly Axis[];
  readonly #surface: Surface;
  #place: string | undefined;
  #noiseVariance: number;
  /** ln of the load of the last window: the next one's is not known yet. */
  #x = 0;
  #windows = 0;

  /** `noise`: standard deviation of a window's log objective. */
  constructor(axes: readonly Axis[], noise: number, windowMs: number) {
    this.axes = axes;
    this.#surface = new Surface(axes.map(beliefOf), windowMs);
    this.#noiseVariance = Math.max(noise, NOISE_FLOOR) ** 2;
  }

  /** Whether it is of these knobs, in these ranges. */
  isOf(axes: readonly Axis[]): boolean {
    return (
      axes.length === this.axes.length &&
      axes.every(({ id, min, max }, i) => {
        const own = this.axes[i];
        return id === own.id && min === own.min && max === own.max;
      })
    );
  }

  /** A search begins at a setting (of all knobs), where a window of the objective of these signals has this noise. */
  open(setting: Setting, signals: string, noise: number): void {
    const place = this.#placeOf(setting, signals);
    if (this.#place !== undefined) {
      const here = Math.max(noise, NOISE_FLOOR) ** 2;
      this.#noiseVariance = Math.min((this.#noiseVariance + here) / 2, MOST_NOISE ** 2 * here);
      if (this.#place !== place) this.#surface.elsewhere();
    }
    this.#place = place;
  }

  /** When the last window ended of which it knows. */
  get atMs(): number {
    return this.#surface.atMs;
  }

  /** Standard deviation of one window's log objective. */
  get noise(): number {
    return Math.sqrt(this.#noiseVariance);
  }

  /** A window at a setting (of all knobs); at another place it says nothing. */
  observe(setting: Setting, signals: string, { y, x, atMs }: ResponseWindow): void {
    if (this.#place !== this.#placeOf(setting, signals)) return;
    this.#x = x;
    this.#windows++;
    const expected = this.#surface.expect({ u: this.encode(setting), y, x, atMs });
    const { mean, variance } = expected;
    const noise = this.#noiseVariance;
    const total = variance + noise;
    const bound = HUBER * Math.sqrt(total);
    const surprise = Math.max(-bound, Math.min(bound, y - mean));
    // A wild window is believed less: as if its noise were larger by as much as it was cut.
    const wildness = Math.max(1, Math.abs(y - mean) / bound);
    this.#surface.learn(expected, surprise, noise * wildness);
    const seen = (noise / total) ** 2 * surprise ** 2 + (noise * variance) / total;
    this.#noiseVariance = Math.max(NOISE_FLOOR ** 2, NOISE_MEMORY * noise + (1 - NOISE_MEMORY) * seen);
  }

  /** Of the curves a share is believed from now on: they were learned under other circumstances. */
  doubt(kept: number): void {
    this.#surface.doubt(kept);
  }

  /** What was best is so no longer: the level is another as well. */
  overturned(kept: number): void {
    this.#surface.elsewhere();
    this.#surface.doubt(kept);
  }

  /**
   * What going from one setting to another is expected to do; undefined where other knobs differ too, of which it knows nothing, and
   * after a few windows: a level that drifts meanwhile is taken for the work of a knob.
   */
  foresee(from: Setting, to: Setting): Foreseen | undefined {
    const isKnown = Object.entries(to).every(
      ([id, value]) => value === from[id] || this.axes.some((axis) => axis.id === id),
    );
    if (!isKnown || this.#windows < LEAST_WINDOWS) return undefined;
    const [here, there] = [this.encode(from), this.encode({ ...from, ...to })];
    return {
      mean: this.#surface.effect(there) - this.#surface.effect(here),
      sd: this.#surface.deviation(there, here),
    };
  }

  /** A window at `u`, at the present load; ask again after each that was taken. */
  windowAt(u: readonly number[]): WindowAhead {
    return this.#surface.windowAt(u, this.#x);
  }

  difference(u: readonly number[], here: WindowAhead): Difference {
    return this.#surface.difference(u, here, this.#noiseVariance);
  }

  effect(u: readonly number[]): number {
    return this.#surface.effect(u);
  }

  /** Standard deviation of what `u` does against `from`. */
  deviation(u: readonly number[], from: readonly number[]): number {
    return this.#surface.deviation(u, from);
  }

  /** What a window at `u` would show at a load (ln). */
  at(u: readonly number[], x: number): number {
    return this.#surface.at(u, x);
  }

  encode(setting: Setting): readonly number[] {
    return this.axes.map((axis) => encode(axis, Number(setting[axis.id])));
  }

  #placeOf(setting: Setting, signals: string): string {
    const others = Object.entries(setting).filter(([id]) => this.axes.every((axis) => axis.id !== id));
    return JSON.stringify([signals, others]);
  }
}
