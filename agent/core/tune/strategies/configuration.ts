import type { KnobRole } from '../../model.ts';
import type { Strategy } from '../strategy.ts';

/**
 * The design document's Configuration Optimization: looks for a better setting of all knobs that can be moved safely, by probing
 * (`probe.ts`). Timeouts, memory limits and priorities are left to strategies that judge them without touching the process: their cost
 * shows only in the rare request, the rare peak or at the neighbour, which a window of probing does not contain.
 *
 * The document's condition is that the last optimisation is more than five minutes ago. A search that has just proven a step is
 * one optimisation that goes on, not the next one: it continues at once; after anything else that was kept it waits.
 */
export const QUIET_MS = 300_000;
export const PROBED: readonly KnobRole[] = ['concurrency', 'batch', 'queue', 'threads', 'other'];
export const NAME = 'Configuration Optimization';

export const configurationStrategy: Strategy = {
  name: NAME,
  description: 'Optimizes component configuration parameters',
  applicableTiers: ['stable', 'advanced', 'experimental', 'research'],
  roles: PROBED,
  priority: 5,
  canApply: ({ lastKept, nowMs }) =>
    lastKept === undefined || lastKept.strategy === NAME || lastKept.atMs < nowMs - QUIET_MS,
  plan(context, modes) {
    if (!this.canApply(context)) return undefined;
    const axes = context.knobs.flatMap(({ spec, axis, mode }) =>
      axis !== undefined && PROBED.includes(spec.role) && modes.includes(mode) ? [axis] : [],
    );
    if (axes.length === 0) return undefined;
    const names = axes.map((axis) => axis.id).join(', ');
    return { kind: 'explore', axes, reason: `probing ${names} for a better setting`, signals: { knobs: axes.length } };
  },
};
