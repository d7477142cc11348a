/** Reading the resident memory costs some microseconds, so it is read at most this often, */
const READ_EVERY_MS = 20;
/** or when so many bytes came in since. */
const READ_EVERY_BYTES = 4 * 1024 * 1024;
const TRICKLE_EVERY_MS = 1_000;
const TRICKLE_MAX_BYTES = 256 * 1024;

export interface MemoryGateOptions {
  readonly maxResidentBytes: number;
  /** Resident memory of the process: the heap, and buffers beside it. */
  readonly residentBytes: () => number;
  readonly monotonicMs: () => number;
}

/**
 * Lets requests in while the process holds less memory than its ceiling.
 *
 * Resident memory and not the heap in use, because requests lie in buffers beside the heap. Above the ceiling one small
 * request a second still gets in: freed memory is only given back when garbage is collected, and that happens when
 * there is work; a gate that shut completely could stay shut for ever.
 */
export class MemoryGate {
  readonly #options: MemoryGateOptions;
  #isOver = false;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #bytesSince = 0;
  #trickleAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: MemoryGateOptions) {
    this.#options = options;
  }

  /** Whether a request of so many bytes may come in; infinite where its size is not known. */
  admits(bytes: number): boolean {
    const { maxResidentBytes, residentBytes, monotonicMs } = this.#options;
    const nowMs = monotonicMs();
    this.#bytesSince += Number.isFinite(bytes) ? bytes : 0;
    if (nowMs - this.#readAtMs >= READ_EVERY_MS || this.#bytesSince >= READ_EVERY_BYTES) {
      this.#isOver = residentBytes() > maxResidentBytes;
      this.#readAtMs = nowMs;
      this.#bytesSince = 0;
    }
    if (!this.#isOver) return true;
    if (bytes > TRICKLE_MAX_BYTES || nowMs - this.#trickleAtMs < TRICKLE_EVERY_MS) return false;
    this.#trickleAtMs = nowMs;
    return true;
  }
}

/** Share of a container's memory limit that the process may fill before requests are refused. */
const CONTAINER_SHARE = 0.8;

/** The configured ceiling, or less where the container allows less. `constrainedBytes`: 0 or absurd where there is no limit. */
export function memoryCeiling(configuredBytes: number, constrainedBytes: number): number {
  const isLimited = constrainedBytes > 0 && constrainedBytes < Number.MAX_SAFE_INTEGER;
  return isLimited ? Math.min(configuredBytes, Math.floor(CONTAINER_SHARE * constrainedBytes)) : configuredBytes;
}
