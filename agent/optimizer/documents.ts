import type { Recommendation, Step } from '../core/advice/recommendation.ts';
import type { Analytics, HealthReport, OptimizationState, SystemFigures } from '../core/answers.ts';
import type { Severity } from '../core/detect/anomaly.ts';
import type { Health } from '../core/health.ts';
import type { PatternType } from '../core/pattern/pattern.ts';
import type { FoundAnomaly, FoundPattern } from '../rpc/findings_codec.ts';
import type { ComponentTier } from './component.ts';
import type { OptimizationResult } from './strategy.ts';
import type { Asked } from './user-strategies.ts';

/** The system in three numbers. What each means, with its formula, is in `config/formulas.md`. */
export interface PerformanceSnapshot {
  readonly at: number;
  /** Milliseconds; absent while no request was measured. */
  readonly averageThinkTime?: number;
  /** In [0, 1): 0 while no proven change is in force. */
  readonly optimizationScore: number;
  /** Changes kept per hour. */
  readonly adaptationRate: number;
  readonly components: readonly string[];
}

export interface PerformanceAnalytics {
  readonly at: number;
  readonly system: {
    /** Milliseconds; absent while no request was measured. */
    readonly averageThinkTime?: number;
    readonly optimizationScore: number;
    /** Changes kept per hour. */
    readonly adaptationRate: number;
    /** Requests per second that succeeded, of all components together: 0 while none was measured. */
    readonly totalThroughput: number;
    /** In [0, 1]: 0 while no use of a resource was measured. */
    readonly resourceEfficiency: number;
    readonly health: HealthStatus;
  };
  readonly components: readonly ComponentPerformance[];
  /** What a human should change, newest first, each as long as it holds. */
  readonly recommendations: readonly PerformanceRecommendation[];
}

export interface PerformanceRecommendation {
  readonly id: string;
  readonly component: string;
  /** What is recommended, in a few words; the strategy's name where one recommends it. */
  readonly optimization: string;
  readonly reason: string;
  /**
   * Relative gain of the objective that comparable trials lead to expect, 0.25 is 25 % lower; 0 where none has finished:
   * nothing is promised that nothing speaks for. See `evidence`.
   */
  readonly expectedImprovement: number;
  /** What the expectation rests on; absent where no comparable trial has finished. */
  readonly evidence?: {
    readonly low: number;
    readonly high: number;
    readonly samples: number;
    /** How likely a comparable trial was to be kept. */
    readonly confidence?: number;
  };
  /** Each by itself makes the change, best first. */
  readonly steps: readonly Step[];
  /** For `approve`, where a proposal waits. */
  readonly proposalId?: string;
  readonly since: number;
}

export interface HealthStatus {
  readonly status: Health['status'];
  /** In [0, 1]: 0 while the status is `unknown`, when nothing is known to be well. */
  readonly score: number;
}

/** Of one component; what was not measured is absent. */
export interface ComponentPerformance {
  readonly component: string;
  readonly tier?: ComponentTier;
  readonly health: HealthStatus;
  /** In [0, 1]. */
  readonly performanceScore?: number;
  /** Milliseconds. */
  readonly responseTime?: number;
  readonly responseTimeP95?: number;
  /** Requests per second. */
  readonly throughput?: number;
  /** Failed requests of all, in [0, 1]. */
  readonly errorRate?: number;
  /** Of the response time, in [−1, 1]. */
  readonly trend?: number;
}

export interface SystemHealth extends HealthStatus {
  readonly at: number;
  /** Absent while nothing was measured. */
  readonly metrics?: {
    /** Milliseconds, the mean over all successful requests. */
    readonly responseTime: number;
    /** Requests per second. */
    readonly throughput?: number;
    /** Failed requests of all, in [0, 1], of the component where it is highest. */
    readonly errorRate?: number;
  };
  readonly components: readonly (HealthStatus & { readonly component: string })[];
}

/** Something lasting that a metric does. */
export interface PerformancePattern {
  readonly type: PatternType;
  readonly metric: string;
  /** A statistic, in [0, 1]: 1 minus the chance of seeing it where nothing is there. */
  readonly confidence: number;
  /** By how much it makes its metric worse: 0.25 is a quarter worse, negative is better; 0 where its level stays. */
  readonly impact: number;
  readonly since: number;
  /** Independent observations behind the confidence. */
  readonly samples: number;
}

/** Something a metric did that its own past makes improbable. */
export interface PerformanceAnomaly {
  readonly metric: string;
  /** In the metric's unit. Of data that is missing: 0, the points that came. */
  readonly value: number;
  /** What would have been ordinary, from and to; reads `12 to 18`. */
  readonly expectedRange: ExpectedRange;
  readonly severity: Severity;
  readonly kind: 'value' | 'missing';
  readonly state: 'open' | 'resolved' | 'explained';
  readonly at: number;
  readonly explanation: string;
}

