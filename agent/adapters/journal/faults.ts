import { resultCode, SQLITE } from '../sqlite.ts';
import { JournalError, type JournalFault } from './journal.ts';

const REMEDIES: Readonly<Record<JournalFault, string>> = {
  locked: 'stop the other agent, or give this one a file of its own with state.path',
  unusable: 'set state.path to a file in a folder that this user may write',
  full: 'free disk space, raise state.maxBytes, or shorten state.decisionRetention',
  corrupt: 'restart the agent: it sets the file aside and starts clean',
  io: 'check the disk',
};

/** The error to throw for whatever SQLite or the file system threw while doing `what` with `path`. */
export function journalError(path: string, what: string, error: unknown): JournalError {
  if (error instanceof JournalError) return error;
  const fault = faultOf(error);
  if (fault === undefined) throw error;
  return faultError(path, fault, `cannot ${what}: ${error instanceof Error ? error.message : String(error)}`, error);
}

export function faultError(
  path: string,
  fault: JournalFault,
  problem: string,
  cause?: unknown,
  remedy: string = REMEDIES[fault],
): JournalError {
  return new JournalError(fault, `state file ${path}: ${problem}; ${remedy}`, cause);
}

/** `undefined`: not an operating error but a bug. */
export function faultOf(error: unknown): JournalFault | undefined {
  if (error instanceof JournalError) return error.fault;
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  if (error.code === 'ERR_SQLITE_ERROR' && 'errcode' in error) return faultOfResult(resultCode(error));
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') return 'full';
  if (error.code === 'EIO') return 'io';
  return typeof error.code === 'string' && /^E[A-Z]+$/.test(error.code) ? 'unusable' : undefined;
}

function faultOfResult(code: number | undefined): JournalFault | undefined {
  switch (code) {
    case SQLITE.BUSY:
    case SQLITE.LOCKED:
      return 'locked';
    case SQLITE.READONLY:
    case SQLITE.CANTOPEN:
      return 'unusable';
    case SQLITE.FULL:
      return 'full';
    case SQLITE.IOERR:
      return 'io';
    case SQLITE.CORRUPT:
    case SQLITE.NOTADB:
      return 'corrupt';
    default:
      return undefined;
  }
}
