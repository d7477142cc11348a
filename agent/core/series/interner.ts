import type { AttributeValue, Series } from '../model.ts';

/** Everything that makes two points belong to the same series; a `Series` without its id. */
export type SeriesIdentity = Omit<Series, 'id'>;

export interface InternerCounts {
  /** Series asked for and refused because the limit was reached. */
  readonly overflow: number;
  readonly evicted: number;
}

type ResourceMap = Series['resource'];
interface InternedResource {
  readonly number: number;
  readonly map: ResourceMap;
}

/** A series as the interner keeps it: with the key to find it by, and when it was last asked for. */
class InternedSeries implements Series {
  readonly id: number;
  readonly name: string;
  readonly unit: string;
  readonly kind: Series['kind'];
  readonly temporality?: NonNullable<Series['temporality']>;
  readonly monotonic: boolean;
  readonly scope: string;
  readonly resource: ReadonlyMap<string, AttributeValue>;
  readonly attributes: ReadonlyMap<string, AttributeValue>;
  readonly key: string;
  usedMs: number;

  constructor(id: number, identity: SeriesIdentity, resource: ResourceMap, key: string, nowMs: number) {
    this.id = id;
    this.name = identity.name;
    this.unit = identity.unit;
    this.kind = identity.kind;
    if (identity.temporality !== undefined) this.temporality = identity.temporality;
    this.monotonic = identity.monotonic;
    this.scope = identity.scope;
    this.resource = resource;
    this.attributes = identity.attributes;
    this.key = key;
    this.usedMs = nowMs;
  }

  touch(nowMs: number): void {
    this.usedMs = nowMs;
  }
}

/**
 * Gives the same object for the same identity, so that everything downstream compares and looks up series by
 * reference. Attribute order does not matter; a resource is stored once however many series it has.
 *
 * Bounded: beyond `maxSeries` the answer is `undefined` and `counts.overflow` says so. Ids are dense from 0 and never
 * given twice, so a series that was evicted and returns is a new one.
 */
export class SeriesInterner {
  readonly #maxSeries: number;
  readonly #series = new Map<string, InternedSeries>();
  /** Canonical text of a resource → its number and the map shared by all its series. */
  readonly #resources = new Map<string, InternedResource>();
  /** Skips the canonical text for a resource map that was seen before, the usual case. */
  readonly #resourceOf = new WeakMap<ResourceMap, InternedResource>();
  #nextId = 0;
  #nextResource = 0;
  #overflow = 0;
  #evicted = 0;

  constructor(options: { readonly maxSeries: number }) {
    this.#maxSeries = options.maxSeries;
  }

  get size(): number {
    return this.#series.size;
  }

  get counts(): InternerCounts {
    return { overflow: this.#overflow, evicted: this.#evicted };
  }

  /** `nowMs` matters to those who call `evictIdle`; others may leave it out. */
  intern(identity: SeriesIdentity, nowMs = 0): Series | undefined {
    const full = this.#series.size >= this.#maxSeries;
    const resource =
      this.#knownResource(identity.resource) ?? (full ? undefined : this.#addResource(identity.resource));
    const key =
      resource === undefined
        ? undefined
        : JSON.stringify([
            resource.number,
            identity.scope,
            identity.name,
            identity.unit,
            identity.kind,
            identity.temporality ?? '',
            identity.monotonic,
            canonicalAttributes(identity.attributes),
          ]);
    const known = key === undefined ? undefined : this.#series.get(key);
    if (known !== undefined) {
      known.touch(nowMs);
      return known;
    }
    if (full || resource === undefined || key === undefined) {
      this.#overflow += 1;
      return undefined;
    }
    const series = new InternedSeries(this.#nextId, identity, resource.map, key, nowMs);
    this.#nextId += 1;
    this.#series.set(key, series);
    return series;
  }

  /** For callers with a cache of their own in front: says that the series is in use without looking it up again. */
  touch(series: Series, nowMs: number): void {
    if (series instanceof InternedSeries) series.touch(nowMs);
  }

  /** Forgets series unused for `idleMs`; returns how many. A caller's own cache must forget them too. */
  evictIdle(nowMs: number, idleMs: number): number {
    let evicted = 0;
    const used = new Set<ResourceMap>();
    for (const series of this.#series.values()) {
      if (nowMs - series.usedMs > idleMs) {
        this.#series.delete(series.key);
        evicted += 1;
      } else {
        used.add(series.resource);
      }
    }
    if (evicted > 0) {
      for (const [text, resource] of this.#resources) {
        if (used.has(resource.map)) continue;
        this.#resources.delete(text);
        this.#resourceOf.delete(resource.map);
      }
    }
    this.#evicted += evicted;
    return evicted;
  }

  #knownResource(map: ResourceMap): InternedResource | undefined {
    const seen = this.#resourceOf.get(map);
    if (seen !== undefined) return seen;
    const known = this.#resources.get(canonicalAttributes(map));
    if (known !== undefined) this.#resourceOf.set(map, known);
    return known;
  }

  /** Only ever called when a series of it follows, so there are never more resources than series. */
  #addResource(map: ResourceMap): InternedResource {
    const resource = { number: this.#nextResource, map };
    this.#nextResource += 1;
    this.#resources.set(canonicalAttributes(map), resource);
    this.#resourceOf.set(map, resource);
    return resource;
  }
}

/** The same text exactly for the same attributes, whatever their order. */
export function canonicalAttributes(attributes: ReadonlyMap<string, AttributeValue>): string {
  const keys = [...attributes.keys()].sort();
  return keys.map((key) => `${JSON.stringify(key)}:${canonicalValue(attributes.get(key) ?? null)}`).join(',');
}

function canonicalValue(value: AttributeValue): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'bigint':
      return `${value}n`;
    case 'number':
    case 'boolean':
      return String(value);
    default:
      return value === null ? 'null' : `[${value.map(canonicalValue).join(',')}]`;
  }
}
