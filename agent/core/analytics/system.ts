import { type Health, statusAt } from '../health.ts';
import type { PerformanceProfile } from '../profile/performance_profile.ts';
import type { ResourceUsage } from '../profile/resource_window.ts';
import type { Resource } from '../signals.ts';

/**
 * How long the components take to answer: the mean over all successful requests of all components in their windows.
 *
 *     think time = Σ (average_i · count_i) / Σ count_i      [ms]
 *
 * over the components `i` with requests; `average_i` and `count_i` are those of the component's response time. A busy
 * component weighs more than an idle one, so this is what a request chosen at random met. At least the smallest and at
 * most the largest of the averages. Absent where no request was measured.
 *
 * Example: 90 requests of 10 ms at one component and 10 of 110 ms at another: 20 ms.
 *
 * @figure Average think time [ms]
 */
export function averageThinkTimeMs(profiles: readonly PerformanceProfile[]): number | undefined {
  let totalMs = 0;
  let requests = 0;
  for (const { metrics } of profiles) {
    if (metrics.responseTime === undefined || !(metrics.responseTime.count > 0)) continue;
    totalMs += metrics.responseTime.average * metrics.responseTime.count;
    requests += metrics.responseTime.count;
  }
  return requests > 0 ? totalMs / requests : undefined;
}

/**
 * What all components together get done.
 *
 *     total throughput = Σ average_i      [requests per second]
 *
 * over the components whose throughput was measured; `average_i` counts successful requests only. Never below any one
 * component's. A request that passes through two components counts at each. Absent where no throughput was measured.
 *
 * Example: 40 requests/s at one and 2.5 at another: 42.5.
 *
 * @figure Total throughput [1/s]
 */
export function totalThroughputPerSecond(profiles: readonly PerformanceProfile[]): number | undefined {
  const rates = profiles.flatMap(({ metrics }) => metrics.throughput?.average ?? []);
  return rates.length === 0 ? undefined : rates.reduce((sum, rate) => sum + rate, 0);
}

const SHARED: readonly Resource[] = ['cpu', 'memory', 'gpu'];

/**
 * How much of what the components have is used.
 *
 *     resource efficiency = mean over components and over CPU, memory and GPU of the efficiency      [0, 1]
 *
 * Where a component has nothing set aside for it (no container limit, no allocation), its efficiency is unknown and its
 * share in use of what the machine has takes its place: then the machine is what it has. A GPU that is measured for the
 * whole machine counts once, however many components share it. Absent where no resource was measured.
 *
 * Example: CPU 30 % of a container's limit, memory 70 % of it: 0.5.
 *
 * @figure Resource efficiency [0, 1]
 */
export function resourceEfficiency(profiles: readonly PerformanceProfile[]): number | undefined {
  const shares: number[] = [];
  const seen = new Set<Resource>();
  for (const { resources } of profiles) {
    for (const resource of SHARED) {
      const usage = resources[resource];
      const share = usage?.efficiency ?? usage?.utilizationRatio;
      if (usage === undefined || share === undefined || isRepeated(resource, usage, seen)) continue;
      shares.push(share);
    }
  }
  return shares.length === 0 ? undefined : shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

function isRepeated(resource: Resource, { scope }: ResourceUsage, seen: Set<Resource>): boolean {
  if (scope !== 'host') return false;
  const isSeen = seen.has(resource);
  seen.add(resource);
  return isSeen;
}

/**
 * Health of all components: that of the least healthy one.
 *
 *     score = min score_i      [0, 1]
 *
 * over the components whose health is known, with the status of that score. One failing component is a failing system;
 * a mean would hide it the better the more components there are. Unknown where no component's health is known.
 *
 * @figure System health [0, 1]
 */
export function systemHealth(healths: readonly Health[]): Health {
  let worst: Health = { status: 'unknown' };
  for (const health of healths) {
    if (health.status === 'unknown') continue;
    if (worst.status === 'unknown' || health.score < worst.score) worst = { ...health, status: statusAt(health.score) };
  }
  return worst;
}
