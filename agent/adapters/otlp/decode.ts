import type { SampleBatch, Series } from '../../core/model.ts';
import { canonicalAttributes, type SeriesInterner } from '../../core/series/interner.ts';
import { ByteCache, CacheBudget, type CacheEntry } from './byte_cache.ts';
import {
  type MetricEntry,
  type ResourceEntry,
  readMetricHeader,
  readResource,
  readScope,
  type ScopeEntry,
} from './metric_cache.ts';
import { kindOf, PointReader } from './metric_points.ts';
import type { Rejections } from './rejections.ts';
import { Span } from './span.ts';
import { MalformedError, Wire } from './wire.ts';

export type Decoded =
  | { readonly ok: true; readonly batch: SampleBatch; readonly rejections: Rejections }
  /** Not a protobuf message; `offset` is the byte where that showed. */
  | { readonly ok: false; readonly offset: number; readonly message: string };

// metrics.proto: ExportMetricsServiceRequest { resource_metrics = 1 }, ResourceMetrics { resource = 1,
// scope_metrics = 2 }, ScopeMetrics { scope = 1, metrics = 2 }.
const TAG_1_BYTES = 10;
const TAG_2_BYTES = 18;

/** Memory for remembered keys, beside their number: long attributes must not multiply. */
const MAX_CACHED_BYTES = 32 * 1024 * 1024;
/** Columns are sized in advance up to this; larger batches grow by doubling. */
const MAX_EXPECTED_POINTS = 65_536;
const NO_BYTES = new Uint8Array(0);

/** Work that stops where the points it may read are used up, and is taken up again from there. */
type Parts<Result> = Generator<undefined, Result, undefined>;

/**
 * Decodes `ExportMetricsServiceRequest` straight into the columns of a batch.
 *
 * A general codec makes an object for every attribute of every point, for every export. Here a series is recognised by
 * its encoded bytes, so that a point costs its timestamps and its value. The price is a cache of those bytes, bounded;
 * when it is full it is forgotten as a whole between two requests and fills again.
 *
 * Fields may come in any order, as protobuf allows: each message is stepped over once for what belongs to the whole of
 * it (a resource, a temporality) before its parts are read.
 */
export class MetricsDecoder {
  readonly #interner: SeriesInterner;
  readonly #budget: CacheBudget;
  readonly #resources: ByteCache<ResourceEntry>;
  readonly #wire = new Wire();
  readonly #resourceSpan = new Span();
  readonly #scopeSpan = new Span();
  readonly #headerSpan = new Span();
  readonly #points: PointReader;
  #inWork: Parts<void> | undefined;
  #bytesPerPoint = 64;

  constructor(options: { readonly interner: SeriesInterner; readonly maxCachedKeys: number }) {
    this.#interner = options.interner;
    this.#budget = new CacheBudget(options.maxCachedKeys, MAX_CACHED_BYTES);
    this.#resources = new ByteCache(this.#budget);
    this.#points = new PointReader(this.#wire, options.interner, this.#budget);
  }

  /** Keeps nothing of `bytes`. `nowMs` dates the series for `evictIdle`. */
  decode(bytes: Uint8Array, nowMs: number): Decoded {
    this.begin(bytes, nowMs);
    for (;;) {
      const decoded = this.advance(Number.POSITIVE_INFINITY);
      if (decoded !== undefined) return decoded;
    }
  }

  /**
   * For requests that are large: `advance` decodes them in parts, between which others get their turn. One request at a
   * time: what was begun before and is not at its end is dropped. `bytes` must stay as they are until then.
   */
  begin(bytes: Uint8Array, nowMs: number): void {
    this.#letGo();
    if (this.#budget.isSpent) this.#forget();
    this.#points.begin(Math.min(MAX_EXPECTED_POINTS, Math.ceil(bytes.length / this.#bytesPerPoint) + 1), nowMs);
    this.#wire.reset(bytes);
    this.#inWork = this.#request(bytes.length);
  }

  /** So many points at most of what was begun; `undefined`: there is more. */
  advance(points: number): Decoded | undefined {
    if (this.#inWork === undefined) throw new Error('no request was begun');
    const { length } = this.#wire.bytes;
    this.#points.allow(points);
    let isPart = false;
    try {
      isPart = this.#inWork.next().done !== true;
      if (isPart) return undefined;
    } catch (error) {
      if (error instanceof MalformedError) return { ok: false, offset: error.offset, message: error.message };
      throw error;
    } finally {
      if (!isPart) this.#letGo();
    }
    const { batch, rejections } = this.#points.end();
    if (batch.size > 0) this.#bytesPerPoint = length / batch.size;
    return { ok: true, batch, rejections };
  }

  /**
   * Frees series that no request has named for `idleMs`. None while a request is half decoded: an entry must not outlive
   * its series, or the interner would make a second object for the same identity.
   */
  evictIdle(nowMs: number, idleMs: number): number {
    if (this.#inWork !== undefined) return 0;
    const evicted = this.#interner.evictIdle(nowMs, idleMs);
    if (evicted > 0) this.#forget();
    return evicted;
  }

  /** The request goes: it may be as large as the limit. */
  #letGo(): void {
    this.#inWork = undefined;
    this.#wire.reset(NO_BYTES);
    for (const span of [this.#resourceSpan, this.#scopeSpan, this.#headerSpan]) span.clear(this.#wire);
    this.#points.release();
  }

  #forget(): void {
    this.#resources.clear();
    this.#budget.clear();
  }

  *#request(end: number): Parts<void> {
    const wire = this.#wire;
    let previous: CacheEntry<ResourceEntry> | undefined;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag === TAG_1_BYTES) previous = yield* this.#resourceMetrics(wire.lengthEnd(end), previous);
      else wire.skip(tag, end);
    }
  }

