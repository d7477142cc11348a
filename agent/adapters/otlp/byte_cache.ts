/** Room for keys, shared by all caches of one decoder. */
export class CacheBudget {
  readonly #maxKeys: number;
  readonly #maxBytes: number;
  #keys = 0;
  #bytes = 0;

  constructor(maxKeys: number, maxBytes: number) {
    this.#maxKeys = maxKeys;
    this.#maxBytes = maxBytes;
  }

  get isSpent(): boolean {
    return this.#keys >= this.#maxKeys || this.#bytes >= this.#maxBytes;
  }

  /** Whether there is room; if so it is taken. */
  take(bytes: number): boolean {
    if (this.isSpent) return false;
    this.#keys += 1;
    this.#bytes += bytes;
    return true;
  }

  clear(): void {
    this.#keys = 0;
    this.#bytes = 0;
  }
}

export class CacheEntry<Value> {
  readonly key: DataView;
  readonly value: Value;
  /** What was looked up after this one the last time. */
  next: CacheEntry<Value> | undefined = undefined;

  constructor(key: DataView, value: Value) {
    this.key = key;
    this.value = value;
  }
}

/** Keys made to collide are not remembered beyond this, so that a hostile sender costs time linear in its own bytes. */
const MAX_COLLISIONS = 8;

/**
 * Finds what some bytes stand for without parsing them again.
 *
 * Intuition: an exporter sends the same series in the same order every time. So each entry remembers which one followed
 * it, and usually one comparison with that guess is the whole look-up; a sender that shuffles costs a hash and a map
 * access. A key is copied when it is added, so that the request it came in can be freed.
 *
 * A miss is never wrong, only slower: the caller parses and asks the interner, which knows the identity.
 */
export class ByteCache<Value> {
  readonly #budget: CacheBudget;
  readonly #chains = new Map<number, CacheEntry<Value>[]>();
  #first: CacheEntry<Value> | undefined = undefined;

  constructor(budget: CacheBudget) {
    this.#budget = budget;
  }

  /** `previous`: the entry found before this one in the same message, if any. */
  find(
    view: DataView,
    start: number,
    end: number,
    previous: CacheEntry<Value> | undefined,
  ): CacheEntry<Value> | undefined {
    const guess = previous === undefined ? this.#first : previous.next;
    if (guess !== undefined && equals(guess.key, view, start, end)) return guess;
    const chain = this.#chains.get(hash(view, start, end));
    if (chain === undefined) return undefined;
    for (const entry of chain) {
      if (!equals(entry.key, view, start, end)) continue;
      this.#follow(previous, entry);
      return entry;
    }
    return undefined;
  }

  /** The entry for these bytes, kept if there is room. */
  add(
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
    previous: CacheEntry<Value> | undefined,
    value: Value,
  ): CacheEntry<Value> {
    const entry = new CacheEntry(copied(bytes, start, end), value);
    const code = hash(view, start, end);
    const chain = this.#chains.get(code);
    if (chain !== undefined && chain.length >= MAX_COLLISIONS) return entry;
    if (!this.#budget.take(end - start)) return entry;
    if (chain === undefined) this.#chains.set(code, [entry]);
    else chain.push(entry);
    this.#follow(previous, entry);
    return entry;
  }

  clear(): void {
    this.#chains.clear();
    this.#first = undefined;
  }

  #follow(previous: CacheEntry<Value> | undefined, entry: CacheEntry<Value>): void {
    if (previous === undefined) this.#first = entry;
    else previous.next = entry;
  }
}

/** `slice` would not do: of a Node `Buffer` it is a view, which keeps the whole request in memory. */
function copied(bytes: Uint8Array, start: number, end: number): DataView {
  const copy = new Uint8Array(end - start);
  copy.set(bytes.subarray(start, end));
  return new DataView(copy.buffer);
}

/** Word by word: a third of the time that byte by byte takes. */
function equals(key: DataView, view: DataView, start: number, end: number): boolean {
  const length = end - start;
  if (key.byteLength !== length) return false;
  const words = length & ~3;
  let at = 0;
  for (; at < words; at += 4) if (key.getInt32(at) !== view.getInt32(start + at)) return false;
  for (; at < length; at++) if (key.getUint8(at) !== view.getUint8(start + at)) return false;
  return true;
}

/** Multiply-and-fold over 32-bit words, after Knuth's multiplicative hash; the length is mixed in last. */
function hash(view: DataView, start: number, end: number): number {
  let code = 0x811c9dc5;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    code = Math.imul(code ^ view.getInt32(at, true), 0x9e3779b1);
    code ^= code >>> 15;
  }
  for (; at < end; at++) code = Math.imul(code ^ view.getUint8(at), 0x01000193);
  code = Math.imul(code ^ (end - start), 0x85ebca6b);
  return code ^ (code >>> 13);
}
