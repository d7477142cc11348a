import type { Setting } from '../model.ts';
import { OBJECTIVES, type ObjectiveName } from './objectives.ts';
import { sameSetting } from './setting.ts';

/**
 * Proven configurations that trade one objective for another: an operator may choose one that the weights would not.
 *
 * Constraints come first: what crosses a limit (errors, p95) is no candidate, however good otherwise. Then the weights decide what the
 * tuner keeps by itself. What they decide against may still be the better choice for somebody: so every setting whose proof
 * showed it better in at least one objective is remembered, unless another one is at least as good in all of them.
 *
 *   place(C) = place(R) + effect(C against R)      in log units per objective; place(baselines) = 0
 *
 * A trial measures its candidate C against the setting R in force; its place against the baselines is the sum along the way, and so
 * are the ends of its interval (which is therefore wider than needed, and holds at least the trials' own confidence). Where R has no
 * place (a human set it), C has none either. `a` dominates `b` when its estimates are nowhere higher and somewhere lower.
 *
 * Fails where the load has changed since: the effects were measured side by side, but at that time's load.
 * Sources: Pareto archives (Knowles and Corne 2000); constrained dominance (Deb et al., NSGA-II, 2002).
 */
export interface ParetoPoint {
  readonly id: string;
  readonly atMs: number;
  readonly trialId: string;
  readonly strategy: string;
  /** The whole setting. */
  readonly setting: Setting;
  /** Against the baselines. */
  readonly objectives: Objectives;
}

/** In log units, lower is better. */
export interface ObjectiveEffect {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}
export type Objectives = { readonly [name in ObjectiveName]?: ObjectiveEffect };

export const MAX_POINTS = 16;
const NOWHERE: ObjectiveEffect = { estimate: 0, low: 0, high: 0 };

export interface ProvenSetting extends Omit<ParetoPoint, 'objectives'> {
  /** What was in force, and the candidate's effects against it. */
  readonly recorded: Setting;
  readonly effects: Objectives;
}

/** The archive with a setting that a trial has measured, where it has earned a place. */
export function withPoint(
  points: readonly ParetoPoint[],
  { recorded, effects, ...proven }: ProvenSetting,
  baselines: Setting,
): readonly ParetoPoint[] {
  const from = placeOf(points, recorded, baselines);
  const names = OBJECTIVES.filter((name) => effects[name] !== undefined);
  if (from === undefined || !names.some((name) => (effects[name]?.high ?? 0) < 0)) return points;
  const objectives = Object.fromEntries(
    names.map((name) => [name, sum(from[name] ?? NOWHERE, effects[name] ?? NOWHERE)]),
  );
  const point: ParetoPoint = { ...proven, objectives };
  const others = points.filter(({ setting }) => !sameSetting(setting, point.setting));
  if (others.some((other) => dominates(other, point))) return points;
  return [...others.filter((other) => !dominates(point, other)), point].slice(-MAX_POINTS);
}

export function dominates(a: Pick<ParetoPoint, 'objectives'>, b: Pick<ParetoPoint, 'objectives'>): boolean {
  let isBetter = false;
  for (const name of OBJECTIVES) {
    const [mine, theirs] = [a.objectives[name], b.objectives[name]];
    if (mine === undefined || theirs === undefined) continue;
    if (mine.estimate > theirs.estimate) return false;
    if (mine.estimate < theirs.estimate) isBetter = true;
  }
  return isBetter;
}

/** Where a setting stands against the baselines; undefined where nothing measured says. */
function placeOf(points: readonly ParetoPoint[], setting: Setting, baselines: Setting): Objectives | undefined {
  if (sameSetting(setting, baselines)) return {};
  return points.find((point) => sameSetting(point.setting, setting))?.objectives;
}

function sum(a: ObjectiveEffect, b: ObjectiveEffect): ObjectiveEffect {
  return { estimate: a.estimate + b.estimate, low: a.low + b.low, high: a.high + b.high };
}
