import type { HealthThresholds } from '../health.ts';
import type { Forecast, ObservedPattern } from '../insight/finding.ts';
import type { KnobMode, KnobRole, KnobSpec, KnobValue, Setting, Tier } from '../model.ts';
import type { PerformanceProfile } from '../profile/performance_profile.ts';
import type { WatchedSignal } from '../profile/watched_signal.ts';
import type { Distribution } from '../series/distribution.ts';
import type { EngineSettings } from '../settings.ts';
import type { ContextKey } from './context.ts';
import type { Foreseen } from './response.ts';
import type { Axis } from './space.ts';
import type { MemoryUse } from './usage_histogram.ts';

/** A knob as a strategy sees it. */
export interface TunableKnob {
  readonly spec: KnobSpec;
  readonly mode: KnobMode;
  /** Absent for knobs that have no numeric range to move in. */
  readonly axis?: Axis;
}

/** What was found out about the component, asked for only where it matters. */
export interface StrategyInsights {
  /** What is lasting in its signals. */
  patterns(): readonly ObservedPattern[];
  /** Undefined where there is too little history. */
  forecast(signal: WatchedSignal, horizonMs: number): Forecast | undefined;
}

/** What is known of the ground around the incumbent. */
export interface Grounds {
  /** A strategy's last trial has failed, and nothing was kept since. */
  readonly isInVain: (strategy: string) => boolean;
  /** Log units that the incumbent is better than the baselines, by what was proven on the way. */
  readonly won: number;
  /** Standard deviation of a window's log objective. */
  readonly noise: number;
  /** Where windows were taken lately. */
  readonly looked: readonly Setting[];
  /** It lies where an experiment had to be abandoned not long ago, not merely for being worse than the incumbent by less than `room`. */
  readonly isBanned: (setting: Setting, room: number) => boolean;
}

export interface StrategyContext {
  readonly nowMs: number;
  readonly component: string;
  readonly tier: Tier;
  /** Knobs that are not pinned, not switched off by a condition, and at least in mode `recommend`. */
  readonly knobs: readonly TunableKnob[];
  readonly incumbent: Setting;
  /** Response times of successful requests over the profile's window, in milliseconds. */
  readonly responseTimes: Distribution;
  /** Over the profile's window; undefined before the first telemetry. Made when it is first asked for. */
  readonly profile: PerformanceProfile | undefined;
  /** The circumstances, as bins; made when they are first asked for. */
  readonly circumstances: ContextKey;
  /** Memory in use over the last days. */
  readonly memory: MemoryUse;
  readonly insights: StrategyInsights;
  readonly thresholds: HealthThresholds;
  /** The last change that was kept, and by whose idea. */
  readonly lastKept?: { readonly strategy: string; readonly atMs: number };
  readonly limits: EngineSettings['limits'];
  /** What a walk away from the incumbent is planned by; made when it is asked for. */
  readonly grounds: () => Grounds;
  /** Knobs that would begin to mean something were this knob at this value. */
  readonly opened: (knob: string, value: KnobValue) => readonly TunableKnob[];
  /** What the windows so far say of going from what is in force to a setting; undefined where they say nothing. */
  readonly foresee: (setting: Setting) => Foreseen | undefined;
  /** Values that the process refused for good, with its reason. */
  readonly rejection: (knob: string, value: KnobValue) => string | undefined;
  /** When a value of a switch or an enum was last found to be no better than the one in force. */
  readonly judgedMs: (knob: string, value: KnobValue) => number | undefined;
}

/** What a strategy would do; the engine decides whether, when and with which proof. */
export type Plan =
  /** Try exactly this setting. */
  | {
      readonly kind: 'candidate';
      readonly setting: Setting;
      /** One of several that were as good: when it fails, the next one need not wait as if it were the same again. */
      readonly isDrawn?: boolean;
      readonly reason: string;
      readonly signals: Readonly<Record<string, number>>;
    }
  /** Probe for a better setting of these knobs. */
  | {
      readonly kind: 'explore';
      readonly axes: readonly Axis[];
      /** Not around the incumbent, but around it with these values, at which the axes mean something in the first place. */
      readonly at?: Setting;
      readonly reason: string;
      readonly signals: Readonly<Record<string, number>>;
    }
  /** Walk to where nothing near the incumbent tells of, as long as the way is bearable. */
  | {
      readonly kind: 'jump';
      readonly axes: readonly Axis[];
      readonly to: Setting;
      /** How much worse than the incumbent the way may be expected to get, in log units. */
      readonly room: number;
      readonly reason: string;
      readonly signals: Readonly<Record<string, number>>;
    }
  /** Judged without touching the process, and found wanting. */
  | {
      readonly kind: 'shadow_rejected';
      readonly setting: Setting;
      /** What speaks against it may soon be otherwise. */
      readonly isPassing?: boolean;
      readonly reason: string;
      readonly signals: Readonly<Record<string, number>>;
    };

/** Pure: the same context gives the same plan. */
export interface Strategy {
  readonly name: string;
  readonly description: string;
  readonly applicableTiers: readonly Tier[];
  /** It moves knobs of these roles and no others. */
  readonly roles: readonly KnobRole[];
  /** Orders strategies that nothing is known of yet, and breaks ties; higher first. */
  readonly priority: number;
  /** The condition under which it has anything to say at all; cheap. What it is undone with are the recorded values. */
  canApply(context: StrategyContext): boolean;
  /** Plans for the knobs whose mode is in `modes`; undefined when there is nothing to do. */
  plan(context: StrategyContext, modes: readonly KnobMode[]): Plan | undefined;
}
