import { cusumView } from './cusum.ts';
import { levelView } from './level.ts';
import { linearPredictionView } from './linear-prediction.ts';
import { recentWindowView } from './recent-window.ts';
import { roughnessView } from './roughness.ts';
import { stepView } from './step.ts';
import { SKETCH_SLOTS } from './tail-sketch.ts';
import { timeOfDayView } from './time-of-day.ts';
import type { Channel, View } from './view.ts';
import { volatilityView } from './volatility.ts';

/** A channel with the places of its sketches; the same place twice where both sides share one. */
export interface PlacedChannel extends Channel {
  readonly aboveAt: number;
  readonly belowAt: number;
}

/** A set of views laid out in one buffer: made once, shared by every series. */
export interface StandingSet {
  readonly name: string;
  readonly views: readonly { readonly view: View; readonly at: number; readonly first: number }[];
  readonly channels: readonly PlacedChannel[];
  readonly slots: number;
  readonly sketches: number;
  /** Where the level view's state begins. */
  readonly levelAt: number;
  readonly workspace: Workspace;
}

/** The residuals measured last, and what they are of, so that learning a value after scoring it measures once. */
export interface Workspace {
  readonly residuals: Float64Array;
  owner: object | undefined;
  value: number;
  atMs: number;
}

/** The detector keeps a bit of each in half a word. */
export const MOST_SKETCHES = 16;

/** `name` goes into saved states: change it whenever the views or their order change. */
export function layOut(name: string, views: readonly View[]): StandingSet {
  const placed: { view: View; at: number; first: number }[] = [];
  const channels: PlacedChannel[] = [];
  let slots = 0;
  let sketches = 0;
  for (const view of views) {
    placed.push({ view, at: slots, first: channels.length });
    slots += view.slots;
    for (const channel of view.channels) {
      const aboveAt = sketches * SKETCH_SLOTS;
      if (channel.sides === 'each') sketches++;
      channels.push({ ...channel, aboveAt, belowAt: sketches * SKETCH_SLOTS });
      sketches++;
    }
  }
  if (sketches > MOST_SKETCHES)
    throw new Error(`standing set "${name}" has ${sketches} tail sketches; allowed: ${MOST_SKETCHES}`);
  const residuals = new Float64Array(channels.length);
  const workspace = { residuals, owner: undefined, value: 0, atMs: 0 };
  const level = placed.find(({ view }) => view === levelView);
  if (level === undefined)
    throw new Error(`standing set "${name}" lacks the level view, which effects are measured by`);
  return { name, levelAt: level.at, views: placed, channels, slots, sketches, workspace };
}

/**
 * What every series of the agent is watched with. Three time scales (a moment, a few points, hundreds of points) and
 * three questions (level, raggedness, the clock), so that what one is blind to another sees.
 */
export const STANDING_SET: StandingSet = layOut('standing-3', [
  levelView,
  recentWindowView('median', 7, 0.01),
  timeOfDayView,
  linearPredictionView,
  roughnessView,
  recentWindowView('minimum', 6, 0.005),
  cusumView,
  volatilityView,
  stepView,
]);
