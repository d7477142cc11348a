import type { AttributeValue, SampleSink } from '../../core/model.ts';
import { SampleBatchBuilder } from '../../core/series/batch.ts';
import type { SeriesInterner } from '../../core/series/interner.ts';
import type { Failure, Tally } from './counts.ts';
import { FetchError, PageFetcher } from './fetch.ts';
import { DEFAULT_LINE_LIMITS } from './line.ts';
import { type LineError, Page, type PageLimits } from './page.ts';
import { SeriesTable } from './series_table.ts';

export interface ScrapeTarget {
  readonly url: string;
  /** `service.name` of its points. Absent: host and port of the address. Null: none, because they are the machine's. */
  readonly component?: string | null;
  readonly intervalMs: number;
  /** Within this the whole page must have come; at most the interval. */
  readonly timeoutMs: number;
  /** Of a page, decompressed. */
  readonly maxBytes: number;
  /** Series kept; what a page has beyond is dropped and counted. */
  readonly maxSeries: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Its content, trimmed, is sent as a bearer token. */
  readonly bearerTokenFile?: string;
  /** Further resource attributes. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** What is worth a line in the log. Each is told when it changes, not at every scrape. */
export type ScrapeNotice = { readonly url: string } & (
  | { readonly kind: 'target_up' }
  | { readonly kind: 'target_down'; readonly failure: Failure; readonly reason: string }
  | { readonly kind: 'bad_lines'; readonly badLines: number; readonly errors: readonly LineError[] }
  /** A defect of ours. */
  | { readonly kind: 'defect'; readonly error: unknown }
);

export interface TargetContext {
  readonly sink: SampleSink;
  readonly interner: SeriesInterner;
  readonly nowMs: () => number;
  readonly tally: Tally;
  readonly observer: (notice: ScrapeNotice) => void;
}

const MAX_LINE_LENGTH = 65_536;
const SERIES_IDLE_MS = 900_000;
const EXPECTED_POINTS = 256;

/** One page: asked for, read, and made into points. */
export class Target {
  /** The address without a password in it. */
  readonly url: string;
  readonly intervalMs: number;
  readonly #context: TargetContext;
  readonly #fetcher: PageFetcher;
  readonly #series: SeriesTable;
  readonly #limits: PageLimits;
  readonly #stopping = new AbortController();
  #state: 'unknown' | 'up' | 'down' = 'unknown';
  #scraping: Promise<void> | undefined;
  /** Of the last page with bad lines, so that the same page is told once. */
  #toldErrors = '';

  constructor(target: ScrapeTarget, context: TargetContext) {
    const { maxSeries, maxBytes, timeoutMs, headers = {}, bearerTokenFile } = target;
    const url = new URL(target.url);
    this.url = `${url.origin}${url.pathname}`;
    this.intervalMs = target.intervalMs;
    this.#context = context;
    this.#limits = { ...DEFAULT_LINE_LIMITS, maxLineLength: MAX_LINE_LENGTH, maxFamilies: maxSeries };
    this.#fetcher = new PageFetcher({
      ...{ url, headers, timeoutMs, maxBytes },
      ...(bearerTokenFile !== undefined && { bearerTokenFile }),
    });
    const { interner, tally } = context;
    this.#series = new SeriesTable({ resource: resourceOf(target, url), interner, maxSeries, tally });
  }

  /** As of the last scrape. */
  get state(): 'unknown' | 'up' | 'down' {
    return this.#state;
  }

  /** One scrape; none, and that is counted, while one is under way. Never rejects. */
  async scrape(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    if (this.#scraping !== undefined) {
      this.#context.tally.skipped += 1;
      return;
    }
    this.#scraping = this.#scrape().catch((error: unknown) => {
      this.#context.observer({ kind: 'defect', url: this.url, error });
    });
    await this.#scraping;
    this.#scraping = undefined;
  }

  /** Breaks off the scrape under way; nothing reaches the sink afterwards. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#scraping;
    this.#fetcher.close();
  }

  async #scrape(): Promise<void> {
    const { tally, nowMs } = this.#context;
    const { signal } = this.#stopping;
    tally.scrapes += 1;
    const askedMs = nowMs();
    let page: Page | undefined;
    try {
      const bytes = await this.#fetcher.fetch(
        {
          begin: (format) => {
            page = new Page(format, askedMs, this.#limits, this.#series, tally);
          },
          push: (chunk) => page?.push(chunk),
        },
        signal,
      );
      if (signal.aborted) return;
      tally.bytes += bytes;
      if (page !== undefined) this.#take(page, askedMs);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof FetchError)) throw error;
      this.#fail(error, nowMs());
    }
  }

  #take(page: Page, askedMs: number): void {
    const { tally, observer } = this.#context;
    const { samples, badLines, errors, isComplete } = page.end();
    if (!isComplete) throw new FetchError('truncated', 'the page does not end with "# EOF"');
    if (samples === 0 && badLines > 0) {
      const first = errors[0];
      throw new FetchError('not_metrics', `no line can be read; line ${first?.line ?? 1}: ${first?.reason ?? ''}`);
    }
    tally.pages += 1;
    const batch = new SampleBatchBuilder(Math.max(EXPECTED_POINTS, this.#series.size));
    this.#series.write(batch);
    this.#series.evictIdle(askedMs, SERIES_IDLE_MS);
    this.#deliver(batch);
    if (this.#state !== 'up') observer({ kind: 'target_up', url: this.url });
    this.#state = 'up';
    const told = JSON.stringify(errors);
    if (told !== this.#toldErrors && badLines > 0) observer({ kind: 'bad_lines', url: this.url, badLines, errors });
    this.#toldErrors = told;
  }

  #fail({ failure, message }: FetchError, nowMs: number): void {
    const { tally, observer } = this.#context;
    tally.failures[failure] += 1;
    if (this.#state === 'up') {
      const batch = new SampleBatchBuilder(Math.max(1, this.#series.size));
      this.#series.writeEnds(batch, nowMs);
      this.#deliver(batch);
    }
    if (this.#state !== 'down') observer({ kind: 'target_down', url: this.url, failure, reason: message });
    this.#state = 'down';
  }

  #deliver(batch: SampleBatchBuilder): void {
    const { sink, tally } = this.#context;
    const { size } = batch;
    if (size === 0) return;
    // Refused points are lost and nothing is: the next page has the totals up to then.
    const acceptance = sink.accept(batch.build());
    const refused = acceptance.state === 'accepted' ? acceptance.rejected : size;
    tally.points += size - refused;
    tally.dropped.overloaded += refused;
  }
}

function resourceOf(target: ScrapeTarget, url: URL): ReadonlyMap<string, AttributeValue> {
  const component = target.component === undefined ? url.host : target.component;
  return new Map<string, AttributeValue>([
    ...Object.entries(target.labels ?? {}),
    ...(component === null ? [] : [['service.name', component] as const]),
    ['service.instance.id', url.host],
  ]);
}
