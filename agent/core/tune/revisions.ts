import type { Setting } from '../model.ts';
import { sameSetting } from './setting.ts';

/**
 * The settings that were in force one after another while nothing was being tried: each change of the incumbent (kept, pinned,
 * rolled back, given up) makes the next revision. Values are recorded, never computed, so that going back is exact.
 */
export interface Revision {
  /** Rises by one with each change, for as long as the component's state is kept. */
  readonly revision: number;
  readonly atMs: number;
  /** The decision that led to it; absent for the setting that the component came with. */
  readonly decisionId?: string;
  readonly setting: Setting;
}

/** Older ones are forgotten. */
export const MAX_REVISIONS = 64;

/** The list with `setting` at its end; the same list when it is there already. */
export function withRevision(
  revisions: readonly Revision[],
  setting: Setting,
  atMs: number,
  decisionId: string | undefined,
): readonly Revision[] {
  const last = revisions.at(-1);
  if (last !== undefined && sameSetting(last.setting, setting)) return revisions;
  const next = { revision: (last?.revision ?? 0) + 1, atMs, setting, ...(decisionId !== undefined && { decisionId }) };
  return [...revisions, next].slice(-MAX_REVISIONS);
}

export interface RevisionQuery {
  readonly toRevision?: number | undefined;
  readonly toDecision?: string | undefined;
}

/** The revision asked for, or the one before the present; a text says why there is none. */
export function findRevision(
  revisions: readonly Revision[],
  { toRevision, toDecision }: RevisionQuery,
): Revision | string {
  if (toRevision !== undefined && toDecision !== undefined) return 'name a revision or a decision, not both';
  if (toRevision !== undefined) {
    const found = revisions.find(({ revision }) => revision === toRevision);
    return found ?? `no revision ${toRevision}; ${knownRevisions(revisions)}`;
  }
  if (toDecision !== undefined) {
    const found = revisions.find(({ decisionId }) => decisionId === toDecision);
    return found ?? `decision ${toDecision} has not changed the setting; ${knownRevisions(revisions)}`;
  }
  return revisions.at(-2) ?? 'there is no earlier setting to go back to';
}

function knownRevisions(revisions: readonly Revision[]): string {
  const [first, last] = [revisions[0], revisions.at(-1)];
  return first === undefined || last === undefined ? 'none is known' : `known: ${first.revision} to ${last.revision}`;
}
