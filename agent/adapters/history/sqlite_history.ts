import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type HistoryQuery, MAX_ROWS } from '../../core/history/reader.ts';
import { HOUR_MS, MINUTE_MS, merged, type Rollup, rollupOf } from '../../core/history/rollup.ts';
import { type HistorySignal, isHistorySignal } from '../../core/history/signal.ts';
import { LogSketch } from '../../core/history/sketch.ts';
import { pragma } from '../sqlite.ts';
import { openFile } from './file.ts';
import type { History, HistoryCounts } from './history.ts';

export interface HistoryOptions {
  readonly path: string;
  /** The file never grows beyond; the oldest rows go first. */
  readonly maxBytes: number;
  readonly retentionMs: number;
  readonly nowMs: number;
  readonly log: Logger;
}

/** Rows of one transaction: 1 to 4 ms. Measured: a component's minute takes 0.3 ms, that of 64 components 60 ms in such turns. */
const TURN_ROWS = 64;
/** Minutes that wait for a disk that refuses; beyond, the oldest are given up. */
const MAX_WAITING = 20_000;
/** An hour is made of its minutes this long after its end: later than any minute is still open. */
const HOUR_CLOSES_MS = 5 * MINUTE_MS;
/** Room is made when the file is this full, a tenth of the time it spans at once. */
const FULL_SHARE = 0.9;

/** Opens or creates the file; a corrupt one is set aside, loudly. Throws where it cannot be had. */
export function openHistory(options: HistoryOptions): History {
  const { path, maxBytes, nowMs, log } = options;
  const { database, setAside } = openFile(path, maxBytes, nowMs);
  if (setAside !== undefined)
    log.error({ path, aside: setAside }, 'the history is corrupt: set aside, a new one begins');
  return new SqliteHistory(database, options);
}

