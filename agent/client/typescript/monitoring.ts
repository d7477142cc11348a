/** What was measured of one request, and nothing else. */
export interface Monitored<Result, Allocation> {
  readonly result: Result;
  readonly executionTimeMs: number;
  /** Requests under way when this one began, itself included. */
  readonly inFlight: number;
  readonly allocation: Allocation;
}

/** Sums since the start. */
export interface MonitoringTotals {
  readonly inFlight: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Of those that succeeded. */
  readonly executionTimeMsTotal: number;
}

/** Times requests and counts those under way. */
export class Monitoring {
  readonly #nowMs: () => number;
  #inFlight = 0;
  #succeeded = 0;
  #failed = 0;
  #executionTimeMsTotal = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get totals(): MonitoringTotals {
    return {
      inFlight: this.#inFlight,
      succeeded: this.#succeeded,
      failed: this.#failed,
      executionTimeMsTotal: this.#executionTimeMsTotal,
    };
  }

  /** Runs `execute` and says how long it took. What it throws is thrown on, as it is. */
  async run<Request, Allocation, Result>(
    request: Request,
    allocation: Allocation,
    execute: (request: Request, allocation: Allocation) => Result | PromiseLike<Result>,
  ): Promise<Monitored<Result, Allocation>> {
    const inFlight = ++this.#inFlight;
    const startMs = this.#nowMs();
    try {
      const result = await execute(request, allocation);
      const executionTimeMs = this.#nowMs() - startMs;
      this.#succeeded++;
      this.#executionTimeMsTotal += executionTimeMs;
      return { result, executionTimeMs, inFlight, allocation };
    } catch (error) {
      this.#failed++;
      throw error;
    } finally {
      this.#inFlight--;
    }
  }
}
