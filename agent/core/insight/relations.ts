import { correlate } from '../pattern/correlation.ts';
import { type LoadSample, loadKnee } from '../pattern/load-dependence.ts';
import type { Pattern, Window } from '../pattern/pattern.ts';
import type { WatchedSignal } from '../profile/watched_signal.ts';

/** A pattern of two metrics: `effect` follows `cause`. */
export interface Relation {
  readonly cause: WatchedSignal;
  readonly effect: WatchedSignal;
  readonly pattern: Pattern;
}

const LOAD: readonly WatchedSignal[] = ['throughputPerSecond', 'inFlight', 'queueDepth'];
const CAUSES: readonly WatchedSignal[] = [
  ...LOAD,
  ...(['inputTokensPerSecond', 'cacheUsageRatio', 'cpuPercent', 'memoryMiB', 'gpuPercent', 'gpuMemoryMiB'] as const),
  ...(['cpuPressureRatio', 'memoryPressureRatio', 'ioPressureRatio', 'cpuThrottledRatio'] as const),
];
const EFFECTS: readonly WatchedSignal[] = [
  'responseTimeMs',
  'timeToFirstTokenMs',
  'timePerOutputTokenMs',
  'errorRatio',
];
/** Once in half an hour, in steps of one cause each. */
const EVERY_MS = 1_800_000;
/** Of one test in a thousand one is wrong by chance; here many pairs are tried at once. */
const LEAST_CONFIDENCE = 1 - 1e-3 / (CAUSES.length * EFFECTS.length);
const PAIRS_KEPT = 12;

/**
 * What follows what among a component's metrics: correlations with their lag, and latencies against load with their
 * knee. Looks at one cause at a time, so that no tick pays for all. A relation is news when it was not there at the last
 * look; of each effect the strongest cause is told, and at most a dozen relations are kept.
 */
export class Relations {
  #nextMs: number | undefined;
  #cause = 0;
  #present: readonly Relation[] = [];
  #found: Relation[] = [];

  get present(): readonly Relation[] {
    return this.#present;
  }

  isDue(nowMs: number): boolean {
    this.#nextMs ??= nowMs + EVERY_MS;
    return nowMs >= this.#nextMs || this.#cause > 0;
  }

  /** One cause against all effects; relations that are new once the round is over. */
  look(nowMs: number, windowOf: (signal: WatchedSignal) => Window | undefined): readonly Relation[] {
    const cause = CAUSES[this.#cause]!;
    const causeWindow = windowOf(cause);
    if (causeWindow !== undefined && causeWindow.values.length > 0) {
      for (const effect of EFFECTS) {
        const effectWindow = windowOf(effect);
        if (effectWindow !== undefined) this.#found.push(...relationsOf(cause, causeWindow, effect, effectWindow));
      }
    }
    this.#cause++;
    if (this.#cause < CAUSES.length) return [];
    this.#cause = 0;
    this.#nextMs = nowMs + EVERY_MS;
    const before = this.#present;
    this.#present = strongest(this.#found);
    this.#found = [];
    return this.#present.filter((relation) => !before.some((known) => isSame(known, relation)));
  }

  save(): readonly Relation[] {
    return this.#present;
  }

  restore(saved: readonly Relation[]): void {
    this.#present = saved;
  }
}

function relationsOf(cause: WatchedSignal, a: Window, effect: WatchedSignal, b: Window): readonly Relation[] {
  const found: Relation[] = [];
  const correlation = correlate(a, b);
  if (correlation !== undefined && correlation.confidence >= LEAST_CONFIDENCE) {
    found.push({ cause, effect, pattern: correlation });
  }
  const knee = LOAD.includes(cause) ? loadKnee(joined(a, b)) : undefined;
  if (knee !== undefined && knee.confidence >= LEAST_CONFIDENCE) found.push({ cause, effect, pattern: knee });
  return found;
}

/** Moments at which both have a value. */
function joined(load: Window, values: Window): readonly LoadSample[] {
  const at = new Map<number, number>();
  for (let i = 0; i < load.timesMs.length; i++) at.set(load.timesMs[i]!, load.values[i]!);
  const samples: LoadSample[] = [];
  for (let i = 0; i < values.timesMs.length; i++) {
    const atMs = values.timesMs[i]!;
    const known = at.get(atMs);
    if (known !== undefined) samples.push({ atMs, load: known, value: values.values[i]! });
  }
  return samples;
}

/** Of each effect and type the most certain, and among equals the strongest. */
function strongest(found: readonly Relation[]): readonly Relation[] {
  const best = new Map<string, Relation>();
  for (const relation of found) {
    const key = `${relation.effect} ${relation.pattern.type}`;
    const known = best.get(key);
    if (known === undefined || strength(relation) > strength(known)) best.set(key, relation);
  }
  return [...best.values()].slice(0, PAIRS_KEPT);
}

function strength({ pattern }: Relation): number {
  return Math.abs(pattern.evidence.correlation ?? pattern.impactLog ?? 0);
}

function isSame(a: Relation, b: Relation): boolean {
  return a.cause === b.cause && a.effect === b.effect && a.pattern.type === b.pattern.type;
}
