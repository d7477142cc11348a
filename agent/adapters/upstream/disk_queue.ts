import { Worker } from 'node:worker_threads';
import type { FromDisk, InsertRow, Levels, ToDisk, TurnResult } from './disk_protocol.ts';
import type { MemoryQueue } from './memory_queue.ts';
import type { Entry, NewEntry, Queue, QueueLevel, QueueObserver } from './queue.ts';
import { KEPT, type Kept, TELEMETRY_SIGNALS, type TelemetrySignal } from './raw_sink.ts';

export interface DiskQueueOptions {
  readonly path: string;
  readonly maxBytes: number;
  readonly nowMs: () => number;
  readonly observer: QueueObserver;
  /** Takes requests while the disk refuses them. */
  readonly fallback: MemoryQueue;
  /** A corrupt file was put there, and the queue starts empty. */
  readonly onSetAside: (path: string) => void;
}

/** What may wait for the disk; beyond, senders are asked to come back. */
const MAX_PENDING_BYTES = 64 * 1024 * 1024;
/** One transaction's worth. More waits for the next, so that an answer never waits for a very large write. */
const MAX_TURN_BYTES = 8 * 1024 * 1024;
/** Removals alone do not hurry: under load they ride with the next requests, and a `kill -9` costs duplicates at most. */
const REMOVAL_DELAY_MS = 25;
const BUSY_RETRY_MS = 1_000;
const HEAP_LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 };

interface Pending {
  readonly entry: NewEntry;
  readonly answer: (kept: Kept) => void;
}

/**
 * The queue on the disk, as the agent's own thread sees it. One turn is under way at a time; whatever comes meanwhile is
 * collected for the next. So a lone request is answered after one write, and a thousand at once after two.
 *
 *   put, remove, take ──▶ collected ──turn──▶ thread: one transaction ──result──▶ answers, entries
 *
 * When the disk refuses, requests are kept in memory and answered all the same, each counted as unsaved: what can still
 * be delivered is worth more than a promise about the next crash. Every later turn tries the disk again.
 */
export class DiskQueue implements Queue {
  readonly #options: DiskQueueOptions;
  readonly #waiting = new Map<TelemetrySignal, (entries: readonly Entry[]) => void>();
  /** Signals of which the file may hold requests that were not handed out. */
  readonly #stocked = new Set<TelemetrySignal>();
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #removals: number[] = [];
  #levels: Levels | undefined;
  #worker: Worker | undefined;
  #turn: readonly Pending[] | undefined;
  #turnRemovals: readonly number[] = [];
  #turnWants: readonly TelemetrySignal[] = [];
  #scheduled: NodeJS.Immediate | undefined;
  #removalTimer: NodeJS.Timeout | undefined;
  #onIdle: (() => void) | undefined;
  #isClosed = false;

