/** What `import { … } from 'performance-optimizer'` gives: the design document's names, and what they are made of. */
import { ConfigError } from './config/optimizer.ts';
import type { Grant } from './core/resources/allocation.ts';
import type { CurrentResourceUsage } from './core/resources/usage.ts';
import { ResourceManager } from './core/resources.ts';
import type { PerformanceOptimizerConfig, RemoteAgentConfig } from './optimizer/agent-choice.ts';
import {
  type AIComponent,
  type AIRequest,
  ComponentTier,
  type ExecutionContext,
  type KnobRange,
  type ResourceAllocation,
} from './optimizer/component.ts';
import { ComponentRegistry } from './optimizer/component-registry.ts';
import { type OptimizeOptions, UnknownComponentError } from './optimizer/conductor.ts';
import type {
  ComponentPerformance,
  HealthStatus,
  PerformanceAnalytics,
  PerformanceAnomaly,
  PerformancePattern,
  PerformanceRecommendation,
  PerformanceSnapshot,
  SystemHealth,
} from './optimizer/documents.ts';
import type { OptimizerEvent, OptimizerEvents } from './optimizer/events.ts';
import { type MonitoredResponse, RequestTimeoutError } from './optimizer/execution.ts';
import { type HealthChange, HealthMonitor } from './optimizer/health-monitor.ts';
import type {
  PerformanceProfile,
  PerformanceThresholds,
  ResourceMetrics,
  ResponseTimeMetrics,
  ThroughputMetrics,
} from './optimizer/metrics.ts';
import type {
  AdaptationRule,
  OptimizationResult,
  OptimizationStrategy,
  StrategyDefinition,
} from './optimizer/strategy.ts';
import { PerformanceOptimizer } from './optimizer.ts';

export type {
  AdaptationRule,
  AIComponent,
  AIRequest,
  ComponentPerformance,
  CurrentResourceUsage,
  ExecutionContext,
  Grant,
  HealthChange,
  HealthStatus,
  KnobRange,
  MonitoredResponse,
  OptimizationResult,
  OptimizationStrategy,
  OptimizeOptions,
  OptimizerEvent,
  OptimizerEvents,
  PerformanceAnalytics,
  PerformanceAnomaly,
  PerformanceOptimizerConfig,
  PerformancePattern,
  PerformanceProfile,
  PerformanceRecommendation,
  PerformanceSnapshot,
  PerformanceThresholds,
  RemoteAgentConfig,
  ResourceAllocation,
  ResourceMetrics,
  ResponseTimeMetrics,
  StrategyDefinition,
  SystemHealth,
  ThroughputMetrics,
};
export {
  ComponentRegistry,
  ComponentTier,
  ConfigError,
  HealthMonitor,
  PerformanceOptimizer,
  RequestTimeoutError,
  ResourceManager,
  UnknownComponentError,
};
