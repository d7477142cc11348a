import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

const NS_PER_S = 1e9;
/** How often lateness is measured: fifty wake-ups a second, measured at two thousandths of a core. */
const RESOLUTION_MS = 20;

/**
 * How busy and how late the event loop is: a loop that stalls stalls control. Lateness is measured from the first reading on,
 * so that an agent that nobody scrapes does not pay for it.
 */
export class LoopWatch {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  stop(): void {
    this.#delay.disable();
  }

  /** Lateness beyond the timer's own interval, since this was last asked. Times are totals. */
  read() {
    const { active, idle } = performance.eventLoopUtilization();
    const seconds = (ns: number): number => Math.max(0, ns / NS_PER_S - RESOLUTION_MS / 1_000);
    const { max } = this.#delay;
    const delay = {
      p50: seconds(this.#delay.percentile(50)),
      p99: seconds(this.#delay.percentile(99)),
      max: seconds(max),
    };
    this.#delay.reset();
    this.#delay.enable();
    return { loop: { activeSeconds: active / 1_000, idleSeconds: idle / 1_000 }, loopDelaySeconds: delay };
  }
}
