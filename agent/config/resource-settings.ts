import type { ResourceSettings } from '../core/resources.ts';
import type { Config } from './schema.ts';

const MIB = 1024 ** 2;

/** The part of the configuration that the resource manager needs, in the core's words. */
export function resourceSettings(config: Config, thresholds: ResourceSettings['thresholds']): ResourceSettings {
  const { headroom, pressure, limits } = config.resources;
  return {
    thresholds,
    headroomRatio: headroom,
    pressureRatio: pressure,
    limits: {
      ...(limits.cpu !== null && { cpu: limits.cpu }),
      ...(limits.memory !== null && { memory: limits.memory / MIB }),
      ...(limits.gpu !== null && { gpu: limits.gpu }),
    },
    components: Object.fromEntries(
      Object.entries(config.components).flatMap(([component, policy]) => {
        if (policy.resources === undefined) return [];
        const { priority, cpu, memory, gpu } = policy.resources;
        const bounds = {
          ...(cpu !== undefined && { cpu }),
          ...(memory !== undefined && { memory: mebibytes(memory) }),
          ...(gpu !== undefined && { gpu }),
        };
        return [[component, { bounds, ...(priority !== undefined && { priority }) }]];
      }),
    ),
  };
}

function mebibytes({ min, max }: { readonly min?: number; readonly max?: number }) {
  return { ...(min !== undefined && { min: min / MIB }), ...(max !== undefined && { max: max / MIB }) };
}
