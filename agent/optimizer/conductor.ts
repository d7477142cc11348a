import { performance } from 'node:perf_hooks';
import type { Logger } from 'pino';
import { healthThresholds } from '../config/engine.ts';
import { resourceSettings } from '../config/resource-settings.ts';
import type { Config } from '../config/schema.ts';
import type { OptimizerEvent as CoreEvent, EventType } from '../core/model.ts';
import type { ResourceManager, ResourceSource } from '../core/resources.ts';
import type { Agent } from './agent.ts';
import type { AIComponent, AIRequest, ResourceAllocation } from './component.ts';
import type { ComponentRegistry } from './component-registry.ts';
import { Consent } from './consent.ts';
import { resultOf } from './documents.ts';
import { type OptimizerEvents, publicEvent } from './events.ts';
import { type Answer, checkAllocation, execute, type MonitoredResponse } from './execution.ts';
import type { HealthMonitor } from './health-monitor.ts';
import { type Listener, Listeners } from './listeners.ts';
import type { PerformanceProfile } from './metrics.ts';
import type { OptimizationResult } from './strategy.ts';
import { UserStrategies } from './user-strategies.ts';

/** No component of that name is known; the message lists those that are. */
export class UnknownComponentError extends Error {
  override readonly name = 'UnknownComponentError';

  constructor(component: string, known: readonly string[]) {
    super(`unknown component ${JSON.stringify(component)}; known: ${known.join(', ') || 'none yet'}`);
  }
}

export interface OptimizeOptions {
  /** Waits for the end of a trial, the one that is open or the next one, at most this long; without it nothing is waited for. */
  readonly waitMs?: number;
}

export interface ConductorOptions {
  readonly config: Config;
  readonly registry: ComponentRegistry;
  readonly resourceManager: ResourceManager;
  readonly healthMonitor: HealthMonitor;
  readonly log: Logger;
  /** Of the user's own `apply`, `action` and `rollback`. */
  readonly deadlineMs?: number;
  /** Makes it, when it is to start. */
  readonly agent: (tell: (event: CoreEvent) => void) => Agent;
}

const USER_DEADLINE_MS = 10_000;

/** Brings the parts together: what one of them does that concerns another passes through here. */
export class Conductor {
  readonly strategies: UserStrategies;
  readonly #options: ConductorOptions;
  readonly #consent: Consent;
  readonly #listeners: Listeners<OptimizerEvents>;
  #agent: Agent | undefined;
  #state: 'new' | 'running' | 'stopped' = 'new';
  #starting: Promise<void> | undefined;
  #rounds: NodeJS.Timeout | undefined;
  #inRound = false;
  #hasComplained = false;

  constructor(options: ConductorOptions) {
    const { config, log } = options;
    const { adaptationThreshold, enabled } = config.optimization;
    const windowMs = config.tuning.window.min;
    this.#options = options;
    this.#listeners = new Listeners((error, type) => log.warn({ err: error, event: type }, 'a listener threw'));
    this.#consent = new Consent(() => this.agent);
    this.strategies = new UserStrategies({
      // Also while it stops: what is taken back then is undone by its author.
      knobs: (component) => this.#agent?.knobs(component) ?? [],
      consent: this.#consent,
      isEnabled: enabled && config.monitoring.enabled,
      adaptationThreshold,
      deadlineMs: options.deadlineMs ?? USER_DEADLINE_MS,
      pauseMs: config.tuning.cooldown.windows * windowMs,
      maxPauseMs: config.tuning.cooldown.maxWindows * windowMs,
      nowMs: () => performance.now(),
      failed: (component, strategy, error) =>
        this.#tell({ type: 'optimization_failed', component, atMs: Date.now(), data: { strategy, error } }),
      log,
    });
  }

