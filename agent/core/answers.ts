import { performanceScore } from './analytics/performance.ts';
import {
  adaptationRatePerHour,
  type MeasuredResult,
  type MeasuredResults,
  optimizationScore,
} from './analytics/results.ts';
import { averageThinkTimeMs, resourceEfficiency, systemHealth, totalThroughputPerSecond } from './analytics/system.ts';
import type { Engine, View } from './engine.ts';
import { type Health, type HealthThresholds, healthOf } from './health.ts';
import { HOST_COMPONENT } from './insight/finding.ts';
import type { Effectiveness, Tier } from './model.ts';
import type { PerformanceProfile } from './profile/performance_profile.ts';
import type { TunerView } from './tune/view.ts';

/** The three numbers of a snapshot; what each means is said where it is computed. */
export interface SystemFigures {
  readonly averageThinkTimeMs?: number;
  readonly optimizationScore: number;
  readonly adaptationRatePerHour: number;
}

export interface Analytics {
  readonly atMs: number;
  readonly system: SystemFigures & {
    readonly totalThroughputPerSecond?: number;
    readonly resourceEfficiency?: number;
    readonly health: Health;
  };
  readonly components: readonly ComponentAnalytics[];
}

export interface ComponentAnalytics {
  readonly component: string;
  /** Absent while the process has not declared itself. */
  readonly tier?: Tier;
  readonly performanceScore?: number;
  readonly health: Health;
  readonly responseTimeMs?: number;
  readonly responseTimeMsP95?: number;
  readonly requestsPerSecond?: number;
  readonly errorRatio?: number;
  /** Trend of the response time in [−1, 1]. */
  readonly trend?: number;
}

export interface HealthReport {
  readonly atMs: number;
  /** The system's: that of the least healthy component. */
  readonly health: Health;
  /** Mean over all successful requests. */
  readonly responseTimeMs?: number;
  readonly requestsPerSecond?: number;
  /** Failed requests ÷ finished requests, of the component where it is highest. */
  readonly errorRatio?: number;
  readonly components: readonly { readonly component: string; readonly health: Health }[];
}

/** How the optimisation of one component stands. */
export interface OptimizationState {
  readonly component: string;
  /** `kept`: nothing is under way, and a proven change is in force. */
  readonly state: 'kept' | 'trying' | 'proposed' | 'frozen' | 'absent' | 'waiting';
  /** At work now, or else the one whose change is in force; absent where there is none of either. */
  readonly strategy?: string;
  readonly trialId?: string;
  /** Measured effect of the change in force that was kept last; absent where none is. */
  readonly inForce?: { readonly strategy: string; readonly trialId: string; readonly effect: Effectiveness };
  /** A sentence. */
  readonly reason: string;
}

export interface AnswersOptions {
  readonly engine: Pick<Engine, 'view' | 'components' | 'machine' | 'frozen'>;
  readonly results: Pick<MeasuredResults, 'all'>;
  /** What counts as good for a component. */
  readonly thresholds: (component: string) => HealthThresholds;
  /** When the system was first seen. */
  readonly observedSinceMs: number;
}

/**
 * What anybody may ask of the engine, in one place: a process that embeds it and whoever asks a running agent get the same
 * answers from the same telemetry.
 */
export class Answers {
  readonly #options: AnswersOptions;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  get components(): readonly string[] {
    return [...this.#options.engine.components()].sort();
  }

