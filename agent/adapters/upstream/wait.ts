/** What `work` comes to, or `undefined` once the signal aborts. Leaves nothing behind on either. */
export function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(undefined);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Ends early when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    if (signal.aborted) over();
    else signal.addEventListener('abort', over, { once: true });
  });
}

/**
 * Aborts with the deadline, and after `ms` at the latest. (`AbortSignal.any` with `AbortSignal.timeout` says the same, but
 * in Node.js 24 the garbage collector may take it away before its time: measured, minutes instead of seconds.)
 */
export function sooner(deadline: AbortSignal, ms: number): AbortSignal {
  const controller = new AbortController();
  const abort = (): void => {
    clearTimeout(timer);
    deadline.removeEventListener('abort', abort);
    controller.abort();
  };
  const timer = setTimeout(abort, ms);
  timer.unref();
  if (deadline.aborted) abort();
  else deadline.addEventListener('abort', abort, { once: true });
  return controller.signal;
}
