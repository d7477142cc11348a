import type { Setting } from '../model.ts';
import { changesBetween } from './changes.ts';
import type { Guard } from './guard.ts';
import type { Next, TriablePlan } from './planner.ts';
import { between, within } from './reach.ts';
import type { Axis } from './space.ts';
import { deprived } from './strategies/configuration.ts';

/** A candidate farther away than this many of the tier's steps is approached over several trials. */
const MAX_WALK_STEPS = 4;
/** Parts of the way that are tried where a limit is in the way. */
const SHRINK = [1, 0.6, 0.35] as const;

/** How far a plan may go, and what it may risk. */
export interface Scope {
  /** In one window, as a share of a knob's range. */
  readonly maxStepRatio: number;
  /** Why a setting may not be tried; undefined: it may. */
  readonly whyBanned: (setting: Setting) => string | undefined;
}

export interface Ground {
  readonly recorded: Setting;
  /** Of the tier. */
  readonly maxStepRatio: number;
  readonly guard: Guard;
  /** It hurt there not long ago, by more than `room` log units. */
  readonly isBanned: (setting: Setting, room: number) => boolean;
}

export function scopeOf({ plan, purpose, proposal, rule }: Next, ground: Ground): Scope {
  const { recorded, maxStepRatio, guard, isBanned } = ground;
  const { isReturn } = purpose;
  const room = plan.kind === 'jump' ? plan.room : 0;
  // What was asked for, or proven in these circumstances, may risk a soft limit; what kills the process may not be tried.
  const isOurs = plan.kind !== 'candidate' || (proposal === undefined && rule === undefined && !isReturn);
  const which = plan.kind === 'jump' ? 'limits' : isOurs ? 'all' : 'hard';
  return {
    maxStepRatio: isReturn ? 1 : maxStepRatio,
    whyBanned: (setting) => {
      if (!isReturn && isBanned(setting, room)) return 'it lies where an experiment had to be abandoned not long ago';
      const to = { ...recorded, ...setting };
      const poorer = plan.kind === 'candidate' ? undefined : deprived(plan.axes, to, recorded);
      if (poorer !== undefined) return `a search takes no memory away: what ${poorer} is needed for may be a rare peak`;
      return guard.whyUnsafe(to, recorded, which);
    },
  };
}

export interface Reachable {
  /** Absent where it is to be found first. */
  readonly candidate?: Setting;
  /** Why nothing is tried; absent: it is. */
  readonly whyNot?: string;
}

/** As much of the way from what is in force to what is wanted as the tier and the limits let it go at once. */
export function reachable(
  axes: readonly Axis[],
  recorded: Setting,
  plan: TriablePlan,
  { maxStepRatio, whyBanned }: Scope,
): Reachable {
  if (plan.kind !== 'candidate') return {};
  const farthest = within(axes, recorded, plan.setting, MAX_WALK_STEPS * maxStepRatio);
  if (changesBetween(recorded, farthest).length === 0) {
    return { whyNot: 'it is in force already, as far as the tier lets it go' };
  }
  for (const share of SHRINK) {
    const candidate = between(axes, recorded, farthest, share);
    if (changesBetween(recorded, candidate).length === 0) break;
    if (whyBanned(candidate) === undefined) return { candidate };
  }
  const whyNot = whyBanned(farthest);
  return whyNot === undefined ? { candidate: farthest } : { whyNot };
}
