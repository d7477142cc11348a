import type { SampleSink } from '../../core/model.ts';
import type { SeriesInterner } from '../../core/series/interner.ts';
import { type ScrapeCounts, Tally } from './counts.ts';
import { type ScrapeNotice, type ScrapeTarget, Target } from './target.ts';

export interface PrometheusScraperOptions {
  readonly targets: readonly ScrapeTarget[];
  readonly sink: SampleSink;
  /** For the scraper alone: it evicts what it no longer uses. */
  readonly interner: SeriesInterner;
  readonly clock: { nowMs(): number };
  /** In [0, 1): when within its interval a target's first scrape falls. */
  readonly random?: () => number;
  readonly observer?: (notice: ScrapeNotice) => void;
}

export interface PrometheusScraper {
  start(): Promise<void>;
  stop(deadline: AbortSignal): Promise<void>;
  /** Scrapes every target once, now. `start` does so for each at its interval. Never rejects. */
  scrape(): Promise<void>;
  readonly counts: ScrapeCounts;
}

const EVICT_EVERY_MS = 60_000;
const SERIES_IDLE_MS = 900_000;

/**
 * Scrapes the Prometheus pages of local AI servers, in text 0.0.4 or OpenMetrics 1.0, and hands their points on as if they
 * had been sent. Each target at its own interval, never twice at once, the first time somewhere within the first interval
 * so that targets do not all answer in the same instant.
 */
export function createPrometheusScraper(options: PrometheusScraperOptions): PrometheusScraper {
  return new Scraper(options);
}

class Scraper implements PrometheusScraper {
  readonly #targets: readonly Target[];
  readonly #interner: SeriesInterner;
  readonly #nowMs: () => number;
  readonly #random: () => number;
  readonly #tally = new Tally();
  readonly #timers = new Map<Target, NodeJS.Timeout>();
  #evicting: NodeJS.Timeout | undefined;

  constructor({ targets, sink, interner, clock, random, observer }: PrometheusScraperOptions) {
    this.#interner = interner;
    this.#nowMs = () => clock.nowMs();
    this.#random = random ?? Math.random;
    const context = { sink, interner, nowMs: this.#nowMs, tally: this.#tally, observer: observer ?? (() => {}) };
    this.#targets = targets.map((target) => new Target(target, context));
  }

  get counts(): ScrapeCounts {
    const inState = (state: Target['state']) => this.#targets.filter((target) => target.state === state).length;
    const { failures, dropped } = this.#tally;
    return {
      ...this.#tally,
      ...{ failures: { ...failures }, dropped: { ...dropped } },
      ...{ targetsUp: inState('up'), targetsDown: inState('down') },
    };
  }

  async start(): Promise<void> {
    for (const target of this.#targets) {
      const first = setTimeout(() => {
        void target.scrape();
        const timer = setInterval(() => void target.scrape(), target.intervalMs);
        timer.unref();
        this.#timers.set(target, timer);
      }, this.#random() * target.intervalMs);
      first.unref();
      this.#timers.set(target, first);
    }
    this.#evicting = setInterval(() => this.#interner.evictIdle(this.#nowMs(), SERIES_IDLE_MS), EVICT_EVERY_MS);
    this.#evicting.unref();
  }

  /** Breaks off what is under way, which takes no time worth a deadline. */
  async stop(_deadline: AbortSignal): Promise<void> {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    clearInterval(this.#evicting);
    await Promise.all(this.#targets.map((target) => target.stop()));
  }

  async scrape(): Promise<void> {
    await Promise.all(this.#targets.map((target) => target.scrape()));
  }
}
