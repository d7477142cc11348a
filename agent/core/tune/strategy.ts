import type { KnobMode, KnobSpec, Setting, Tier } from '../model.ts';
import type { Distribution } from '../series/distribution.ts';
import type { EngineSettings } from '../settings.ts';
import type { Axis } from './space.ts';

/** A knob as a strategy sees it. */
export interface TunableKnob {
  readonly spec: KnobSpec;
  readonly mode: KnobMode;
  /** Absent for knobs that have no numeric range to move in. */
  readonly axis?: Axis;
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
  readonly limits: EngineSettings['limits'];
  /** Values that the process refused for good, with its reason. */
  readonly rejection: (knob: string, value: number) => string | undefined;
}

/** What a strategy would do; the engine decides whether, when and with which proof. */
export type Plan =
  /** Try exactly this setting. */
  | {
      readonly kind: 'candidate';
      readonly setting: Setting;
      readonly reason: string;
      readonly signals: Readonly<Record<string, number>>;
    }
  /** Probe for a better setting of these knobs. */
  | {
      readonly kind: 'explore';
      readonly axes: readonly Axis[];
      readonly reason: string;
      readonly signals: Readonly<Record<string, number>>;
    }
  /** Judged without touching the process, and found wanting. */
  | {
      readonly kind: 'shadow_rejected';
      readonly setting: Setting;
      readonly reason: string;
      readonly signals: Readonly<Record<string, number>>;
    };

/** Pure: the same context gives the same plan. */
export interface Strategy {
  readonly name: string;
  readonly description: string;
  readonly applicableTiers: readonly Tier[];
  /** Orders strategies that have not been tried yet; higher first. */
  readonly priority: number;
  /** Plans for the knobs whose mode is in `modes`; undefined when there is nothing to do. */
  plan(context: StrategyContext, modes: readonly KnobMode[]): Plan | undefined;
}
