import type { SampleBatch, Series } from '../../core/model.ts';
import { SampleBatchBuilder } from '../../core/series/batch.ts';
import type { SeriesInterner } from '../../core/series/interner.ts';
import { ByteCache, type CacheBudget, type CacheEntry } from './byte_cache.ts';
import { ExponentialFields } from './exponential_point.ts';
import { HistogramFields } from './histogram_point.ts';
import {
  type MetricEntry,
  type MetricVariant,
  type ResourceEntry,
  readAttributes,
  type ScopeEntry,
} from './metric_cache.ts';
import { NumberPoint } from './number_point.ts';
import { Rejections } from './rejections.ts';
import type { Span } from './span.ts';
import { SummaryFields } from './summary_point.ts';
import type { Wire } from './wire.ts';

// metrics.proto: Metric { gauge = 5, sum = 7, histogram = 9, exponential_histogram = 10, summary = 11 }, and in each of
// those data_points = 1, aggregation_temporality = 2, is_monotonic = 3.
const TAG_POINT = 10;
const TAG_TEMPORALITY = 16;
const TAG_MONOTONIC = 24;

const KINDS: readonly Series['kind'][] = ['gauge', 'sum', 'histogram', 'exponential_histogram', 'summary'];

const DELTA = 1;
const CUMULATIVE = 2;

/** The kind whose data a field of `Metric` holds, if it holds data. */
export function kindOf(tag: number): Series['kind'] | undefined {
  switch (tag) {
    case 42:
      return 'gauge';
    case 58:
      return 'sum';
    case 74:
      return 'histogram';
    case 82:
      return 'exponential_histogram';
    case 90:
      return 'summary';
    default:
      return undefined;
  }
}

/**
 * The points of one metric become rows of the batch, or rejections. A metric may have any number of them: it is opened, and
 * then read in as many parts as the caller likes.
 */
export class PointReader {
  readonly #wire: Wire;
  readonly #interner: SeriesInterner;
  readonly #budget: CacheBudget;
  readonly #numberPoint = new NumberPoint();
  readonly #histogramFields = new HistogramFields();
  readonly #exponentialFields = new ExponentialFields();
  readonly #summaryFields = new SummaryFields();
  readonly #builder = new SampleBatchBuilder();
  #rejections = new Rejections();
  #nowMs = 0;
  /** Of the metric that is open, and where its data message ends. */
  #variant: MetricVariant | undefined;
  #end = 0;
  #previous: CacheEntry<Series> | undefined;
  #left = 0;

  constructor(wire: Wire, interner: SeriesInterner, budget: CacheBudget) {
    this.#wire = wire;
    this.#interner = interner;
    this.#budget = budget;
  }

  begin(expectedPoints: number, nowMs: number): void {
    this.#builder.begin(expectedPoints);
    this.#rejections = new Rejections();
    this.#nowMs = nowMs;
    this.#variant = undefined;
  }

  /** So many points may be read from now on. */
  allow(points: number): void {
    this.#left = points;
  }

  end(): { readonly batch: SampleBatch; readonly rejections: Rejections } {
    return { batch: this.#builder.build(), rejections: this.#rejections };
  }

  /** Lets go of the request's bytes; call it when the wire no longer holds them. */
  release(): void {
    this.#variant = undefined;
    this.#previous = undefined;
    this.#numberPoint.attributes.clear(this.#wire);
    this.#histogramFields.release(this.#wire);
    this.#exponentialFields.release(this.#wire);
    this.#summaryFields.release(this.#wire);
  }

  /** Opens the data message of `metric` from `start` to `end`; `read` reads its points. */
  open(
    kind: Series['kind'],
    start: number,
    end: number,
    resource: ResourceEntry,
    scope: ScopeEntry,
    metric: MetricEntry,
  ): void {
    const wire = this.#wire;
    wire.pos = start;
    let temporality = 0;
    let monotonic = false;
    if (kind !== 'gauge') {
      let points = 0;
      while (wire.pos < end) {
        const tag = wire.tag(end);
        if (tag === TAG_TEMPORALITY) temporality = wire.varint(end);
        else if (tag === TAG_MONOTONIC) monotonic = wire.varint(end) !== 0;
        else {
          if (tag === TAG_POINT) points += 1;
          wire.skip(tag, end);
        }
      }
      if (points === 0) return;
      // A summary counts from its start, and has no field that says so.
      if (kind === 'summary') temporality = CUMULATIVE;
      if (temporality !== DELTA && temporality !== CUMULATIVE) {
        this.#rejections.add('no_temporality', points);
        return;
      }
    }
    this.#variant = variantOf(
      this.#budget,
      { resource, scope, metric },
      { kind, temporality, monotonic: monotonic && kind === 'sum' },
    );
    wire.pos = start;
    this.#end = end;
    this.#previous = undefined;
  }

