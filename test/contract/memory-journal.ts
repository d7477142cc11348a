import { decodeDecision, encodeDecision } from '../../agent/adapters/journal/codec.ts';
import {
  type AuditRecord,
  DEFAULT_LIMIT,
  type DecisionQuery,
  type Journal,
  MAX_LIMIT,
} from '../../agent/adapters/journal/journal.ts';
import type { Decision } from '../../agent/core/model.ts';

/** What outlives an agent in a test: give the same one to the next journal to "restart". */
export interface Disk {
  epoch: number;
  state: string | undefined;
  readonly kept: Map<string, string>;
  decisions: { readonly id: string; readonly atMs: number; readonly json: string }[];
  audit: AuditRecord[];
}

export function emptyDisk(): Disk {
  return { epoch: 0, state: undefined, kept: new Map(), decisions: [], audit: [] };
}

/** The journal without a file. Held to the same contract test as the one on SQLite. */
export function memoryJournal(disk: Disk = emptyDisk()): Journal {
  return {
    get epoch() {
      return disk.epoch;
    },
    raiseEpoch(nowMs) {
      disk.epoch = Math.max(disk.epoch + 1, Math.floor(nowMs / 1000));
      return disk.epoch;
    },
    commit(decisions, state) {
      const added = new Map<string, Disk['decisions'][number]>();
      for (const decision of decisions) {
        const json = encodeDecision(decision);
        const known = added.get(decision.id) ?? disk.decisions.find(({ id }) => id === decision.id);
        if (known !== undefined && known.json !== json) throw new Error(`decision ${decision.id} with other contents`);
        if (known === undefined) added.set(decision.id, { id: decision.id, atMs: decision.atMs, json });
      }
      disk.decisions.push(...added.values());
      if (state !== undefined) disk.state = state;
    },
    readState: () => disk.state,
    decisions(query: DecisionQuery = {}) {
      return disk.decisions
        .map(({ json }) => decodeDecision(json))
        .reverse()
        .filter((decision) => matches(decision, query))
        .slice(0, Math.max(0, Math.min(query.limit ?? DEFAULT_LIMIT, MAX_LIMIT)));
    },
    auditAsked: (question) => disk.audit.push(question),
    auditAnswered(seq, ok, message) {
      const question = disk.audit[seq - 1];
      if (question !== undefined) disk.audit[seq - 1] = { ...question, outcome: { ok, message } };
    },
    audit: ({ action, sinceMs = Number.NEGATIVE_INFINITY, limit = DEFAULT_LIMIT } = {}) =>
      disk.audit
        .filter((record) => record.atMs >= sinceMs && (action === undefined || record.action === action))
        .reverse()
        .slice(0, limit),
    keep(name, json) {
      if (json === undefined) disk.kept.delete(name);
      else disk.kept.set(name, json);
    },
    kept: (name) => disk.kept.get(name),
    prune(beforeMs) {
      disk.audit = disk.audit.filter(({ atMs }) => atMs >= beforeMs);
      const before = disk.decisions.length;
      disk.decisions = disk.decisions.filter(({ atMs }) => atMs >= beforeMs);
      return before - disk.decisions.length;
    },
    checkpoint: () => undefined,
    close: () => undefined,
  };
}

function matches(decision: Decision, query: DecisionQuery): boolean {
  return (
    (query.id === undefined || decision.id === query.id) &&
    (query.trialId === undefined || decision.trialId === query.trialId) &&
    (query.component === undefined || decision.component === query.component) &&
    (query.kind === undefined || decision.kind === query.kind) &&
    (query.sinceMs === undefined || decision.atMs >= query.sinceMs)
  );
}