/** A range that a template shows as a human would write it. */
export class ExpectedRange {
  readonly low: number;
  readonly high: number;

  constructor({ low, high }: { readonly low: number; readonly high: number }) {
    this.low = low;
    this.high = high;
  }

  toString(): string {
    return `${readable(this.low)} to ${readable(this.high)}`;
  }
}

export function patternOf(pattern: FoundPattern): PerformancePattern {
  const { type, metric, confidence, sinceMs, samples, impact = 0 } = pattern;
  return { type, metric, confidence, impact, since: sinceMs, samples };
}

export function anomalyOf(anomaly: FoundAnomaly): PerformanceAnomaly {
  const { metric, value, expectedRange, severity, kind, state, atMs, explanation } = anomaly;
  return {
    ...{ metric, severity, kind, state, explanation, at: atMs },
    value: kind === 'missing' ? 0 : value,
    expectedRange: new ExpectedRange(expectedRange),
  };
}

function readable(value: number): string {
  return String(Number(value.toPrecision(4)));
}

export function snapshotOf(figures: SystemFigures, components: readonly string[], atMs: number): PerformanceSnapshot {
  return { at: atMs, ...figuresOf(figures), components };
}

export function analyticsOf(
  { atMs, system, components }: Analytics,
  recommendations: readonly Recommendation[],
): PerformanceAnalytics {
  const { totalThroughputPerSecond, resourceEfficiency, health } = system;
  return {
    at: atMs,
    system: {
      ...figuresOf(system),
      totalThroughput: totalThroughputPerSecond ?? 0,
      resourceEfficiency: resourceEfficiency ?? 0,
      health: statusOf(health),
    },
    components: components.map(
      ({ responseTimeMs, responseTimeMsP95, requestsPerSecond, errorRatio, health: own, ...same }) => ({
        ...same,
        health: statusOf(own),
        ...(responseTimeMs !== undefined && { responseTime: responseTimeMs }),
        ...(responseTimeMsP95 !== undefined && { responseTimeP95: responseTimeMsP95 }),
        ...(requestsPerSecond !== undefined && { throughput: requestsPerSecond }),
        ...(errorRatio !== undefined && { errorRate: errorRatio }),
      }),
    ),
    recommendations: recommendations.map(recommendationOf),
  };
}

function recommendationOf(recommendation: Recommendation): PerformanceRecommendation {
  const { id, component, optimization, reason, steps, sinceMs, expected, confidence, proposalId } = recommendation;
  return {
    ...{ id, component, optimization, reason, steps, since: sinceMs },
    expectedImprovement: expected?.estimate ?? 0,
    ...(expected !== undefined && {
      evidence: {
        ...{ low: expected.low, high: expected.high, samples: expected.samples },
        ...(confidence !== undefined && { confidence }),
      },
    }),
    ...(proposalId !== undefined && { proposalId }),
  };
}

export function systemHealthOf(report: HealthReport): SystemHealth {
  const { atMs, health, responseTimeMs, requestsPerSecond, errorRatio, components } = report;
  return {
    at: atMs,
    ...statusOf(health),
    ...(responseTimeMs !== undefined && {
      metrics: {
        responseTime: responseTimeMs,
        ...(requestsPerSecond !== undefined && { throughput: requestsPerSecond }),
        ...(errorRatio !== undefined && { errorRate: errorRatio }),
      },
    }),
    components: components.map(({ component, health: own }) => ({ component, ...statusOf(own) })),
  };
}

/** How an optimisation stands, and what the user's own strategies have just said to it. */
export function resultOf(state: OptimizationState, asked: readonly Asked[]): OptimizationResult {
  const { inForce, strategy, trialId, reason } = state;
  const own = asked.at(-1);
  const told = asked.flatMap((one) => (one.outcome === 'failed' ? [`${one.author} failed: ${one.error}`] : []));
  const sentence = [reason, ...told].join('; ');
  if (inForce === undefined) {
    return {
      applied: false,
      optimization: strategy ?? own?.author ?? 'none',
      results: { improvement: 0 },
      reason: sentence,
      ...(trialId !== undefined && { trialId }),
    };
  }
  const { estimate, low, high, confidence, blocks } = inForce.effect;
  return {
    applied: true,
    optimization: inForce.strategy,
    // An effect is a change of the objective, of which less is better; an improvement the other way round.
    results: { improvement: -estimate, interval: { low: -high, high: -low, confidence, blocks } },
    reason: sentence,
    trialId: inForce.trialId,
  };
}

function figuresOf({ averageThinkTimeMs, optimizationScore, adaptationRatePerHour }: SystemFigures) {
  return {
    ...(averageThinkTimeMs !== undefined && { averageThinkTime: averageThinkTimeMs }),
    optimizationScore,
    adaptationRate: adaptationRatePerHour,
  };
}

function statusOf(health: Health): HealthStatus {
  return { status: health.status, score: health.status === 'unknown' ? 0 : health.score };
}
