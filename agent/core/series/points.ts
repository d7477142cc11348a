import type { AttributeValue, Series } from '../model.ts';
import { HOST_SAMPLER_SCOPE } from '../signals.ts';
import type { SampleBatchBuilder } from './batch.ts';
import type { SeriesInterner } from './interner.ts';

export type Resource = ReadonlyMap<string, AttributeValue>;
export type Attributes = Readonly<Record<string, string>>;

/** Instruments of the semantic conventions, as series: an up-down counter is a sum that may fall. */
export type Instrument = 'gauge' | 'updowncounter' | 'counter';

const NO_ATTRIBUTES: Attributes = {};

/**
 * Writes points of one resource into batches. The series of each name and attribute set is looked up once and kept: at
 * one point per second and series the lookup would cost more than the point.
 */
export class Points {
  readonly #resource: Resource;
  readonly #interner: SeriesInterner;
  readonly #series = new Map<string, Series>();
  readonly #counts: { refused: number };

  /** `counts.refused`: points without a series, because the interner has no room for more. */
  constructor(interner: SeriesInterner, resource: Resource, counts: { refused: number }) {
    this.#counts = counts;
    this.#interner = interner;
    this.#resource = resource;
  }

  /** Nothing is written for a value that is not known, or not a number. */
  put(
    batch: SampleBatchBuilder,
    timeMs: number,
    [name, unit, instrument]: readonly [name: string, unit: string, instrument: Instrument],
    value: number | undefined,
    attributes: Attributes = NO_ATTRIBUTES,
  ): void {
    if (value === undefined || !Number.isFinite(value)) return;
    const series = this.#find(name, unit, instrument, attributes, timeMs);
    if (series === undefined) {
      this.#counts.refused += 1;
      return;
    }
    if (instrument === 'gauge') batch.gaugeAtMs(series, timeMs, value);
    // When the kernel's counters began is not known to the millisecond: the first point is where counting starts.
    else batch.sumOverMs(series, 0, timeMs, value);
  }

  #find(name: string, unit: string, instrument: Instrument, attributes: Attributes, nowMs: number): Series | undefined {
    const key = `${name} ${Object.values(attributes).join(' ')}`;
    const known = this.#series.get(key);
    if (known !== undefined) {
      this.#interner.touch(known, nowMs);
      return known;
    }
    const identity = {
      name,
      unit,
      monotonic: instrument === 'counter',
      scope: HOST_SAMPLER_SCOPE,
      resource: this.#resource,
      attributes: new Map<string, AttributeValue>(Object.entries(attributes)),
    };
    const series = this.#interner.intern(
      instrument === 'gauge' ? { ...identity, kind: 'gauge' } : { ...identity, kind: 'sum', temporality: 'cumulative' },
      nowMs,
    );
    if (series !== undefined) this.#series.set(key, series);
    return series;
  }
}
