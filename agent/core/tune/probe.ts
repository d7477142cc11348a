import type { Setting } from '../model.ts';
import { density, upperTail } from './normal.ts';
import type { Random } from './random.ts';
import type { Response } from './response.ts';
import { type Axis, decode, encode, neighbour } from './space.ts';

/**
 * Finding a better setting, window by window: try near the best setting known what is worth knowing, and move there once it is better.
 *
 * Intuition. `response.ts` says of every setting how much better than the present centre it is expected to be, and what a window would
 * tell of that. A window costs what its setting is expected to be worse while it lasts; what it tells is used for many windows
 * after. So the next window is taken where cost less worth is least: far out where little is known, at the centre itself once nothing
 * near is worth knowing. All knobs move at once, as in simultaneous-perturbation probing, since the surface tells them apart; but
 * every window counts, not only the difference of two, and the centre may move after each.
 *
 *   next = argmin over u near the centre of  μ(u) − H·worth(μ(u), s(u)),     H = 30 windows
 *   worth(μ, s) = s φ(z) − |μ| Φ(−z),  z = |μ| / s       s(u) = |Cov(Δ, y_u)| / √(Var y_u + σ²)
 *   or the centre itself, with cost 0 and the worth of what a window there tells of the others
 *   centre ← argmin of the mean, each knob by a step of the tier at most
 *
 * with μ(u) the expected difference Δ of u to the centre, y_u what a window there would show and σ its noise: s is by how much that
 * window is going to change μ, and `worth` what can be gained by choosing between u and the centre afterwards (the online
 * knowledge gradient).
 *
 * Units: u is the share of a knob's range, y the log objective. Fails where everything within a step is worse (an optimum behind a hill)
 * and slowly where noise is much larger than what a step can gain; what it proposes is only ever a candidate for a proof.
 *
 * Sources: Ryzhov, Powell and Frazier, "The knowledge gradient algorithm for a general class of online learning problems" (Operations
 * Research 2012); Spall 1992 for moving all knobs at once; Eriksson et al. 2019 (arXiv 1910.01739) for staying near the best.
 *
 * Example: a setting with μ = .02 of which a window would change .1 → worth .031, thirty times that is far above the cost: it is
 * tried. If it would change .005, the worth is 4e-8: it is not.
 */
export interface ProbeRule {
  /** The nearer of the two distances at which settings are tried, as a share of the range; the farther is `maxStepRatio`. */
  readonly perturbation: number;
  readonly gain: number;
  readonly maxStepRatio: number;
  /** Settings that must not be tried. */
  readonly isBanned?: (setting: Setting) => boolean;
}

/** What a window tells is used for so many windows. */
const HORIZON_WINDOWS = 30;
/** Settings drawn at random, besides one knob moved at a time. */
const DRAWN = 16;
/** At the usual learning rate of a tenth the centre moves a whole step. */
const STEPS_PER_GAIN = 10;
/** The centre is looked for with ever shorter moves, a few rounds each. */
const MOVES = [1, 0.5, 0.25] as const;
const ROUNDS = 3;
/** Nothing unproven stands still for longer. */
const MAX_STILL_WINDOWS = 5;
const SAME = 1e-9;
const LEAST_GAIN = 1e-6;
/** Log units that more memory must be expected to gain, or it is left to others: as much as is worth proving. */
const WORTH_MEMORY = Math.log(1.015);
/** Standard deviations that the gain may fall short of what is expected: two to one that it does not. */
const LIKELY = 0.5;

/** A setting near the centre. */
interface Option {
  readonly u: readonly number[];
  readonly cost: number;
  /** Cost of a window at the centre instead, for what it tells of this one. */
  readonly stay: number;
}

export class Probe {
  readonly #response: Response;
  readonly #axes: readonly Axis[];
  readonly #rule: ProbeRule;
  readonly #startSetting: Setting;
  readonly #start: readonly number[];
  #center: readonly number[];
  /** Of each knob, windows in a row at the same unproven value. */
  readonly #still: number[];
  #last: readonly number[];
  #isCurious = true;

  /** Looks around `start`, which gives every axis of the response a value. */
  constructor(response: Response, start: Setting, rule: ProbeRule) {
    this.#response = response;
    this.#axes = response.axes;
    this.#rule = rule;
    this.#startSetting = start;
    this.#start = response.encode(start);
    this.#center = this.#start;
    this.#last = this.#start;
    this.#still = this.#axes.map(() => 0);
  }

  /** At the last question for a setting one elsewhere was worth more than it costs. */
  get isCurious(): boolean {
    return this.#isCurious;
  }

