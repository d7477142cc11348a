import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Logger } from 'pino';
import { type Clock, createClock } from '../adapters/clock.ts';
import { createGpuSampler, type GpuSampler } from '../adapters/gpu/sampler.ts';
import { createHostSampler, type HostSampler } from '../adapters/host/sampler.ts';
import type { Journal } from '../adapters/journal/journal.ts';
import { systemClock } from '../client/typescript/clock.ts';
import { engineSettings, healthThresholds, signalMappings } from '../config/engine.ts';
import { resourceSettings } from '../config/resource-settings.ts';
import type { Config } from '../config/schema.ts';
import { Adviser } from '../core/advice/adviser.ts';
import type { MeasuredResults } from '../core/analytics/results.ts';
import { Answers } from '../core/answers.ts';
import { createEngine, type Engine, type SavedState } from '../core/engine.ts';
import { CapacityCache } from '../core/forecast/capacity-cache.ts';
import type { Effect, KnobMode, OptimizerEvent } from '../core/model.ts';
import { engineSource } from '../core/resources/engine_source.ts';
import { ResourceManager, type ResourceSource } from '../core/resources.ts';
import { SeriesInterner } from '../core/series/interner.ts';
import { Runtime } from '../runtime.ts';
import { learningFrom, measuredResults } from '../upkeep/decisions.ts';
import { InsightKeeper, restoreInsights } from '../upkeep/insights.ts';
import type { Agent, AgentRequest, Reply } from './agent.ts';
import type { AIComponent, ResourceAllocation } from './component.ts';
import { LocalSession } from './local-session.ts';
import { RequestMeter } from './request-meter.ts';

export interface LocalAgentOptions {
  readonly config: Config;
  /** Keeps decisions and what was learned; without one they last as long as the process. Closed at the end. */
  readonly journal?: Journal | undefined;
  /** Its own, in real time, unless told otherwise. */
  readonly engine?: Engine;
  readonly clock?: Clock;
  readonly log: Logger;
  readonly tell: (event: OptimizerEvent) => void;
}

const ALL_SERIES = 10_000;
const KEEP_EVERY_MS = 60_000;
/** Of waiting for the next millisecond: a clock that stands still is not waited for. */
const MAX_TURNS = 10_000;

