/**
 * A program as somebody writes it who follows the design document: every name, field, method and event of it, in a process
 * under load. Compiled and run by `package.test.ts` against the built package.
 */
import {
  type AdaptationRule,
  type AIComponent,
  type AIRequest,
  ComponentRegistry,
  ComponentTier,
  HealthMonitor,
  type OptimizationResult,
  type OptimizationStrategy,
  PerformanceOptimizer,
  type PerformanceOptimizerConfig,
  type PerformanceProfile,
  type PerformanceThresholds,
  type ResourceAllocation,
  ResourceManager,
  type ResourceMetrics,
  type ResponseTimeMetrics,
  type ThroughputMetrics,
} from '../../agent/library.ts';

const { CRITICAL, STABLE, ADVANCED, EXPERIMENTAL, RESEARCH } = ComponentTier;
const everyTier: ComponentTier[] = [CRITICAL, STABLE, ADVANCED, EXPERIMENTAL, RESEARCH];

const limits: PerformanceThresholds = {
  responseTime: { excellent: 5, good: 20, acceptable: 100, poor: 500 },
  throughput: { minimum: 1, target: 50, maximum: 5000 },
  resourceUsage: { cpu: 75, memory: 80, gpu: 95 },
};
const plain: PerformanceOptimizerConfig = {
  monitoring: { enabled: true, interval: 200, windowSize: 50, dataRetention: 3_600_000 },
  optimization: {
    enabled: true,
    aggressiveness: 0.4,
    learningRate: 0.2,
    adaptationThreshold: 0.7,
    rollbackEnabled: true,
  },
  analytics: { enabled: true, predictiveAnalysis: true, patternRecognition: true, anomalyDetection: true },
};
const talkative = { ...plain, debug: false, monitoring: { ...plain.monitoring, debugMetrics: true } };
const quick = { tick: 20, window: { min: 100, max: 2_000, minRequests: 10 } };

const registry = new ComponentRegistry();
const resources = new ResourceManager();
const monitor = new HealthMonitor();
const optimizer = new PerformanceOptimizer(
  { ...talkative, thresholds: limits, tuning: quick },
  registry,
  resources,
  monitor,
);

const lines: string[] = [];
const say = (line: string): void => {
  lines.push(line);
};

registry.on('component_registered', async (component) => {
  await optimizer.initializeComponentProfile(component);
});
monitor.on('health_changed', async (event) => {
  const component = registry.getComponent(event.component);
  if (component) await optimizer.updatePerformanceProfile(component);
});
optimizer.on('optimization_applied', (event) => {
  say(`applied ${event.component} ${event.data.strategy} ${event.data.result.results?.improvement * 100}%`);
});
optimizer.on('adaptive_optimization', (event) => say(`adaptive ${event.component} ${event.data.rule}`));
optimizer.on('optimization_failed', (event) => say(`failed ${event.component} ${event.data.error}`));
optimizer.on('*', (event) => say(`event ${event.type} ${event.at} ${JSON.stringify(event.data)}`));

const ranker: AIComponent = {
  name: 'ranker',
  tier: STABLE,
  timeout: 400,
  memoryLimit: 900,
  priority: 30,
  config: { beams: 4, cache: true, model: 'small' },
  knobs: { beams: { min: 1, max: 32 }, model: { values: ['small', 'large'] } },
  async process(request: AIRequest) {
    await new Promise<void>((served) => {
      setTimeout(served, 2);
    });
    return { echoed: request.id };
  },
};

