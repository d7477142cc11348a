import { DEFAULT_HEALTH_THRESHOLDS, type HealthThresholds } from './health.ts';
import { HOST_COMPONENT } from './insight/finding.ts';
import type { Tier } from './model.ts';
import type { PerformanceProfile } from './profile/performance_profile.ts';
import { type Allocation, allocate, type Bounds } from './resources/allocation.ts';
import { type Bottleneck, bottlenecksOf } from './resources/bottleneck.ts';
import { DEFAULT_PRIORITY, type Demand, demandOf } from './resources/demand.ts';
import { type CurrentResourceUsage, machineUsage, type SharedResource } from './resources/usage.ts';

export interface ResourceSettings {
  readonly thresholds: HealthThresholds;
  /** On top of a component's peak, where there is no forecast of it. */
  readonly headroomRatio: number;
  /** Share of time waited for a resource from which on it counts as short. */
  readonly pressureRatio: number;
  /** What may be given out in all, in cores, MiB and percent; without it, what the machine has and others leave. */
  readonly limits: { readonly [resource in SharedResource]?: number };
  readonly components: Readonly<Record<string, ComponentShare>>;
}

/** What a component is worth, and the least and the most that it gets. */
export interface ComponentShare {
  /** 0 to 100. */
  readonly priority?: number;
  readonly bounds: { readonly [resource in SharedResource]?: Bounds };
}

export const DEFAULT_RESOURCE_SETTINGS: ResourceSettings = {
  thresholds: DEFAULT_HEALTH_THRESHOLDS,
  headroomRatio: 0.2,
  pressureRatio: 0.1,
  limits: {},
  components: {},
};

/** Where the manager looks. */
export interface ResourceSource {
  nowMs(): number;
  /** What is measured of the machine as a whole. */
  machine(): PerformanceProfile;
  components(): readonly {
    readonly component: string;
    readonly tier: Tier;
    /** 0 to 100; what the settings say wins. */
    readonly priority?: number;
    readonly profile: PerformanceProfile;
  }[];
  /** Upper end of the forecast of a component's use within the horizon: cores, MiB or percent. */
  forecastHigh(component: string, resource: SharedResource): number | undefined;
}

/**
 * The design document's resource manager: who uses what, what is short, who should get how much, and why. It looks and
 * computes; applying is an adapter's business. Until it is connected to a source it knows of nothing.
 */
export class ResourceManager {
  #settings: ResourceSettings | undefined;
  #source: ResourceSource | undefined;

  constructor(settings?: ResourceSettings, source?: ResourceSource) {
    this.#settings = settings;
    this.#source = source;
  }

  /** `settings` count where it was made without any of its own. */
  connect(source: ResourceSource, settings?: ResourceSettings): void {
    this.#source = source;
    this.#settings ??= settings;
  }

  getCurrentResourceUsage(): CurrentResourceUsage {
    const source = this.#source;
    if (source === undefined) return { atMs: 0, machine: {}, components: [] };
    return {
      atMs: source.nowMs(),
      machine: machineUsage(source.machine()),
      components: source.components().map(({ component, tier, priority, profile }) => {
        const told = this.#rules.components[component]?.priority ?? priority ?? DEFAULT_PRIORITY;
        return { component, tier, priority: told, profile };
      }),
    };
  }

  /** What holds the machine (`@host`) and the components up, worst first. */
  bottlenecks(usage: CurrentResourceUsage = this.getCurrentResourceUsage()): readonly Bottleneck[] {
    const machine = this.#source?.machine();
    return [
      ...(machine === undefined ? [] : bottlenecksOf(HOST_COMPONENT, machine, this.#rules)),
      ...usage.components.flatMap(({ component, profile }) => bottlenecksOf(component, profile, this.#rules)),
    ].sort((a, b) => b.score - a.score);
  }

  /** Who asks for how much of each resource, by tier and priority. */
  demands(
    usage: CurrentResourceUsage = this.getCurrentResourceUsage(),
  ): Readonly<Record<SharedResource, readonly Demand[]>> {
    const of = (resource: SharedResource): readonly Demand[] =>
      usage.components.map((component) =>
        demandOf(
          component,
          resource,
          this.#rules.headroomRatio,
          this.#source?.forecastHigh(component.component, resource),
        ),
      );
    return { cpu: of('cpu'), memory: of('memory'), gpu: of('gpu') };
  }

  /** Who should get how much. */
  allocate(usage: CurrentResourceUsage = this.getCurrentResourceUsage()): Allocation {
    const { thresholds, headroomRatio, limits, components } = this.#rules;
    return allocate(usage, {
      thresholdPercent: thresholds.resourcePercent,
      headroomRatio,
      limits,
      bounds: (component, resource) => components[component]?.bounds[resource] ?? {},
      forecastHigh: (component, resource) => this.#source?.forecastHigh(component, resource),
    });
  }

  get #rules(): ResourceSettings {
    return this.#settings ?? DEFAULT_RESOURCE_SETTINGS;
  }
}
