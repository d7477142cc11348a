import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';

/** What those who keep a SQLite file share; what they promise of it, and what they do when it breaks, is their own. */

/** Primary result codes of SQLite (https://sqlite.org/rescode.html). */
export const SQLITE = {
  BUSY: 5,
  LOCKED: 6,
  READONLY: 8,
  IOERR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  NOTADB: 26,
} as const;

/** The primary result code of what SQLite threw; undefined for anything else. */
export function resultCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined;
}

/**
 * Makes the file and its folder where they are not there. By us and not by SQLite, so that nobody else may read it; the
 * log beside it inherits the mode.
 */
export function createPrivate(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  closeSync(openSync(path, 'a', 0o600));
}

/** Where a corrupt file goes. */
export function asidePath(path: string, nowMs: number): string {
  return `${path}.corrupt-${new Date(nowMs).toISOString().replaceAll(':', '')}`;
}

/** A single number that SQLite tells of a database. */
export function pragma(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0] ?? 0);
}

/** The file never grows beyond, but for the 16 pages that it takes to work at all. */
export function limitBytes(database: DatabaseSync, maxBytes: number): void {
  database.exec(`PRAGMA max_page_count = ${Math.max(16, Math.floor(maxBytes / pragma(database, 'page_size')))}`);
}

/** Step `n` brings `user_version` from `n` to `n + 1`, each whole or not at all. */
export function migrate(database: DatabaseSync, steps: readonly string[]): void {
  for (let version = pragma(database, 'user_version'); version < steps.length; version++) {
    database.exec(`BEGIN IMMEDIATE; ${steps[version]} PRAGMA user_version = ${version + 1}; COMMIT`);
  }
}
