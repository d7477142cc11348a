import { median } from './proof.ts';
import type { Measurement } from './window.ts';

const WINDOWS_KEPT = 8;
const STEPS_KEPT = 24;
/** A window's mean of a few hundred requests at moderate load. */
const PRIOR_NOISE = 0.08;
const PRIOR_STEPS = 3;

/** Measurements of the incumbent, the yardstick of everything tried: the last few windows only, since load moves. */
export class Reference {
  #windows: { readonly y: number; readonly measurement: Measurement }[] = [];
  /** Steps between one window and the next, over a longer time than the level is trusted for. */
  readonly #steps: number[] = [];

  push(y: number, measurement: Measurement): void {
    const before = this.#windows.at(-1);
    if (before !== undefined) this.#steps.push(y - before.y);
    if (this.#steps.length > STEPS_KEPT) this.#steps.shift();
    this.#windows.push({ y, measurement });
    if (this.#windows.length > WINDOWS_KEPT) this.#windows.shift();
  }

  /** The level is no longer to be trusted; what is known of the noise stays. */
  clear(): void {
    this.#windows = [];
  }

  get size(): number {
    return this.#windows.length;
  }

  /** Median log objective. */
  get y(): number {
    return median(this.#windows.map((window) => window.y));
  }

  /**
   * Standard deviation of one window's log objective: the larger of 1.4826 · median |step| / √2 over a long time, and of
   * 1.4826 · median |y − level| over the last windows, which shows noise that wanders. With few steps seen it leans on the
   * prior of `PRIOR_NOISE`, worth as many steps as `PRIOR_STEPS`.
   */
  get noise(): number {
    const seen = this.#steps.length;
    const level = this.y;
    const steps = seen === 0 ? 0 : (1.4826 * median(this.#steps.map(Math.abs))) / Math.SQRT2;
    const wander = seen < 3 ? 0 : 1.4826 * median(this.#windows.map((window) => Math.abs(window.y - level)));
    const measured = Math.max(steps, wander);
    return Math.sqrt((seen * measured ** 2 + PRIOR_STEPS * PRIOR_NOISE ** 2) / (seen + PRIOR_STEPS));
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
    };
  }
}
