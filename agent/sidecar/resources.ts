import type { Logger } from 'pino';
import { type CgroupLimiter, type CgroupNotice, createCgroupLimiter } from '../adapters/cgroup/limiter.ts';
import type { ResourceReader } from '../adapters/control/ports.ts';
import type { Journal } from '../adapters/journal/journal.ts';
import { healthThresholds } from '../config/engine.ts';
import { resourceSettings } from '../config/resource-settings.ts';
import type { Config } from '../config/schema.ts';
import type { Engine } from '../core/engine.ts';
import { engineSource } from '../core/resources/engine_source.ts';
import { ResourceManager } from '../core/resources.ts';

export interface ResourceParts {
  readonly nowMs: () => number;
  readonly engine: Pick<Engine, 'components' | 'view' | 'machine' | 'forecast'>;
}

/** The resource manager, looking at the engine. */
export function resourceManager(config: Config, { nowMs, engine }: ResourceParts): ResourceManager {
  const { horizon: horizonMs } = config.resources;
  const tierOf = (component: string) => config.components[component]?.tier;
  const source = engineSource({ engine, nowMs, horizonMs, tierOf });
  return new ResourceManager(resourceSettings(config, healthThresholds(config)), source);
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