  /** The next setting to measure. */
  next(random: Random): Setting {
    const here = this.#response.windowAt(this.#center);
    const options: Option[] = [];
    for (const u of this.#around(random)) {
      const { mean, toldHere, toldThere } = this.#response.difference(u, here);
      const cost = mean - HORIZON_WINDOWS * worth(mean, toldThere);
      options.push({ u, cost, stay: -HORIZON_WINDOWS * worth(mean, toldHere) });
    }
    const cheapest = this.#cheapest(options);
    this.#isCurious = cheapest !== undefined;
    let best = cheapest ?? this.#center;
    if (this.#isStanding(best)) best = this.#start;
    this.#last = best;
    return this.#setting(best);
  }

  /**
   * Of the options that may be tried; undefined where the centre is no dearer. Whether one may be tried takes longer to say than what it
   * costs, so only those are asked for that would be chosen.
   */
  #cheapest(options: readonly Option[]): readonly number[] | undefined {
    const best = options.toSorted((a, b) => a.cost - b.cost).find(({ cost, u }) => cost >= 0 || !this.#isBanned(u));
    if (best === undefined || best.cost >= 0) return undefined;
    return options.some(({ stay, u }) => stay <= best.cost && !this.#isBanned(u)) ? undefined : best.u;
  }

  /** Moves the centre to where the mean is best, a step at most. */
  recenter(): void {
    const from = this.#center;
    const limit = this.#rule.maxStepRatio * Math.min(1, this.#rule.gain * STEPS_PER_GAIN);
    let [best, least] = [from, this.#response.effect(from)];
    for (const share of MOVES) {
      for (let round = 0; round < ROUNDS; round++) {
        const before = best;
        for (let i = 0; i < from.length; i++) {
          for (const side of [-1, 1] as const) {
            const at = this.#moved(i, best[i], side * limit * share);
            if (at === undefined || !this.#isOneStep(i, from[i], at, limit)) continue;
            const u = best.with(i, at);
            const mean = this.#response.effect(u);
            if (mean < least - LEAST_GAIN && !this.#isBanned(u)) [best, least] = [u, mean];
          }
        }
        if (best === before) break;
      }
    }
    this.#center = best;
  }

  /** Where the probes have led: a setting that the process can take. */
  candidate(): Setting {
    return this.#setting(this.#axes.reduce((u, axis, i) => this.#thrifty(u, axis, i), this.#center));
  }

  /** Memory is wanted by others too: no more of it than what is likely to help. */
  #thrifty(u: readonly number[], { spec }: Axis, i: number): readonly number[] {
    if (spec.role !== 'memory' || u[i] <= this.#start[i]) return u;
    const without = u.with(i, this.#start[i]);
    const gain = this.#response.effect(without) - this.#response.effect(u);
    return gain - LIKELY * this.#response.deviation(u, without) < WORTH_MEMORY ? without : u;
  }

  /** Log objective of the candidate against the start as the surface has it now; negative is better. Not a proof. */
  get predictedGain(): number {
    return this.#response.effect(this.#center) - this.#response.effect(this.#start);
  }

  /** How much worse a setting is than the start, as the surface has it now. */
  excessOf(setting: Setting): number {
    return this.#response.effect(this.#response.encode(setting)) - this.#response.effect(this.#start);
  }

  /** Settings near the centre: one knob moved at a time, then some or all at once. */
  *#around(random: Random): Iterable<readonly number[]> {
    const { maxStepRatio, perturbation } = this.#rule;
    const reaches = [maxStepRatio, Math.min(perturbation, maxStepRatio / 2)];
    // Of each reach and knob, where it leads down and up.
    const places = reaches.map((reach) =>
      this.#center.map((at, i) => ({ down: this.#moved(i, at, -reach), up: this.#moved(i, at, reach) })),
    );
    for (let i = 0; i < this.#center.length; i++) {
      for (const { down, up } of places.map((knobs) => knobs[i])) {
        if (down !== undefined) yield this.#center.with(i, down);
        if (up !== undefined) yield this.#center.with(i, up);
      }
    }
    for (let drawn = 0; drawn < DRAWN; drawn++) {
      const isSome = drawn % 4 >= 2;
      const u = places[drawn % 2].map(({ down, up }, i) => {
        if (isSome && random.next() < 0.5) return this.#center[i];
        return (random.sign() < 0 ? down : up) ?? this.#center[i];
      });
      if (u.some((at, i) => at !== this.#center[i])) yield u;
    }
  }

  /** Where a knob at `u` can go: the next value at least; undefined at the edge. */
  #moved(i: number, u: number, by: number): number | undefined {
    const axis = this.#axes[i];
    const at = encode(axis, decode(axis, u + by));
    if (Math.abs(at - u) > SAME) return at;
    const next = this.#neighbour(i, u, by);
    return Math.abs(next - u) > SAME ? next : undefined;
  }

  #isOneStep(i: number, from: number, to: number, limit: number): boolean {
    const apart = Math.abs(to - from);
    return apart <= limit + SAME || apart <= Math.abs(this.#neighbour(i, from, to - from) - from) + SAME;
  }

  #neighbour(i: number, u: number, towards: number): number {
    const axis = this.#axes[i];
    return encode(axis, neighbour(axis, decode(axis, u), towards > 0 ? 1 : -1));
  }

  /** Nothing unproven stands still for long: whether a knob would, in this window. */
  #isStanding(u: readonly number[]): boolean {
    u.forEach((at, i) => {
      this.#still[i] = at === this.#last[i] && at !== this.#start[i] ? this.#still[i] + 1 : 0;
    });
    return this.#still.some((windows) => windows >= MAX_STILL_WINDOWS);
  }

  #isBanned(u: readonly number[]): boolean {
    return this.#rule.isBanned?.(this.#setting(u)) === true;
  }

  /** Where a knob has not moved, its very value: there and back through a logarithm is another, by the last digit. */
  #setting(u: readonly number[]): Setting {
    return Object.fromEntries(
      this.#axes.map((axis, i) => {
        return [axis.id, u[i] === this.#start[i] ? Number(this.#startSetting[axis.id]) : decode(axis, u[i])];
      }),
    );
  }
}

/** What is expected to be gained by choosing between centre and setting after the mean has changed by `shift` (standard deviation). */
function worth(mean: number, shift: number): number {
  if (shift === 0) return 0;
  const z = Math.abs(mean) / shift;
  return shift * (density(z) - z * upperTail(z));
}
