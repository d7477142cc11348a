import { isBlank } from './blank.ts';
import type { Tally } from './counts.ts';
import { type FamilyType, type Format, type Label, type LineLimits, readLine, readNumber } from './line.ts';
import { LineSplitter } from './lines.ts';
import type { Entry, SeriesTable } from './series_table.ts';

export interface PageLimits extends LineLimits {
  readonly maxLineLength: number;
  /** Families whose type is remembered. */
  readonly maxFamilies: number;
}

/** What was wrong with a line. */
export interface LineError {
  readonly line: number;
  readonly reason: string;
}

export interface PageResult {
  readonly samples: number;
  readonly badLines: number;
  /** The first few. */
  readonly errors: readonly LineError[];
  /** Ended as its format wants; one that did not may lack its second half. */
  readonly isComplete: boolean;
}

type Sample = { readonly name: string; readonly labels: readonly Label[]; readonly value: number };
/** What a sample is within the family that it belongs to. */
type Part = 'value' | 'bucket' | 'sum' | 'count' | 'created' | 'unsupported' | 'misfit';
interface Place {
  readonly family: string;
  readonly part: Part;
  readonly type: FamilyType;
}

const MAX_ERRORS = 5;
const NO_UNIT = '';
/** OpenMetrics spells units out. */
const UCUM: Readonly<Record<string, string>> = { seconds: 's', bytes: 'By', ratio: '1', percent: '%' };

/**
 * Reads one page as its bytes arrive, and files every sample with its series. A line that cannot be read costs that line:
 * it is counted, and the first few are told with their numbers.
 *
 * Series are named as their samples are (`…_total` for a counter), histograms and summaries as their family is, so a
 * metric has the same name in both formats.
 */
export class Page {
  readonly #format: Format;
  readonly #limits: PageLimits;
  readonly #series: SeriesTable;
  readonly #tally: Tally;
  readonly #lines: LineSplitter;
  readonly #types = new Map<string, FamilyType>();
  readonly #units = new Map<string, string>();
  readonly #errors: LineError[] = [];
  #samples = 0;
  #badLines = 0;
  #hasEnded = false;
  #placedName = '';
  #place: Place = { family: '', part: 'value', type: 'untyped' };

  /** `askedMs`: when the page was asked for, which is the time of its points. */
  constructor(format: Format, askedMs: number, limits: PageLimits, series: SeriesTable, tally: Tally) {
    this.#format = format;
    this.#limits = limits;
    this.#series = series;
    this.#tally = tally;
    this.#lines = new LineSplitter(limits.maxLineLength, (line, number) => this.#read(line, number));
    series.begin(askedMs);
  }

  push(bytes: Uint8Array): void {
    this.#lines.push(bytes);
  }

  end(): PageResult {
    this.#lines.end();
    return {
      samples: this.#samples,
      badLines: this.#badLines,
      errors: this.#errors,
      isComplete: this.#format === 'text' || this.#hasEnded,
    };
  }

  #read(line: string | undefined, number: number): void {
    const reason =
      line === undefined ? `the line is longer than ${this.#limits.maxLineLength} characters` : this.#take(line);
    if (reason === undefined) return;
    this.#badLines += 1;
    this.#tally.dropped.bad_line += 1;
    if (this.#errors.length < MAX_ERRORS) this.#errors.push({ line: number, reason });
  }

