import type { Logger } from 'pino';
import { type CgroupLimiter, type CgroupNotice, createCgroupLimiter } from '../adapters/cgroup/limiter.ts';
import type { ResourceReader } from '../adapters/control/ports.ts';
import type { Journal } from '../adapters/journal/journal.ts';
import { healthThresholds } from '../config/engine.ts';
import { resourceSettings } from '../config/resources.ts';
import type { Config } from '../config/schema.ts';
import type { Engine } from '../core/engine.ts';
import type { Tier } from '../core/model.ts';
import type { SharedResource } from '../core/resources/usage.ts';
import { ResourceManager } from '../core/resources.ts';

export interface ResourceParts {
  readonly nowMs: () => number;
  readonly engine: Pick<Engine, 'components' | 'view' | 'machine' | 'forecast'>;
}

/** A component whose process has not said how important it is. */
const UNKNOWN_TIER: Tier = 'stable';

/** The resource manager, looking at the engine. */
export function resourceManager(config: Config, { nowMs, engine }: ResourceParts): ResourceManager {
  return new ResourceManager(resourceSettings(config, healthThresholds(config)), {
    nowMs,
    machine: () => engine.machine(),
    components: () =>
      engine.components().flatMap((component) => {
        const { profile, tuning } = engine.view(component) ?? {};
        const tier = tuning?.tier ?? config.components[component]?.tier ?? UNKNOWN_TIER;
        return profile === undefined ? [] : [{ component, tier, profile }];
      }),
    forecastHigh: (component, resource) => forecastHigh(engine, component, resource, config.resources.horizon),
  });
}

const SIGNALS = { cpu: 'cpuPercent', memory: 'memoryMiB', gpu: 'gpuPercent' } as const;

/** Upper end of what a component is forecast to use within the horizon, in the resource's unit. */
function forecastHigh(
  engine: ResourceParts['engine'],
  component: string,
  resource: SharedResource,
  horizonMs: number,
): number | undefined {
  const path = engine.forecast(component, SIGNALS[resource], horizonMs)?.path ?? [];
  if (path.length === 0) return undefined;
  const high = Math.max(...path.map((step) => step.high));
  if (resource !== 'cpu') return high;
  const cores = engine.view(component)?.profile?.resources.cpu?.capacity;
  return cores === undefined ? undefined : (high / 100) * cores;
}

/** What the control channel shows of it. */
export function resourceReader(manager: ResourceManager, limiter?: Pick<CgroupLimiter, 'applied'>): ResourceReader {
  return {
    report() {
      const usage = manager.getCurrentResourceUsage();
      return {
        usage,
        allocation: manager.allocate(usage),
        bottlenecks: manager.bottlenecks(usage),
        applied: limiter?.applied ?? [],
      };
    },
  };
}

/** Applies the allocation to cgroups where that is wanted; in any case it puts back what a crashed run left. */
export function cgroupLimiter(
  { resources: { cgroup }, components }: Config,
  manager: ResourceManager,
  journal: Pick<Journal, 'keep' | 'kept'>,
  nowMs: () => number,
  log: Logger,
): CgroupLimiter {
  const folders = Object.entries(components).flatMap(([component, { resources }]) =>
    resources?.cgroup === undefined ? [] : [[component, resources.cgroup] as const],
  );
  const { enabled, root, interval, ...rules } = cgroup;
  return createCgroupLimiter({
    ...(enabled && root !== null && { root }),
    folders: Object.fromEntries(folders),
    rules,
    intervalMs: interval,
    grants: () => manager.allocate().grants,
    ledger: { read: () => journal.kept(LEDGER), write: (json) => journal.keep(LEDGER, json) },
    nowMs,
    onNotice: (notice) => report(notice, log),
  });
}

const LEDGER = 'cgroups';

function report({ kind, ...details }: CgroupNotice, log: Logger): void {
  switch (kind) {
    case 'applied':
      return log.debug(details, 'a cgroup limit was set');
    case 'restored':
      return log.info(details, 'a cgroup limit was put back');
    case 'refused':
      return log.warn(details, 'a cgroup is left as it is');
    case 'overruled':
      return log.warn(details, 'somebody else has set a cgroup limit: theirs stands');
  }
}
