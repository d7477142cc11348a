import { Tally } from '../../../agent/adapters/prometheus/counts.ts';
import { DEFAULT_LINE_LIMITS, type Format } from '../../../agent/adapters/prometheus/line.ts';
import { Page, type PageResult } from '../../../agent/adapters/prometheus/page.ts';
import { SeriesTable } from '../../../agent/adapters/prometheus/series_table.ts';
import type { AttributeValue, HistogramPoint, SampleBatch, Series } from '../../../agent/core/model.ts';
import { SampleBatchBuilder } from '../../../agent/core/series/batch.ts';
import { SeriesInterner } from '../../../agent/core/series/interner.ts';

export interface Point {
  readonly series: Series;
  readonly name: string;
  readonly kind: Series['kind'];
  readonly labels: Readonly<Record<string, AttributeValue>>;
  readonly startMs: number;
  readonly timeMs: number;
  readonly value: number;
  readonly histogram: HistogramPoint | undefined;
  readonly hasEnded: boolean;
}

export interface Reading extends PageResult {
  readonly batch: SampleBatch;
  readonly points: readonly Point[];
}

export const LIMITS = { ...DEFAULT_LINE_LIMITS, maxLineLength: 65_536, maxFamilies: 1_000 };

/** Reads pages one after another as a target does, without the network. */
export class Reader {
  readonly tally = new Tally();
  readonly table: SeriesTable;
  readonly #limits: typeof LIMITS;

  constructor({ maxSeries = 1_000, interner = new SeriesInterner({ maxSeries: 10_000 }), limits = LIMITS } = {}) {
    this.#limits = limits;
    const resource = new Map<string, AttributeValue>([['service.name', 'chat']]);
    this.table = new SeriesTable({ resource, interner, maxSeries, tally: this.tally });
  }

  /** `chunkBytes`: how the page is cut on its way. */
  read(text: string, { format = 'text' as Format, atMs = 1_000, chunkBytes = 1_000 } = {}): Reading {
    const page = new Page(format, atMs, this.#limits, this.table, this.tally);
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length; at += chunkBytes) page.push(bytes.subarray(at, at + chunkBytes));
    const result = page.end();
    const builder = new SampleBatchBuilder();
    this.table.write(builder);
    const batch = builder.build();
    return { ...result, batch, points: pointsOf(batch) };
  }
}

export function pointsOf(batch: SampleBatch): readonly Point[] {
  return batch.series.slice(0, batch.size).map((series, row) => ({
    ...{ series, name: series.name, kind: series.kind, labels: Object.fromEntries(series.attributes) },
    startMs: batch.startMs[row]! + batch.startSubMsNs[row]! / 1e6,
    timeMs: batch.timeMs[row]! + batch.timeSubMsNs[row]! / 1e6,
    value: batch.value[row]!,
    histogram: batch.histogram[row],
    hasEnded: (batch.flags[row]! & 1) !== 0,
  }));
}
