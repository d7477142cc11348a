import type { GpuDevice, GpuSource, SourceName } from './reading.ts';

/** After a failure, and doubled with each further one in a row. */
const FAILED_WAIT_MS = 1_000;
const MAX_FAILED_WAIT_MS = 300_000;
/** A driver may be loaded later, by whatever sets the machine up. */
const ABSENT_WAIT_MS = 60_000;
const MAX_ABSENT_WAIT_MS = 600_000;
/** Failures in a row until the next source is tried: a short trouble is not worth a change. */
const PATIENCE = 3;

/** Told when something changed, not at every reading. */
export type GpuNotice =
  | { readonly kind: 'reading'; readonly source: SourceName; readonly devices: number }
  /** Why each of the sources tells nothing. */
  | { readonly kind: 'none'; readonly reasons: Readonly<Partial<Record<SourceName, string>>> }
  | { readonly kind: 'failed'; readonly source: SourceName; readonly reason: string; readonly retryInMs: number };

export interface ChoiceCounts {
  /** Readings that gave nothing though there was something, and single values that could not be read. */
  readonly failures: number;
  /** Of these, the ones that a watchdog ended. */
  readonly hangs: number;
}

interface Candidate {
  readonly source: GpuSource;
  waitUntilMs: number;
  failedInARow: number;
  absentInARow: number;
  reason: string;
}

/** The first source in order that tells something; those before it are asked again now and then. */
export class SourceChoice {
  readonly #candidates: readonly Candidate[];
  readonly #onNotice: (notice: GpuNotice) => void;
  #failures = 0;
  #hangs = 0;
  #said = '';
  #active: Candidate | undefined;
  #isClosed = false;

  constructor(sources: readonly GpuSource[], onNotice: (notice: GpuNotice) => void) {
    this.#candidates = sources.map((source) => ({
      source,
      waitUntilMs: Number.NEGATIVE_INFINITY,
      failedInARow: 0,
      absentInARow: 0,
      reason: '',
    }));
    this.#onNotice = onNotice;
  }

  get counts(): ChoiceCounts {
    return { failures: this.#failures, hangs: this.#hangs };
  }

  /** Empty when nothing is to be had now. `nowMs` of a clock that never jumps. */
  async read(nowMs: number): Promise<readonly GpuDevice[]> {
    for (const candidate of this.#candidates) {
      if (this.#isClosed) return [];
      const devices = nowMs < candidate.waitUntilMs ? undefined : await this.#ask(candidate, nowMs);
      if (devices !== undefined) {
        if (candidate !== this.#active) {
          void this.#active?.source.close();
          this.#active = candidate;
        }
        this.#tell(`${candidate.source.name} ${devices.length}`, {
          kind: 'reading',
          source: candidate.source.name,
          devices: devices.length,
        });
        return devices;
      }
      if (candidate.failedInARow > 0 && candidate.failedInARow < PATIENCE) return [];
    }
    if (this.#candidates.every(({ failedInARow }) => failedInARow === 0)) {
      const reasons = Object.fromEntries(this.#candidates.map(({ source, reason }) => [source.name, reason]));
      this.#tell('none', { kind: 'none', reasons });
    }
    return [];
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#candidates.map(({ source }) => source.close()));
  }

  async #ask(candidate: Candidate, nowMs: number): Promise<readonly GpuDevice[] | undefined> {
    const { source } = candidate;
    const answer = source.isLikely()
      ? await source.read()
      : ({ state: 'absent', reason: 'nothing of the kind is on this machine' } as const);
    // What was cut short by `close` says nothing about the source.
    if (this.#isClosed) return undefined;
    if (answer.state === 'read') {
      this.#failures += answer.failures;
      candidate.failedInARow = 0;
      candidate.absentInARow = 0;
      return answer.devices;
    }
    candidate.reason = answer.reason;
    if (answer.state === 'absent') {
      candidate.failedInARow = 0;
      candidate.waitUntilMs = nowMs + doubled(ABSENT_WAIT_MS, candidate.absentInARow, MAX_ABSENT_WAIT_MS);
      candidate.absentInARow += 1;
      return undefined;
    }
    this.#failures += 1;
    if (answer.hung === true) this.#hangs += 1;
    const retryInMs = doubled(FAILED_WAIT_MS, candidate.failedInARow, MAX_FAILED_WAIT_MS);
    candidate.waitUntilMs = nowMs + retryInMs;
    candidate.failedInARow += 1;
    this.#said = '';
    this.#onNotice({ kind: 'failed', source: source.name, reason: answer.reason, retryInMs });
    return undefined;
  }

  #tell(what: string, notice: GpuNotice): void {
    if (this.#isClosed || what === this.#said) return;
    this.#said = what;
    this.#onNotice(notice);
  }
}

function doubled(firstMs: number, times: number, maxMs: number): number {
  return Math.min(maxMs, firstMs * 2 ** times);
}
