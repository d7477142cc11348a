import type { AIComponent, ComponentTier } from './component.ts';
import type { PerformanceProfile } from './metrics.ts';

/** What became of an optimisation. */
export interface OptimizationResult {
  /** A change is in force that the component has acknowledged and that a trial has proven. */
  readonly applied: boolean;
  /** The strategy that it comes from, or that is at work now. */
  readonly optimization: string;
  readonly results: OptimizationResults;
  /** What is going on, in a sentence. */
  readonly reason?: string;
  readonly trialId?: string;
}

export interface OptimizationResults {
  /**
   * Relative gain of the objective by the change in force: 0.25 is 25 % lower. Measured where `applied`; otherwise
   * nothing was changed, and 0 is what nothing gains.
   */
  readonly improvement: number;
  /** Where it was measured. */
  readonly interval?: {
    readonly low: number;
    readonly high: number;
    readonly confidence: number;
    /** Blocks of three windows, in drawn order, behind it. */
    readonly blocks: number;
  };
}

/**
 * An optimisation in your own words. `apply` is given a stand-in for the component: whatever it sets there is taken for a
 * proposal, goes through the same guards, trial and proof as any other, and is kept only when proven. `rollback` is called
 * when it was not; the values themselves have been restored by then.
 */
export interface OptimizationStrategy {
  name: string;
  description: string;
  applicableTiers: ComponentTier[];
  /** Higher is asked first. */
  priority: number;
  canApply: (profile: PerformanceProfile) => boolean;
  apply: (component: AIComponent, profile: PerformanceProfile) => Promise<OptimizationResult>;
  rollback: (component: AIComponent, optimization: OptimizationResult) => Promise<void>;
}

/** Something learned: when `condition` holds, `action` proposes, as a strategy's `apply` does. */
export interface AdaptationRule {
  /** For records and events; `rule 1` and so on where it is left out. */
  readonly name?: string;
  condition: (profile: PerformanceProfile) => boolean;
  action: (component: AIComponent, profile: PerformanceProfile) => Promise<OptimizationResult>;
  /** In [0, 1]: used from `optimization.adaptationThreshold` on. */
  confidence: number;
  priority: number;
}

/** What `registerStrategy` takes: an `OptimizationStrategy`, of which the parts that it can do without may be left out. */
export type StrategyDefinition = Pick<OptimizationStrategy, 'name' | 'applicableTiers' | 'canApply'> &
  Partial<Pick<OptimizationStrategy, 'description' | 'priority' | 'rollback'>> & {
    apply: (component: AIComponent, profile: PerformanceProfile) => Promise<unknown>;
  };
