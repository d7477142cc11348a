/** Time as the client sees it. Tests bring their own. */
export interface Clock {
  /** Monotonic: never goes back, whatever is done to the wall clock. */
  nowMs(): number;
  /** Runs once after a delay, never keeping the process alive for it. Returns the way to call it off. */
  after(delayMs: number, run: () => void): () => void;
}

/** setTimeout takes 31 bits; a longer wait is cut, so whoever waits checks the clock when it wakes up. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(MAX_DELAY_MS, Math.max(0, delayMs)));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
