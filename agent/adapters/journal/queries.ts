import type { DatabaseSync } from 'node:sqlite';
import type { Decision } from '../../core/model.ts';
import { decodeDecision } from './codec.ts';
import { type AuditQuery, type AuditRecord, DEFAULT_LIMIT, type DecisionQuery, MAX_LIMIT } from './journal.ts';

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
  return newest(database, 'decisions', conditions, query.limit).map((row) => decodeDecision(String(row.json)));
}

/** Newest first. */
export function readAudit(database: DatabaseSync, query: AuditQuery): readonly AuditRecord[] {
  const conditions = [
    ['action = ?', query.action],
    ['at_ms >= ?', query.sinceMs],
  ] as const;
  return newest(database, 'audit', conditions, query.limit).map((row) => ({
    atMs: Number(row.at_ms),
    who: String(row.who),
    role: String(row.role),
    address: String(row.address),
    action: String(row.action),
    request: String(row.request),
    dryRun: row.dry_run === 1,
    ...(row.ok !== null && { outcome: { ok: row.ok === 1, message: String(row.message) } }),
  }));
}

function newest(
  database: DatabaseSync,
  table: 'decisions' | 'audit',
  conditions: readonly (readonly [sql: string, value: string | number | undefined])[],
  wanted: number = DEFAULT_LIMIT,
) {
  const given = conditions.flatMap(([sql, value]) => (value === undefined ? [] : [{ sql, value }]));
  const where = given.length === 0 ? '' : `WHERE ${given.map(({ sql }) => sql).join(' AND ')}`;
  const limit = Math.max(0, Math.min(wanted, MAX_LIMIT));
  return database
    .prepare(`SELECT * FROM ${table} ${where} ORDER BY seq DESC LIMIT ?`)
    .all(...given.map(({ value }) => value), limit);
}
