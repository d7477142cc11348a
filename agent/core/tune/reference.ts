import type { Setting } from '../model.ts';
import { Level } from './level.ts';
import { loadEffectOf } from './load_effect.ts';
import { median } from './proof.ts';
import { sameSetting } from './setting.ts';
import type { Measurement } from './window.ts';

/**
 * The incumbent's own windows: the yardstick of everything tried, how noisy a window is, and what the load does to it.
 *
 * Intuition. Between experiments nothing is tried, so every window is one more measurement of the incumbent, for nothing. The
 * objective moves with the load; comparing a window at noon with the incumbent at midnight would call every setting bad. So what is
 * expected of the incumbent is said for a load:
 *
 *   y(load) = median over the last windows of [ yᵢ + θ (ln load − ln loadᵢ) ]
 *
 * with θ of `load_effect.ts` (CUPED with a ridge). Load is requests finished per second, failed ones included; it serves alarms and the
 * wallet only, never a proof, because a setting that loses requests would look less loaded.
 *
 * Noise of one window: the larger of 1.4826 · median |step| / √2 over a long time, and of 1.4826 · median |y − level| over the last
 * windows, which shows noise that wanders; it leans on a prior of 8 % that is worth three steps.
 *
 * Units: log objective. When the level jumps without the load (a deploy) the windows before are no yardstick: a jump that `level.ts` sees
 * drops them, a smaller one is soon over, since few are kept.
 * Source: Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by utilizing pre-experiment data"
 * (WSDM 2013). Example: at θ = .8 a load 20 % higher raises what is expected by .15.
 */
const WINDOWS_KEPT = 12;
const STEPS_KEPT = 32;
/** The load's effect is learned over a longer time than the level is trusted for. */
const LOADS_KEPT = 64;
/** A window's mean of a few hundred requests at moderate load. */
const PRIOR_NOISE = 0.08;
const PRIOR_STEPS = 3;
/** A window is of now for so many of its lengths. */
const FRESH_WINDOWS = 3;
/** After a sudden change: those that have shown it. */
const NEW_WINDOWS = 2;

interface Window {
  readonly y: number;
  /** ln of the load; 0 where it is not known. */
  readonly x: number;
  readonly signals: string;
  readonly measurement: Measurement;
}

export class Reference {
  readonly #level = new Level();
  #at: Setting | undefined;
  /** Windows since the last experiment. */
  #undisturbed = 0;
  #windows: Window[] = [];
  #loads: { readonly x: number; readonly y: number }[] = [];
  readonly #steps: number[] = [];

