import type { CapacityReport } from './forecast/capacity.ts';
import type { Rollup } from './history/rollup.ts';
import type { HistorySignal } from './history/signal.ts';
import type { ComponentInsightState } from './insight/component-insight.ts';
import type { Forecast, ObservedAnomaly, ObservedPattern } from './insight/finding.ts';
import type { InsightCounts } from './insight/insight-store.ts';
import { Lookout, type LookoutState } from './insight/lookout.ts';
import type { InsightReader } from './insight/reader.ts';
import type { Effect, Input, Manifest, OperatorRequest, SampleBatch, TuningAction } from './model.ts';
import type { PerformanceProfile } from './profile/performance_profile.ts';
import type { WatchedSignal } from './profile/watched_signal.ts';
import { ProfileStore } from './profile.ts';
import { type Increment, SeriesStore, type SeriesStoreCounts } from './series/store.ts';
import type { EngineSettings } from './settings.ts';
import {
  bytesPerUnit,
  DEFAULT_MAPPINGS,
  isTuned,
  Precedence,
  SignalMapper,
  type SignalMapping,
  tunedRank,
} from './signals.ts';
import { Random, type RandomState } from './tune/random.ts';
import { Slots, sharedBottleneck } from './tune/slots.ts';
import { completeStanding, type Standing } from './tune/standing.ts';
import { STRATEGIES } from './tune/strategies/strategies.ts';
import type { Strategy } from './tune/strategy.ts';
import { Tuner } from './tune/tuner.ts';
import type { TunerView } from './tune/view.ts';

/**
 * The whole of the optimizer as one function of its inputs: `step(nowMs, input) → effects`.
 *
 *   samples → series → profile ─┐
 *   results, sessions, operators ┴→ tuner of the component → decisions, commands, renewals, events, replies
 *
 * It decides on ticks. No clock, no I/O, no randomness but its own seed: the same inputs give the same effects, and
 * `save()` is all that a later engine needs to go on. Effects are carried out in order; a decision is durable before
 * what follows it.
 */
export interface Engine extends InsightReader {
  readonly epoch: number;
  step(nowMs: number, input: Input): readonly Effect[];
  view(component: string): View | undefined;
  /** The part of the view that is cheap enough for every tick. */
  tuning(component: string): TunerView | undefined;
  components(): readonly string[];
  /** Why the error budget of a component's service level burns too fast, in words; undefined while it does not. */
  burning(component: string): string | undefined;
  /** What is measured of the machine as a whole. */
  machine(): PerformanceProfile;
  /** Detectors and histories of one component: too large to be written with every decision. */
  saveInsight(component: string): ComponentInsightState | undefined;
  /** Hours of a signal from before the agent started, oldest first, `NaN` for gaps; false: not needed. */
  warmForecast(component: string, signal: WatchedSignal, hours: ArrayLike<number>): boolean;
  /** Throws when the state does not fit; the component then starts afresh. */
  restoreInsight(saved: ComponentInsightState): void;
  save(): SavedState;
  /** The latest intervals of a signal as the profile has them in memory, one value each, oldest first. */
  intervals(component: string, signal: HistorySignal): readonly Rollup[];
  /**
   * Minutes of history that changed since this was last called, each whole: a later one of the same minute takes its
   * place. Ask every minute; four minutes are kept open for telemetry that comes late.
   */
  takeHistory(nowMs: number): readonly Rollup[];
  stats(): EngineStats;
  /** Why nothing may be tried anywhere; undefined while it may. */
  readonly frozen: string | undefined;
}

export interface EngineOptions {
  readonly settings: EngineSettings;
  readonly seed: number;
  /** Raised at every start of the agent; older commands are refused by the processes. */
  readonly epoch: number;
  readonly saved?: SavedState;
  readonly strategies?: readonly Strategy[];
  /** What metrics mean; the OpenTelemetry defaults when absent. */
  readonly mappings?: readonly SignalMapping[];
}

/** Plain JSON. */
export interface SavedState {
  readonly version: 1;
  readonly random: RandomState;
  readonly frozen?: string;
  readonly components: Readonly<Record<string, Standing>>;
  readonly lookout?: LookoutState;
}

export interface View {
  readonly component: string;
  readonly atMs: number;
  readonly profile?: PerformanceProfile;
  readonly tuning?: TunerView;
  readonly frozen?: string;
  /** The open anomaly because of which nothing is tried. */
  readonly paused?: string;
}

