/**
 * Tuned values on disk, so that a process that is started again within their leases goes on where it was: optional, and
 * never in the way. A value is only ever taken back from here for as long as its lease would have lasted; writing is not
 * waited for, and what cannot be written or read is as if it had never been.
 */
import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import type { KnobValue } from '../../core/model.ts';
import type { Lease, Origin } from './knob.ts';

const VERSION = 1;
const MAX_BYTES = 1_048_576;
/** A wall clock that was put back must not make a lease last longer than a lease lasts. */
const MAX_LEFT_MS = 3_600_000;

export interface SavedValue {
  readonly value: KnobValue;
  readonly origin: Origin;
  readonly onExpiry: Lease['onExpiry'];
  /** By the wall clock: another process reads it. */
  readonly expiresAtMs: number;
}

export class SavedValues {
  readonly #path: string;
  readonly #component: string;
  readonly wallMs: () => number;
  readonly #found: ReadonlyMap<string, SavedValue>;
  #next: ReadonlyMap<string, SavedValue> | undefined;
  #writing = false;

  constructor(path: string, component: string, wallMs: () => number) {
    this.#path = path;
    this.#component = component;
    this.wallMs = wallMs;
    this.#found = readSaved(path, component);
  }

  /** What was held when it was written last, and for how much longer it may be. */
  take(knob: string): (SavedValue & { readonly leftMs: number }) | undefined {
    const saved = this.#found.get(knob);
    if (saved === undefined) return undefined;
    const leftMs = Math.min(saved.expiresAtMs - this.wallMs(), MAX_LEFT_MS);
    return leftMs > 0 ? { ...saved, leftMs } : undefined;
  }

  /** Replaces what stands in the file; of several that come while it is being written, only the last is. */
  put(values: ReadonlyMap<string, SavedValue>): void {
    this.#next = values;
    if (!this.#writing) void this.#write();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    while (this.#next !== undefined) {
      const text = JSON.stringify({
        version: VERSION,
        component: this.#component,
        knobs: Object.fromEntries(this.#next),
      });
      this.#next = undefined;
      const draft = `${this.#path}.${process.pid}`;
      // A process that cannot write serves on as if it had never been asked to.
      await writeFile(draft, text, { mode: 0o600 })
        .then(() => rename(draft, this.#path))
        .catch(() => {});
    }
    this.#writing = false;
  }
}

function readSaved(path: string, component: string): ReadonlyMap<string, SavedValue> {
  try {
    const text = readFileSync(path, 'utf8');
    const parsed: unknown = text.length > MAX_BYTES ? undefined : JSON.parse(text);
    if (!isRecord(parsed) || parsed.version !== VERSION || parsed.component !== component) return new Map();
    const knobs = isRecord(parsed.knobs) ? Object.entries(parsed.knobs) : [];
    return new Map(knobs.flatMap(([id, saved]) => (isSaved(saved) ? [[id, saved] as const] : [])));
  } catch {
    // Not there, not readable, not JSON: a first start.
    return new Map();
  }
}

function isSaved(saved: unknown): saved is SavedValue {
  if (!isRecord(saved) || !isRecord(saved.origin)) return false;
  const { value, origin, onExpiry, expiresAtMs } = saved;
  return (
    ['number', 'string', 'boolean'].includes(typeof value) &&
    typeof origin.commandId === 'string' &&
    Number.isSafeInteger(origin.epoch) &&
    Number.isSafeInteger(origin.revision) &&
    (onExpiry === 'baseline' || onExpiry === 'last_good' || onExpiry === 'hold') &&
    Number.isFinite(expiresAtMs)
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