  /** A window at the incumbent `at`; the windows of another incumbent are no yardstick for it. */
  push(y: number, signals: string, measurement: Measurement, at: Setting): void {
    if (this.#at === undefined || !sameSetting(this.#at, at)) {
      this.clear();
      this.#at = at;
    }
    const before = this.#windows.at(-1);
    if (before !== undefined && before.signals !== signals) this.clear();
    else if (before !== undefined) {
      this.#steps.push(y - before.y);
      if (this.#steps.length > STEPS_KEPT) this.#steps.shift();
    }
    this.#undisturbed++;
    const x = logLoad(measurement);
    this.#windows.push({ y, x, signals, measurement });
    if (this.#windows.length > WINDOWS_KEPT) this.#windows.shift();
    this.#loads.push({ x, y });
    if (this.#loads.length > LOADS_KEPT) this.#loads.shift();
    const hadRisen = this.risen !== undefined;
    this.#level.observe({ x, y }, signals, at, this.noise);
    this.load(measurement);
    // From here on the windows of before are no yardstick.
    if (this.risen !== undefined && !hadRisen) this.#windows = this.#windows.slice(-NEW_WINDOWS);
  }

  /** A window's load, whatever was in force. */
  load(measurement: Measurement): void {
    this.#level.load(logLoad(measurement));
  }

  /** A window of a proof at `at`, which may be the incumbent soon. */
  note(y: number, signals: string, measurement: Measurement, at: Setting): void {
    this.#level.note({ x: logLoad(measurement), y }, signals, at);
  }

  /** That the incumbent has all at once become worse, in words. */
  get risen(): string | undefined {
    return this.#level.risen;
  }

  /** That it was never compared with anything at such a load, in words. */
  get strange(): string | undefined {
    return this.#level.strange;
  }

  /** What was tried instead of it was far worse than expected of it. */
  suspect(): void {
    this.#level.suspect();
  }

  /** It was looked into: the level that it shows now is the incumbent's from now on. */
  acceptLevel(): void {
    this.#level.renew();
  }

  /** An experiment is over: the next one waits until the incumbent has been measured undisturbed. */
  experimentEnded(): void {
    this.#undisturbed = 0;
  }

  /** The level is no longer to be trusted; what is known of the noise stays. */
  clear(): void {
    this.#windows = [];
    this.#undisturbed = 0;
    this.#loads = [];
    this.#at = undefined;
  }

  /** The last windows at the incumbent, oldest first. */
  get windows(): readonly Pick<Window, 'y' | 'measurement'>[] {
    return this.#windows;
  }

  get size(): number {
    return this.#windows.length;
  }

  /** The objective's signals, where the last `windows` windows and more were undisturbed at `at`, the last not long before `nowMs`. */
  signalsIfFresh(at: Setting, windows: number, nowMs: number): string | undefined {
    const last = this.#windows.at(-1);
    if (last === undefined || this.#undisturbed < windows || this.#at === undefined || !sameSetting(this.#at, at))
      return undefined;
    const lengthMs = last.measurement.endMs - last.measurement.startMs;
    return nowMs - last.measurement.endMs <= FRESH_WINDOWS * lengthMs ? last.signals : undefined;
  }

  /** What the incumbent would show under the load of `measurement`. */
  expected(measurement: Measurement): number {
    return this.expectedAt(logLoad(measurement));
  }

  /** The same at a load given as its logarithm. */
  expectedAt(x: number): number {
    const effect = this.loadEffect;
    return median(this.#windows.map((window) => window.y + effect * (x - window.x)));
  }

  /** Log objective per log load. */
  get loadEffect(): number {
    return loadEffectOf(this.#loads, this.noise);
  }

  /** Standard deviation of one window's log objective. */
  get noise(): number {
    const seen = this.#steps.length;
    const level = median(this.#windows.map(({ y }) => y));
    const steps = seen === 0 ? 0 : (1.4826 * median(this.#steps.map(Math.abs))) / Math.SQRT2;
    const wander = this.size < 3 ? 0 : 1.4826 * median(this.#windows.map(({ y }) => Math.abs(y - level)));
    const measured = Math.max(steps, wander);
    return Math.sqrt((seen * measured ** 2 + PRIOR_STEPS * PRIOR_NOISE ** 2) / (seen + PRIOR_STEPS));
  }

  /** Of the level: a median's, from windows whose noise is taken for independent. */
  get standardError(): number {
    return (1.2533 * this.noise) / Math.sqrt(Math.max(1, this.size));
  }

  get errorRatio(): number {
    return median(this.#windows.map(({ measurement }) => measurement.errorRatio ?? 0));
  }

  get latencyMsP95(): number | undefined {
    const known = this.#windows.flatMap(({ measurement: { latencyMsP95 } }) => latencyMsP95 ?? []);
    return known.length === 0 ? undefined : median(known);
  }

  signals(): Readonly<Record<string, number>> {
    const last = this.#windows.at(-1)?.measurement;
    if (last === undefined) return {};
    const { latencyMsMean, latencyMsP95, requestsPerSecond, errorRatio } = last;
    return {
      ...(latencyMsMean !== undefined && { incumbentLatencyMsMean: latencyMsMean }),
      ...(latencyMsP95 !== undefined && { incumbentLatencyMsP95: latencyMsP95 }),
      ...(requestsPerSecond !== undefined && { requestsPerSecond }),
      ...(errorRatio !== undefined && { incumbentErrorRatio: errorRatio }),
      windowNoise: this.noise,
      loadEffect: this.loadEffect,
    };
  }
}

/** ln of the requests per second; 0 where they are not known. */
export function logLoad({ requestsPerSecond }: Measurement): number {
  return requestsPerSecond === undefined || requestsPerSecond <= 0 ? 0 : Math.log(requestsPerSecond);
}
