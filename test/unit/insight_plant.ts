import type { Insight } from '../../agent/core/insight/finding.ts';
import { InsightStore } from '../../agent/core/insight/insight-store.ts';
import type { Series } from '../../agent/core/model.ts';
import { ProfileStore } from '../../agent/core/profile.ts';
import { type AnalyticsSettings, DEFAULT_ENGINE_SETTINGS, type EngineSettings } from '../../agent/core/settings.ts';
import type { SignalRole } from '../../agent/core/signals.ts';
import { Random } from '../../agent/core/tune/random.ts';

export const START_MS = 1_700_000_000_000 - (1_700_000_000_000 % 86_400_000);
const MIB = 2 ** 20;

export interface PlantOptions {
  readonly analytics?: Partial<AnalyticsSettings>;
  readonly settings?: Partial<EngineSettings>;
  /** Between two reports of the component. */
  readonly reportMs?: number;
  readonly seed?: number;
}

/** What the component does over one report. */
export interface Load {
  readonly latencyMs?: number;
  readonly perSecond?: number;
  readonly errorRatio?: number;
  readonly memoryMiB?: number;
  /** Of the machine's fullest file system. */
  readonly diskUsedRatio?: number;
}

/** Profiles and insights of one component in virtual time, fed as the engine feeds them. */
export class InsightPlant {
  readonly settings: EngineSettings;
  readonly profiles: ProfileStore;
  readonly random: Random;
  readonly insights: Insight[] = [];
  store: InsightStore;
  nowMs = START_MS;
  readonly #reportMs: number;
  #ids = 0;

  constructor({ analytics, settings, reportMs = 5_000, seed = 1 }: PlantOptions = {}) {
    this.settings = {
      ...DEFAULT_ENGINE_SETTINGS,
      ...settings,
      analytics: { ...DEFAULT_ENGINE_SETTINGS.analytics, ...analytics },
    };
    this.profiles = new ProfileStore(this.settings.profile, 8);
    this.random = Random.seeded(seed);
    this.#reportMs = reportMs;
    this.store = this.#newStore();
  }

  /** The agent starts anew with what was saved of the component. */
  restart(): void {
    const saved = this.store.save('c');
    this.store = this.#newStore();
    if (saved !== undefined) this.store.restore(JSON.parse(JSON.stringify(saved)));
  }

  /** Lets time pass, with one report after each `reportMs`. Returns what was found meanwhile. */
  run(forMs: number, load: (atMs: number) => Load | undefined): readonly Insight[] {
    const found: Insight[] = [];
    const endMs = this.nowMs + forMs;
    while (this.nowMs < endMs) {
      const startMs = this.nowMs;
      this.nowMs += this.#reportMs;
      const did = load(this.nowMs);
      if (did !== undefined) this.#report(did, startMs, this.nowMs);
      // A second after the report it has arrived, and in a few ticks what is due is done.
      for (let tick = 0; tick < 8; tick++)
        found.push(...this.store.tick(this.nowMs + 1_500 + 100 * tick, this.profiles));
    }
    this.insights.push(...found);
    return found;
  }

  /** Around 1, with 5 % of noise. */
  noise(): number {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += this.random.next();
    return 1 + 0.05 * sum;
  }

  #newStore(): InsightStore {
    return new InsightStore({ settings: this.settings, nextId: (what) => `${what}-${++this.#ids}` });
  }

  #report(
    { latencyMs, perSecond, errorRatio = 0, memoryMiB, diskUsedRatio }: Load,
    startMs: number,
    endMs: number,
  ): void {
    const observe = (role: SignalRole, value: number): void =>
      this.profiles.observe('c', role, { kind: 'gauge', series, startMs: endMs, endMs, value }, endMs);
    if (latencyMs !== undefined && perSecond !== undefined) {
      const count = (perSecond * (endMs - startMs)) / 1_000;
      for (const [outcome, share] of [
        ['ok', 1 - errorRatio],
        ['error', errorRatio],
      ] as const) {
        const role: SignalRole = { signal: 'responseTime', source: 'm', rank: 10, msPerUnit: 1, outcome };
        const n = count * share;
        const histogram = { bounds: [latencyMs * 2], counts: [n, 0], count: n, sum: n * latencyMs };
        this.profiles.observe('c', role, { kind: 'histogram', series, startMs, endMs, ...histogram }, endMs);
      }
    }
    if (diskUsedRatio !== undefined) {
      const role: SignalRole = { signal: 'diskUsed', source: 'm', rank: 30, scale: 1 };
      const increment = { kind: 'gauge', series, startMs: endMs, endMs, value: diskUsedRatio } as const;
      this.profiles.host.observe(role, increment, endMs);
    }
    if (memoryMiB === undefined) return;
    const memory = { signal: 'resource', source: 'm', rank: 10, resource: 'memory', scale: 1, device: '' } as const;
    observe({ ...memory, scope: 'process', measure: 'usage' }, memoryMiB * MIB);
    observe({ ...memory, scope: 'container', measure: 'limit' }, 4_096 * MIB);
  }
}

const series: Series = {
  ...{ id: 1, name: 'm', unit: 'ms', kind: 'histogram', temporality: 'delta', monotonic: false, scope: '' },
  ...{ resource: new Map([['service.name', 'c']]), attributes: new Map() },
};
