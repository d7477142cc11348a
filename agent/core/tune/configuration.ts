import type { KnobRole } from '../model.ts';
import type { Strategy } from './strategy.ts';

/**
 * The design document's Configuration Optimization: looks for a better setting of all knobs that can be moved safely, by probing
 * (`probe.ts`). Timeouts and memory limits are left to strategies that judge them without touching the process: their cost shows only in
 * the rare request or the rare peak, which a window of probing does not contain.
 */
const PROBED: readonly KnobRole[] = ['concurrency', 'batch', 'queue', 'threads', 'other'];

export const configurationStrategy: Strategy = {
  name: 'Configuration Optimization',
  description: 'Optimizes component configuration parameters',
  applicableTiers: ['stable', 'advanced', 'experimental', 'research'],
  priority: 5,
  plan(context, modes) {
    const axes = context.knobs.flatMap(({ spec, axis, mode }) =>
      axis !== undefined && PROBED.includes(spec.role) && modes.includes(mode) ? [axis] : [],
    );
    if (axes.length === 0) return undefined;
    const names = axes.map((axis) => axis.id).join(', ');
    return { kind: 'explore', axes, reason: `probing ${names} for a better setting`, signals: { knobs: axes.length } };
  },
};
