import type { Setting } from '../model.ts';
import { sameSetting } from './setting.ts';
import { type Axis, decode, encode } from './space.ts';

/**
 * Where was looked lately, and where there is most room that was not.
 *
 * Intuition. A local search sees what is near the places where it was, and nothing of what lies between them and the ends of the ranges.
 * With nothing else to go by, the middle of the largest empty circle tells most: whatever is hidden there is nearest to it. Two
 * knobs at a time: what one knob alone does is what a search of curves (`surface.ts`) follows without leaving, so that a second valley
 * which it misses takes two at least, and each further knob that is taken along costs what it is worse away from its best.
 *
 *   place = argmax over pairs of knobs i, j and c in their square of  min( min over places p looked at |c − pᵢⱼ|, 3 · distance of c to the edge )
 *
 * A circle may reach two thirds of its radius over the edge, since an optimum at the very end of a range is rarer than one within it.
 * The points c are the first 64 of the R₂ sequence, which fills a square evenly without draws: the same places give the same answer.
 *
 * Units: shares of the knobs' ranges; windows. The last 60 places of the last 640 windows are kept: what was seen long ago may be
 * otherwise now. Fails where a valley is much narrower than the room that is left, and where three knobs matter only together.
 *
 * Sources: Johnson, Moore and Ylvisaker, "Minimax and maximin distance designs" (1990); Roberts, "The unreasonable effectiveness of
 * quasirandom sequences" (2018) for R₂. Example: two knobs, looked at near (.2, .2) only: next is (.8, .77), .69 away from the edge and from there.
 */
export interface Unseen {
  /** The two knobs that lead there. */
  readonly setting: Setting;
  /** Radius of the circle. */
  readonly radius: number;
}

const MOST_PLACES = 60;
const LIFE_WINDOWS = 640;
const POINTS = 64;
/** Its powers are the least regular pair of steps: the real root of x³ = x + 1. */
const PLASTIC = 1.324717957244746;
const EDGE = 3;

export class Looked {
  readonly #lifeMs: number;
  #places: readonly { readonly setting: Setting; readonly atMs: number }[] = [];

  constructor(windowMs: number) {
    this.#lifeMs = LIFE_WINDOWS * windowMs;
  }

  /** A window at `setting` has ended, or it was as good as looked at. */
  add(setting: Setting, atMs: number): void {
    const others = this.#places.filter((place) => !sameSetting(place.setting, setting));
    this.#places = [...others, { setting, atMs }].slice(-MOST_PLACES);
  }

  since(nowMs: number): readonly Setting[] {
    return this.#places.filter(({ atMs }) => nowMs - atMs < this.#lifeMs).map(({ setting }) => setting);
  }
}

/** The middle of the largest empty circle that may be gone to; undefined where none has at least `leastRadius`. */
export function unseen(
  axes: readonly Axis[],
  looked: readonly Setting[],
  leastRadius: number,
  isOpen: (setting: Setting) => boolean,
): Unseen | undefined {
  const known = looked.filter((setting) => axes.every(({ id }) => typeof setting[id] === 'number'));
  const places = known.map((setting) => axes.map((axis) => encode(axis, Number(setting[axis.id]))));
  let found: Unseen | undefined;
  for (let i = 0; i < axes.length; i++) {
    for (let j = i + 1; j < axes.length; j++) {
      for (let n = 1; n <= POINTS; n++) {
        const [a, b] = pointOf(n);
        let radius = EDGE * Math.min(a, 1 - a, b, 1 - b);
        for (const u of places) radius = Math.min(radius, Math.hypot(u[i] - a, u[j] - b));
        if (radius <= (found?.radius ?? leastRadius)) continue;
        const setting = { [axes[i].id]: decode(axes[i], a), [axes[j].id]: decode(axes[j], b) };
        if (isOpen(setting)) found = { setting, radius };
      }
    }
  }
  return found;
}

/** Of the R₂ sequence. */
function pointOf(n: number): readonly [number, number] {
  return [(0.5 + n / PLASTIC) % 1, (0.5 + n / PLASTIC ** 2) % 1];
}