/** The sidecar's engine in this process: the same core and the same runtime, with component objects in place of sessions. */
export class LocalAgent implements Agent {
  readonly #options: LocalAgentOptions;
  readonly #clock: Clock;
  readonly #journal: Journal | undefined;
  readonly #results: MeasuredResults;
  readonly #engine: Engine;
  readonly #runtime: Runtime;
  readonly #answers: Answers;
  readonly #adviser: Adviser;
  readonly source: ResourceSource;
  readonly #meter: RequestMeter;
  readonly #sampler: HostSampler;
  readonly #gpuSampler: GpuSampler;
  readonly #sessions = new Map<string, LocalSession>();
  readonly #asked = new Map<string, (reply: Reply) => void>();
  readonly #insightKeeper: InsightKeeper | undefined;
  #incarnation = 0;
  #started = false;
  /** A component is here whose process has not been sampled for it. */
  #unsampled = true;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(options: LocalAgentOptions) {
    const { config, log, journal } = options;
    this.#options = options;
    this.#clock = options.clock ?? createClock();
    const nowMs = this.#clock.nowMs();
    this.#journal = journal;
    const epoch = this.#journal?.raiseEpoch(nowMs) ?? Math.floor(nowMs / 1_000);
    this.#results = measuredResults(journal);
    this.#engine = options.engine ?? engineOf(config, epoch, this.#journal, log);
    if (journal !== undefined) {
      this.#insightKeeper = new InsightKeeper(this.#engine, journal);
      restoreInsights(this.#engine, journal, nowMs, log);
    }
    this.#answers = new Answers({
      engine: this.#engine,
      results: this.#results,
      thresholds: (component) => healthThresholds(config, component),
      observedSinceMs: nowMs,
    });
    this.source = engineSource({
      engine: this.#engine,
      nowMs: () => this.#clock.nowMs(),
      horizonMs: config.resources.horizon,
    });
    const thresholds = (component?: string) => healthThresholds(config, component);
    const manager = new ResourceManager(resourceSettings(config, thresholds()), this.source);
    this.#adviser = new Adviser({
      capacity: new CapacityCache((component) => this.#engine.capacity(component)),
      ...{ engine: this.#engine, results: this.#results, thresholds },
      bottlenecks: () => manager.bottlenecks(),
    });
    this.#runtime = new Runtime({
      engine: this.#engine,
      journal: learningFrom(journal, (decision) => {
        this.#results.learn(decision);
        this.#adviser.decided(decision);
      }),
      clock: this.#clock,
      tickMs: config.tuning.tick,
      maxQueuedPoints: config.capacity.maxQueuedPoints,
      perform: (effect) => this.#perform(effect),
      log,
      isGuest: true,
    });
    const interner = new SeriesInterner({ maxSeries: Math.min(ALL_SERIES, config.capacity.maxSeries) });
    this.#meter = new RequestMeter(interner, nowMs);
    const sampled = {
      intervalMs: config.monitoring.interval,
      sink: this.#runtime,
      interner,
      clock: { nowMs: () => this.#clock.nowMs(), monotonicMs: () => performance.now() },
      targets: () => [...this.#sessions.keys()].map((component) => ({ component, pid: process.pid })),
    };
    this.#sampler = createHostSampler({
      ...sampled,
      onError: (error) => log.warn({ err: error }, 'the host could not be sampled'),
    });
    this.#gpuSampler = createGpuSampler({
      ...sampled,
      source: config.gpu.source,
      onNotice: (notice) => log.debug(notice, 'GPUs'),
      onError: (error) => log.warn({ err: error }, 'the GPUs could not be sampled'),
    });
  }

  async start(): Promise<void> {
    this.#started = true;
    this.#runtime.start();
    const { monitoring, tuning } = this.#options.config;
    this.#timers.push(setInterval(() => this.#look(), tuning.tick));
    if (monitoring.enabled) {
      this.#timers.push(setInterval(() => void this.#sampler.sample(), monitoring.interval));
      await this.#gpuSampler.start();
    }
    if (this.#journal !== undefined) this.#timers.push(setInterval(() => void this.#keep(), KEEP_EVERY_MS));
    for (const timer of this.#timers) timer.unref();
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    for (const component of [...this.#sessions.keys()]) this.close(component);
    this.#started = false;
    await Promise.all([this.#sampler, this.#gpuSampler].map((sampler) => sampler.stop(AbortSignal.timeout(1_000))));
    this.#runtime.stop();
    for (const answer of this.#asked.values()) answer({ ok: false, message: 'the optimizer has shut down' });
    this.#asked.clear();
    if (this.#journal === undefined) return;
    this.#insightKeeper?.keepNow();
    this.#journal.close();
  }

  async open(component: AIComponent): Promise<void> {
    const { name } = component;
    const known = this.#sessions.get(name);
    if (known !== undefined && known.component !== component) {
      throw new RangeError(`a component named ${JSON.stringify(name)} is being optimised already`);
    }
    if (known !== undefined) {
      this.#look();
      return;
    }
    this.#declare(component);
    this.#unsampled = true;
    if (!this.#meter.open(name)) this.#options.log.warn({ component: name }, 'no room for more series: not measured');
  }

  close(component: string): void {
    this.#sessions.get(component)?.close('closed by the process');
    this.#sessions.delete(component);
    this.#meter.close(component);
  }

  knobs(component: string): LocalSession['knobs'] | undefined {
    return this.#sessions.get(component)?.knobs;
  }

  isTuned(component: string): boolean {
    return this.#sessions.get(component)?.isTuned === true;
  }

  record(component: string, durationMs: number, outcome: 'ok' | 'error', allocation: ResourceAllocation): void {
    this.#meter.record(component, durationMs, outcome, allocation);
  }

  async settle(): Promise<void> {
    if (this.#unsampled && this.#options.config.monitoring.enabled) {
      this.#unsampled = false;
      // Waited for, so that use and limits are known from the beginning.
      await this.#sampler.sample();
    }
    for (let turn = 0; turn < MAX_TURNS && this.#meter.isAhead(this.#clock.nowMs()); turn++) await nextTurn();
    this.#report();
    while (this.#isBehind()) await nextTurn();
  }

  /** The source is the engine itself; what to recommend is looked for. */
  async refresh(): Promise<void> {
    for (const event of this.#adviser.look(this.#clock.nowMs())) this.#options.tell(event);
  }

  readings() {
    return {
      ...this.#runtime.stats(),
      ...this.#engine.stats(),
      host: this.#sampler.counts,
      gpu: this.#gpuSampler.counts,
    };
  }

  async components(): Promise<readonly string[]> {
    return this.#answers.components;
  }

  async profile(component: string) {
    return this.#answers.profile(component);
  }

  async optimization(component: string) {
    return this.#answers.optimization(component);
  }

  async figures() {
    return this.#answers.figures(this.#clock.nowMs());
  }

  async analytics() {
    return this.#answers.analytics(this.#clock.nowMs());
  }

  async patterns(component: string) {
    return this.#engine.patterns(component);
  }

  async anomalies(component: string) {
    return this.#engine.anomalies(component);
  }

  async recommendations() {
    return this.#adviser.list();
  }

  async health() {
    return this.#answers.health(this.#clock.nowMs());
  }

  async modes(component: string): Promise<ReadonlyMap<string, KnobMode>> {
    await this.settle();
    return new Map(this.#engine.tuning(component)?.knobs.map(({ spec, mode }) => [spec.id, mode]));
  }

  ask(action: AgentRequest, by: string): Promise<Reply> {
    if (!this.#runs) return Promise.resolve({ ok: false, message: 'the engine does not run' });
    const requestId = randomUUID();
    return new Promise((resolve) => {
      this.#asked.set(requestId, resolve);
      this.#runtime.post({ kind: 'operator', request: { requestId, by, ...action } });
    });
  }

  #declare(component: AIComponent): void {
    const session = new LocalSession({
      component,
      epoch: this.#engine.epoch,
      clock: systemClock,
      incarnation: ++this.#incarnation,
      post: (input) => this.#runtime.post(input),
    });
    this.#sessions.set(component.name, session);
    session.open();
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'command':
        // What was measured at the old values ends here, so that none of it is taken for the new ones.
        this.#report();
        this.#sessions.get(effect.command.component)?.perform(effect);
        return;
      case 'renewal':
      case 'revoke':
        this.#sessions.get(effect.component)?.perform(effect);
        return;
      case 'event':
        this.#options.tell(effect.event);
        return;
      case 'reply': {
        const answer = this.#asked.get(effect.requestId);
        this.#asked.delete(effect.requestId);
        answer?.(effect);
        return;
      }
      case 'decision':
        return;
    }
  }

  /** What hands have set, and what requests have taken. */
  #look(): void {
    for (const [name, session] of [...this.#sessions]) {
      if (session.watch()) continue;
      this.#options.log.warn({ component: name }, 'a value was set by hand that its knob cannot have: declared anew');
      session.close('a value was set by hand that its knob cannot have');
      this.#sessions.delete(name);
      try {
        this.#declare(session.component);
      } catch (error) {
        this.#options.log.error({ err: error, component: name }, 'the component cannot be tuned any more');
      }
    }
    this.#report();
  }

  async #keep(): Promise<void> {
    await this.#insightKeeper
      ?.keep()
      .catch((error: unknown) =>
        this.#options.log.warn({ err: error }, 'what the detectors have learned could not be written down'),
      );
  }

  #report(): void {
    if (!this.#options.config.monitoring.enabled) return;
    const batch = this.#meter.report(this.#clock.nowMs());
    if (batch !== undefined) this.#runtime.accept(batch);
  }

  get #runs(): boolean {
    return this.#started && this.#runtime.stats().halted === undefined;
  }

  #isBehind(): boolean {
    const { queuedInputs, queuedPoints } = this.#runtime.stats();
    return this.#runs && queuedInputs + queuedPoints > 0;
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** As it was when its state was last saved; a state that cannot be read is a clean start, said loudly. */
function engineOf(config: Config, epoch: number, journal: Journal | undefined, log: Logger): Engine {
  const options = { settings: engineSettings(config), mappings: signalMappings(config), seed: epoch, epoch };
  const text = journal?.readState();
  if (text === undefined) return createEngine(options);
  try {
    const saved: SavedState = JSON.parse(text);
    return createEngine({ ...options, saved });
  } catch (error) {
    log.error({ err: error }, 'the saved state cannot be used: starting without what was learned');
    return createEngine(options);
  }
}
