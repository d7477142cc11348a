import { figure } from '../figures.ts';
import { type Demand, demandOf } from './demand.ts';
import { type CurrentResourceUsage, ownUse, RESOURCE_UNITS, SHARED_RESOURCES, type SharedResource } from './usage.ts';
import { waterFill } from './water_filling.ts';

/** Bounds of what one component gets of one resource, in the resource's unit. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

export interface AllocationRules {
  /** Share of what the machine has that may be used, in percent: `thresholds.resourceUsage`. */
  readonly thresholdPercent: Readonly<Record<SharedResource, number>>;
  /** On top of the peak, where there is no forecast. */
  readonly headroomRatio: number;
  /** What may be given out in all; without it, what the machine has and others leave. */
  readonly limits: { readonly [resource in SharedResource]?: number };
  readonly bounds: (component: string, resource: SharedResource) => Bounds;
  /** Upper end of the forecast of the component's own use within the horizon, in the resource's unit. */
  readonly forecastHigh: (component: string, resource: SharedResource) => number | undefined;
}

/** What there is to share out of one resource. */
export interface ResourcePool {
  readonly resource: SharedResource;
  readonly unit: string;
  /** What may be given out. */
  readonly capacity: number;
  readonly granted: number;
  /** What nobody asked for. */
  readonly free: number;
  readonly reason: string;
}

/** What one component gets of one resource, and why. */
export interface Grant {
  readonly component: string;
  readonly resource: SharedResource;
  readonly unit: string;
  readonly granted: number;
  /** Of what the machine has, in [0, 1]; absent where that is not known. */
  readonly ratio?: number;
  readonly demand?: number;
  readonly used?: number;
  readonly weight: number;
  /** What kept it from getting more. */
  readonly boundBy: 'demand' | 'capacity' | 'maximum' | 'minimum';
  readonly reason: string;
}

export interface Allocation {
  readonly atMs: number;
  readonly pools: readonly ResourcePool[];
  readonly grants: readonly Grant[];
}

/**
 * Shares CPU, memory and GPU out among the components: weighted max-min fairness (`waterFill`) of what there is to give, up
 * to what each asks for. Memory in use is not taken away: it is the least that a component gets.
 *
 *     capacity = limit, or what may be used (threshold · machine) − what others use      [cores, MiB, percent]
 *
 * On a machine that is fuller than it may be, others are not served first: of what may be used the components get the part
 * that they have in the use, so that nobody who works is told to live on nothing.
 * A resource of which neither a limit nor the machine's size is known is not shared out.
 */
export function allocate(usage: CurrentResourceUsage, rules: AllocationRules): Allocation {
  const shared = SHARED_RESOURCES.flatMap((resource) => shareOut(resource, usage, rules) ?? []);
  return {
    atMs: usage.atMs,
    pools: shared.map(({ pool }) => pool),
    grants: shared.flatMap(({ grants }) => grants),
  };
}

function shareOut(
  resource: SharedResource,
  usage: CurrentResourceUsage,
  rules: AllocationRules,
): { readonly pool: ResourcePool; readonly grants: readonly Grant[] } | undefined {
  const supply = supplyOf(resource, usage, rules);
  if (supply === undefined || usage.components.length === 0) return undefined;
  const { capacity } = supply;
  const unit = RESOURCE_UNITS[resource];
  const claims = usage.components.map((component) => {
    const forecast = rules.forecastHigh(component.component, resource);
    const demand = demandOf(component, resource, rules.headroomRatio, forecast);
    const bounds = rules.bounds(component.component, resource);
    const held = resource === 'memory' ? (demand.used ?? 0) : 0;
    const max = Math.min(Math.max(demand.amount ?? capacity, bounds.min ?? 0), bounds.max ?? Number.POSITIVE_INFINITY);
    const min = Math.min(Math.max(bounds.min ?? 0, held), max);
    return { demand, bounds, weight: demand.weight, min, max };
  });
  const given = waterFill(claims, capacity);
  const total = usage.machine[resource]?.total;
  const grants = claims.map(({ demand, bounds, min }, i): Grant => {
    const granted = given[i] ?? 0;
    const boundBy = boundOf(granted, demand, bounds, min);
    return {
      ...{ component: demand.component, resource, unit, granted, weight: demand.weight, boundBy },
      ...(total !== undefined && total > 0 && { ratio: granted / total }),
      ...(demand.amount !== undefined && { demand: demand.amount }),
      ...(demand.used !== undefined && { used: demand.used }),
      reason: explain(granted, demand, boundBy, bounds, claims),
    };
  });
  const granted = given.reduce((sum, share) => sum + share, 0);
  const free = Math.max(0, capacity - granted);
  return { pool: { resource, unit, capacity, granted, free, reason: supply.reason }, grants };
}

function supplyOf(
  resource: SharedResource,
  { machine, components }: CurrentResourceUsage,
  { limits, thresholdPercent }: AllocationRules,
): { readonly capacity: number; readonly reason: string } | undefined {
  const unit = RESOURCE_UNITS[resource];
  const limit = limits[resource];
  if (limit !== undefined)
    return { capacity: limit, reason: `resources.limits.${resource} is ${figure(limit)} ${unit}` };
  const whole = machine[resource];
  if (whole?.total === undefined) return undefined;
  const own = components.map(({ profile }) => ownUse(profile, resource)?.now);
  // Where no component's share in the use is known, all of it may be theirs.
  const ours = own.every((use) => use === undefined)
    ? whole.used
    : own.reduce((sum: number, use) => sum + (use ?? 0), 0);
  const others = Math.max(0, whole.used - ours);
  const usable = (whole.total * thresholdPercent[resource]) / 100;
  const taken = others === 0 ? '' : `, and others use ${figure(others)}`;
  const reason = `of ${figure(whole.total)} ${unit} ${thresholdPercent[resource]} % may be used${taken}`;
  const inUse = ours + others;
  if (others === 0 || inUse <= usable) return { capacity: usable - others, reason };
  return { capacity: (usable * ours) / inUse, reason: `${reason}; shared by use, as more is used than may be` };
}

function boundOf(granted: number, demand: Demand, bounds: Bounds, min: number): Grant['boundBy'] {
  const isAt = (value: number | undefined): boolean =>
    value !== undefined && Math.abs(granted - value) <= 1e-9 * Math.max(1, Math.abs(value));
  if (isAt(bounds.max) && (demand.amount === undefined || demand.amount >= granted)) return 'maximum';
  if (isAt(demand.amount)) return 'demand';
  return min > 0 && isAt(min) ? 'minimum' : 'capacity';
}

function explain(
  granted: number,
  { amount, weight, reason }: Demand,
  boundBy: Grant['boundBy'],
  { min, max }: Bounds,
  claims: readonly { readonly weight: number }[],
): string {
  const asked = amount === undefined ? reason : `${reason}, so asks for ${figure(amount)}`;
  switch (boundBy) {
    case 'demand':
      return `${asked} and gets all of it`;
    case 'maximum':
      return `${asked}; its maximum is ${figure(max ?? granted)}`;
    case 'minimum':
      return `${asked}; gets its minimum of ${figure(granted)}${min === undefined ? ', what it holds already' : ''}`;
    case 'capacity': {
      const all = claims.reduce((sum, claim) => sum + claim.weight, 0);
      return `${asked}; gets ${figure(granted)} by its weight of ${figure(weight)} in ${figure(all)}`;
    }
  }
}
