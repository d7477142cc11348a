import { renameSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { asidePath, createPrivate, limitBytes, migrate, pragma, resultCode, SQLITE } from '../sqlite.ts';
import { HistoryError } from './history.ts';

/** Marks a file as ours (`PerH`), so that a wrong path never adds tables to somebody else's database. */
const APPLICATION_ID = 0x50657248;
/** The log beside the file is folded into it at this size. */
const LOG_PAGES = 256;

/** For `migrate`. Landed steps never change; new ones are added at the end. */
const STEPS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    component TEXT NOT NULL,
    signal TEXT NOT NULL,
    UNIQUE (component, signal)
  ) STRICT;
  CREATE TABLE rollups (
    series INTEGER NOT NULL,
    step_ms INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    count REAL NOT NULL,
    sum REAL NOT NULL,
    min REAL,
    max REAL,
    sketch BLOB,
    PRIMARY KEY (series, step_ms, start_ms)
  ) STRICT, WITHOUT ROWID;
  `,
];

export interface OpenFile {
  readonly database: DatabaseSync;
  /** Where a corrupt file was put. */
  readonly setAside: string | undefined;
}

/**
 * Opens or creates the file. It is the state file's neighbour and covered by that one's lock. Unlike the journal it does not
 * wait for the disk (`synchronous = NORMAL`): when the power fails the last minutes may be lost, and nothing breaks.
 */
export function openFile(path: string, maxBytes: number, nowMs: number): OpenFile {
  try {
    createPrivate(path);
    return { database: openChecked(path, maxBytes), setAside: undefined };
  } catch (error) {
    const code = resultCode(error);
    if (code !== SQLITE.CORRUPT && code !== SQLITE.NOTADB) throw error;
    const setAside = asidePath(path, nowMs);
    renameSync(path, setAside);
    rmSync(`${path}-wal`, { force: true });
    rmSync(`${path}-shm`, { force: true });
    createPrivate(path);
    return { database: openChecked(path, maxBytes), setAside };
  }
}

function openChecked(path: string, maxBytes: number): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 1_000 });
  try {
    const isNew = pragma(database, 'schema_version') === 0;
    if (!isNew && pragma(database, 'application_id') !== APPLICATION_ID) {
      throw new HistoryError(`history ${path}: it is a database, but not one of this agent; move it away`);
    }
    const version = pragma(database, 'user_version');
    if (version > STEPS.length) {
      const versions = `version ${version}, and this agent knows versions up to ${STEPS.length}`;
      throw new HistoryError(`history ${path}: it was made by a newer agent (${versions}); upgrade, or move it away`);
    }
    if (isNew) database.exec(`PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = ${APPLICATION_ID}`);
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF');
    database.exec(`PRAGMA wal_autocheckpoint = ${LOG_PAGES}; PRAGMA cache_size = -512`);
    limitBytes(database, maxBytes);
    migrate(database, STEPS);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
