import { optimizerConfig } from './config/optimizer.ts';
import type { Grant } from './core/resources/allocation.ts';
import type { CurrentResourceUsage } from './core/resources/usage.ts';
import { ResourceManager } from './core/resources.ts';
import { agentMaker, guestLog, type PerformanceOptimizerConfig } from './optimizer/agent-choice.ts';
import type { AIComponent, AIRequest, ResourceAllocation } from './optimizer/component.ts';
import { ComponentRegistry } from './optimizer/component-registry.ts';
import { Conductor, type OptimizeOptions } from './optimizer/conductor.ts';
import {
  analyticsOf,
  anomalyOf,
  type PerformanceAnalytics,
  type PerformanceAnomaly,
  type PerformancePattern,
  type PerformanceSnapshot,
  patternOf,
  type SystemHealth,
  snapshotOf,
  systemHealthOf,
} from './optimizer/documents.ts';
import type { OptimizerEvents } from './optimizer/events.ts';
import type { Answer, MonitoredResponse } from './optimizer/execution.ts';
import { HealthMonitor } from './optimizer/health-monitor.ts';
import type { Listener } from './optimizer/listeners.ts';
import type { PerformanceProfile } from './optimizer/metrics.ts';
import type { AdaptationRule, OptimizationResult, StrategyDefinition } from './optimizer/strategy.ts';

/**
 * The design document's optimizer, in your own process: finds better settings for its components while they serve, and keeps
 * what it has proven to help. Every method says how things stand now, with all requests up to the call counted.
 */
export class PerformanceOptimizer {
  readonly #conductor: Conductor;
  readonly #resources: ResourceManager;

  constructor(
    config: PerformanceOptimizerConfig = {},
    registry: ComponentRegistry = new ComponentRegistry(),
    resourceManager: ResourceManager = new ResourceManager(),
    healthMonitor: HealthMonitor = new HealthMonitor(),
  ) {
    const { agent, ...own } = config;
    const complete = optimizerConfig(own);
    const log = guestLog(complete);
    this.#resources = resourceManager;
    this.#conductor = new Conductor({
      ...{ config: complete, registry, resourceManager, healthMonitor, log },
      agent: agentMaker({ config: complete, state: own.state, agent, log }),
    });
  }

  /** Starts, and takes on every component of the registry, now and later. */
  initialize(): Promise<void> {
    return this.#conductor.initialize();
  }

  /** Stops. Every value that was tuned is back at what it was; values set by hand stay. */
  shutdown(): Promise<void> {
    return this.#conductor.shutdown();
  }

  /**
   * Asks for the component to be optimised: its strategies, and yours, are asked at once whether there is something to try.
   * Proof takes minutes, so the answer is how things stand now: `applied` where a proven change is in force, with what it has
   * gained. `waitMs` waits for the end of the trial. The request is the one that is about to be served; it is not executed here.
   */
  optimizePerformance(
    component: AIComponent | undefined,
    request: AIRequest,
    options?: OptimizeOptions,
  ): Promise<OptimizationResult> {
    return this.#conductor.optimize(component, request, options);
  }

  /**
   * Has the component answer the request and measures it. Its timeout ends the wait with a `RequestTimeoutError`; what it throws
   * is thrown on. Both count as failures. The allocation is handed to the component: what it may use is its own to keep to.
   */
  executeWithMonitoring<C extends AIComponent>(
    component: C | undefined,
    request: AIRequest,
    allocation: ResourceAllocation,
  ): Promise<MonitoredResponse<Answer<C>>> {
    return this.#conductor.execute(component, request, allocation);
  }

  getPerformanceSnapshot(): Promise<PerformanceSnapshot> {
    return this.#conductor.ask(async (agent) =>
      snapshotOf(await agent.figures(), await agent.components(), Date.now()),
    );
  }

  getPerformanceAnalytics(): Promise<PerformanceAnalytics> {
    return this.#conductor.ask(async (agent) => analyticsOf(await agent.analytics(), await agent.recommendations()));
  }

  /** Rejects, with the names that are known, where the component is not. */
  getComponentProfile(component: string): Promise<PerformanceProfile> {
    return this.#conductor.profile(component);
  }

  /** Takes the component on, as `component_registered` does by itself; again: changes nothing. */
  async initializeComponentProfile(component: AIComponent | undefined): Promise<PerformanceProfile> {
    return this.#conductor.profile((await this.#conductor.open(component)).name);
  }

  /** Counts all requests up to now, and looks for values that were set by hand. */
  async updatePerformanceProfile(component: AIComponent | undefined): Promise<PerformanceProfile> {
    return this.#conductor.profile((await this.#conductor.open(component)).name);
  }

  identifyPatterns(component: string): Promise<readonly PerformancePattern[]> {
    return this.#conductor.findings(component, async (agent) => (await agent.patterns(component)).map(patternOf));
  }

  /** What is odd or was lately, open ones first. */
  detectAnomalies(component: string): Promise<readonly PerformanceAnomaly[]> {
    return this.#conductor.findings(component, async (agent) => (await agent.anomalies(component)).map(anomalyOf));
  }

  healthCheck(): Promise<SystemHealth> {
    return this.#conductor.ask(async (agent) => systemHealthOf(await agent.health()));
  }

  /** Who should get how much of the machine, and why: one entry a component and resource. */
  async optimizeResourceAllocation(usage?: CurrentResourceUsage): Promise<readonly Grant[]> {
    return this.#resources.allocate(usage).grants;
  }

  /** Lets a proposal go ahead that a `recommendation` event has told of; resolves with what was done. */
  approve(proposalId: string): Promise<string> {
    return this.#conductor.approve(proposalId);
  }

  registerStrategy(strategy: StrategyDefinition): void {
    this.#conductor.strategies.register(strategy);
  }

  addAdaptationRule(rule: AdaptationRule): void {
    this.#conductor.strategies.addRule(rule);
  }

  /** `*`: every event. A listener may be asynchronous; what it throws goes to the log. */
  on<T extends keyof OptimizerEvents>(type: T, listener: Listener<OptimizerEvents[T]>): this {
    this.#conductor.on(type, listener);
    return this;
  }

  off<T extends keyof OptimizerEvents>(type: T, listener: Listener<OptimizerEvents[T]>): this {
    this.#conductor.off(type, listener);
    return this;
  }
}
