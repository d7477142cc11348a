import type { Tier } from '../model.ts';
import type { PerformanceProfile } from '../profile/performance_profile.ts';

export const SHARED_RESOURCES = ['cpu', 'memory', 'gpu'] as const;
/** What is shared out among components. */
export type SharedResource = (typeof SHARED_RESOURCES)[number];

/** UCUM: cores, mebibytes, percent of all GPUs. */
export const RESOURCE_UNITS: Readonly<Record<SharedResource, string>> = { cpu: '{cpu}', memory: 'MiBy', gpu: '%' };

/** Of a resource as a whole, in its unit. */
export interface MachineUsage {
  readonly unit: string;
  readonly used: number;
  /** What there is; absent where that is not known. */
  readonly total?: number;
}

/** A component as the one who shares out resources sees it. */
export interface ComponentUsage {
  readonly component: string;
  readonly tier: Tier;
  /** 0 to 100. */
  readonly priority: number;
  readonly profile: PerformanceProfile;
}

/** Who uses how much now. Plain data; what is not measured is absent. */
export interface CurrentResourceUsage {
  readonly atMs: number;
  /** Of the machine as a whole, by everyone. */
  readonly machine: { readonly [resource in SharedResource]?: MachineUsage };
  readonly components: readonly ComponentUsage[];
}

/** How much of a resource a component uses, in the resource's unit. */
export interface OwnUse {
  readonly now: number;
  readonly peak: number;
}

/** Undefined where it is not measured for the component itself: a GPU often is for the whole machine only. */
export function ownUse({ resources }: PerformanceProfile, resource: SharedResource): OwnUse | undefined {
  const usage = resources[resource];
  if (usage === undefined || usage.scope === 'host') return undefined;
  if (resource !== 'cpu') return { now: usage.usage, peak: usage.peak };
  if (usage.capacity === undefined) return undefined;
  const cores = usage.capacity / 100;
  return { now: usage.usage * cores, peak: usage.peak * cores };
}

/** The machine's own profile as totals. */
export function machineUsage({ resources }: PerformanceProfile): CurrentResourceUsage['machine'] {
  const { cpu, memory, gpu } = resources;
  const { cpu: cores, memory: mebibytes, gpu: percent } = RESOURCE_UNITS;
  return {
    ...(cpu?.capacity !== undefined && {
      cpu: { unit: cores, used: (cpu.usage / 100) * cpu.capacity, total: cpu.capacity },
    }),
    ...(memory !== undefined && {
      memory: {
        unit: mebibytes,
        used: memory.usage,
        ...(memory.capacity !== undefined && { total: memory.capacity }),
      },
    }),
    ...(gpu !== undefined && { gpu: { unit: percent, used: gpu.usage, total: 100 } }),
  };
}
