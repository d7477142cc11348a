import type { Grant } from '../../core/resources/allocation.ts';
import { type Entry, readLedger, writeLedger } from './ledger.ts';
import { isNear, type LimitFile, type LimitRules, limitsOf, type WantedLimit } from './limits.ts';
import { DelegatedTree, TouchRefused, type TreeOptions } from './tree.ts';

export type CgroupNotice =
  | { readonly kind: 'applied'; readonly component: string; readonly file: string; readonly value: string }
  | { readonly kind: 'restored'; readonly component: string; readonly file: string; readonly value: string }
  /** Told once for each reason. */
  | { readonly kind: 'refused'; readonly component: string; readonly reason: string }
  /** Somebody else wrote there: theirs stands, and the agent leaves the file alone from now on. */
  | { readonly kind: 'overruled'; readonly component: string; readonly file: string; readonly value: string };

/** Where it is written down what must be put back: durable when `write` returns. `undefined`: nothing. */
export interface LimitLedger {
  read(): string | undefined;
  write(json: string | undefined): void;
}

export interface LimiterOptions extends Omit<TreeOptions, 'root'> {
  /** The delegated subtree; without one, and without components, it only puts back what an earlier run left. */
  readonly root?: string;
  /** Paths of the components' cgroups below the root. */
  readonly folders: Readonly<Record<string, string>>;
  readonly rules: LimitRules;
  readonly intervalMs: number;
  /** Asked at every application. */
  readonly grants: () => readonly Grant[];
  readonly ledger: LimitLedger;
  readonly nowMs: () => number;
  readonly onNotice: (notice: CgroupNotice) => void;
}

export interface CgroupLimiter {
  /** Puts back what an earlier run left, then applies every `intervalMs`. */
  start(): Promise<void>;
  /** Puts everything back. */
  stop(deadline: AbortSignal): Promise<void>;
  /** Once, now. */
  apply(): void;
  readonly applied: readonly Applied[];
  readonly counts: { readonly writes: number; readonly refused: number; readonly overruled: number };
}

export interface Applied {
  readonly component: string;
  readonly file: string;
  readonly value: string;
  readonly before: string;
  readonly atMs: number;
}

/** Reasons remembered as told; beyond, they are told again. */
const MOST_REASONS = 256;

/**
 * Sets cgroup limits, and can always go back. Before a file is written, what stood there and what will stand there are in the
 * ledger, durably: whoever starts after a crash finds each file either at its old value or at ours, and puts it back. A
 * file that says something else was written by somebody else, and stays.
 */
export function createCgroupLimiter(options: LimiterOptions): CgroupLimiter {
  return new Limiter(options);
}

