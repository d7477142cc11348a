import type { Setting } from '../model.ts';
import { between, within } from './reach.ts';
import type { Axis } from './space.ts';
import { changesBetween } from './trial.ts';

/** A candidate farther away than this many of the tier's steps is approached over several trials. */
const MAX_WALK_STEPS = 4;
/** Parts of the way that are tried where a limit is in the way. */
const SHRINK = [1, 0.6, 0.35] as const;

export interface Reachable {
  readonly candidate: Setting;
  /** Why it is not tried; undefined: it is. */
  readonly whyNot: string | undefined;
}

/** As much of the way from what is in force to what is wanted as the tier and the limits let it go at once. */
export function reachable(
  axes: readonly Axis[],
  recorded: Setting,
  wanted: Setting,
  maxStepRatio: number,
  whyBanned: (setting: Setting) => string | undefined,
): Reachable {
  const farthest = within(axes, recorded, wanted, MAX_WALK_STEPS * maxStepRatio);
  if (changesBetween(recorded, farthest).length === 0) {
    return { candidate: farthest, whyNot: 'it is in force already, as far as the tier lets it go' };
  }
  for (const share of SHRINK) {
    const candidate = between(axes, recorded, farthest, share);
    if (changesBetween(recorded, candidate).length === 0) break;
    if (whyBanned(candidate) === undefined) return { candidate, whyNot: undefined };
  }
  return { candidate: farthest, whyNot: whyBanned(farthest) };
}
