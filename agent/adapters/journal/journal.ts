import type { Decision, DecisionKind } from '../../core/model.ts';

/**
 * What must survive `kill -9`: the epoch, every decision, and the engine's saved state. Synchronous on purpose: a
 * decision is durable when `commit` returns, and only then may its effects be carried out.
 */
export interface Journal extends JournalReader {
  /**
   * Fences every command of an earlier run: at least one more than ever before, and at least the Unix time in seconds,
   * so that it also rises after the file was deleted, set aside as corrupt, or restored from a backup. Durable on return.
   */
  raiseEpoch(nowMs: number): number;

  /**
   * Decisions and, unless `undefined`, the engine's state, all or nothing. A decision that is there already is
   * left as it is; the same id with other contents is a programmer's error and throws.
   */
  commit(decisions: readonly Decision[], state: string | undefined): void;

  /** Writes down what is asked before it is done; durable on return. The number is for `auditAnswered`. */
  auditAsked(question: AuditQuestion): number;

  /** What came of it. */
  auditAnswered(seq: number, ok: boolean, message: string): void;

  /** Keeps a text under a name, durable on return; `undefined` removes it. For what is neither decision nor engine. */
  keep(name: string, json: string | undefined): void;

  /** What was last kept under a name. */
  kept(name: string): string | undefined;

  /** Deletes decisions made and questions asked before `beforeMs`; returns how many decisions. */
  prune(beforeMs: number): number;

  /** Folds the write-ahead log into the file and gives freed pages back. */
  checkpoint(): void;
}

/** The reading half, which also works on the file of a running agent. */
export interface JournalReader {
  /** Of the last `raiseEpoch`; 0 before the first. */
  readonly epoch: number;
  /** What the last `commit` with a state left. */
  readState(): string | undefined;
  /** Newest first, by order of commit. */
  decisions(query?: DecisionQuery): readonly Decision[];
  /** Newest first. */
  audit(query?: AuditQuery): readonly AuditRecord[];
  close(): void;
}

/** Everything given must hold. */
export interface DecisionQuery {
  readonly id?: string;
  readonly trialId?: string;
  readonly component?: string;
  readonly kind?: DecisionKind;
  /** Made at or after. */
  readonly sinceMs?: number;
  /** 100 unless told otherwise; at most `MAX_LIMIT`. */
  readonly limit?: number;
}

/** Something that an operator asked for, or that somebody tried who is none. */
export interface AuditQuestion {
  readonly atMs: number;
  /** By which credential, or how they got here; `unknown` where that was refused. */
  readonly who: string;
  readonly role: string;
  readonly address: string;
  /** The method that was called, and its request as JSON. */
  readonly action: string;
  readonly request: string;
  readonly dryRun: boolean;
}

export interface AuditRecord extends AuditQuestion {
  /** Absent: the agent ended before it was answered. */
  readonly outcome?: { readonly ok: boolean; readonly message: string };
}

export interface AuditQuery {
  readonly action?: string;
  /** Asked at or after. */
  readonly sinceMs?: number;
  /** 100 unless told otherwise; at most `MAX_LIMIT`. */
  readonly limit?: number;
}

/** Older questions are given up beyond this many. */
export const MAX_AUDIT = 100_000;

export const DEFAULT_LIMIT = 100;
export const MAX_LIMIT = 100_000;

export type JournalFault =
  /** Another agent has the file. */
  | 'locked'
  /** No such folder, no permission, read-only file system, not a file of ours, or made by a newer version. */
  | 'unusable'
  | 'full'
  | 'corrupt'
  | 'io';

/** What went wrong, with which file, and what to do about it. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
  readonly fault: JournalFault;
  /** Whether the same call may succeed later with nothing changed on our side. */
  readonly retryable: boolean;

  constructor(fault: JournalFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.fault = fault;
    this.retryable = fault === 'full' || fault === 'io';
  }
}
