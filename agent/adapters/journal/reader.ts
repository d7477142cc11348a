import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { pragma } from '../sqlite.ts';
import { faultError, journalError } from './faults.ts';
import type { AuditQuery, DecisionQuery, JournalReader } from './journal.ts';
import { APPLICATION_ID, SCHEMA_VERSION } from './migrations.ts';
import { readAudit, readDecisions, readEpoch, readState } from './queries.ts';

const ELSEWHERE = 'no agent has run with it yet, or its state.path is another';

/** Opens the file to read only, while an agent writes to it or after. Throws `JournalError`. */
export function openJournalReader(path: string): JournalReader {
  if (!existsSync(path)) throw faultError(path, 'unusable', 'there is no such file', undefined, ELSEWHERE);
  const attempt = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw journalError(path, 'read it', error);
    }
  };
  const database = attempt(() => new DatabaseSync(path, { readOnly: true, timeout: 5_000 }));
  try {
    attempt(() => {
      if (pragma(database, 'application_id') !== APPLICATION_ID) {
        throw faultError(path, 'unusable', 'it is not a state file of this agent', undefined, ELSEWHERE);
      }
      const version = pragma(database, 'user_version');
      if (version !== SCHEMA_VERSION) {
        const versions = `it has version ${version}, and this command reads ${SCHEMA_VERSION}`;
        throw faultError(path, 'unusable', versions, undefined, 'use the perfopt of the agent that writes it');
      }
    });
  } catch (error) {
    database.close();
    throw error;
  }
  return {
    get epoch() {
      return attempt(() => readEpoch(database));
    },
    readState: () => attempt(() => readState(database)),
    decisions: (query: DecisionQuery = {}) => attempt(() => readDecisions(database, query)),
    audit: (query: AuditQuery = {}) => attempt(() => readAudit(database, query)),
    close: () => {
      if (database.isOpen) database.close();
    },
  };
}