  /** Reads on in what is open, as far as is allowed; whether that was all of it. */
  read(): boolean {
    const variant = this.#variant;
    if (variant === undefined) return true;
    const wire = this.#wire;
    const end = this.#end;
    const { kind } = variant.identity;
    let previous = this.#previous;
    let left = this.#left;
    while (wire.pos < end && left > 0) {
      const tag = wire.tag(end);
      if (tag !== TAG_POINT) wire.skip(tag, end);
      else {
        const stop = wire.lengthEnd(end);
        left -= 1;
        if (kind === 'histogram') previous = this.#histogram(stop, variant, previous);
        else if (kind === 'exponential_histogram') previous = this.#exponential(stop, variant, previous);
        else if (kind === 'summary') previous = this.#summary(stop, variant, previous);
        else previous = this.#number(stop, variant, previous);
      }
    }
    this.#left = left;
    this.#previous = previous;
    if (wire.pos < end) return false;
    this.#variant = undefined;
    return true;
  }

  #number(
    end: number,
    variant: MetricVariant,
    previous: CacheEntry<Series> | undefined,
  ): CacheEntry<Series> | undefined {
    const point = this.#numberPoint;
    point.read(this.#wire, end);
    const isGauge = variant.identity.kind === 'gauge';
    const problem = point.problem(isGauge);
    if (problem !== undefined) {
      this.#rejections.add(problem);
      return previous;
    }
    const entry = this.#series(point.attributes, NumberPoint.ATTRIBUTES_TAG, variant, previous);
    if (entry === undefined) return previous;
    const { start, time, value, flags, rest } = point;
    if (isGauge) this.#builder.gauge(entry.value, time.ms, time.subMsNs, value, flags);
    else this.#builder.sum(entry.value, start.ms, start.subMsNs, time.ms, time.subMsNs, value, flags, rest);
    return entry;
  }

  #histogram(
    end: number,
    variant: MetricVariant,
    previous: CacheEntry<Series> | undefined,
  ): CacheEntry<Series> | undefined {
    const fields = this.#histogramFields;
    fields.read(this.#wire, end);
    const point = fields.take(variant.bounds);
    if (typeof point === 'string') {
      this.#rejections.add(point);
      return previous;
    }
    const entry = this.#series(fields.attributes, HistogramFields.ATTRIBUTES_TAG, variant, previous);
    if (entry === undefined) return previous;
    const { start, time, flags } = fields;
    this.#builder.histogram(entry.value, start.ms, start.subMsNs, time.ms, time.subMsNs, point, flags);
    return entry;
  }

  #exponential(
    end: number,
    variant: MetricVariant,
    previous: CacheEntry<Series> | undefined,
  ): CacheEntry<Series> | undefined {
    const fields = this.#exponentialFields;
    fields.read(this.#wire, end);
    const point = fields.take();
    if (typeof point === 'string') {
      this.#rejections.add(point);
      return previous;
    }
    const entry = this.#series(fields.attributes, ExponentialFields.ATTRIBUTES_TAG, variant, previous);
    if (entry === undefined) return previous;
    const { start, time, flags } = fields;
    this.#builder.exponential(entry.value, start.ms, start.subMsNs, time.ms, time.subMsNs, point, flags);
    return entry;
  }

  #summary(
    end: number,
    variant: MetricVariant,
    previous: CacheEntry<Series> | undefined,
  ): CacheEntry<Series> | undefined {
    const fields = this.#summaryFields;
    fields.read(this.#wire, end);
    const point = fields.take();
    if (typeof point === 'string') {
      this.#rejections.add(point);
      return previous;
    }
    const entry = this.#series(fields.attributes, SummaryFields.ATTRIBUTES_TAG, variant, previous);
    if (entry === undefined) return previous;
    const { start, time, flags } = fields;
    this.#builder.histogram(entry.value, start.ms, start.subMsNs, time.ms, time.subMsNs, point, flags);
    return entry;
  }

  /** The series with these attributes; `undefined`, and the point counted as rejected, where there is no room for it. */
  #series(
    span: Span,
    tag: number,
    variant: MetricVariant,
    previous: CacheEntry<Series> | undefined,
  ): CacheEntry<Series> | undefined {
    const { bytes, view, start, end } = span;
    const known = variant.series.find(view, start, end, previous);
    if (known !== undefined) {
      this.#interner.touch(known.value, this.#nowMs);
      return known;
    }
    const series = this.#interner.intern({ ...variant.identity, attributes: readAttributes(span, tag) }, this.#nowMs);
    if (series === undefined) {
      this.#rejections.add('series_limit');
      return undefined;
    }
    return variant.series.add(bytes, view, start, end, previous, series);
  }
}

interface Where {
  readonly resource: ResourceEntry;
  readonly scope: ScopeEntry;
  readonly metric: MetricEntry;
}

interface Shape {
  readonly kind: Series['kind'];
  readonly temporality: number;
  readonly monotonic: boolean;
}

/** A metric's name may come with another kind or temporality than before: those are other series. */
function variantOf(budget: CacheBudget, { resource, scope, metric }: Where, shape: Shape): MetricVariant {
  const { kind, temporality, monotonic } = shape;
  const index = KINDS.indexOf(kind) * 6 + temporality * 2 + (monotonic ? 1 : 0);
  metric.variants[index] ??= {
    identity: {
      name: metric.name,
      unit: metric.unit,
      kind,
      ...(temporality !== 0 && { temporality: temporality === DELTA ? 'delta' : 'cumulative' }),
      monotonic,
      scope: scope.scope,
      resource: resource.attributes,
    },
    series: new ByteCache(budget),
    bounds: new ByteCache(budget),
  };
  return metric.variants[index];
}
