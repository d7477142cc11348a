/** The time of day for the whole agent: one reading of it per step goes into the core. */
export interface Clock {
  /** Milliseconds since the Unix epoch, whole. Never goes back, except at a step. */
  nowMs(): number;
  /** How often the system clock was seen to jump. */
  readonly steps: number;
}

interface Sources {
  readonly wallMs: () => number;
  /** Runs at the rate of time and knows no date. */
  readonly monotonicMs: () => number;
}

/** NTP slews what is less (below half a second); a jump of more was set by hand, by NTP at boot, or is a resume. */
const STEP_MS = 1_000;

/**
 * Runs on the monotonic clock from an anchor on the wall clock, so that a small correction never turns a duration
 * negative. When the wall clock has jumped by more than a second, the anchor is set anew and the jump is counted:
 * the processes that are observed have jumped too, and their timestamps must go on meaning the same instant.
 */
export function createClock(
  sources: Sources = { wallMs: () => Date.now(), monotonicMs: () => performance.now() },
): Clock {
  let anchorWallMs = sources.wallMs();
  let anchorMonotonicMs = sources.monotonicMs();
  let steps = 0;
  return {
    nowMs() {
      const monotonicMs = sources.monotonicMs();
      const wallMs = sources.wallMs();
      const expectedMs = anchorWallMs + (monotonicMs - anchorMonotonicMs);
      if (Math.abs(wallMs - expectedMs) <= STEP_MS) return Math.floor(expectedMs);
      anchorWallMs = wallMs;
      anchorMonotonicMs = monotonicMs;
      steps++;
      return Math.floor(wallMs);
    },
    get steps() {
      return steps;
    },
  };
}