  *#resourceMetrics(end: number, previous: CacheEntry<ResourceEntry> | undefined): Parts<CacheEntry<ResourceEntry>> {
    const wire = this.#wire;
    const start = wire.pos;
    const span = this.#resourceSpan;
    this.#collect(span, end);
    const entry =
      this.#resources.find(span.view, span.start, span.end, previous) ??
      this.#resources.add(span.bytes, span.view, span.start, span.end, previous, readResource(span, this.#budget));
    wire.pos = start;
    let previousScope: CacheEntry<ScopeEntry> | undefined;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag === TAG_2_BYTES)
        previousScope = yield* this.#scopeMetrics(wire.lengthEnd(end), entry.value, previousScope);
      else wire.skip(tag, end);
    }
    return entry;
  }

  *#scopeMetrics(
    end: number,
    resource: ResourceEntry,
    previous: CacheEntry<ScopeEntry> | undefined,
  ): Parts<CacheEntry<ScopeEntry>> {
    const wire = this.#wire;
    const start = wire.pos;
    const span = this.#scopeSpan;
    this.#collect(span, end);
    const entry =
      resource.scopes.find(span.view, span.start, span.end, previous) ??
      resource.scopes.add(
        span.bytes,
        span.view,
        span.start,
        span.end,
        previous,
        readScope(span, this.#budget, canonicalAttributes),
      );
    wire.pos = start;
    let previousMetric: CacheEntry<MetricEntry> | undefined;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag !== TAG_2_BYTES) wire.skip(tag, end);
      else {
        const stop = wire.lengthEnd(end);
        previousMetric = this.#metric(stop, resource, entry.value, previousMetric);
        // No generator of its own: many metrics have one point each, and pay for nothing but that.
        while (!this.#points.read()) yield;
        wire.pos = stop;
      }
    }
    return entry;
  }

  /** The payload of field 1 (a resource, a scope) of the message up to `end`. */
  #collect(span: Span, end: number): void {
    const wire = this.#wire;
    span.clear(wire);
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag === TAG_1_BYTES) {
        const stop = wire.lengthEnd(end);
        span.add(wire, wire.pos, stop);
        wire.pos = stop;
      } else wire.skip(tag, end);
    }
  }

  /** Opens the points of a metric. */
  #metric(
    end: number,
    resource: ResourceEntry,
    scope: ScopeEntry,
    previous: CacheEntry<MetricEntry> | undefined,
  ): CacheEntry<MetricEntry> {
    const wire = this.#wire;
    const span = this.#headerSpan;
    span.clear(wire);
    let kind: Series['kind'] | undefined;
    let dataStart = 0;
    let dataEnd = 0;
    while (wire.pos < end) {
      const at = wire.pos;
      const tag = wire.tag(end);
      const found = kindOf(tag);
      if (found !== undefined) {
        // One of a oneof: the last one counts.
        kind = found;
        dataEnd = wire.lengthEnd(end);
        dataStart = wire.pos;
        wire.pos = dataEnd;
      } else {
        wire.skip(tag, end);
        span.add(wire, at, wire.pos);
      }
    }
    const entry =
      scope.metrics.find(span.view, span.start, span.end, previous) ??
      scope.metrics.add(span.bytes, span.view, span.start, span.end, previous, readMetricHeader(span));
    if (kind !== undefined) this.#points.open(kind, dataStart, dataEnd, resource, scope, entry.value);
    return entry;
  }
}
