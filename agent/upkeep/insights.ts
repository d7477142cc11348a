import { setImmediate } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Journal } from '../adapters/journal/journal.ts';
import type { Engine } from '../core/engine.ts';
import type { HistoryReader } from '../core/history/reader.ts';
import { HOUR_MS, type Rollup } from '../core/history/rollup.ts';
import type { HistorySignal } from '../core/history/signal.ts';
import type { OptimizerEvent } from '../core/model.ts';
import type { WatchedSignal } from '../core/profile/watched_signal.ts';

type Keeper = Pick<Journal, 'keep' | 'kept'>;

/** Names of the components of which there is a row. */
const INDEX = 'insights';
const rowOf = (component: string): string => `insight:${component}`;
/** Five weeks: of what is older nothing counts any more. */
const TOO_OLD_MS = 35 * 24 * HOUR_MS;

/** What history has under another name, and which of its figures is meant. */
const IN_HISTORY: Readonly<Partial<Record<WatchedSignal, readonly [HistorySignal, 'mean' | 'p95']>>> = {
  responseTimeMs: ['responseTime', 'mean'],
  responseTimeMsP95: ['responseTime', 'p95'],
  throughputPerSecond: ['throughput', 'mean'],
  inputTokensPerSecond: ['inputTokens', 'mean'],
  outputTokensPerSecond: ['outputTokens', 'mean'],
  inFlight: ['inFlight', 'mean'],
  cacheUsageRatio: ['cacheUsage', 'mean'],
  cpuPercent: ['cpu', 'mean'],
  memoryMiB: ['memory', 'mean'],
  gpuPercent: ['gpu', 'mean'],
  gpuMemoryMiB: ['gpuMemory', 'mean'],
};

/** The detectors as they were; one that cannot be used starts afresh, and that is said. */
export function restoreInsights(engine: Engine, journal: Keeper, nowMs: number, log: Logger): void {
  const names: readonly string[] = JSON.parse(journal.kept(INDEX) ?? '[]');
  for (const component of names) {
    const json = journal.kept(rowOf(component));
    if (json === undefined) continue;
    try {
      const saved: Parameters<Engine['restoreInsight']>[0] = JSON.parse(json);
      if (nowMs - saved.takenMs <= TOO_OLD_MS) engine.restoreInsight(saved);
    } catch (error) {
      log.warn({ err: error, component }, 'what was learned of its metrics cannot be used: its detectors start afresh');
    }
  }
}

/** What is written a minute: a gigabyte and a half a day, which disks bear. */
const BYTES_A_MINUTE = 1024 * 1024;
/** Whatever that comes to, each component has its turn within so many minutes. */
const MOST_MINUTES = 10;

/**
 * Writes what the detectors have learned, one component at a time: some hundred kilobytes each, so it is not part of every
 * decision. Asked every minute, it writes all of a few components and those of many by turns. A crash loses what they
 * learned since their last time: a minute's worth, up to ten with many.
 */
export class InsightKeeper {
  readonly #engine: Engine;
  readonly #journal: Keeper;
  /** In the order in which they were written; a new one comes first. */
  #turns: readonly string[] = [];

  constructor(engine: Engine, journal: Keeper) {
    this.#engine = engine;
    this.#journal = journal;
  }

  async keep(): Promise<void> {
    const names = this.#engine.insights();
    const before = this.#index();
    const known = new Set(this.#turns);
    const due = [...names.filter((name) => !known.has(name)), ...this.#turns.filter((name) => names.includes(name))];
    const least = Math.ceil(names.length / MOST_MINUTES);
    let written = 0;
    let bytes = 0;
    for (const component of due) {
      if (written >= least && bytes >= BYTES_A_MINUTE) break;
      bytes += this.#keepOne(component);
      written++;
      await setImmediate();
    }
    this.#turns = [...due.slice(written), ...due.slice(0, written)];
    this.#keepIndex(names, before);
  }

  /** All of it at once, for the end. */
  keepNow(): void {
    const names = this.#engine.insights();
    const before = this.#index();
    for (const component of names) this.#keepOne(component);
    this.#keepIndex(names, before);
  }

  /** How much that was. */
  #keepOne(component: string): number {
    const saved = this.#engine.saveInsight(component);
    if (saved === undefined) return 0;
    const json = JSON.stringify(saved);
    this.#journal.keep(rowOf(component), json);
    return json.length;
  }

  #index(): readonly string[] {
    return JSON.parse(this.#journal.kept(INDEX) ?? '[]');
  }

  /** Names those that have a row, and those that will have one: a row that is missing is skipped when it is read. */
  #keepIndex(names: readonly string[], before: readonly string[]): void {
    if (names.length === before.length && names.every((name) => before.includes(name))) return;
    this.#journal.keep(INDEX, JSON.stringify(names));
    for (const gone of before) if (!names.includes(gone)) this.#journal.keep(rowOf(gone), undefined);
  }
}

/** Hours from before the start, for forecasts that have none of their own. Returns how many signals had some. */
export function warmForecasts(engine: Engine, history: HistoryReader, nowMs: number): number {
  const end = Math.floor(nowMs / HOUR_MS) * HOUR_MS;
  let warmed = 0;
  for (const component of new Set(history.kept().map((one) => one.component))) {
    for (const [signal, [of, figure]] of entriesOf(IN_HISTORY)) {
      const query = { component, signal: of, stepMs: HOUR_MS, fromMs: end - TOO_OLD_MS, toMs: end } as const;
      const rows = history.read(query);
      const [first] = rows;
      if (first === undefined) continue;
      const hours = new Float64Array((end - first.startMs) / HOUR_MS).fill(Number.NaN);
      for (const row of rows) hours[(row.startMs - first.startMs) / HOUR_MS] = figureOf(row, figure);
      if (hours.some((value) => Number.isFinite(value)) && engine.warmForecast(component, signal, hours)) warmed++;
    }
  }
  return warmed;
}

/** Says of each component how long what it has suffices. One component at a time: each takes some 50 ms. */
export async function reportCapacity(
  engine: Engine,
  emit: (event: OptimizerEvent) => void,
  atMs: number,
  log: Logger,
): Promise<void> {
  for (const component of engine.insights()) {
    const report = engine.capacity(component);
    if (report === undefined || report.metrics.length === 0) continue;
    const short = report.metrics.filter(({ breach }) => breach?.expectedMs !== undefined).map(({ metric }) => metric);
    log.info(
      { component, report, short },
      short.length === 0 ? 'capacity suffices' : `capacity: ${short.join(', ')} will run out`,
    );
    emit({ type: 'capacity_report', component, atMs, data: { ...report } });
    await setImmediate();
  }
}

function figureOf(row: Rollup, figure: 'mean' | 'p95'): number {
  if (figure === 'p95') return row.sketch?.quantile(0.95, row.min, row.max) ?? Number.NaN;
  return row.count > 0 ? row.sum / row.count : Number.NaN;
}

function entriesOf<K extends string, V>(table: Readonly<Partial<Record<K, V>>>): readonly (readonly [K, V])[] {
  const entries: (readonly [K, V])[] = [];
  for (const key in table) {
    const value = table[key];
    if (value !== undefined) entries.push([key, value]);
  }
  return entries;
}