class Limiter implements CgroupLimiter {
  readonly #options: LimiterOptions;
  #entries: readonly Entry[] = [];
  /** Files that somebody else has written since we did. */
  readonly #overruled = new Set<string>();
  readonly #told = new Set<string>();
  readonly #counts = { writes: 0, refused: 0, overruled: 0 };
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LimiterOptions) {
    this.#options = options;
    this.#entries = this.#tried('*', () => readLedger(options.ledger.read())) ?? [];
  }

  get applied(): readonly Applied[] {
    return this.#entries.map(({ component, path, file, value, before, atMs }) => ({
      component,
      file: `${path}/${file}`,
      ...{ value, before, atMs },
    }));
  }

  get counts() {
    return { ...this.#counts };
  }

  async start(): Promise<void> {
    this.#restore();
    if (this.#options.root === undefined || Object.keys(this.#options.folders).length === 0) return;
    this.#timer = setInterval(() => this.apply(), this.#options.intervalMs);
    this.#timer.unref();
  }

  async stop(_deadline: AbortSignal): Promise<void> {
    clearInterval(this.#timer);
    this.#restore();
  }

  apply(): void {
    const { root, folders, rules, grants } = this.#options;
    if (root === undefined) return;
    const tree = this.#tree(root);
    const mine = grants().filter(({ component }) => Object.hasOwn(folders, component));
    const usedBytes = (component: string): number | undefined => {
      const text = this.#tried(component, () => tree.read(folders[component] ?? '', 'memory.current'));
      return text !== undefined && /^\d{1,20}$/.test(text) ? Number(text) : undefined;
    };
    for (const wanted of limitsOf(mine, rules, usedBytes)) {
      const path = folders[wanted.component];
      if (path !== undefined) this.#tried(wanted.component, () => this.#set(tree, path, wanted));
    }
  }

  #set(tree: DelegatedTree, path: string, { component, file, value }: WantedLimit): void {
    const key = `${tree.root} ${path} ${file}`;
    if (this.#overruled.has(key)) return;
    const known = this.#entries.find((entry) => keyOf(entry) === key);
    const current = tree.read(path, file);
    if (known !== undefined && !isOurs(known, current)) return this.#yield(known, key, current);
    if (isNear(file, value, current)) return;
    const entry: Entry = {
      ...{ root: tree.root, path, file, component, value, before: known?.before ?? current },
      ...(known !== undefined && { previous: known.value }),
      atMs: this.#options.nowMs(),
    };
    const before = this.#entries;
    this.#remember([...before.filter((one) => keyOf(one) !== key), entry]);
    try {
      tree.write(path, file, value);
    } catch (error) {
      this.#remember(before);
      throw error;
    }
    this.#counts.writes++;
    this.#options.onNotice({ kind: 'applied', component, file: `${path}/${file}`, value });
  }

  #restore(): void {
    for (const entry of this.#entries) {
      const tree = this.#tree(entry.root);
      this.#tried(entry.component, () => {
        const { component, path, file, before } = entry;
        if (tree.isThere(path)) {
          const current = tree.read(path, file);
          if (!isOurs(entry, current)) return this.#yield(entry, keyOf(entry), current);
          if (current !== before) {
            tree.write(path, file, before);
            this.#counts.writes++;
            this.#options.onNotice({ kind: 'restored', component, file: `${path}/${file}`, value: before });
          }
        }
        this.#forget(keyOf(entry));
      });
    }
  }

  #yield({ component, path, file }: Entry, key: string, value: string): void {
    this.#overruled.add(key);
    this.#counts.overruled++;
    this.#forget(key);
    this.#options.onNotice({ kind: 'overruled', component, file: `${path}/${file}`, value });
  }

  #tree(root: string): DelegatedTree {
    const { fileSystemType, ownPid } = this.#options;
    return new DelegatedTree({
      root,
      ...(fileSystemType !== undefined && { fileSystemType }),
      ...(ownPid !== undefined && { ownPid }),
    });
  }

  #forget(key: string): void {
    this.#remember(this.#entries.filter((entry) => keyOf(entry) !== key));
  }

  /** Durable first: when it cannot be written down, it is not done. */
  #remember(entries: readonly Entry[]): void {
    this.#options.ledger.write(writeLedger(entries));
    this.#entries = entries;
  }

  #tried<T>(component: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      const reason =
        error instanceof TouchRefused ? error.message : `${error instanceof Error ? error.message : error}`;
      this.#counts.refused++;
      if (this.#told.has(`${component} ${reason}`)) return undefined;
      if (this.#told.size >= MOST_REASONS) this.#told.clear();
      this.#told.add(`${component} ${reason}`);
      this.#options.onNotice({ kind: 'refused', component, reason });
      return undefined;
    }
  }
}

function keyOf({
  root,
  path,
  file,
}: {
  readonly root: string;
  readonly path: string;
  readonly file: LimitFile;
}): string {
  return `${root} ${path} ${file}`;
}

/** Between the ledger and the file the agent may have died: then the value before, or the one before that, still stands. */
function isOurs({ value, previous, before }: Entry, current: string): boolean {
  return current === value || current === previous || current === before;
}
