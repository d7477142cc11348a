import type { Entry, NewEntry, Queue, QueueLevel, QueueObserver } from './queue.ts';
import { KEPT, type Kept, TELEMETRY_SIGNALS, type TelemetrySignal } from './raw_sink.ts';

/** Beside its body each request costs objects. */
const OVERHEAD_BYTES = 256;

interface Lane {
  readonly entries: Entry[];
  /** The first entry is with the sender: it is not pushed out. */
  isTaken: boolean;
  bytes: number;
  waiting: ((entries: readonly Entry[]) => void) | undefined;
}

/** A queue that dies with the process. Its one limit is for all signals together, and the oldest of all goes first. */
export class MemoryQueue implements Queue {
  readonly #maxBytes: number;
  readonly #observer: Pick<QueueObserver, 'dropped'>;
  readonly #lanes = new Map<TelemetrySignal, Lane>();
  #bytes = 0;
  #seq = 0;
  #isClosed = false;

  constructor(maxBytes: number, observer: Pick<QueueObserver, 'dropped'>) {
    this.#maxBytes = maxBytes;
    this.#observer = observer;
    for (const signal of TELEMETRY_SIGNALS) {
      this.#lanes.set(signal, { entries: [], isTaken: false, bytes: 0, waiting: undefined });
    }
  }

  async open(): Promise<void> {}

  put(entry: NewEntry): Kept {
    const lane = this.#lane(entry.signal);
    const size = sizeOf(entry);
    this.#makeRoom(size);
    this.#seq += 1;
    lane.entries.push({ ...entry, seq: this.#seq, isRepeat: false });
    lane.bytes += size;
    this.#bytes += size;
    const { waiting } = lane;
    if (waiting !== undefined) {
      lane.waiting = undefined;
      waiting(this.peek(entry.signal));
    }
    return KEPT;
  }

  take(signal: TelemetrySignal): Promise<readonly Entry[]> {
    const found = this.peek(signal);
    if (found.length > 0 || this.#isClosed) return Promise.resolve(found);
    return new Promise((resolve) => {
      this.#lane(signal).waiting = resolve;
    });
  }

  /** As `take`, without waiting. */
  peek(signal: TelemetrySignal): readonly Entry[] {
    const lane = this.#lane(signal);
    const [first] = lane.entries;
    if (first === undefined || this.#isClosed) return [];
    lane.isTaken = true;
    return [first];
  }

  /** Whether it was here. */
  remove(entry: Entry): boolean {
    const lane = this.#lane(entry.signal);
    if (lane.entries[0] !== entry) return false;
    this.#shift(lane);
    lane.isTaken = false;
    return true;
  }

  level(signal: TelemetrySignal): QueueLevel {
    const { entries, bytes } = this.#lane(signal);
    return { requests: entries.length, bytes };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const lane of this.#lanes.values()) {
      lane.waiting?.([]);
      lane.waiting = undefined;
    }
  }

  /** A request larger than everything allowed is alone here for a while: `maxBytes` is exceeded by one request at most. */
  #makeRoom(size: number): void {
    while (this.#bytes + size > this.#maxBytes) {
      let oldest: { signal: TelemetrySignal; lane: Lane; entry: Entry; at: number } | undefined;
      for (const [signal, lane] of this.#lanes) {
        const at = lane.isTaken ? 1 : 0;
        const entry = lane.entries[at];
        if (entry !== undefined && (oldest === undefined || entry.seq < oldest.entry.seq)) {
          oldest = { signal, lane, entry, at };
        }
      }
      if (oldest === undefined) return;
      const { signal, lane, entry, at } = oldest;
      if (at === 0) this.#shift(lane);
      else this.#discard(lane, entry, at);
      this.#observer.dropped(signal, 1);
    }
  }

  #shift(lane: Lane): void {
    const entry = lane.entries.shift();
    if (entry !== undefined) this.#free(lane, entry);
  }

  #discard(lane: Lane, entry: Entry, at: number): void {
    lane.entries.splice(at, 1);
    this.#free(lane, entry);
  }

  #free(lane: Lane, entry: Entry): void {
    lane.bytes -= sizeOf(entry);
    this.#bytes -= sizeOf(entry);
  }

  #lane(signal: TelemetrySignal): Lane {
    const lane = this.#lanes.get(signal);
    if (lane === undefined) throw new Error(`no lane for ${signal}`);
    return lane;
  }
}

function sizeOf({ body }: Pick<Entry, 'body'>): number {
  return body.length + OVERHEAD_BYTES;
}
