import type { Engine } from '../engine.ts';
import type { Tier } from '../model.ts';
import type { ResourceSource } from '../resources.ts';
import type { SharedResource } from './usage.ts';

export interface EngineSourceOptions {
  readonly engine: Pick<Engine, 'components' | 'view' | 'machine' | 'forecast'>;
  readonly nowMs: () => number;
  /** How far ahead needs are foreseen. */
  readonly horizonMs: number;
  /** Of a component whose process has not said it; `stable` where nobody has. */
  readonly tierOf?: (component: string) => Tier | undefined;
}

/** A component whose process has not said how important it is. */
const UNKNOWN_TIER: Tier = 'stable';
/** Which signal tells how much of a resource is used. */
export const RESOURCE_SIGNALS = { cpu: 'cpuPercent', memory: 'memoryMiB', gpu: 'gpuPercent' } as const;

/** What a resource manager sees that looks at an engine. */
export function engineSource({ engine, nowMs, horizonMs, tierOf }: EngineSourceOptions): ResourceSource {
  return {
    nowMs,
    machine: () => engine.machine(),
    components: () =>
      engine.components().flatMap((component) => {
        const { profile, tuning } = engine.view(component) ?? {};
        const tier = tuning?.tier ?? tierOf?.(component) ?? UNKNOWN_TIER;
        return profile === undefined ? [] : [{ component, tier, profile }];
      }),
    /** Upper end of what a component is forecast to use within the horizon, in the resource's unit. */
    forecastHigh: (component, resource) => forecastHigh(engine, component, resource, horizonMs),
  };
}

function forecastHigh(
  engine: EngineSourceOptions['engine'],
  component: string,
  resource: SharedResource,
  horizonMs: number,
): number | undefined {
  const path = engine.forecast(component, RESOURCE_SIGNALS[resource], horizonMs)?.path ?? [];
  return highestUse(resource, path, engine.view(component)?.profile?.resources.cpu?.capacity);
}

/** Of a forecast of a resource's signal, in the resource's unit; `cores` are what the component has. */
export function highestUse(
  resource: SharedResource,
  path: readonly { readonly high: number }[],
  cores: number | undefined,
): number | undefined {
  if (path.length === 0) return undefined;
  const high = Math.max(...path.map((step) => step.high));
  if (resource !== 'cpu') return high;
  return cores === undefined ? undefined : (high / 100) * cores;
}
