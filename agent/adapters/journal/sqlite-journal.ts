import { existsSync, renameSync, rmSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Logger } from 'pino';
import type { Decision } from '../../core/model.ts';
import { asidePath, createPrivate, limitBytes, migrate, pragma } from '../sqlite.ts';
import { encodeDecision } from './codec.ts';
import { faultError, faultOf, journalError } from './faults.ts';
import {
  type AuditQuery,
  type AuditQuestion,
  type AuditRecord,
  type DecisionQuery,
  type Journal,
  MAX_AUDIT,
} from './journal.ts';
import { lockPath, takeLock } from './lock.ts';
import { APPLICATION_ID, SCHEMA_VERSION, STEPS } from './migrations.ts';
import { readAudit, readDecisions, readEpoch, readState } from './queries.ts';

export interface JournalOptions {
  readonly path: string;
  readonly log: Logger;
  /** The file never grows beyond; a commit that does not fit fails as a full disk does. */
  readonly maxBytes: number;
  /** Names a corrupt file that is set aside. */
  readonly nowMs: number;
}

/** Opens or creates the file as its only writer. Throws `JournalError`. A corrupt file is set aside, loudly. */
export function openJournal(options: JournalOptions): Journal {
  const { path } = options;
  const isKnown = existsSync(lockPath(path));
  let lock: ReturnType<typeof takeLock>;
  try {
    createPrivate(path);
    lock = takeLock(path);
  } catch (error) {
    if (faultOf(error) === 'locked') throw faultError(path, 'locked', 'another agent is using it', error);
    throw journalError(path, 'open it', error);
  }
  try {
    return new SqliteJournal(path, openSound(options, isKnown), lock);
  } catch (error) {
    lock.release();
    throw journalError(path, 'open it', error);
  }
}

/** A database that passed the check; where it did not, a new one in its place. */
function openSound({ path, log, maxBytes, nowMs }: JournalOptions, isKnown: boolean): DatabaseSync {
  try {
    return openChecked(path, maxBytes);
  } catch (error) {
    if (faultOf(error) !== 'corrupt') throw error;
    // Without a lock file no agent has had this path before: somebody's own file, which is not ours to move.
    if (!isKnown) throw faultError(path, 'unusable', 'it is not a database', error);
    const aside = asidePath(path, nowMs);
    renameSync(path, aside);
    // The log belongs to the damaged file and goes with it; the index beside it is rebuilt from the log.
    moveIfThere(`${path}-wal`, `${aside}-wal`);
    rmSync(`${path}-shm`, { force: true });
    const reason = error instanceof Error ? error.message : String(error);
    log.error(
      { path, aside, reason },
      'the state file is corrupt: it was set aside and the agent starts clean, without its decisions and what it had learned',
    );
    createPrivate(path);
    return openChecked(path, maxBytes);
  }
}

function openChecked(path: string, maxBytes: number): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 5_000 });
  try {
    const version = pragma(database, 'user_version');
    const isNew = pragma(database, 'schema_version') === 0;
    if (!isNew && pragma(database, 'application_id') !== APPLICATION_ID) {
      throw faultError(path, 'unusable', 'it is a database, but not one of this agent');
    }
    if (version > SCHEMA_VERSION) {
      const versions = `version ${version}, and this agent knows versions up to ${SCHEMA_VERSION}`;
      const remedy = 'upgrade this agent, or give it a file of its own with state.path';
      throw faultError(path, 'unusable', `it was made by a newer agent (${versions})`, undefined, remedy);
    }
    if (isNew) database.exec(`PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = ${APPLICATION_ID}`);
    // FULL: a commit is on the disk when it returns, also when the power fails.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF');
    const check = Object.values(database.prepare('PRAGMA quick_check(1)').get() ?? {})[0];
    if (check !== 'ok') throw faultError(path, 'corrupt', String(check));
    limitBytes(database, maxBytes);
    migrate(database, STEPS);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function moveIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}

class SqliteJournal implements Journal {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #lock: { release(): void };
  readonly #insert: StatementSync;
  readonly #existing: StatementSync;
  readonly #saveState: StatementSync;