const outcome: OptimizationResult = { applied: true, optimization: 'by hand', results: { improvement: 0 } };
const tighter: OptimizationStrategy = {
  name: 'Tighter timeout',
  description: 'half as much again as requests take',
  applicableTiers: everyTier,
  priority: 3,
  canApply: ({ metrics }) => metrics.responseTime.average < ranker.timeout * 0.8,
  apply: async (component, profile) => {
    component.timeout = Math.max(profile.metrics.responseTime.average * 1.5, 100);
    return outcome;
  },
  rollback: async (component, optimization) => say(`back ${component.timeout} ${optimization.optimization}`),
};
const frugal = async (component: AIComponent, profile: PerformanceProfile): Promise<OptimizationResult> => {
  const { memory }: ResourceMetrics = profile.resources;
  component.memoryLimit = Math.max(memory.usage * 1.2, 256);
  component.priority = Math.min(component.priority + 5, 100);
  component.config = { ...component.config, cache: false };
  return outcome;
};
const rule: AdaptationRule = {
  condition: (profile) => profile.metrics.responseTime.trend > 0.2 || profile.resources.memory.efficiency < 0.8,
  action: async (component, profile) => await frugal(component, profile),
  confidence: 0.9,
  priority: 5,
};

await optimizer.initialize();
registry.register(ranker);
optimizer.registerStrategy(tighter);
optimizer.addAdaptationRule(rule);

const allocation: ResourceAllocation = { cpu: 40, memory: 600, gpu: 10 };
const component = registry.getComponent('ranker');
const enough = Date.now() + 2_500;
for (let n = 0; Date.now() < enough; n++) {
  const served = Array.from({ length: 4 }, (_, lane) => ({ id: `${n}/${lane}` }));
  await Promise.all(served.map((request) => optimizer.executeWithMonitoring(component, request, allocation)));
}

const result = await optimizer.optimizePerformance(component, { id: 'now' });
say(`optimised ${result.applied} ${result.optimization} ${result.results?.improvement * 100}% ${result.reason}`);
const response = await optimizer.executeWithMonitoring(component, { id: 'last' }, allocation);
say(`executed ${response.executionTime}ms ${response.optimized} ${JSON.stringify(response.result)}`);
const snapshot = await optimizer.getPerformanceSnapshot();
say(`snapshot ${snapshot.averageThinkTime}ms ${snapshot.optimizationScore * 100}% ${snapshot.adaptationRate}`);
const analytics = await optimizer.getPerformanceAnalytics();
say(`analytics ${analytics.system.totalThroughput} ${analytics.system.resourceEfficiency * 100}%`);
analytics.recommendations.forEach((advised) => {
  say(`recommended ${advised.component} ${advised.optimization} ${advised.expectedImprovement * 100}%`);
});
for (const pattern of await optimizer.identifyPatterns('ranker')) {
  say(`pattern ${pattern.type} ${pattern.confidence * 100}% ${pattern.impact}`);
}
for (const anomaly of await optimizer.detectAnomalies('ranker')) {
  say(`anomaly ${anomaly.metric} ${anomaly.value} ${anomaly.expectedRange} ${anomaly.severity}`);
}
const health = await optimizer.healthCheck();
say(`health ${health.score * 100}% ${health.status} ${health.metrics?.responseTime}ms`);
const usage = await resources.getCurrentResourceUsage();
for (const { component: of, resource, granted, unit, reason } of await optimizer.optimizeResourceAllocation(usage)) {
  say(`allocation ${of} ${resource} ${granted} ${unit}: ${reason}`);
}
const profile = await optimizer.getComponentProfile('ranker');
const responseTime: ResponseTimeMetrics = profile.metrics.responseTime;
const throughput: ThroughputMetrics = profile.metrics.throughput;
say(`response time ${responseTime.current} ${responseTime.average} ${responseTime.p95} ${responseTime.p99} ms`);
say(`throughput ${throughput.current} ${throughput.average} ${throughput.peak} 1/s`);
say(`reliability ${profile.metrics.reliability.current}, untouched ${profile.optimization.lastOptimized}`);
say(`profile ${JSON.stringify(profile)}`);

await optimizer.shutdown();
say(`restored ${ranker.timeout} ${ranker.memoryLimit} ${ranker.priority} ${JSON.stringify(ranker.config)}`);
// Its own result, told to the test that runs it.
process.send?.(lines);
process.disconnect?.();