export interface EngineStats {
  readonly series: SeriesStoreCounts & { readonly live: number };
  /** Points of metrics that no mapping gives a meaning to. */
  readonly unmapped: number;
  /** Increments and sessions beyond `capacity`. */
  readonly refusedComponents: number;
  /** Times that the clock stepped or the agent stalled. */
  readonly disturbances: number;
  /** Points that came too late for their minute of history. */
  readonly lateForHistory: number;
  readonly insights: Readonly<InsightCounts>;
}

/** Who has not asked for its turn in so many windows has given it up. */
const PATIENCE_WINDOWS = 3;
const EVICT_EVERY_MS = 60_000;
const SERIES_IDLE_MS = 900_000;
const CAPACITY_HORIZON_MS = 172_800_000;

export function createEngine(options: EngineOptions): Engine {
  return new SteppedEngine(options);
}

class SteppedEngine implements Engine {
  readonly epoch: number;
  readonly #settings: EngineSettings;
  readonly #strategies: readonly Strategy[];
  readonly #random: Random;
  readonly #series: SeriesStore;
  readonly #signals: SignalMapper;
  readonly #profiles: ProfileStore;
  readonly #lookout: Lookout;
  readonly #tuners = new Map<string, Tuner>();
  readonly #sources = new Map<string, Precedence>();
  /** Standing of components that have not come back since the agent started. */
  readonly #absent: Map<string, Standing>;
  readonly #ids = { decision: 0, trial: 0, proposal: 0, anomaly: 0, incident: 0 };
  readonly #slots: Slots;
  #frozen: string | undefined;
  #nowMs = Number.NEGATIVE_INFINITY;
  #tickMs: number | undefined;
  #evictedMs = 0;
  #memoryInterval = Number.NaN;
  #unmapped = 0;
  #refused = 0;
  #disturbances = 0;

