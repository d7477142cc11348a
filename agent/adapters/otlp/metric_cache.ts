import type { AttributeValue, Series } from '../../core/model.ts';
import type { SeriesIdentity } from '../../core/series/interner.ts';
import { readKeyValue, readString } from './attributes.ts';
import { ByteCache, type CacheBudget } from './byte_cache.ts';
import type { Span } from './span.ts';
import { Wire } from './wire.ts';

/**
 * What the decoder remembers between requests, as nested as the message is: resource → scope → metric → series. Each
 * level is found by its encoded bytes; only on a miss are they parsed, here.
 */
export interface ResourceEntry {
  readonly attributes: Series['resource'];
  readonly scopes: ByteCache<ScopeEntry>;
}
export interface ScopeEntry {
  /** `name@version{attributes}`, the last two only where given. */
  readonly scope: string;
  readonly metrics: ByteCache<MetricEntry>;
}
export interface MetricEntry {
  readonly name: string;
  readonly unit: string;
  /** The same name and unit as another kind, temporality or monotonicity is another series. */
  readonly variants: (MetricVariant | undefined)[];
}
export interface MetricVariant {
  /** All of the identity that a metric's points share. */
  readonly identity: Omit<SeriesIdentity, 'attributes'>;
  readonly series: ByteCache<Series>;
  /** `undefined` as a value: these bounds are not valid. */
  readonly bounds: ByteCache<readonly number[] | undefined>;
}

const TAG_1_BYTES = 10;
const TAG_2_BYTES = 18;
const TAG_3_BYTES = 26;

function open(span: Span): Wire {
  const wire = new Wire();
  wire.reset(span.bytes);
  wire.pos = span.start;
  return wire;
}

/** `Resource { attributes = 1 }`. */
export function readResource(span: Span, budget: CacheBudget): ResourceEntry {
  return { attributes: readAttributes(span, TAG_1_BYTES), scopes: new ByteCache(budget) };
}

/** Every attribute in the span, where `tag` is that of the attributes field. */
export function readAttributes(span: Span, tag: number): ReadonlyMap<string, AttributeValue> {
  const attributes = new Map<string, AttributeValue>();
  const wire = open(span);
  const end = span.end;
  while (wire.pos < end) {
    const found = wire.tag(end);
    if (found === tag) readKeyValue(wire, wire.lengthEnd(end), attributes);
    else wire.skip(found, end);
  }
  return attributes;
}

/** `InstrumentationScope { name = 1, version = 2, attributes = 3 }`. */
export function readScope(
  span: Span,
  budget: CacheBudget,
  canonical: (attributes: Series['attributes']) => string,
): ScopeEntry {
  let name = '';
  let version = '';
  const wire = open(span);
  const end = span.end;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === TAG_1_BYTES) name = readString(wire, end);
    else if (tag === TAG_2_BYTES) version = readString(wire, end);
    else wire.skip(tag, end);
  }
  const attributes = readAttributes(span, TAG_3_BYTES);
  const scope =
    name + (version === '' ? '' : `@${version}`) + (attributes.size === 0 ? '' : `{${canonical(attributes)}}`);
  return { scope, metrics: new ByteCache(budget) };
}

/** `Metric { name = 1, unit = 3 }`, without its data. */
export function readMetricHeader(span: Span): MetricEntry {
  let name = '';
  let unit = '';
  const wire = open(span);
  const end = span.end;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === TAG_1_BYTES) name = readString(wire, end);
    else if (tag === TAG_3_BYTES) unit = readString(wire, end);
    else wire.skip(tag, end);
  }
  return { name, unit, variants: [] };
}

/** Packed doubles; `undefined` unless finite and strictly increasing. */
export function readBounds(span: Span): readonly number[] | undefined {
  const bounds: number[] = [];
  for (let at = span.start; at < span.end; at += 8) {
    const bound = span.view.getFloat64(at, true);
    if (!Number.isFinite(bound) || (bounds.length > 0 && bound <= bounds.at(-1)!)) return undefined;
    bounds.push(bound);
  }
  return bounds;
}