  /** Where the engine runs; refused while nothing runs. */
  get agent(): Agent {
    if (this.#agent !== undefined && this.#state === 'running') return this.#agent;
    throw new Error(
      this.#state === 'stopped'
        ? 'PerformanceOptimizer has shut down'
        : 'PerformanceOptimizer: call initialize() first',
    );
  }

  /** Who comes while it is under way waits for the same start; after one that has failed it may be tried again. */
  initialize(): Promise<void> {
    if (this.#state === 'stopped') {
      return Promise.reject(new Error('PerformanceOptimizer has shut down; make a new one'));
    }
    this.#starting ??= this.#start().catch((error: unknown) => {
      this.#starting = undefined;
      throw error;
    });
    return this.#starting;
  }

  async shutdown(): Promise<void> {
    this.#state = 'stopped';
    clearInterval(this.#rounds);
    this.#options.registry.off('component_registered', this.#onRegistered);
    this.#options.registry.off('component_unregistered', this.#onUnregistered);
    await this.#agent?.stop();
    this.#agent = undefined;
  }

  on<T extends keyof OptimizerEvents>(type: T, listener: Listener<OptimizerEvents[T]>): void {
    this.#listeners.on(type, listener);
  }

  off<T extends keyof OptimizerEvents>(type: T, listener: Listener<OptimizerEvents[T]>): void {
    this.#listeners.off(type, listener);
  }

  /** The component is known to the engine when this resolves, and its hand-set values and requests up to now with it. */
  async open<C extends AIComponent>(component: C | undefined): Promise<C> {
    const known = await this.#mustBeKnown(component);
    await this.agent.open(known);
    await this.agent.settle();
    await this.#takeConsent(known.name);
    return known;
  }

  async optimize(
    component: AIComponent | undefined,
    request: AIRequest,
    { waitMs }: OptimizeOptions = {},
  ): Promise<OptimizationResult> {
    const known = await this.open(component);
    const profile = await this.profile(known.name);
    const ended = waitMs === undefined ? undefined : this.#endOfTrial(known.name, waitMs);
    const asked = await this.strategies.ask(known, profile);
    await this.agent.ask({ action: 'optimize', component: known.name }, idOf(request));
    await ended;
    const state = await this.agent.optimization(known.name);
    if (state === undefined) throw await this.#unknown(known.name);
    return resultOf(state, asked);
  }

  async approve(proposalId: string): Promise<string> {
    const { ok, message } = await this.agent.ask({ action: 'approve', proposalId }, 'the process');
    if (!ok) throw new Error(message);
    return message;
  }

  async execute<C extends AIComponent>(
    component: C | undefined,
    request: AIRequest,
    allocation: ResourceAllocation,
  ): Promise<MonitoredResponse<Answer<C>>> {
    const known = await this.#mustBeKnown(component);
    checkAllocation(allocation);
    const { agent } = this;
    if (agent.knobs(known.name) === undefined) await this.open(known);
    const optimized = agent.isTuned(known.name);
    const startMs = performance.now();
    let outcome: 'ok' | 'error' = 'error';
    try {
      const result = await execute(known, request, allocation);
      outcome = 'ok';
      // `execute` calls the very function whose answer this type names.
      return { result: result as Answer<C>, executionTime: performance.now() - startMs, optimized, allocation };
    } finally {
      // The one that was there at the beginning: it may have stopped since, and then it takes no notice.
      agent.record(known.name, performance.now() - startMs, outcome, allocation);
    }
  }

  async profile(component: string): Promise<PerformanceProfile> {
    await this.agent.settle();
    const profile = await this.agent.profile(component);
    if (profile === undefined) throw await this.#unknown(component);
    // The public type says that everything is there; what was not measured is absent, as it documents.
    return profile as PerformanceProfile;
  }

  /** Of a component that is known. */
  async findings<T>(component: string, question: (agent: Agent) => Promise<T>): Promise<T> {
    await this.profile(component);
    return question(this.agent);
  }

  /** Answers of the engine, with all that was measured up to now. */
  async ask<T>(question: (agent: Agent) => Promise<T>): Promise<T> {
    await this.agent.settle();
    return question(this.agent);
  }

  /** One look at everything: asks the user's strategies, and tells the health monitor. Never rejects. */
  async round(): Promise<void> {
    if (this.#inRound || this.#state !== 'running') return;
    this.#inRound = true;
    const { config, registry, healthMonitor, log } = this.#options;
    if (config.monitoring.debugMetrics) log.info(this.agent.readings(), 'readings');
    try {
      await this.agent.settle();
      await this.agent.refresh();
      const report = await this.agent.health();
      for (const { component, health } of report.components) healthMonitor.update(component, health, report.atMs);
      for (const component of registry.getComponents()) {
        if (this.agent.knobs(component.name) === undefined) continue;
        await this.#takeConsent(component.name);
        await this.strategies.ask(component, await this.profile(component.name));
      }
    } catch (error) {
      // Said once, and not each time until it works again.
      if (this.#isRunning && !this.#hasComplained) log.warn({ err: error }, 'rounds of monitoring fail');
      this.#hasComplained = true;
      return;
    } finally {
      this.#inRound = false;
    }
    this.#hasComplained = false;
  }

  /** Where no agent answers now, the next round tries again. */
  async #takeConsent(component: string): Promise<void> {
    await this.#consent
      .take(component)
      .catch((error: unknown) => this.#options.log.debug({ err: error, component }, 'no agent answers yet'));
  }

  readonly #onRegistered = (component: AIComponent): void => {
    this.open(component).catch((error: unknown) =>
      this.#options.log.error({ err: error, component: component.name }, 'the component cannot be optimised'),
    );
  };

  readonly #onUnregistered = ({ name }: AIComponent): void => {
    this.agent.close(name);
    this.strategies.forget(name);
    this.#consent.forget(name);
    this.#options.healthMonitor.forget(name);
  };

  #tell(event: CoreEvent): void {
    const told = publicEvent(event);
    if (typeof told === 'string') {
      this.#options.log.warn({ event: event.type }, `an event cannot be understood: ${told}`);
      return;
    }
    this.#pass(told.type, told);
    this.#listeners.emit('*', told);
    const { proposalId } = told.data;
    const component = this.#options.registry.getComponent(told.component);
    if (component === undefined || typeof proposalId !== 'string') return;
    if (told.type === 'optimization_applied') this.strategies.decided(component, proposalId, true);
    // Taken back after a trial, or never tried.
    const isOver = told.type === 'optimization_rolled_back' || told.type === 'optimization_failed';
    if (isOver) this.strategies.decided(component, proposalId, false);
  }

  /** `publicEvent` has read the data of each type as that type's. */
  #pass<T extends EventType>(type: T, event: unknown): void {
    this.#listeners.emit(type, event as OptimizerEvents[T]);
  }

  /** Resolves when a trial of the component has ended, or after `waitMs`. */
  #endOfTrial(component: string, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.off('*', listener);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      const listener: Listener<OptimizerEvents['*']> = (event) => {
        const isEnd = event.type === 'optimization_applied' || event.type === 'optimization_rolled_back';
        if (event.component === component && isEnd) done();
      };
      this.on('*', listener);
    });
  }

  /** Read anew: it may have changed while something was waited for. */
  get #isRunning(): boolean {
    return this.#state === 'running';
  }

  get #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  async #mustBeKnown<C extends AIComponent>(component: C | undefined): Promise<C> {
    if (typeof component === 'object' && typeof component?.name === 'string') return component;
    throw await this.#unknown(String(component));
  }

  async #unknown(component: string): Promise<UnknownComponentError> {
    const registered = this.#options.registry.getComponents().map(({ name }) => name);
    // What an agent knows that does not answer cannot be listed.
    const known = await this.agent.components().catch(() => []);
    return new UnknownComponentError(component, [...new Set([...registered, ...known])]);
  }

  async #start(): Promise<void> {
    const { registry, config, resourceManager, agent: make } = this.#options;
    const agent = make((event) => this.#tell(event));
    this.#agent = agent;
    try {
      await agent.start();
      if (this.#isStopped) throw new Error('PerformanceOptimizer was shut down while it started');
      this.#state = 'running';
      resourceManager.connect(prioritised(agent.source, registry), resourceSettings(config, healthThresholds(config)));
      registry.on('component_registered', this.#onRegistered);
      registry.on('component_unregistered', this.#onUnregistered);
      for (const component of registry.getComponents()) await this.open(component);
    } catch (error) {
      const isStopped = this.#isStopped;
      await this.shutdown();
      if (!isStopped) this.#state = 'new';
      throw error;
    }
    this.#rounds = setInterval(() => void this.round(), config.monitoring.interval);
    this.#rounds.unref();
  }
}

/** With the priority that a component has at the moment. */
function prioritised(source: ResourceSource, registry: ComponentRegistry): ResourceSource {
  return {
    ...source,
    components: () =>
      source.components().map((seen) => {
        const priority = registry.getComponent(seen.component)?.priority;
        return { ...seen, ...(priority !== undefined && { priority }) };
      }),
  };
}

/** Whoever asked is named in the records by the request; one that cannot be read has no name. */
function idOf(request: AIRequest): string {
  try {
    return typeof request.id === 'string' ? `request ${request.id.slice(0, 100)}` : 'a request';
  } catch {
    return 'a request';
  }
}
