/** Milliseconds on the machine's monotonic clock: the same in every thread and process, whatever the wall clock does. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