  constructor(options: EngineOptions) {
    const { settings, saved } = options;
    if (saved !== undefined && saved.version !== 1) {
      throw new Error(`saved engine state has version ${saved.version}; this engine reads version 1`);
    }
    this.epoch = options.epoch;
    this.#settings = settings;
    this.#strategies = options.strategies ?? STRATEGIES;
    this.#random = saved === undefined ? Random.seeded(options.seed) : new Random(saved.random);
    this.#series = new SeriesStore({ maxSeries: settings.capacity.maxSeries });
    this.#signals = new SignalMapper(options.mappings ?? DEFAULT_MAPPINGS);
    this.#profiles = new ProfileStore(settings.profile, settings.capacity.maxComponents);
    this.#lookout = new Lookout({
      settings,
      nextId: (what) => `${what === 'anomaly' ? 'a' : 'i'}${options.epoch}-${++this.#ids[what]}`,
      decisionId: () => `d${options.epoch}-${++this.#ids.decision}`,
      ...(saved?.lookout !== undefined && { saved: saved.lookout }),
    });
    this.#slots = new Slots(PATIENCE_WINDOWS * settings.window.minMs);
    this.#absent = new Map(Object.entries(saved?.components ?? {}));
    this.#frozen = saved?.frozen;
  }

  step(nowMs: number, input: Input): readonly Effect[] {
    this.#nowMs = nowMs;
    const effects = this.#react(nowMs, input);
    this.#lookout.noteEffects(effects, nowMs);
    return effects;
  }

  #react(nowMs: number, input: Input): readonly Effect[] {
    switch (input.kind) {
      case 'samples':
        this.#observe(input.batch, input.rows ?? [0, input.batch.size], nowMs);
        return [];
      case 'result':
        return this.#tuners.get(input.component)?.result(input.commandId, input.results, nowMs) ?? [];
      case 'session':
        if (input.event === 'opened') return this.#open(input.manifest, nowMs);
        return this.#tuners.get(input.component)?.close(nowMs, input.reason) ?? [];
      case 'override':
        return this.#tuners.get(input.component)?.override(input.knob, input.value, nowMs) ?? [];
      case 'holding':
        return this.#tuners.get(input.component)?.holding(input.held, nowMs) ?? [];
      case 'operator':
        return this.#operator(input.request, nowMs);
      case 'tick':
        return this.#tick(nowMs);
    }
  }

  view(component: string): View | undefined {
    const tuning = this.tuning(component);
    const profile = this.#profileOf(component, tuning, this.#nowMs);
    if (profile === undefined && tuning === undefined) return undefined;
    const paused = this.#lookout.pausedBy(component);
    return {
      component,
      atMs: this.#nowMs,
      ...(profile !== undefined && { profile }),
      ...(tuning !== undefined && { tuning }),
      ...(this.#frozen !== undefined && { frozen: this.#frozen }),
      ...(paused !== undefined && { paused: paused.explanation }),
    };
  }

  tuning(component: string): TunerView | undefined {
    return this.#tuners.get(component)?.view(this.#nowMs);
  }

  get frozen(): string | undefined {
    return this.#frozen;
  }

  components(): readonly string[] {
    return [...new Set([...this.#profiles.components, ...this.#tuners.keys()])];
  }

  burning(component: string): string | undefined {
    return this.#tuners.get(component)?.burning(this.#nowMs);
  }

  machine(): PerformanceProfile {
    return this.#profiles.machine(this.#nowMs);
  }

  anomalies(component: string): readonly ObservedAnomaly[] {
    return this.#lookout.store.anomalies(component);
  }

  patterns(component: string): readonly ObservedPattern[] {
    return this.#lookout.store.patterns(component);
  }

  forecast(component: string, signal: WatchedSignal, horizonMs: number): Forecast | undefined {
    return this.#lookout.store.forecast(component, signal, this.#nowMs, horizonMs);
  }

  forecastSignals(component: string): readonly WatchedSignal[] {
    return this.#lookout.store.forecastSignals(component);
  }

  capacity(component: string, horizonMs: number = CAPACITY_HORIZON_MS): CapacityReport | undefined {
    return this.#lookout.store.capacity(component, this.#nowMs, horizonMs);
  }

  insights(): readonly string[] {
    return this.#lookout.store.components;
  }

  warmingUp(component: string): readonly WatchedSignal[] {
    return this.#lookout.store.warmingUp(component);
  }

  pausedBy(component: string): ObservedAnomaly | undefined {
    return this.#lookout.pausedBy(component);
  }

  saveInsight(component: string): ComponentInsightState | undefined {
    return this.#lookout.store.save(component);
  }

  warmForecast(component: string, signal: WatchedSignal, hours: ArrayLike<number>): boolean {
    return this.#lookout.store.warm(component, signal, hours);
  }

  restoreInsight(saved: ComponentInsightState): void {
    this.#lookout.store.restore(saved);
    this.#lookout.restored(saved.component);
  }

  save(): SavedState {
    const components = new Map(this.#absent);
    for (const [name, tuner] of this.#tuners) components.set(name, tuner.standing);
    const lookout = this.#lookout.save();
    return {
      version: 1,
      random: this.#random.state(),
      ...(this.#frozen !== undefined && { frozen: this.#frozen }),
      components: Object.fromEntries(components),
      ...(lookout !== undefined && { lookout }),
    };
  }

  intervals(component: string, signal: HistorySignal): readonly Rollup[] {
    return this.#profiles.intervals(component, signal, this.#nowMs);
  }

  takeHistory(nowMs: number): readonly Rollup[] {
    return this.#profiles.takeHistory(nowMs);
  }

  stats(): EngineStats {
    return {
      series: { ...this.#series.counts, live: this.#series.size },
      unmapped: this.#unmapped,
      refusedComponents: this.#refused + this.#profiles.dropped.components,
      disturbances: this.#disturbances,
      lateForHistory: this.#profiles.lateForHistory,
      insights: { ...this.#lookout.store.counts },
    };
  }

  #observe(batch: SampleBatch, [from, to]: readonly [number, number], nowMs: number): void {
    for (let row = from; row < to; row++) {
      const role = this.#signals.roleOf(batch.series[row]);
      if (role === undefined) {
        this.#unmapped++;
        continue;
      }
      const resets = this.#series.counts.resets;
      const increment = this.#series.normalise(batch, row);
      if (increment === undefined) continue;
      const component = this.#signals.componentOf(increment.series);
      if (component !== undefined) {
        this.#lookout.noteSeries(component, increment.series, nowMs);
        if (this.#series.counts.resets !== resets) this.#lookout.noteReset(component, nowMs);
      }
      this.#profiles.observe(component, role, increment, nowMs);
      if (component === undefined) continue;
      const tuner = this.#tuners.get(component);
      // It counts beside whatever times the requests.
      if (role.signal === 'reward') tuner?.observe(role, increment);
      if (role.signal === 'resource' && role.resource === 'memory') {
        tuner?.observeMemory(role, increment);
      }
      if (!isTuned(role)) continue;
      const source = this.#sources.get(component);
      if (tuner === undefined || source === undefined) continue;
      // A source that has nothing to say must not keep one out that has.
      const offer = source.offer(tunedRank(role), nowMs, isActive(increment));
      if (offer === 'skip') continue;
      if (offer === 'replaced') tuner.restartWindow(nowMs);
      tuner.observe(role, increment);
    }
  }

  #open(manifest: Manifest, nowMs: number): readonly Effect[] {
    const { component } = manifest;
    let tuner = this.#tuners.get(component);
    if (tuner === undefined) {
      if (this.#tuners.size >= this.#settings.capacity.maxComponents) {
        this.#refused++;
        const reason = `no room for component ${component}: capacity.maxComponents is ${this.#settings.capacity.maxComponents}`;
        return [{ kind: 'event', event: { type: 'session_closed', component, atMs: nowMs, data: { reason } } }];
      }
      tuner = this.#newTuner(component);
      this.#tuners.set(component, tuner);
      this.#sources.set(
        component,
        new Precedence(this.#settings.profile.intervalMs * this.#settings.profile.windowSize),
      );
      this.#absent.delete(component);
      // Known from here on, also before it has measured anything.
      this.#profiles.open(component);
    }
    this.#lookout.noteSession(manifest, nowMs);
    return tuner.open(manifest, nowMs);
  }

  #newTuner(component: string): Tuner {
    const { epoch } = this;
    const names = { decision: 'd', trial: 't', proposal: 'p' };
    return new Tuner({
      component,
      epoch,
      settings: this.#settings,
      strategies: this.#strategies,
      random: this.#random,
      nextId: (what) => `${names[what]}${epoch}-${++this.#ids[what]}`,
      responseTimes: (nowMs) => this.#profiles.open(component)?.responseTimes(nowMs),
      okPerSecond: (nowMs) => this.#profiles.get(component)?.okPerSecond(nowMs),
      profile: (nowMs) => this.#profileOf(component, this.#tuners.get(component)?.view(nowMs), nowMs),
      mayBegin: (nowMs) => this.#mayBegin(component, nowMs),
      insights: {
        patterns: () => this.patterns(component),
        forecast: (signal, horizonMs) => this.forecast(component, signal, horizonMs),
      },
      standing: completeStanding(this.#absent.get(component) ?? {}),
    });
  }

  #profileOf(component: string, tuning: TunerView | undefined, nowMs: number): PerformanceProfile | undefined {
    const memoryMib = tuning && memoryLimitMib(tuning);
    // A limit of its own is what is set aside for it, whatever value it has at the moment.
    if (memoryMib !== undefined) this.#profiles.get(component)?.reserve('memory', memoryMib);
    return this.#profiles.snapshot(component, nowMs);
  }

  #tick(nowMs: number): readonly Effect[] {
    const effects: Effect[] = [];
    const passedMs = nowMs - (this.#tickMs ?? nowMs);
    this.#tickMs = nowMs;
    // After a stall as long as a lease the processes have fallen back by themselves; after a step back nothing timed holds.
    if (passedMs < 0 || passedMs >= this.#settings.lease.ttlMs) {
      this.#disturbances++;
      const reason = passedMs < 0 ? 'the clock stepped back' : `the agent stalled for ${Math.round(passedMs / 1000)} s`;
      for (const tuner of this.#tuners.values()) effects.push(...tuner.disturb(nowMs, reason));
    }
    effects.push(...this.#lookout.tick(nowMs, this.#profiles));
    for (const [component, tuner] of this.#tuners) {
      const pause = this.#lookout.pause(component, tuner.isConnected, nowMs);
      effects.push(...pause.effects);
      if (pause.began && pause.reason !== undefined) effects.push(...tuner.halt(nowMs, pause.reason));
      const stepped = tuner.tick(nowMs, this.#frozen ?? pause.reason);
      for (const effect of stepped) {
        effects.push(effect);
        if (effect.kind === 'decision' && effect.decision.kind === 'promoted') {
          const estimate = effect.decision.evidence?.effect?.estimate;
          this.#profiles.get(component)?.optimized(nowMs, estimate === undefined ? undefined : -estimate);
        }
      }
    }
    this.#profiles.sampleLevels(nowMs);
    this.#sampleMemory(nowMs);
    if (nowMs - this.#evictedMs >= EVICT_EVERY_MS) {
      this.#evictedMs = nowMs;
      this.#series.evictIdle(nowMs, SERIES_IDLE_MS);
    }
    return effects;
  }

  /** One experiment at a time among components that share a bottleneck. */
  #mayBegin(component: string, nowMs: number): string | undefined {
    const experimenting = [...this.#tuners].flatMap(([name, tuner]) => (tuner.isExperimenting ? [name] : []));
    const shared = (a: string, b: string): string | undefined => {
      const [one, other] = [a, b].map((name) => this.#profiles.snapshot(name, nowMs));
      return sharedBottleneck(one, other, this.#profiles.machine(nowMs));
    };
    return this.#slots.ask(component, experimenting, shared, nowMs);
  }

  /** Once an interval, for limits that are judged by past use. */
  #sampleMemory(nowMs: number): void {
    const interval = Math.floor(nowMs / this.#settings.profile.intervalMs);
    if (interval === this.#memoryInterval) return;
    this.#memoryInterval = interval;
    for (const [component, tuner] of this.#tuners) {
      const memory = this.#profiles.usage(component, 'memory', nowMs);
      if (memory !== undefined && memory.scope !== 'host') tuner.memoryInUse(memory.usage, nowMs);
    }
  }

  #operator(request: OperatorRequest, nowMs: number): readonly Effect[] {
    const { requestId, by } = request;
    const reply = (ok: boolean, message: string): Effect => ({ kind: 'reply', requestId, ok, message });
    if ((request.action === 'freeze' || request.action === 'unfreeze') && request.component === undefined) {
      return this.#freezeAll(request, nowMs, reply);
    }
    if (request.action === 'silence' || request.action === 'acknowledge') return this.#lookout.operator(request, nowMs);
    const target = this.#targetOf(request);
    if (typeof target === 'string') return [reply(false, target)];
    if (request.action === 'propose' && this.#frozen !== undefined) {
      return [reply(false, `nothing is tried while everything is frozen: ${this.#frozen}`)];
    }
    const { effects, ...answer } = target.operator(request, by, nowMs, request.dryRun);
    return [...effects, { kind: 'reply', requestId, ...answer }];
  }

  #targetOf(request: OperatorRequest & TuningAction): Tuner | string {
    if (request.action === 'approve' || request.action === 'reject') {
      const open = [...this.#tuners.values()].flatMap((tuner) => {
        return tuner.standing.proposals.map(({ id }) => ({ id, tuner }));
      });
      const found = open.find(({ id }) => id === request.proposalId);
      const ids = open.map(({ id }) => id).join(', ') || 'none';
      return found?.tuner ?? `no proposal ${request.proposalId}; open proposals: ${ids}`;
    }
    const component = request.component ?? '';
    const known = [...this.#tuners.keys()].join(', ') || 'none connected yet';
    return this.#tuners.get(component) ?? `unknown component ${component}; known: ${known}`;
  }

  #freezeAll(
    request: OperatorRequest & { readonly action: 'freeze' | 'unfreeze' },
    nowMs: number,
    reply: (ok: boolean, message: string) => Effect,
  ): readonly Effect[] {
    const { by } = request;
    const reason = request.action === 'freeze' ? request.reason : undefined;
    if (reason === undefined && this.#frozen === undefined) return [reply(false, 'not frozen')];
    const effects: Effect[] = [];
    const text = reason === undefined ? `${by}: everything unfrozen` : `${by}: everything frozen: ${reason}`;
    if (request.dryRun === true) return [reply(true, text)];
    this.#frozen = reason;
    if (reason !== undefined) {
      for (const tuner of this.#tuners.values()) effects.push(...tuner.halt(nowMs, text));
    }
    const kind = reason === undefined ? 'unfrozen' : 'frozen';
    const id = `d${this.epoch}-${++this.#ids.decision}`;
    return [
      { kind: 'decision', decision: { id, atMs: nowMs, component: '*', kind, by, changes: [], reason: text } },
      ...effects,
      { kind: 'event', event: { type: kind, component: '*', atMs: nowMs, data: { reason: text, by } } },
      reply(true, text),
    ];
  }
}

function isActive(increment: Increment): boolean {
  if (increment.kind === 'histogram') return increment.count > 0;
  return increment.kind === 'sum' ? increment.delta > 0 : true;
}

/** The least of the memory limits that a process has declared as knobs and holds now, in MiB; undefined where it has none. */
function memoryLimitMib({ knobs }: TunerView): number | undefined {
  const limits = knobs.flatMap(({ spec, effective }) => {
    const bytes = spec.role === 'memory' ? bytesPerUnit(spec.unit) : undefined;
    return bytes === undefined || typeof effective !== 'number' ? [] : [(effective * bytes) / 2 ** 20];
  });
  return limits.length === 0 ? undefined : Math.min(...limits);
}
