import { median } from './proof.ts';
import type { Measurement } from './window.ts';

/** Measurements of the incumbent, the yardstick of everything tried: the last few windows only, since load moves. */
export class Reference {
  readonly #capacity: number;
  #windows: { readonly y: number; readonly measurement: Measurement }[] = [];

  constructor(capacity = 8) {
    this.#capacity = capacity;
  }

  push(y: number, measurement: Measurement): void {
    this.#windows.push({ y, measurement });
    if (this.#windows.length > this.#capacity) this.#windows.shift();
  }

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

  /** Standard deviation of one window's log objective, robust (1.4826 MAD). */
  get noise(): number {
    const center = this.y;
    return 1.4826 * median(this.#windows.map((window) => Math.abs(window.y - center)));
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
