import type { KnobMode, KnobRole, Setting } from '../../model.ts';
import type { Axis } from '../space.ts';
import type { Strategy, StrategyContext } from '../strategy.ts';

/**
 * The design document's Configuration Optimization: looks for a better setting of all knobs that can be moved safely, by probing
 * (`probe.ts`). Timeouts and priorities are left to strategies that judge them without touching the process: their cost shows only in
 * the rare request or at the neighbour, which a window of probing does not contain. Of memory a search may give more, which a cache or a
 * pool of blocks shows at once; it takes none away from what the process was started with, since that shows only at the rare peak
 * (`memory.ts`).
 *
 * The document's condition is that the last optimisation is more than five minutes ago. A search that has just proven a step is
 * one optimisation that goes on, not the next one: it continues at once; after anything else that was kept it waits.
 */
export const QUIET_MS = 300_000;
export const PROBED: readonly KnobRole[] = ['concurrency', 'batch', 'queue', 'threads', 'memory', 'other'];
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
    const axes = probedAxes(context, modes);
    if (axes.length === 0) return undefined;
    const names = axes.map((axis) => axis.id).join(', ');
    return { kind: 'explore', axes, reason: `probing ${names} for a better setting`, signals: { knobs: axes.length } };
  },
};

/** What a search may move. */
export function probedAxes({ knobs, incumbent }: StrategyContext, modes: readonly KnobMode[]): readonly Axis[] {
  return knobs.flatMap(({ axis, mode }) => {
    if (axis === undefined || !PROBED.includes(axis.spec.role) || !modes.includes(mode)) return [];
    return axis.spec.role !== 'memory' || axis.max > leastMemory(axis, incumbent) ? [axis] : [];
  });
}

/** The knob of which a search would take memory away, were it to go there. */
export function deprived(axes: readonly Axis[], to: Setting, incumbent: Setting): string | undefined {
  return axes.find((axis) => axis.spec.role === 'memory' && Number(to[axis.id]) < leastMemory(axis, incumbent))?.id;
}

function leastMemory({ id, spec }: Axis, incumbent: Setting): number {
  return Math.min(spec.baseline, Number(incumbent[id]));
}
