import { renameSync, rmSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { asidePath, createPrivate, pragma, resultCode, SQLITE } from '../sqlite.ts';
import type { DiskOptions, FoundRow, InsertRow, Levels, Turn, TurnResult } from './disk_protocol.ts';
import { TELEMETRY_SIGNALS, type TelemetrySignal } from './raw_sink.ts';

/** Marks a file as ours (`PerU`), so that a wrong path never adds tables to somebody else's database. */
const APPLICATION_ID = 0x50657255;
const VERSION = 1;
/** Rows handed out at once: enough to keep a sender busy, little enough to hold in memory. */
const HAND_OUT_BYTES = 512 * 1024;
const HAND_OUT_ROWS = 64;
/** Beside its body a row costs its columns and its place in the index. */
const ROW_BYTES = 64;
/** Room in the file beside the requests. */
const SPARE_BYTES = 256 * 1024;
/** Freed pages beyond this are given back once the queue has run empty. */
const SHRINK_BEYOND_PAGES = 1_024;

const SCHEMA = `
  PRAGMA auto_vacuum = INCREMENTAL;
  PRAGMA application_id = ${APPLICATION_ID};
  BEGIN;
  CREATE TABLE requests (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    signal INTEGER NOT NULL,
    json INTEGER NOT NULL,
    at_ms REAL NOT NULL,
    via TEXT NOT NULL,
    body BLOB NOT NULL
  ) STRICT;
  CREATE INDEX requests_by_signal ON requests (signal);
  CREATE TABLE handed (signal INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
  PRAGMA user_version = ${VERSION};
  COMMIT;
`;

interface Lane {
  readonly signal: TelemetrySignal;
  readonly number: number;
  requests: number;
  bytes: number;
  /** Highest sequence number handed out; in the file too, so that a later run knows what may have been delivered. */
  handed: number;
  /** Up to here, handed out by an earlier run. */
  readonly repeats: number;
}

/**
 * The queue's SQLite file. Everything that waits at one moment (new requests, removals, wishes for more) is one transaction,
 * so that under load many senders share one write to the disk. Synchronous: it runs in a thread of its own.
 *
 * Only transactions with new requests wait for the disk itself (`synchronous = FULL`): when the power fails a lost removal
 * costs a duplicate, and a lost request would break a promise. Against `kill -9` both are safe.
 */
export class DiskStore {
  readonly #database: DatabaseSync;
  readonly #maxBytes: number;
  readonly #lanes: readonly Lane[];
  readonly #insert: StatementSync;
  readonly #remove: StatementSync;
  readonly #read: StatementSync;
  readonly #mark: StatementSync;
  readonly #oldest: StatementSync;
  /** Where a corrupt file was put. */
  readonly setAside: string | undefined;

  /** Opens or creates the file as its only user. Throws with what to do about it. */
  static open(options: DiskOptions): DiskStore {
    const { path, nowMs } = options;
    createPrivate(path);
    try {
      return new DiskStore(options, undefined);
    } catch (error) {
      const code = resultCode(error);
      if (code === SQLITE.BUSY)
        throw new Error(`upstream queue ${path}: another agent is using it; set upstream.queue.path`);
      if (code !== SQLITE.CORRUPT && code !== SQLITE.NOTADB) throw error;
      // A file that was never a database of ours is not ours to move.
      if (code === SQLITE.NOTADB)
        throw new Error(`upstream queue ${path}: it is not a database; set upstream.queue.path`);
      const aside = asidePath(path, nowMs);
      renameSync(path, aside);
      rmSync(`${path}-wal`, { force: true });
      createPrivate(path);
      return new DiskStore(options, aside);
    }
  }

  private constructor({ path, maxBytes }: DiskOptions, setAside: string | undefined) {
    this.#maxBytes = maxBytes;
    this.setAside = setAside;
    this.#database = new DatabaseSync(path, { timeout: 0 });
    try {
      prepare(this.#database, path, maxBytes);
      this.#lanes = TELEMETRY_SIGNALS.map((signal, number) => lane(this.#database, signal, number));
    } catch (error) {
      this.#database.close();
      throw error;
    }
    const database = this.#database;
    this.#insert = database.prepare('INSERT INTO requests (signal, json, at_ms, via, body) VALUES (?, ?, ?, ?, ?)');
    this.#remove = database.prepare('DELETE FROM requests WHERE seq = ? RETURNING signal, length(body) AS bytes');
    this.#read = database.prepare(
      `SELECT seq, json, at_ms, via, body FROM requests WHERE signal = ? AND seq > ? ORDER BY seq LIMIT ${HAND_OUT_ROWS}`,
    );
    this.#mark = database.prepare(
      'INSERT INTO handed (signal, seq) VALUES (?, ?) ON CONFLICT (signal) DO UPDATE SET seq = excluded.seq',
    );
    this.#oldest = database.prepare(
      'SELECT seq, signal FROM requests WHERE signal = ? AND seq > ? ORDER BY seq LIMIT 1',
    );
  }

  get levels(): Levels {
    const of = (signal: TelemetrySignal) => {
      const { requests, bytes } = this.#of(signal);
      return { requests, bytes };
    };
    return { metrics: of('metrics'), traces: of('traces'), logs: of('logs') };
  }

  /** All of it, or none of it and an error. */
  turn({ removals, inserts, blob, wants }: Turn): TurnResult {
    const before = this.#lanes.map((one) => ({ ...one }));
    const evicted = { metrics: 0, traces: 0, logs: 0 };
    this.#database.exec(`PRAGMA synchronous = ${inserts.length > 0 ? 'FULL' : 'NORMAL'}; BEGIN IMMEDIATE`);
    try {
      for (const seq of removals) this.#removeRow(seq);
      let at = 0;
      for (const row of inserts) {
        this.#makeRoom(row.bytes, evicted);
        this.#insertRow(row, blob.subarray(at, at + row.bytes));
        at += row.bytes;
      }
      const { found, bodies } = this.#handOut(wants);
      this.#database.exec('COMMIT');
      this.#shrinkWhereEmpty();
      return { found, blob: joined(bodies), evicted, levels: this.levels };
    } catch (error) {
      // SQLite itself rolls back on some errors, a full disk among them.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      for (const [n, one] of this.#lanes.entries()) Object.assign(one, before[n]);
      throw error;
    }
  }

  close(): void {
    if (!this.#database.isOpen) return;
    this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    this.#database.close();
  }

  #insertRow({ signal, encoding, atMs, via }: InsertRow, body: Uint8Array): void {
    const { number } = this.#of(signal);
    this.#insert.run(number, encoding === 'json' ? 1 : 0, atMs, via, body);
    this.#count(number, 1, body.length);
  }

  #removeRow(seq: number): void {
    const row = this.#remove.get(seq);
    if (row !== undefined) this.#count(Number(row.signal), -1, -Number(row.bytes));
  }

  #count(number: number, requests: number, bodyBytes: number): void {
    const of = this.#lanes[number];
    if (of === undefined) return;
    of.requests += requests;
    of.bytes += bodyBytes + requests * ROW_BYTES;
  }

  /** Oldest first, but never what a sender has in hand. What is larger than everything allowed finds the file full. */
  #makeRoom(bytes: number, evicted: Record<TelemetrySignal, number>): void {
    while (this.#totalBytes() + bytes + ROW_BYTES > this.#maxBytes) {
      let oldest: { seq: number; signal: TelemetrySignal } | undefined;
      for (const { signal, number, handed, requests } of this.#lanes) {
        const row = requests === 0 ? undefined : this.#oldest.get(number, handed);
        const seq = Number(row?.seq ?? Number.NaN);
        if (row !== undefined && (oldest === undefined || seq < oldest.seq)) oldest = { seq, signal };
      }
      if (oldest === undefined) return;
      this.#removeRow(oldest.seq);
      evicted[oldest.signal] += 1;
    }
  }

  #handOut(wants: readonly TelemetrySignal[]): { found: FoundRow[]; bodies: Uint8Array[] } {
    const found: FoundRow[] = [];
    const bodies: Uint8Array[] = [];
    for (const signal of wants) {
      const of = this.#of(signal);
      const from = of.handed;
      let bytes = 0;
      for (const row of this.#read.iterate(of.number, from)) {
        const { seq, json, at_ms: atMs, via, body } = row;
        if (!(body instanceof Uint8Array)) throw new Error('a body in the upstream queue is no blob');
        found.push({
          signal,
          encoding: json === 1 ? 'json' : 'protobuf',
          via: String(via),
          atMs: Number(atMs),
          bytes: body.length,
          seq: Number(seq),
          isRepeat: Number(seq) <= of.repeats,
        });
        bodies.push(body);
        of.handed = Number(seq);
        bytes += body.length;
        if (bytes >= HAND_OUT_BYTES) break;
      }
      if (of.handed > Math.max(from, of.repeats)) this.#mark.run(of.number, of.handed);
    }
    return { found, bodies };
  }

  #shrinkWhereEmpty(): void {
    if (this.#lanes.some(({ requests }) => requests > 0)) return;
    if (pragma(this.#database, 'freelist_count') < SHRINK_BEYOND_PAGES) return;
    this.#database.exec('PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)');
  }

  #totalBytes(): number {
    return this.#lanes.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #of(signal: TelemetrySignal): Lane {
    const found = this.#lanes[TELEMETRY_SIGNALS.indexOf(signal)];
    if (found === undefined) throw new Error(`no lane for ${signal}`);
    return found;
  }
}

