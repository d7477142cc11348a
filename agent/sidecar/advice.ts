import type { Logger } from 'pino';
import type { Journal } from '../adapters/journal/journal.ts';
import { healthThresholds } from '../config/engine.ts';
import type { Config } from '../config/schema.ts';
import { Adviser, type AdviserState } from '../core/advice/adviser.ts';
import type { MeasuredResults } from '../core/analytics/results.ts';
import type { Engine } from '../core/engine.ts';
import type { CapacityCache } from '../core/forecast/capacity-cache.ts';
import type { OptimizerEvent } from '../core/model.ts';
import type { ResourceManager } from '../core/resources.ts';

export interface AdviceParts {
  readonly engine: Engine;
  readonly results: MeasuredResults;
  readonly resources: ResourceManager;
  readonly capacity: CapacityCache;
  readonly journal: Pick<Journal, 'keep' | 'kept'>;
  readonly nowMs: () => number;
  /** Events of what is new. */
  readonly announce: (event: OptimizerEvent) => void;
  readonly log: Logger;
}

const KEPT = 'recommendations';

/** The adviser, looking once an interval; what it recommends outlives the agent. */
export class Advice {
  readonly adviser: Adviser;
  readonly #parts: AdviceParts;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #kept = '';

  constructor(config: Config, parts: AdviceParts) {
    const { engine, results, resources, capacity, journal, log } = parts;
    const saved = savedAdvice(journal, log);
    this.#parts = parts;
    this.#intervalMs = config.monitoring.interval;
    this.adviser = new Adviser({
      ...{ engine, results, capacity },
      thresholds: (component) => healthThresholds(config, component),
      bottlenecks: () => resources.bottlenecks(),
      ...(saved !== undefined && { saved }),
    });
  }

  async start(): Promise<void> {
    this.#timer = setInterval(() => this.look(), this.#intervalMs);
    this.#timer.unref();
  }

  async stop(_deadline: AbortSignal): Promise<void> {
    clearInterval(this.#timer);
    this.#keep(true);
  }

  look(): void {
    const { nowMs, announce, log } = this.#parts;
    for (const event of this.adviser.look(nowMs())) {
      log.info({ component: event.component, ...event.data }, 'recommended');
      announce(event);
    }
    this.#keep(false);
  }

  /** Written when something came or went, not each time that it was seen again. */
  #keep(always: boolean): void {
    const state = this.adviser.save();
    const shape = state.entries.map(({ id, isOpen }) => `${id} ${isOpen}`).join('\n');
    if (!always && shape === this.#kept) return;
    try {
      this.#parts.journal.keep(KEPT, JSON.stringify(state));
      this.#kept = shape;
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'recommendations could not be written down; tried again at the next change');
    }
  }
}

function savedAdvice(journal: Pick<Journal, 'kept'>, log: Logger): AdviserState | undefined {
  try {
    const text = journal.kept(KEPT);
    const saved: AdviserState | undefined = text === undefined ? undefined : JSON.parse(text);
    return saved?.version === 1 && Array.isArray(saved.entries) ? saved : undefined;
  } catch (error) {
    log.warn({ err: error }, 'the recommendations of the last run cannot be read; they are found anew');
    return undefined;
  }
}
