import type { KnobSpec, KnobValue } from '../../model.ts';
import type { Strategy } from '../strategy.ts';

/**
 * Knobs without a range: switches and enums. There is no slope to follow, so one other value of one of them is proven against the
 * present one, all else as it is: first those that were never compared, one drawn from the instant, then the one whose comparison is
 * the longest ago. What has lost a comparison is left alone for an hour: times change, but not by the minute.
 *
 * A proof of something clear takes some fifteen windows, two thirds of them at the new value; something far worse is taken
 * back after two. What was tried in vain waits with this strategy, twice as long after each failure (`standing.ts`).
 *
 * A value that opens further knobs (speculation and its draft length) is not judged by what they happen to stand at: they are probed
 * at that value first, and what is proven is the best of it. Fails where values of two enums help only together.
 * Source: one-factor-at-a-time arms beside a continuous search, as in mixed-variable tuners (OPPerTune, NSDI 2024).
 * Example: scheduler fifo, fair or shortest and a cache on or off: three arms, each drawn a third of the time; once the cache has
 * been proven, "off" has lost, and two arms are left.
 */
const NAME = 'Choice Optimization';
const AGAIN_MS = 3_600_000;
/** Odd and large, so that instants a few seconds apart draw different arms (Fibonacci hashing). */
const SPREAD = 2_654_435_769;

export const choiceStrategy: Strategy = {
  name: NAME,
  description: 'Tries the other values of switches and enums',
  applicableTiers: ['advanced', 'experimental', 'research'],
  roles: ['concurrency', 'batch', 'queue', 'threads', 'other'],
  priority: 4,
  canApply: ({ knobs }) => knobs.some(({ spec }) => valuesOf(spec).length > 0),
  plan({ knobs, incumbent, nowMs, rejection, judgedMs, opened }, modes) {
    const roles = this.roles;
    const arms = knobs.flatMap(({ spec, mode }) => {
      if (!modes.includes(mode) || !roles.includes(spec.role)) return [];
      const others = valuesOf(spec).filter((value) => value !== incumbent[spec.id]);
      return others.filter((value) => rejection(spec.id, value) === undefined).map((value) => ({ id: spec.id, value }));
    });
    const open = arms
      .map((arm) => ({ ...arm, judgedMs: judgedMs(arm.id, arm.value) ?? Number.NEGATIVE_INFINITY }))
      .filter((arm) => nowMs - arm.judgedMs >= AGAIN_MS);
    const earliest = Math.min(...open.map((arm) => arm.judgedMs));
    const due = open.filter((arm) => arm.judgedMs === earliest);
    const drawn = Math.imul(Math.floor(nowMs / 1_000), SPREAD) >>> 0;
    const arm = due[Math.floor((drawn / 0x1_0000_0000) * due.length)];
    if (arm === undefined) return undefined;
    const setting = { [arm.id]: arm.value };
    const signals = { arms: open.length };
    const reason = `trying ${arm.id} ${String(arm.value)}, one of ${open.length} values of switches and enums that may be better`;
    const axes = opened(arm.id, arm.value).flatMap(({ axis, mode }) =>
      axis !== undefined && mode === 'auto' && modes.includes(mode) ? [axis] : [],
    );
    if (axes.length === 0) return { kind: 'candidate', setting, isDrawn: open.length > 1, reason, signals };
    const names = axes.map(({ id }) => id).join(', ');
    return { kind: 'explore', at: setting, axes, reason: `${reason}, with what it opens: ${names}`, signals };
  },
};

function valuesOf(spec: KnobSpec): readonly KnobValue[] {
  if (spec.type === 'bool') return [false, true];
  return spec.type === 'enum' ? spec.values : [];
}