  constructor(options: DiskQueueOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { path, maxBytes, nowMs, onSetAside } = this.#options;
    // Like this file, the thread's is .ts where Node runs the sources and .js in the build.
    const file = new URL(import.meta.url.endsWith('.ts') ? './disk_worker.ts' : './disk_worker.js', import.meta.url);
    const worker = new Worker(file, {
      workerData: { path, maxBytes, nowMs: nowMs() },
      resourceLimits: HEAP_LIMITS,
      execArgv: [],
    });
    const opened = Promise.withResolvers<void>();
    worker.on('message', (message: FromDisk) => {
      switch (message.kind) {
        case 'opened':
          this.#levels = message.levels;
          for (const signal of TELEMETRY_SIGNALS) if (message.levels[signal].requests > 0) this.#stocked.add(signal);
          if (message.setAside !== undefined) onSetAside(message.setAside);
          opened.resolve();
          return;
        case 'unusable':
          opened.reject(new Error(message.message));
          return;
        case 'done':
          this.#done(message.result);
          return;
        case 'failed':
          this.#failed(message.message);
      }
    });
    worker.on('error', (error) => {
      opened.reject(error);
      this.#lost(error instanceof Error ? error.message : String(error));
    });
    worker.on('exit', () => this.#lost('its thread has ended'));
    await opened.promise;
    this.#worker = worker;
    this.#schedule();
  }

  put(entry: NewEntry): Kept | Promise<Kept> {
    if (this.#worker === undefined) return this.#keepInMemory(entry);
    if (this.#pendingBytes > 0 && this.#pendingBytes + entry.body.length > MAX_PENDING_BYTES) {
      return { state: 'refused', retryAfterMs: BUSY_RETRY_MS };
    }
    return new Promise((answer) => {
      this.#pending.push({ entry, answer });
      this.#pendingBytes += entry.body.length;
      this.#schedule();
    });
  }

  take(signal: TelemetrySignal): Promise<readonly Entry[]> {
    if (this.#isClosed) return Promise.resolve([]);
    return new Promise((resolve) => {
      this.#waiting.set(signal, resolve);
      if (this.#stocked.has(signal) && this.#worker !== undefined) this.#schedule();
      else this.#serveFromMemory(signal);
    });
  }

  remove(entry: Entry): void {
    if (this.#options.fallback.remove(entry)) return;
    this.#removals.push(entry.seq);
    this.#removalTimer ??= setTimeout(() => this.#schedule(), REMOVAL_DELAY_MS);
  }

  level(signal: TelemetrySignal): QueueLevel {
    const inMemory = this.#options.fallback.level(signal);
    const onDisk = this.#levels?.[signal] ?? { requests: 0, bytes: 0 };
    return { requests: onDisk.requests + inMemory.requests, bytes: onDisk.bytes + inMemory.bytes };
  }

  async close(deadline: AbortSignal): Promise<void> {
    this.#isClosed = true;
    for (const resolve of this.#waiting.values()) resolve([]);
    this.#waiting.clear();
    await this.#options.fallback.close();
    const worker = this.#worker;
    if (worker === undefined) return;
    const closed = Promise.withResolvers<void>();
    const breakOff = (): void => void worker.terminate().then(() => closed.resolve());
    worker.once('exit', () => closed.resolve());
    this.#onIdle = () => worker.postMessage({ kind: 'close' } satisfies ToDisk);
    if (deadline.aborted) breakOff();
    else deadline.addEventListener('abort', breakOff, { once: true });
    this.#schedule();
    await closed.promise;
    deadline.removeEventListener('abort', breakOff);
  }

  /** At the end of this round of the event loop, so that requests that arrived together share a transaction. */
  #schedule(): void {
    if (this.#scheduled !== undefined || this.#turn !== undefined || this.#worker === undefined) return;
    this.#scheduled = setImmediate(() => {
      this.#scheduled = undefined;
      this.#begin();
    });
  }

  #begin(): void {
    clearTimeout(this.#removalTimer);
    this.#removalTimer = undefined;
    const turn = this.#takePending();
    const inserting = new Set(turn.map(({ entry }) => entry.signal));
    const wants = [...this.#waiting.keys()].filter((signal) => this.#stocked.has(signal) || inserting.has(signal));
    if (turn.length === 0 && this.#removals.length === 0 && wants.length === 0) {
      this.#onIdle?.();
      this.#onIdle = undefined;
      return;
    }
    const blob = new Uint8Array(turn.reduce((sum, { entry }) => sum + entry.body.length, 0));
    const inserts: InsertRow[] = [];
    let at = 0;
    for (const { entry } of turn) {
      const { body, ...row } = entry;
      blob.set(body, at);
      at += body.length;
      inserts.push({ ...row, bytes: body.length });
    }
    this.#turn = turn;
    this.#turnRemovals = this.#removals;
    this.#removals = [];
    this.#turnWants = wants;
    const message: ToDisk = { kind: 'turn', turn: { removals: this.#turnRemovals, inserts, blob, wants } };
    this.#worker?.postMessage(message, [blob.buffer]);
  }

  #takePending(): readonly Pending[] {
    let bytes = 0;
    let count = 0;
    for (const { entry } of this.#pending) {
      if (count > 0 && bytes + entry.body.length > MAX_TURN_BYTES) break;
      bytes += entry.body.length;
      count += 1;
    }
    return this.#pending.splice(0, count);
  }

  #done({ found, blob, evicted, levels }: TurnResult): void {
    const { observer } = this.#options;
    const turn = this.#turn ?? [];
    this.#settle(turn);
    this.#levels = levels;
    observer.disk(undefined);
    for (const signal of TELEMETRY_SIGNALS) if (evicted[signal] > 0) observer.dropped(signal, evicted[signal]);
    for (const { entry } of turn) this.#stocked.add(entry.signal);
    for (const { answer } of turn) answer(KEPT);

    const handed = new Map<TelemetrySignal, Entry[]>();
    let at = 0;
    for (const { bytes, ...row } of found) {
      const body = blob.subarray(at, at + bytes);
      at += bytes;
      const entries = handed.get(row.signal) ?? [];
      entries.push({ ...row, body });
      handed.set(row.signal, entries);
    }
    for (const [signal, resolve] of [...this.#waiting]) {
      const entries = handed.get(signal);
      if (entries !== undefined) {
        this.#waiting.delete(signal);
        resolve(entries);
      } else if (this.#turnWants.includes(signal)) {
        // Asked for, and nothing found. One that began to wait during the turn has its answer still to come.
        this.#stocked.delete(signal);
        this.#serveFromMemory(signal);
      }
    }
    this.#continue();
  }

  #failed(message: string): void {
    const { observer } = this.#options;
    const turn = this.#turn ?? [];
    this.#settle(turn);
    // Once closing there is no later turn for them: they are sent again after the restart, and counted then.
    this.#removals = this.#isClosed ? [] : [...this.#turnRemovals, ...this.#removals];
    observer.disk(message);
    for (const { entry, answer } of turn) answer(this.#keepInMemory(entry));
    for (const signal of [...this.#waiting.keys()]) this.#serveFromMemory(signal);
    // What wants to be read or removed tries again with the next request, or here, not in a hurry.
    if (this.#pending.length > 0 || this.#onIdle !== undefined) this.#continue();
    else this.#removalTimer ??= setTimeout(() => this.#schedule(), BUSY_RETRY_MS);
  }

  /** The thread is gone: from here on everything stays in memory. */
  #lost(reason: string): void {
    if (this.#worker === undefined) return;
    this.#worker = undefined;
    clearTimeout(this.#removalTimer);
    if (this.#isClosed) return;
    this.#options.observer.disk(reason);
    const stranded = [...(this.#turn ?? []), ...this.#pending.splice(0)];
    this.#settle(stranded);
    for (const { entry, answer } of stranded) answer(this.#keepInMemory(entry));
    for (const signal of [...this.#waiting.keys()]) this.#serveFromMemory(signal);
  }

  #settle(turn: readonly Pending[]): void {
    this.#turn = undefined;
    for (const { entry } of turn) this.#pendingBytes -= entry.body.length;
  }

  #continue(): void {
    const wants = [...this.#waiting.keys()].some((signal) => this.#stocked.has(signal));
    if (this.#pending.length > 0 || wants || this.#onIdle !== undefined) this.#schedule();
    else if (this.#removals.length > 0) {
      this.#removalTimer ??= setTimeout(() => this.#schedule(), REMOVAL_DELAY_MS);
    }
  }

  #keepInMemory(entry: NewEntry): Kept {
    const kept = this.#options.fallback.put(entry);
    this.#options.observer.unsaved(entry.signal);
    this.#serveFromMemory(entry.signal);
    return kept;
  }

  #serveFromMemory(signal: TelemetrySignal): void {
    const resolve = this.#waiting.get(signal);
    if (resolve === undefined) return;
    const entries = this.#options.fallback.peek(signal);
    if (entries.length === 0) return;
    this.#waiting.delete(signal);
    resolve(entries);
  }
}
