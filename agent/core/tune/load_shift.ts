/**
 * Notices when the usual load has gone elsewhere, so that what was learned at another load is believed less.
 *
 * Intuition. A batch that is best at night may be worst at noon. The models of the engine know the load as something that moves the
 * level, not as something that bends the curves; so when the load has moved for good, their curves are a guess again, and the surer they
 * were the more wrong they may be. Fluctuations and spikes must not count, or nothing would ever be learned.
 *
 *   usual ← usual + (ln load − usual) / 10       moved where |usual − usual when learned| ≥ ln 1.5
 *   of what was learned e^(−|shift|) is kept
 *
 * `level.ts` follows the load too, by a median of eight windows: whether a load is strange is asked to look into what is held, for which a spike
 * must not count at all. Here the sooner is the better. One of the two for both makes nothing simpler, and windows far worse than the default
 * more (p4-noisy and p8-trace, varied: .41 to .45 % and .05 to .10 %).
 *
 * Units: ln of requests a second. Fails for changes that do not show in the load: for these there is the freeze at anomalies and the
 * models' own memory. Source: an exponentially weighted moving average with a threshold (Roberts 1959).
 *
 * Example: five times the load → noticed after three windows, a half and soon after a fifth of what was learned is kept.
 */
const MEMORY_WINDOWS = 10;
const MOVED = Math.log(1.5);

export class LoadShift {
  #usual: number | undefined;
  #learnedAt: number | undefined;
  #noticedMs = Number.NEGATIVE_INFINITY;

  /** The load (ln) of a window; by how much it has moved, in the window in which this is noticed, else 0. */
  observe(load: number, atMs: number): number {
    this.#usual = this.#usual === undefined ? load : this.#usual + (load - this.#usual) / MEMORY_WINDOWS;
    this.#learnedAt ??= this.#usual;
    const shift = Math.abs(this.#usual - this.#learnedAt);
    if (shift < MOVED) return 0;
    this.#learnedAt = this.#usual;
    this.#noticedMs = atMs;
    return shift;
  }

  /** When it was last noticed. */
  get noticedMs(): number {
    return this.#noticedMs;
  }
}
