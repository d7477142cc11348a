import type { LimitFile } from './limits.ts';

/** One file that was, or is about to be, written. */
export interface Entry {
  readonly root: string;
  readonly path: string;
  readonly file: LimitFile;
  readonly component: string;
  /** What stood there before the agent came: what is put back. */
  readonly before: string;
  /** What the agent writes, as it reads back. */
  readonly value: string;
  /** What the agent had written there before `value`. */
  readonly previous?: string;
  readonly atMs: number;
}

const FILES: readonly string[] = ['cpu.weight', 'cpu.max', 'memory.high'] satisfies readonly LimitFile[];

/** What is still to be put back. What cannot be read is given up: a wrong entry must not be written anywhere. */
export function readLedger(json: string | undefined): readonly Entry[] {
  if (json === undefined) return [];
  const parsed: unknown = JSON.parse(json);
  return Array.isArray(parsed) ? parsed.filter(isEntry) : [];
}

export function writeLedger(entries: readonly Entry[]): string | undefined {
  return entries.length === 0 ? undefined : JSON.stringify(entries);
}

function isEntry(value: unknown): value is Entry {
  if (typeof value !== 'object' || value === null) return false;
  const fields = new Map<string, unknown>(Object.entries(value));
  const texts = ['root', 'path', 'file', 'component', 'before', 'value'].map((key) => fields.get(key));
  return texts.every((text) => typeof text === 'string') && FILES.includes(String(fields.get('file')));
}
