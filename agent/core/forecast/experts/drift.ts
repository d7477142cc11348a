import type { Expert } from '../forecaster.ts';

/**
 * A random walk with drift: goes on as it went over the last `window` steps, `ŷ(t+h) = y(t) + h · (y(t) − y(t−w)) / w`.
 * What the damped trends lack: memory that leaks for days and disks that fill do not slow down by themselves. Fails on
 * everything with a cycle, and is then heard by nobody: its errors at past origins decide.
 */
export function drift(window: number): Expert {
  return {
    name: `drift_${window}`,
    minHistory: Math.min(window, 8) + 1,
    predict(history, horizon) {
      const last = history.length - 1;
      const span = Math.min(window, last);
      const slope = (history[last]! - history[last - span]!) / span;
      return Float64Array.from({ length: horizon }, (_, i) => history[last]! + (i + 1) * slope);
    },
  };
}
