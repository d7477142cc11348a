import type { DatabaseSync } from 'node:sqlite';
import type { Decision } from '../../core/model.ts';
import { decodeDecision } from './codec.ts';
import { DEFAULT_LIMIT, type DecisionQuery, MAX_LIMIT } from './journal.ts';

export function readEpoch(database: DatabaseSync): number {
  return Number(database.prepare(`SELECT value FROM meta WHERE key = 'epoch'`).get()?.value ?? 0);
}

export function readState(database: DatabaseSync): string | undefined {
  const json = database.prepare(`SELECT json FROM state WHERE key = 'engine'`).get()?.json;
  return typeof json === 'string' ? json : undefined;
}

/** Newest first. */
export function readDecisions(database: DatabaseSync, query: DecisionQuery): readonly Decision[] {
  const conditions = [
    ['id = ?', query.id],
    ['trial_id = ?', query.trialId],
    ['component = ?', query.component],
    ['kind = ?', query.kind],
    ['at_ms >= ?', query.sinceMs],
  ] as const;
  const given = conditions.flatMap(([sql, value]) => (value === undefined ? [] : [{ sql, value }]));
  const where = given.length === 0 ? '' : `WHERE ${given.map(({ sql }) => sql).join(' AND ')}`;
  const limit = Math.max(0, Math.min(query.limit ?? DEFAULT_LIMIT, MAX_LIMIT));
  return database
    .prepare(`SELECT json FROM decisions ${where} ORDER BY seq DESC LIMIT ?`)
    .all(...given.map(({ value }) => value), limit)
    .map((row) => decodeDecision(String(row.json)));
}
