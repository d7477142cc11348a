const NS_PER_MS = 1_000_000;
// 2^32 ns = 4294 ms and 967,296 ns.
const MS_PER_HIGH = 4294;
const NS_PER_HIGH = 967_296;

/**
 * A Unix time in nanoseconds (fixed64), split into milliseconds and the nanoseconds within, without loss and without
 * bigints: `high · 2^32 + low = high · 4294 ms + (high · 967,296 + low) ns`, where the last sum stays below 2^53.
 */
export class Instant {
  ms = 0;
  subMsNs = 0;
  #low = 0;
  #high = 0;

  /** Reads the eight bytes at `at`. Neighbouring points mostly share their times, so the last one is remembered. */
  read(view: DataView, at: number): void {
    const low = view.getUint32(at, true);
    const high = view.getUint32(at + 4, true);
    if (low === this.#low && high === this.#high) return;
    this.#low = low;
    this.#high = high;
    const ns = high * NS_PER_HIGH + low;
    const wholeMs = Math.floor(ns / NS_PER_MS);
    this.ms = high * MS_PER_HIGH + wholeMs;
    this.subMsNs = ns - wholeMs * NS_PER_MS;
  }

  clear(): void {
    this.ms = 0;
    this.subMsNs = 0;
    this.#low = 0;
    this.#high = 0;
  }

  get isZero(): boolean {
    return this.ms === 0 && this.subMsNs === 0;
  }

  isAfter(other: Instant): boolean {
    return this.ms > other.ms || (this.ms === other.ms && this.subMsNs > other.subMsNs);
  }
}