function prepare(database: DatabaseSync, path: string, maxBytes: number): void {
  // Exclusive: nobody else reads this file, the lock lives exactly as long as the process, and no shared memory is needed.
  database.exec('PRAGMA locking_mode = EXCLUSIVE');
  const isNew = pragma(database, 'schema_version') === 0;
  if (!isNew && pragma(database, 'application_id') !== APPLICATION_ID) {
    throw new Error(
      `upstream queue ${path}: it is a database, but not a queue of this agent; set upstream.queue.path to a file of its own`,
    );
  }
  const version = pragma(database, 'user_version');
  if (version > VERSION) {
    throw new Error(
      `upstream queue ${path}: it was made by a newer agent (version ${version}); set upstream.queue.path`,
    );
  }
  if (isNew) database.exec(SCHEMA);
  database.exec(
    'PRAGMA journal_mode = WAL; PRAGMA trusted_schema = OFF; PRAGMA wal_autocheckpoint = 4096; PRAGMA journal_size_limit = 16777216',
  );
  const check = Object.values(database.prepare('PRAGMA quick_check(1)').get() ?? {})[0];
  if (check !== 'ok') throw Object.assign(new Error(String(check)), { errcode: SQLITE.CORRUPT });
  // Bodies are counted, and pages hold them: rounding at most doubles them.
  const maxPages = Math.ceil((2 * maxBytes + SPARE_BYTES) / pragma(database, 'page_size'));
  database.exec(`PRAGMA max_page_count = ${maxPages}`);
}

function lane(database: DatabaseSync, signal: TelemetrySignal, number: number): Lane {
  const row = database
    .prepare('SELECT count(*) AS requests, coalesce(sum(length(body)), 0) AS bytes FROM requests WHERE signal = ?')
    .get(number);
  const requests = Number(row?.requests);
  const repeats = Number(database.prepare('SELECT seq FROM handed WHERE signal = ?').get(number)?.seq ?? 0);
  return { signal, number, requests, bytes: Number(row?.bytes) + requests * ROW_BYTES, handed: 0, repeats };
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
