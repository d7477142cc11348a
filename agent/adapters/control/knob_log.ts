/**
 * How knobs have changed since the agent started: a revision for each change of any knob, the latest state of each, and the
 * last changes in a ring. What is older is compacted: it can no longer be asked for change by change, only as the state
 * that it led to.
 */
import type { ComponentSnapshot, KnobSnapshot } from './ports.ts';

export interface KnobEntry {
  readonly component: string;
  readonly knob: string;
  readonly revision: number;
  /** Absent: the process has declared its knobs anew, without this one. */
  readonly status: KnobSnapshot | undefined;
}

export class KnobLog {
  readonly #maxChanges: number;
  readonly #now = new Map<string, Map<string, KnobEntry>>();
  readonly #changes: KnobEntry[] = [];
  #revision = 0;

  constructor(maxChanges: number) {
    this.#maxChanges = maxChanges;
  }

  /** Of the last change; 0 before the first. */
  get revision(): number {
    return this.#revision;
  }

  get components(): readonly string[] {
    return [...this.#now.keys()];
  }

  /** Compares with what was known before; returns what has changed. */
  record({ component, knobs }: ComponentSnapshot): readonly KnobEntry[] {
    let known = this.#now.get(component);
    if (known === undefined) {
      known = new Map();
      this.#now.set(component, known);
    }
    const changed: KnobEntry[] = [];
    for (const status of knobs) {
      const before = known.get(status.spec.id);
      if (before?.status !== undefined && isSame(before.status, status)) continue;
      changed.push({ component, knob: status.spec.id, revision: ++this.#revision, status });
    }
    const declared = new Set(knobs.map(({ spec }) => spec.id));
    for (const knob of known.keys())
      if (!declared.has(knob)) changed.push({ component, knob, revision: ++this.#revision, status: undefined });
    for (const entry of changed) {
      if (entry.status === undefined) known.delete(entry.knob);
      else known.set(entry.knob, entry);
    }
    this.#changes.push(...changed);
    this.#changes.splice(0, Math.max(0, this.#changes.length - this.#maxChanges));
    return changed;
  }

  /** Every knob as it is now. */
  state(): readonly KnobEntry[] {
    return [...this.#now.values()].flatMap((knobs) => [...knobs.values()]);
  }

  /** Every change from a revision on, or why they cannot be told. */
  since(revision: number): readonly KnobEntry[] | string {
    if (revision > this.#revision + 1)
      return `revision ${revision} has not been reached; the next is ${this.#revision + 1}`;
    const oldest = this.#changes[0]?.revision ?? this.#revision + 1;
    if (revision < oldest) return `revision ${revision} is compacted; the oldest that is remembered is ${oldest}`;
    return this.#changes.filter((entry) => entry.revision >= revision);
  }
}

function isSame(a: KnobSnapshot, b: KnobSnapshot): boolean {
  return (
    Object.is(a.desired, b.desired) &&
    Object.is(a.effective, b.effective) &&
    a.mode === b.mode &&
    a.pinned === b.pinned &&
    a.attemptedRevision === b.attemptedRevision &&
    a.effectiveRevision === b.effectiveRevision &&
    a.lastError === b.lastError &&
    // A manifest is read anew with every Hello, so equal ones are rarely the same object.
    (a.spec === b.spec || JSON.stringify(a.spec) === JSON.stringify(b.spec))
  );
}
