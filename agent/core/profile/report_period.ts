/** How long a report is remembered: until one to two of these have passed. */
const MEMORY_MS = 600_000;
/** What is longer is no habit but an outage. */
const LONGEST_MS = 300_000;

/**
 * How often the slowest of several senders reports: the longest distance between two of its reports, of the last ten to
 * twenty minutes. What happened that long ago is known completely, and what happened since only in part.
 */
export class ReportPeriod {
  #longest = 0;
  #longestBefore = 0;
  #sinceMs = Number.NEGATIVE_INFINITY;

  note(distanceMs: number, nowMs: number): void {
    if (nowMs - this.#sinceMs >= MEMORY_MS || nowMs < this.#sinceMs) {
      this.#longestBefore = this.#longest;
      this.#longest = 0;
      this.#sinceMs = nowMs;
    }
    if (distanceMs > this.#longest && distanceMs <= LONGEST_MS) this.#longest = distanceMs;
  }

  get ms(): number {
    return Math.max(this.#longest, this.#longestBefore);
  }
}
