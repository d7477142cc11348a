import { performance } from 'node:perf_hooks';

/** Linux's `CLOCK_THREAD_CPUTIME_ID`. */
const THREAD_CPU_TIME = 3;

/**
 * Milliseconds of CPU time that the calling thread has had, to the microsecond: what else the machine does is not in it. Node's own
 * figure (`process.threadCpuUsage`) moves once a tick of the system, which is 4 ms. Where koffi or the GNU C library is missing it is
 * the clock on the wall.
 */
export const threadMs: () => number = (await openClock()) ?? (() => performance.now());

async function openClock(): Promise<(() => number) | undefined> {
  try {
    const { default: koffi } = await import('koffi');
    const gettime = koffi.load('libc.so.6').func('clock_gettime', 'int', ['int', 'void *']);
    // Seconds and nanoseconds, 64 bits each, of which the upper halves are empty. An array of numbers, because big ones are garbage.
    const time = new Uint32Array(4);
    return () => {
      gettime(THREAD_CPU_TIME, time);
      return 1_000 * time[0] + time[2] / 1_000_000;
    };
  } catch {
    return undefined;
  }
}