  constructor(path: string, database: DatabaseSync, lock: { release(): void }) {
    this.#path = path;
    this.#database = database;
    this.#lock = lock;
    this.#insert = database.prepare(
      `INSERT INTO decisions (id, at_ms, component, kind, trial_id, json) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO NOTHING`,
    );
    this.#existing = database.prepare('SELECT json FROM decisions WHERE id = ?');
    this.#saveState = database.prepare(
      `INSERT INTO state (key, json) VALUES ('engine', ?) ON CONFLICT (key) DO UPDATE SET json = excluded.json`,
    );
  }

  get epoch(): number {
    return this.#try('read the epoch', () => readEpoch(this.#database));
  }

  raiseEpoch(nowMs: number): number {
    return this.#transaction('raise the epoch', () => {
      const epoch = Math.max(readEpoch(this.#database) + 1, Math.floor(nowMs / 1000));
      this.#database
        .prepare(
          `INSERT INTO meta (key, value) VALUES ('epoch', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
        )
        .run(epoch);
      return epoch;
    });
  }

  commit(decisions: readonly Decision[], state: string | undefined): void {
    if (decisions.length === 0 && state === undefined) return;
    this.#transaction('commit', () => {
      for (const decision of decisions) this.#append(decision);
      if (state !== undefined) this.#saveState.run(state);
    });
  }

  readState(): string | undefined {
    return this.#try('read the state', () => readState(this.#database));
  }

  decisions(query: DecisionQuery = {}): readonly Decision[] {
    return this.#try('read decisions', () => readDecisions(this.#database, query));
  }

  keep(name: string, json: string | undefined): void {
    const key = `kept:${name}`;
    this.#try('keep a text', () => {
      if (json === undefined) this.#database.prepare('DELETE FROM state WHERE key = ?').run(key);
      else
        this.#database
          .prepare(`INSERT INTO state (key, json) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET json = excluded.json`)
          .run(key, json);
    });
  }

  kept(name: string): string | undefined {
    const read = () => this.#database.prepare('SELECT json FROM state WHERE key = ?').get(`kept:${name}`)?.json;
    const json = this.#try('read a text', read);
    return typeof json === 'string' ? json : undefined;
  }

  auditAsked({ atMs, who, role, address, action, request, dryRun }: AuditQuestion): number {
    return this.#try('write down who asks for what', () => {
      const { lastInsertRowid } = this.#database
        .prepare('INSERT INTO audit (at_ms, who, role, address, action, request, dry_run) VALUES (?, ?, ?, ?, ?, ?, ?)')
        .run(atMs, who, role, address, action, request, dryRun ? 1 : 0);
      return Number(lastInsertRowid);
    });
  }

  auditAnswered(seq: number, ok: boolean, message: string): void {
    this.#try('write down what was answered', () =>
      this.#database.prepare('UPDATE audit SET ok = ?, message = ? WHERE seq = ?').run(ok ? 1 : 0, message, seq),
    );
  }

  audit(query: AuditQuery = {}): readonly AuditRecord[] {
    return this.#try('read who asked for what', () => readAudit(this.#database, query));
  }

  prune(beforeMs: number): number {
    return this.#transaction('prune', () => {
      const { changes } = this.#database.prepare('DELETE FROM decisions WHERE at_ms < ?').run(beforeMs);
      this.#database
        .prepare('DELETE FROM audit WHERE at_ms < ? OR seq <= (SELECT MAX(seq) FROM audit) - ?')
        .run(beforeMs, MAX_AUDIT);
      return Number(changes);
    });
  }

  checkpoint(): void {
    // A reader at work makes this stop half-way, without harm: the next one goes on.
    this.#try('checkpoint', () =>
      this.#database.exec('PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA optimize'),
    );
  }

  close(): void {
    if (!this.#database.isOpen) return;
    this.#database.close();
    this.#lock.release();
  }

  #append(decision: Decision): void {
    const { id, atMs, component, kind, trialId } = decision;
    const json = encodeDecision(decision);
    const { changes } = this.#insert.run(id, atMs, component, kind, trialId ?? null, json);
    if (Number(changes) === 0 && this.#existing.get(id)?.json !== json) {
      throw new Error(`decision ${id} is in the journal with other contents; ids must be unique and decisions final`);
    }
  }

  #transaction<T>(what: string, work: () => T): T {
    return this.#try(what, () => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        this.#database.exec('COMMIT');
        return result;
      } catch (error) {
        // SQLite itself rolls back on some errors, a full disk among them.
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  #try<T>(what: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw journalError(this.#path, what, error);
    }
  }
}