  /** Text: what is wrong with the line. */
  #take(text: string): string | undefined {
    const line = readLine(text, this.#format, this.#limits);
    if (this.#hasEnded && line.kind !== 'nothing') return 'the line stands behind "# EOF"';
    switch (line.kind) {
      case 'nothing':
        return undefined;
      case 'bad':
        return line.reason;
      case 'end':
        this.#hasEnded = true;
        return undefined;
      case 'unit':
        if (this.#units.size < this.#limits.maxFamilies) this.#units.set(line.family, UCUM[line.unit] ?? line.unit);
        return undefined;
      case 'type':
        return this.#declare(line.family, line.type);
      case 'sample':
        this.#samples += 1;
        return this.#file(line, line.timestampMs);
    }
  }

  #declare(family: string, type: FamilyType): string | undefined {
    this.#placedName = '';
    if (this.#types.has(family)) return `${family} has a type already`;
    if (this.#types.size >= this.#limits.maxFamilies) return `more than ${this.#limits.maxFamilies} metrics`;
    this.#types.set(family, type);
    return undefined;
  }

  #file(sample: Sample, timestampMs: number | undefined): string | undefined {
    const { name, labels, value } = sample;
    if (name !== this.#placedName) {
      this.#place = this.#placeOf(name);
      this.#placedName = name;
    }
    const { family, part, type } = this.#place;
    switch (part) {
      case 'misfit':
        return `a ${type} has no sample ${name}`;
      case 'unsupported':
        this.#tally.dropped.unsupported += 1;
        return undefined;
      case 'created':
        this.#series.created(family, labels, value);
        return undefined;
      case 'value':
        return this.#fileValue(sample, type, family, timestampMs);
      default:
        return this.#fileHistogramPart(sample, part, type, family, timestampMs);
    }
  }

  #fileValue(
    { name, labels, value }: Sample,
    type: FamilyType,
    family: string,
    timestampMs: number | undefined,
  ): undefined {
    const isCounter = type === 'counter';
    if (name === 'process_start_time_seconds') this.#series.processStart(value);
    if (!Number.isFinite(value) || (isCounter && value < 0)) {
      this.#tally.dropped.no_value += 1;
      return;
    }
    if (isBlank(name, value, isCounter)) {
      this.#tally.dropped.blank += 1;
      return;
    }
    const unit = this.#units.get(family) ?? NO_UNIT;
    const entry = this.#series.find(isCounter ? 'counter' : 'gauge', name, createdBase(name), unit, labels);
    if (entry === undefined) return;
    if (entry.value !== undefined) {
      this.#tally.dropped.duplicate += 1;
      return;
    }
    entry.value = value;
    entry.timestampMs = timestampMs;
  }

  #fileHistogramPart(
    { name, labels, value }: Sample,
    part: 'bucket' | 'sum' | 'count',
    type: FamilyType,
    family: string,
    timestampMs: number | undefined,
  ): string | undefined {
    const isBucket = part === 'bucket';
    const bound = isBucket ? readNumber(labels.find(([label]) => label === 'le')?.[1] ?? '') : undefined;
    if (isBucket && (bound === undefined || Number.isNaN(bound))) return `${name} has no label le with a number`;
    const own = isBucket ? labels.filter(([label]) => label !== 'le') : labels;
    const unit = this.#units.get(family) ?? NO_UNIT;
    const entry = this.#series.find(type === 'summary' ? 'summary' : 'histogram', family, family, unit, own);
    if (entry === undefined) return undefined;
    if (!fill(entry, part, bound, value)) this.#tally.dropped.duplicate += 1;
    entry.timestampMs = timestampMs;
    return undefined;
  }

  /** Which family a sample belongs to: the one of its own name, or the one that its suffix makes it a part of. */
  #placeOf(name: string): Place {
    const own = this.#types.get(name);
    const suffix = /_(?:bucket|sum|count|created|total|info|gcount|gsum)$/.exec(name)?.[0] ?? '';
    const base = suffix === '' ? name : name.slice(0, -suffix.length);
    if (suffix === '_created' && (own === undefined || own === 'gauge')) {
      // Text 0.0.4 has no such samples, so some clients write them as a gauge of its own beside the family.
      const counted = [base, `${base}_total`].find((family) => isCumulative(this.#types.get(family)));
      if (counted !== undefined) return { family: base, part: 'created', type: 'gauge' };
    }
    if (own !== undefined) return { family: name, part: PARTS[own][''] ?? 'misfit', type: own };
    const type = suffix === '' ? undefined : this.#types.get(base);
    const part = type === undefined ? undefined : PARTS[type][suffix];
    if (type !== undefined && part !== undefined) return { family: base, part, type };
    return { family: name, part: 'value', type: 'untyped' };
  }
}

/** By type: what the suffixes of its samples mean. */
const PARTS: Readonly<Record<FamilyType, Readonly<Record<string, Part>>>> = {
  counter: { '': 'value', _total: 'value', _created: 'created' },
  gauge: { '': 'value' },
  untyped: { '': 'value' },
  unknown: { '': 'value' },
  stateset: { '': 'value' },
  histogram: { _bucket: 'bucket', _sum: 'sum', _count: 'count', _created: 'created' },
  summary: { '': 'unsupported', _sum: 'sum', _count: 'count', _created: 'created' },
  info: { '': 'unsupported', _info: 'unsupported' },
  gaugehistogram: { '': 'unsupported', _bucket: 'unsupported', _gcount: 'unsupported', _gsum: 'unsupported' },
};

function isCumulative(type: FamilyType | undefined): boolean {
  return type === 'counter' || type === 'histogram' || type === 'summary';
}

/** A counter's `_created` is named after its family, which is its own name without `_total`. */
function createdBase(name: string): string {
  return name.endsWith('_total') ? name.slice(0, -'_total'.length) : name;
}

function fill(entry: Entry, part: 'bucket' | 'sum' | 'count', bound: number | undefined, value: number): boolean {
  if (part === 'sum') return entry.parts.sum(value);
  return part === 'count' ? entry.parts.count(value) : entry.parts.bucket(bound ?? Number.NaN, value);
}
