import type { KnobMode, KnobSpec, KnobValue, Manifest, Setting, Tier } from '../model.ts';
import type { ComponentPolicy, EngineSettings, TierPolicy } from '../settings.ts';
import type { ObjectiveWeights } from './objective.ts';
import { type Axis, axisOf, type Bounds } from './space.ts';
import { incumbentOf, isActive, modeOf, type Standing } from './standing.ts';
import type { TunableKnob } from './strategy.ts';

/** The terms on which a component may be tuned: configuration, tier and manifest put together. */
export class Terms {
  readonly weights: ObjectiveWeights;
  readonly limits: EngineSettings['limits'];
  readonly #settings: EngineSettings;
  readonly #policy: ComponentPolicy;
  /** What follows from the manifest, or from that and what is held, is asked for with every tick and every setting that is looked at. */
  #manifest: Manifest | undefined;
  #axes: readonly Axis[] = [];
  #incumbent: { readonly of: Pick<Standing, 'pins' | 'held'>; readonly setting: Setting } | undefined;

  constructor(settings: EngineSettings, component: string) {
    this.#settings = settings;
    this.#policy = settings.components[component] ?? {};
    this.weights = { ...settings.objective, ...this.#policy.objective };
    this.limits = { ...settings.limits, ...this.#policy.limits };
  }

  /** What the process says of itself; undefined while no session is open. */
  get manifest(): Manifest | undefined {
    return this.#manifest;
  }

  set manifest(manifest: Manifest | undefined) {
    this.#manifest = manifest;
    this.#axes = this.specs.flatMap((spec) => axisOf(spec, this.#policy.knobs?.[spec.id]) ?? []);
    this.#incumbent = undefined;
  }

  get specs(): readonly KnobSpec[] {
    return this.#manifest?.knobs ?? [];
  }

  /** The configuration's word before the process's own. */
  get tier(): Tier {
    return this.#policy.tier ?? this.#manifest?.tier ?? 'stable';
  }

  /** Largest step of a knob as a share of its range. `aggressiveness` 0.5 is the tier's own figure; 1 doubles it. */
  get maxStepRatio(): number {
    return Math.min(1, this.#tierPolicy.maxStepRatio * 2 * this.#settings.optimization.aggressiveness);
  }

  get harmRatio(): number {
    return this.#tierPolicy.harmRatio * 2 * this.#settings.optimization.aggressiveness;
  }

  get axes(): readonly Axis[] {
    return this.#axes;
  }

  /** The configuration's own bounds of a knob. */
  boundsOf(knob: string): Bounds {
    return this.#policy.knobs?.[knob] ?? {};
  }

  get baselines(): Setting {
    return Object.fromEntries(this.specs.map(({ id, baseline }) => [id, baseline]));
  }

  incumbent(standing: Standing): Setting {
    const { pins, held } = standing;
    if (this.#incumbent?.of.pins !== pins || this.#incumbent.of.held !== held) {
      this.#incumbent = { of: { pins, held }, setting: incumbentOf(this.specs, standing, this.#policy) };
    }
    return this.#incumbent.setting;
  }

  modeOf(spec: KnobSpec, standing: Standing): KnobMode {
    return modeOf(spec, standing, this.#policy, this.#tierPolicy, this.#settings.optimization);
  }

  /** Knobs that a strategy may look at: not pinned, not switched off by a condition, at least in mode `recommend`. */
  tunable(standing: Standing): readonly TunableKnob[] {
    return this.#tunableAt(this.incumbent(standing), standing);
  }

  /** Those that a condition switches off now, and would not were the knob at this value. */
  opened(standing: Standing, knob: string, value: KnobValue): readonly TunableKnob[] {
    const incumbent = this.incumbent(standing);
    const there = this.#tunableAt({ ...incumbent, [knob]: value }, standing);
    return there.filter(({ spec }) => !isActive(spec, incumbent));
  }

  #tunableAt(setting: Setting, standing: Standing): readonly TunableKnob[] {
    return this.specs.flatMap((spec) => {
      const mode = this.modeOf(spec, standing);
      if (mode === 'observe' || standing.pins[spec.id] !== undefined || !isActive(spec, setting)) return [];
      const axis = axisOf(spec, this.#policy.knobs?.[spec.id]);
      return [{ spec, mode, ...(axis !== undefined && { axis }) }];
    });
  }

  get #tierPolicy(): TierPolicy {
    return this.#settings.tiers[this.tier];
  }
}
