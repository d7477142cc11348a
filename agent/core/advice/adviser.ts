import { confidenceOf, expectedImprovement, type MeasuredResult } from '../analytics/results.ts';
import type { Engine, View } from '../engine.ts';
import type { CapacityCache } from '../forecast/capacity-cache.ts';
import { type HealthThresholds, healthOf } from '../health.ts';
import type { Decision, OptimizerEvent } from '../model.ts';
import type { Bottleneck } from '../resources/bottleneck.ts';
import { draftOf, draftsFor } from './drafts.ts';
import type { Draft, Recommendation } from './recommendation.ts';

export interface AdviserOptions {
  readonly engine: Pick<Engine, 'view' | 'components' | 'machine' | 'epoch'>;
  readonly capacity: CapacityCache;
  readonly results: { all(): readonly MeasuredResult[] };
  readonly thresholds: (component: string) => HealthThresholds;
  /** What is short now: of every component. */
  readonly bottlenecks: () => readonly Bottleneck[];
  /** What an earlier run kept; see `save`. */
  readonly saved?: AdviserState;
}

/** Plain JSON. */
export interface AdviserState {
  readonly version: 1;
  readonly entries: readonly Entry[];
}

interface Entry extends Draft {
  readonly id: string;
  readonly sinceMs: number;
  readonly seenMs: number;
  /** Said: it has held for long enough. */
  readonly isOpen: boolean;
}

/** A shortage of a moment is nobody's business, and one that comes and goes is one. */
const HOLD_MS = 60_000;
const RELEASE_MS = 300_000;
/** A strategy repeats what still holds once a day. */
const STRATEGY_LIFE_MS = 2 * 86_400_000;
const MOST_ENTRIES = 200;

/**
 * Keeps what a human should change: each once, with an id and since when, until it is done, no longer holds, or was withdrawn.
 * What the strategies recommend and propose comes in as decisions; the rest is looked for.
 */
export class Adviser {
  readonly #options: AdviserOptions;
  #entries: readonly Entry[];
  #ids = 0;
  #dropped = 0;

  constructor(options: AdviserOptions) {
    this.#options = options;
    this.#entries = options.saved?.entries ?? [];
  }

  /** Those that had to make room for newer ones. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Every decision, as it is made. */
  decided(decision: Decision): void {
    const { kind, component, proposalId, atMs } = decision;
    const draft = draftOf(decision, this.#options.engine.view(component)?.tuning);
    if (draft !== undefined) this.#put(draft, atMs, true);
    else if (proposalId !== undefined && (kind === 'approved' || kind === 'declined')) {
      this.#entries = this.#entries.filter((entry) => entry.proposalId !== proposalId);
    }
  }

  /** Looks at everything; returns the events of what is new. The strategies' own are announced by the engine. */
  look(nowMs: number): readonly OptimizerEvent[] {
    const { engine, thresholds, bottlenecks } = this.#options;
    const short = bottlenecks();
    const { cpu, memory } = engine.machine().resources;
    const machine = {
      ...(cpu?.capacity !== undefined && { cpu: cpu.capacity }),
      ...(memory?.capacity !== undefined && { memory: memory.capacity }),
    };
    const views = engine.components().flatMap((component) => engine.view(component) ?? []);
    for (const { component, profile, tuning } of views) {
      const capacity = this.#options.capacity.of(component, nowMs);
      const facts = {
        ...{ component, machine },
        health: profile === undefined ? ({ status: 'unknown' } as const) : healthOf(profile, thresholds(component)),
        bottlenecks: short.filter((one) => one.component === component),
        ...(profile !== undefined && { profile }),
        ...(tuning !== undefined && { tuning }),
        ...(capacity !== undefined && { capacity }),
      };
      for (const draft of draftsFor(facts, thresholds(component))) this.#put(draft, nowMs, false);
    }
    return this.#settle(nowMs, new Map(views.map((view) => [view.component, view])));
  }

  /** What holds now, newest first; of one component, or of all. */
  list(component?: string): readonly Recommendation[] {
    const results = this.#options.results.all();
    return this.#entries
      .filter((entry) => entry.isOpen && (component === undefined || entry.component === component))
      .toSorted((a, b) => b.sinceMs - a.sinceMs)
      .map((entry) => recommendationOf(entry, results));
  }

  save(): AdviserState {
    return { version: 1, entries: this.#entries };
  }

  #put(draft: Draft, nowMs: number, isOpen: boolean): void {
    const known = this.#entries.find(({ key }) => key === draft.key);
    const entry: Entry = {
      ...draft,
      id: known?.id ?? `r${this.#options.engine.epoch}-${++this.#ids}`,
      sinceMs: known?.sinceMs ?? nowMs,
      seenMs: nowMs,
      isOpen: known?.isOpen ?? isOpen,
    };
    const others = this.#entries.filter(({ key }) => key !== draft.key);
    const surplus = Math.max(0, others.length + 1 - MOST_ENTRIES);
    this.#dropped += surplus;
    this.#entries = [...others.slice(surplus), entry];
  }

  /** Ends what is over and opens what has held for long enough. A clock that stepped back ends nothing. */
  #settle(nowMs: number, views: ReadonlyMap<string, View>): readonly OptimizerEvent[] {
    const events: OptimizerEvent[] = [];
    this.#entries = this.#entries.flatMap((entry): readonly Entry[] => {
      if (isOver(entry, nowMs, views.get(entry.component))) return [];
      if (entry.isOpen || nowMs - entry.sinceMs < HOLD_MS) return [entry];
      const { id, component, source, optimization, reason, steps } = entry;
      events.push({
        type: 'recommendation',
        ...{ component, atMs: nowMs },
        data: { id, source, strategy: optimization, reason, steps },
      });
      return [{ ...entry, isOpen: true }];
    });
    return events;
  }
}

function isOver(entry: Entry, nowMs: number, view: View | undefined): boolean {
  const { source, seenMs, proposalId, changes = [], isOpen } = entry;
  if (source !== 'strategy') return nowMs - seenMs > (isOpen ? RELEASE_MS : HOLD_MS);
  const tuning = view?.tuning;
  // Until the process is back, nobody knows.
  if (tuning?.connected !== true) return nowMs - seenMs > STRATEGY_LIFE_MS;
  if (proposalId !== undefined) {
    return !tuning.proposals.some(({ id, approvedBy }) => id === proposalId && approvedBy === undefined);
  }
  const isDone = changes.length > 0 && changes.every(({ knob, to }) => tuning.effective[knob] === to);
  return isDone || nowMs - seenMs > STRATEGY_LIFE_MS;
}

function recommendationOf(entry: Entry, results: readonly MeasuredResult[]): Recommendation {
  const { id, component, source, optimization, reason, steps, signals, sinceMs, seenMs, strategy, proposalId } = entry;
  const changes = entry.changes ?? [];
  const knobs = changes.map(({ knob }) => knob);
  const expected = strategy === undefined ? undefined : expectedImprovement(results, { component, strategy, knobs });
  return {
    ...{ id, component, source, optimization, reason, steps, changes, signals, sinceMs, seenMs },
    ...(expected !== undefined && { expected, confidence: confidenceOf(expected) }),
    ...(proposalId !== undefined && { proposalId }),
  };
}
