import { DatabaseSync } from 'node:sqlite';

/**
 * One writer per file, for as long as the process lives. Node has no `flock`, so SQLite's own file lock on an empty
 * database beside ours serves: the system releases it with the process, also after `kill -9`, and readers of
 * the real file are not in its way. Throws SQLITE_BUSY at once where another process, or this one, has it.
 */
export function takeLock(path: string): { release(): void } {
  const lock = new DatabaseSync(lockPath(path), { timeout: 0 });
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    throw error;
  }
  return { release: () => lock.close() };
}

/** Stays when the lock is released: removing it would let two agents lock two different files. */
export function lockPath(path: string): string {
  return `${path}.lock`;
}