  /** `@host`: the machine's. Undefined for a component that has never been heard of. */
  profile(component: string): PerformanceProfile | undefined {
    if (component === HOST_COMPONENT) return { ...this.#options.engine.machine(), component };
    return this.#options.engine.view(component)?.profile;
  }

  figures(nowMs: number): SystemFigures {
    const views = this.#views();
    return figuresOf(views, this.#profiles(views), this.#options, nowMs);
  }

  analytics(nowMs: number): Analytics {
    const views = this.#views();
    const profiles = this.#profiles(views);
    const perSecond = totalThroughputPerSecond(profiles);
    const efficiency = resourceEfficiency(profiles);
    return {
      atMs: nowMs,
      system: {
        ...figuresOf(views, profiles, this.#options, nowMs),
        ...(perSecond !== undefined && { totalThroughputPerSecond: perSecond }),
        ...(efficiency !== undefined && { resourceEfficiency: efficiency }),
        health: systemHealth(views.map((view) => this.#healthOf(view))),
      },
      components: views.map((view) => this.#component(view)),
    };
  }

  health(nowMs: number): HealthReport {
    const views = this.#views();
    const profiles = this.#profiles(views);
    const components = views.map((view) => ({ component: view.component, health: this.#healthOf(view) }));
    const responseTimeMs = averageThinkTimeMs(profiles);
    const requestsPerSecond = totalThroughputPerSecond(profiles);
    const errorRatios = profiles.flatMap(({ metrics }) => metrics.errorRate ?? []);
    return {
      atMs: nowMs,
      health: systemHealth(components.map(({ health }) => health)),
      ...(responseTimeMs !== undefined && { responseTimeMs }),
      ...(requestsPerSecond !== undefined && { requestsPerSecond }),
      ...(errorRatios.length > 0 && { errorRatio: Math.max(...errorRatios) }),
      components,
    };
  }

  /** Undefined for a component that has never been heard of. */
  optimization(component: string): OptimizationState | undefined {
    const { engine, results } = this.#options;
    const view = engine.view(component);
    if (view === undefined) return undefined;
    return stateOf(view, lastInForce(results.all(), component, view.tuning), engine.frozen);
  }

  #views(): readonly View[] {
    return this.components.flatMap((component) => this.#options.engine.view(component) ?? []);
  }

  #profiles(views: readonly View[]): readonly PerformanceProfile[] {
    return views.flatMap(({ profile }) => profile ?? []);
  }

  #healthOf({ component, profile }: View): Health {
    return profile === undefined ? { status: 'unknown' } : healthOf(profile, this.#options.thresholds(component));
  }

  #component(view: View): ComponentAnalytics {
    const { component, profile, tuning } = view;
    const score = profile && performanceScore(profile, this.#options.thresholds(component));
    const { responseTime, throughput, errorRate } = profile?.metrics ?? {};
    return {
      component,
      ...(tuning !== undefined && { tier: tuning.tier }),
      ...(score !== undefined && { performanceScore: score }),
      health: this.#healthOf(view),
      ...(responseTime !== undefined && { responseTimeMs: responseTime.average }),
      ...(responseTime?.p95 !== undefined && { responseTimeMsP95: responseTime.p95 }),
      ...(throughput !== undefined && { requestsPerSecond: throughput.average }),
      ...(errorRate !== undefined && { errorRatio: errorRate }),
      ...(responseTime?.trend !== undefined && { trend: responseTime.trend }),
    };
  }
}

function figuresOf(
  views: readonly View[],
  profiles: readonly PerformanceProfile[],
  { results, observedSinceMs }: AnswersOptions,
  nowMs: number,
): SystemFigures {
  const inForce = new Map(views.map(({ component, tuning }) => [component, trialsInForce(tuning)]));
  const thinkTimeMs = averageThinkTimeMs(profiles);
  return {
    ...(thinkTimeMs !== undefined && { averageThinkTimeMs: thinkTimeMs }),
    optimizationScore: optimizationScore(results.all(), inForce),
    adaptationRatePerHour: adaptationRatePerHour(results.all(), nowMs, observedSinceMs),
  };
}

/** The trials whose proven values a component holds. */
function trialsInForce(tuning: TunerView | undefined): ReadonlySet<string> {
  return new Set(tuning?.knobs.flatMap(({ heldBy }) => (heldBy === undefined || heldBy === 'human' ? [] : [heldBy])));
}

function lastInForce(
  results: readonly MeasuredResult[],
  component: string,
  tuning: TunerView | undefined,
): MeasuredResult | undefined {
  const trials = trialsInForce(tuning);
  return results.findLast((result) => result.component === component && result.kept && trials.has(result.trialId));
}

function stateOf(
  { component, tuning, frozen }: View,
  kept: MeasuredResult | undefined,
  everywhere: string | undefined,
): OptimizationState {
  const inForce = kept && { strategy: kept.strategy, trialId: kept.trialId, effect: kept.effect };
  const proven = { component, ...(inForce !== undefined && { inForce }) };
  if (tuning?.connected !== true) {
    return { ...proven, state: 'absent', reason: 'its process has not declared any knobs' };
  }
  const why = everywhere ?? frozen ?? tuning.frozen;
  if (why !== undefined) return { ...proven, state: 'frozen', reason: `frozen: ${why}` };
  const { openTrial, proposals } = tuning;
  if (openTrial !== undefined) {
    const { strategy, id: trialId, blocks } = openTrial;
    const reason = `trial ${trialId} of ${strategy} is open, ${blocks} blocks measured`;
    return { ...proven, state: 'trying', strategy, trialId, reason };
  }
  const [proposal] = proposals;
  if (proposal !== undefined) {
    const { strategy, id, approvedBy } = proposal;
    const what = approvedBy === undefined ? 'waits for approval' : 'waits for its turn';
    return { ...proven, state: 'proposed', strategy, reason: `${id} of ${strategy} ${what}` };
  }
  if (inForce !== undefined) {
    const { strategy, trialId } = inForce;
    return { ...proven, state: 'kept', strategy, trialId, reason: `trial ${trialId} of ${strategy} was kept` };
  }
  return { ...proven, state: 'waiting', reason: 'nothing is being tried at the moment' };
}