class SqliteHistory implements History {
  readonly #database: DatabaseSync;
  readonly #options: HistoryOptions;
  readonly #series = new Map<string, number>();
  readonly #newSeries: StatementSync;
  readonly #upsert: StatementSync;
  readonly #range: StatementSync;
  /** Of an earlier run of the agent: the minutes in which it ended. What this run sees of them is added to it. */
  readonly #earlier = new Map<string, Rollup>();
  readonly #waiting = new Map<string, Rollup>();
  readonly counts: HistoryCounts = { written: 0, unwritten: 0, evicted: 0, pruned: 0 };
  /** Before this, hours are rows; from here on they are made of minutes when they are asked for. */
  #hoursUntilMs: number;
  #problem: string | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(database: DatabaseSync, options: HistoryOptions) {
    this.#database = database;
    this.#options = options;
    this.#newSeries = database.prepare(
      `INSERT INTO series (component, signal) VALUES (?, ?)
       ON CONFLICT (component, signal) DO UPDATE SET signal = excluded.signal RETURNING id`,
    );
    this.#upsert = database.prepare(
      `INSERT INTO rollups (series, step_ms, start_ms, count, sum, min, max, sketch) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (series, step_ms, start_ms) DO UPDATE SET count = excluded.count, sum = excluded.sum,
         min = excluded.min, max = excluded.max, sketch = excluded.sketch`,
    );
    this.#range = database.prepare(
      `SELECT start_ms, count, sum, min, max, sketch FROM rollups
       WHERE series = ? AND step_ms = ? AND start_ms >= ? AND start_ms < ? ORDER BY start_ms LIMIT ?`,
    );
    this.#learnSeries();
    const { nowMs } = options;
    database
      .prepare(`INSERT INTO meta VALUES ('hours_until_ms', ?) ON CONFLICT DO NOTHING`)
      .run(Math.floor(nowMs / HOUR_MS) * HOUR_MS);
    this.#hoursUntilMs = Number(database.prepare(`SELECT value FROM meta WHERE key = 'hours_until_ms'`).get()?.value);
    const openMs = nowMs - HOUR_CLOSES_MS;
    for (const of of this.kept()) {
      const rows = this.#rows(of, MINUTE_MS, openMs, Number.MAX_SAFE_INTEGER, MAX_ROWS);
      for (const row of rows) this.#earlier.set(rowKey(row), row);
    }
  }

  get bytes(): number {
    return pragma(this.#database, 'page_count') * pragma(this.#database, 'page_size');
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  kept(): readonly { readonly component: string; readonly signal: HistorySignal }[] {
    return [...this.#series.keys()].flatMap((key) => {
      const { component, signal } = subjectOf(key);
      return isHistorySignal(signal) ? [{ component, signal }] : [];
    });
  }

  read({ stepMs, fromMs, toMs, limit = MAX_ROWS, ...of }: HistoryQuery): readonly Rollup[] {
    const most = Math.max(0, Math.min(limit, MAX_ROWS));
    if (stepMs === MINUTE_MS) return this.#rows(of, MINUTE_MS, fromMs, toMs, most);
    const hours = [...this.#rows(of, HOUR_MS, fromMs, Math.min(toMs, this.#hoursUntilMs), most)];
    const openMs = Math.max(Math.ceil(fromMs / HOUR_MS) * HOUR_MS, this.#hoursUntilMs);
    for (let startMs = openMs; startMs < toMs && hours.length < most; ) {
      const minutes = this.#rows(of, MINUTE_MS, startMs, startMs + HOUR_MS, MAX_ROWS);
      const hour = merged({ startMs, stepMs: HOUR_MS }, minutes);
      if (hour !== undefined) hours.push(hour);
      const next = minutes.length > 0 ? startMs + HOUR_MS : this.#nextMinute(of, startMs + HOUR_MS);
      startMs = Math.floor(next / HOUR_MS) * HOUR_MS;
    }
    return hours;
  }

  keep(minutes: readonly Rollup[], nowMs: number): Promise<void> {
    return this.#inTurn(async () => {
      await this.#makeRoom();
      this.#await(minutes);
      while (this.#waiting.size > 0) {
        this.#write([...this.#waiting.values()].slice(0, TURN_ROWS));
        await setImmediate();
      }
      for (const [key, { startMs }] of this.#earlier) if (startMs < nowMs - HOUR_MS) this.#earlier.delete(key);
      await this.#makeHours(nowMs);
    });
  }

  prune(nowMs: number): Promise<void> {
    return this.#inTurn(async () => {
      this.counts.pruned += await this.#deleteBefore(nowMs - this.#options.retentionMs);
      this.#transaction(() => {
        const gone = 'DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM rollups WHERE series = id)';
        const rows = this.#database.prepare(`${gone} RETURNING component, signal`).all();
        for (const { component, signal } of rows) this.#series.delete(seriesKey(String(component), String(signal)));
      });
      this.#database.exec('PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA optimize');
    });
  }

  close(minutes: readonly Rollup[]): void {
    if (!this.#database.isOpen) return;
    try {
      this.#await(minutes);
      this.#write([...this.#waiting.values()]);
    } catch (error) {
      this.#failed(error);
    }
    this.#database.close();
  }

  /** One piece of work after the other; what fails is told, and tried again when it comes again. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(async () => {
      if (!this.#database.isOpen) return;
      try {
        await work();
        if (this.#problem !== undefined) this.#options.log.info({ path: this.#options.path }, 'history is kept again');
        this.#problem = undefined;
      } catch (error) {
        if (this.#database.isOpen) this.#failed(error);
      }
    });
    return this.#work;
  }

  #failed(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (this.#problem === undefined) this.#options.log.error({ err: error }, 'history cannot be written; trying again');
    this.#problem = reason;
  }

  #await(minutes: readonly Rollup[]): void {
    for (const row of minutes) {
      const key = rowKey(row);
      const earlier = this.#earlier.get(key);
      this.#waiting.set(key, (earlier && merged(row, [earlier, row])) ?? row);
    }
    for (const key of this.#waiting.keys()) {
      if (this.#waiting.size <= MAX_WAITING) break;
      this.#waiting.delete(key);
      this.counts.unwritten += 1;
    }
  }

  #write(rows: readonly Rollup[]): void {
    this.#transaction(() => {
      for (const row of rows) this.#put(row);
    });
    for (const row of rows) if (this.#waiting.get(rowKey(row)) === row) this.#waiting.delete(rowKey(row));
    this.counts.written += rows.length;
  }

  #put({ component, signal, stepMs, startMs, count, sum, min, max, sketch }: Rollup): void {
    const key = seriesKey(component, signal);
    let id = this.#series.get(key);
    if (id === undefined) {
      id = Number(this.#newSeries.get(component, signal)?.id);
      this.#series.set(key, id);
    }
    this.#upsert.run(id, stepMs, startMs, count, sum, min ?? null, max ?? null, sketch?.encode() ?? null);
  }

  async #makeHours(nowMs: number): Promise<void> {
    const oldestMs = Math.floor((nowMs - this.#options.retentionMs) / HOUR_MS) * HOUR_MS;
    for (let startMs = Math.max(this.#hoursUntilMs, oldestMs); startMs + HOUR_MS + HOUR_CLOSES_MS <= nowMs; ) {
      for (const of of this.kept()) {
        const hour = merged(
          { startMs, stepMs: HOUR_MS },
          this.#rows(of, MINUTE_MS, startMs, startMs + HOUR_MS, MAX_ROWS),
        );
        if (hour === undefined) continue;
        this.#transaction(() => this.#put(hour));
        this.counts.written += 1;
        await setImmediate();
      }
      startMs += HOUR_MS;
      this.#transaction(() =>
        this.#database
          .prepare(`INSERT INTO meta VALUES ('hours_until_ms', ?) ON CONFLICT DO UPDATE SET value = excluded.value`)
          .run(startMs),
      );
      this.#hoursUntilMs = startMs;
    }
  }

  async #makeRoom(): Promise<void> {
    const { maxBytes } = this.#options;
    for (let tries = 0; tries < 10; tries++) {
      const free = pragma(this.#database, 'freelist_count') * pragma(this.#database, 'page_size');
      if (this.bytes - free <= FULL_SHARE * maxBytes) return;
      const { oldest, newest } =
        this.#database.prepare('SELECT MIN(start_ms) AS oldest, MAX(start_ms) AS newest FROM rollups').get() ?? {};
      if (typeof oldest !== 'number' || typeof newest !== 'number') return;
      const gone = await this.#deleteBefore(oldest + Math.max(MINUTE_MS, (newest - oldest) / 10));
      this.counts.evicted += gone;
      this.#options.log.warn({ gone, maxBytes }, 'history has reached its limit on disk: the oldest of it is deleted');
    }
  }

  /** Series by series, so that the event loop is never held up for long. */
  async #deleteBefore(beforeMs: number): Promise<number> {
    const remove = this.#database.prepare('DELETE FROM rollups WHERE series = ? AND step_ms = ? AND start_ms < ?');
    let gone = 0;
    for (const id of [...this.#series.values()]) {
      for (const stepMs of [MINUTE_MS, HOUR_MS]) gone += Number(remove.run(id, stepMs, Math.floor(beforeMs)).changes);
      await setImmediate();
    }
    return gone;
  }

  #rows(
    { component, signal }: Pick<Rollup, 'component' | 'signal'>,
    stepMs: number,
    fromMs: number,
    toMs: number,
    limit: number,
  ): readonly Rollup[] {
    const id = this.#series.get(seriesKey(component, signal));
    if (id === undefined || !(fromMs < toMs)) return [];
    const rows = this.#range.all(id, stepMs, Math.ceil(fromMs), Math.ceil(toMs), limit);
    return rows.map((row) => decoded(row, { component, signal, stepMs }));
  }

  /** Start of the first minute at or after; infinite where there is none. */
  #nextMinute(of: Pick<Rollup, 'component' | 'signal'>, fromMs: number): number {
    return this.#rows(of, MINUTE_MS, fromMs, Number.MAX_SAFE_INTEGER, 1)[0]?.startMs ?? Number.POSITIVE_INFINITY;
  }

  #learnSeries(): void {
    this.#series.clear();
    for (const { id, component, signal } of this.#database.prepare('SELECT * FROM series').all()) {
      this.#series.set(seriesKey(String(component), String(signal)), Number(id));
    }
  }

  #transaction(work: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#database.exec('COMMIT');
    } catch (error) {
      // SQLite itself rolls back on some errors, a full disk among them.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      this.#learnSeries();
      throw error;
    }
  }
}

function decoded(row: Record<string, SQLOutputValue>, of: Pick<Rollup, 'component' | 'signal' | 'stepMs'>): Rollup {
  const { min, max, sketch } = row;
  const base = { ...of, startMs: Number(row.start_ms), count: Number(row.count), sum: Number(row.sum) };
  return rollupOf(
    base,
    min === null ? Number.NaN : Number(min),
    max === null ? Number.NaN : Number(max),
    sketch instanceof Uint8Array ? LogSketch.decode(sketch) : undefined,
  );
}

function rowKey({ component, signal, stepMs, startMs }: Rollup): string {
  return `${startMs}/${stepMs}/${seriesKey(component, signal)}`;
}

/** Signals have no slash in their names. */
function seriesKey(component: string, signal: string): string {
  return `${signal}/${component}`;
}

function subjectOf(key: string): { readonly component: string; readonly signal: string } {
  const at = key.indexOf('/');
  return { signal: key.slice(0, at), component: key.slice(at + 1) };
}
