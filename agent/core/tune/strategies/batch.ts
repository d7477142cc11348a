import { msPerUnit } from '../../signals.ts';
import type { Strategy } from '../strategy.ts';
import { inSystem, isMeasured } from './concurrency.ts';
import { nearest } from './value.ts';

/**
 * Batches as large as there is work for, and no waiting for what does not come.
 *
 * Intuition. With N requests in the system (Little's law) a batch limit below N makes the rest wait for another round: it may double,
 * up to N. Where N is below the limit batches do not fill, and the time that the server waits for them to fill is added to every
 * request: where that is more than a tenth of the response time, it may be halved.
 *
 *   size (no time unit):  N > b → min(2b, N)             wait (a time unit):  N < b and w > W / 10 → w / 2
 *
 * Units: requests; milliseconds inside, the knob's own unit outside. A larger batch makes each of its requests wait for the others:
 * whether that pays is what the trial shows.
 * Fails where N counts requests that are not batched together (several models behind one server).
 * Sources: Little 1961; additive and multiplicative batch control as in Clipper (Crankshaw et al., NSDI 2017).
 *
 * Example: 40 in the system, limit 8 → 16. 3 in the system, limit 8, wait 10 ms of a response time of 30 ms → wait 5 ms.
 */
const GROWTH = 2;
const WAIT_SHARE = 0.1;

export const batchStrategy: Strategy = {
  name: 'Batch Optimization',
  description: 'Adjusts batch sizes and the wait for them to the work there is',
  applicableTiers: ['stable', 'advanced', 'experimental', 'research'],
  roles: ['batch'],
  priority: 4,
  canApply: ({ profile }) => inSystem(profile) !== undefined,
  plan(context, modes) {
    const { profile, incumbent } = context;
    const requests = inSystem(profile);
    const responseMs = profile?.metrics.responseTime?.average;
    if (requests === undefined || !isMeasured(responseMs)) return undefined;
    const batches = context.knobs.filter(({ spec, axis }) => spec.role === 'batch' && axis !== undefined);
    const sizes = batches.filter(({ spec }) => timeUnitMs(spec.type, spec.unit) === undefined);
    const smallest = Math.min(...sizes.map(({ spec }) => Number(incumbent[spec.id])));
    for (const knob of batches) {
      const { spec } = knob;
      const now = incumbent[spec.id];
      if (typeof now !== 'number' || !modes.includes(knob.mode)) continue;
      const unitMs = timeUnitMs(spec.type, spec.unit);
      const isFull = requests > (unitMs === undefined ? now : smallest);
      const grows = unitMs === undefined && isFull;
      const shrinks = unitMs !== undefined && !isFull && sizes.length > 0 && now * unitMs > responseMs * WAIT_SHARE;
      if (!grows && !shrinks) continue;
      const value = nearest(knob, grows ? Math.min(GROWTH * now, requests) : now / GROWTH);
      if (value === now || context.rejection(spec.id, value) !== undefined) continue;
      const why = grows
        ? `${requests.toFixed(1)} requests in the system do not fit into ${spec.id} ${now}`
        : `batches do not fill (${requests.toFixed(1)} requests in the system), so ${spec.id} ${now} is waiting in vain`;
      return {
        kind: 'candidate',
        setting: { [spec.id]: value },
        reason: `${why}: ${now} → ${value}`,
        signals: { requestsInSystem: requests, responseTimeMsAverage: responseMs, [`${spec.id}Now`]: now },
      };
    }
    return undefined;
  },
};

function timeUnitMs(type: string, unit: string): number | undefined {
  return type === 'duration' ? 1000 : msPerUnit(unit);
}
