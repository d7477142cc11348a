/** Runs once after a delay; returns the way to call it off. An argument, so that tests can run it by hand. */
export type After = (delayMs: number, run: () => void) => () => void;

export const afterInRealTime: After = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
};
