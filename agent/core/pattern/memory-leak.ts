import { type FinishedBlock, FloorLadder, type RungState } from './floor-ladder.ts';
import { type MonotoneTrend, mannKendall } from './mann-kendall.ts';
import { impactOf, type Pattern } from './pattern.ts';

export interface LeakSettings {
  /** Where the memory ends, in the metric's unit; absent: growth is judged against its own start. */
  readonly limit?: number;
  /** A leak that would take longer than this to the limit is not worth a word yet. */
  readonly horizonMs: number;
}

/** Five-minute blocks, then 15, 45 minutes … 20 hours: leaks of two hours up to weeks, in 408 numbers. */
const SHAPE = { blockMs: 5 * 60_000, ratio: 3, rungs: 6, blocks: 34 };
/** Blocks that a judgement looks at; what is older is the history it is compared with. */
const SPAN = 16;
/** Least rise of the floor: this share of the room to the limit (of the floor itself, without one). */
const LEAST_RISE = 0.1;

/** The three ways to be sure. Figures by a grid on real machines' memory with leaks put in; see `bench:leaks`. */
const GROWS_AS_NEVER_BEFORE = { tau: 0.8, timesEarlierMove: 2 };
const FLOOR_ABOVE_OLD_CEILING = { tau: 0.6, timesEarlierMove: 0.5, blocks: 3 };
const GROWS_FROM_THE_START = { tau: 0.9, blocks: 32 };

/** All of a block below this share of the floor before it: the process was started anew, even if nobody said so. */
const RESTART_RATIO = 0.7;

/** How a metric behaves when it does not leak, by rung. */
export interface Habits {
  /** Largest earlier move of the floor over `SPAN` blocks; −1: not known yet. */
  readonly moved: readonly number[];
  /** Highest value older than `SPAN` blocks (absent: none yet), and how many blocks that covers. */
  readonly ceiling: readonly (number | null)[];
  readonly covered: readonly number[];
}

interface MutableHabits {
  readonly moved: number[];
  readonly ceiling: (number | null)[];
  readonly covered: number[];
}

const UNKNOWN: Habits = {
  moved: new Array<number>(SHAPE.rungs).fill(-1),
  ceiling: new Array<null>(SHAPE.rungs).fill(null),
  covered: new Array<number>(SHAPE.rungs).fill(0),
};

function copyOf({ moved, ceiling, covered }: Habits): MutableHabits {
  return { moved: [...moved], ceiling: [...ceiling], covered: [...covered] };
}

export interface LeakState {
  readonly rungs: readonly RungState[];
  readonly habits: Habits;
  /** As they were when the present run began. */
  readonly habitsBefore: Habits;
  readonly quietUntilMs: number | null;
  readonly found: Pattern | null;
}

/**
 * Finds memory that is never given back: the floor under the usage (`floor-ladder.ts`) rises block after block at some
 * scale, would reach the limit within the horizon, and one of
 *
 *   - it rises twice as far as it ever moved within as many blocks (τ ≥ .8);
 *   - it has come to lie above everything that was ever seen before (τ ≥ .6): what used to be the ceiling is the floor;
 *   - there is no history to compare with, and twice the blocks rise all but without a fall (τ ≥ .9).
 *
 * The comparison with its own past is what keeps caches that fill, daily load and slow drift quiet. A restart (told of,
 * or seen as a fall by 30 % within one block) forgets the floors and keeps the habits, except those of a run that leaked:
 * it teaches nothing about health, and so the leak is found again in the next run. Confidence: `1 − p` of Mann–Kendall.
 *
 * Fails on warm-ups that end just below the limit (only the future tells them apart) and on leaks slower than the
 * metric's own drift. Measured on 30 machines × 8 days: `npm run -s bench:leaks -- DIR`.
 */
export class LeakWatch {
  #settings: LeakSettings;
  readonly #ladder: FloorLadder;
  #habits: MutableHabits;
  #habitsBefore: Habits;
  #quietUntilMs: number;
  #found: Pattern | undefined;

  constructor(settings: LeakSettings, state?: LeakState) {
    this.#settings = settings;
    this.#ladder = new FloorLadder(SHAPE, state?.rungs);
    this.#habits = copyOf(state?.habits ?? UNKNOWN);
    this.#habitsBefore = state?.habitsBefore ?? UNKNOWN;
    this.#quietUntilMs = state?.quietUntilMs ?? Number.NEGATIVE_INFINITY;
    this.#found = state?.found ?? undefined;
  }

  /** Where the memory ends, once that is known. */
  set limit(limit: number | undefined) {
    const { horizonMs } = this.#settings;
    this.#settings = { horizonMs, ...(limit !== undefined && { limit }) };
  }

  /** Times never go back; equal ones are fine. Returns a leak when it is first sure of it. */
  learn(value: number, atMs: number): Pattern | undefined {
    let news: Pattern | undefined;
    const finished = this.#ladder.push(value, atMs);
    if (finished.length > 0 && this.#fellLikeARestart()) {
      this.restarted();
      return undefined;
    }
    for (const block of finished) {
      this.#remember(block.rung);
      const leak = this.#judge(block, value);
      if (leak === undefined) continue;
      if (atMs >= this.#quietUntilMs) news = leak;
      // One leak is one finding while it lasts: each confirmation holds the next message back for a day.
      this.#quietUntilMs = atMs + 86_400_000;
      this.#found = leak;
    }
    return news;
  }

  /** The process began anew: what it held is free again. */
  restarted(): void {
    this.#ladder.clear();
    if (this.#found === undefined) this.#habitsBefore = copyOf(this.#habits);
    else this.#habits = copyOf(this.#habitsBefore);
    this.#quietUntilMs = Number.NEGATIVE_INFINITY;
    this.#found = undefined;
  }

  /** The latest finding since the last restart. */
  current(): Pattern | undefined {
    return this.#found;
  }

  save(): LeakState {
    return {
      rungs: this.#ladder.save(),
      habits: copyOf(this.#habits),
      habitsBefore: copyOf(this.#habitsBefore),
      quietUntilMs: Number.isFinite(this.#quietUntilMs) ? this.#quietUntilMs : null,
      found: this.#found ?? null,
    };
  }

  #fellLikeARestart(): boolean {
    const floors = this.#ladder.minima(0);
    // The block in which it fell has a low floor already: the one before that counts too.
    const before = Math.max(floors.at(-2) ?? 0, floors.at(-3) ?? 0);
    return this.#ladder.maxima(0).at(-1)! < RESTART_RATIO * before;
  }

  /** Takes the block that just left the judgement's span into what is known of the past. */
  #remember(rung: number): void {
    const floors = this.#ladder.minima(rung);
    const left = floors.length - 1 - SPAN;
    if (left < 0) return;
    const { moved, ceiling, covered } = this.#habits;
    ceiling[rung] = Math.max(ceiling[rung] ?? Number.NEGATIVE_INFINITY, this.#ladder.maxima(rung)[left]!);
    covered[rung]!++;
    if (left < SPAN) return;
    const move = Math.abs(floors[left]! - floors[left - SPAN]!);
    // Halves in 700 blocks: a single wild day is not held against a metric for ever.
    moved[rung] = Math.max(moved[rung]! * 0.999, move);
  }

  #judge({ rung, endMs }: FinishedBlock, value: number): Pattern | undefined {
    const moved = this.#habits.moved[rung]!;
    const blocks = moved < 0 ? GROWS_FROM_THE_START.blocks : SPAN;
    const all = this.#ladder.minima(rung);
    const ways = [
      { blocks, sure: (t: MonotoneTrend) => this.#outgrows(t, moved) },
      { blocks: SPAN, sure: (t: MonotoneTrend) => this.#aboveCeiling(t, rung) },
    ];
    for (const way of ways) {
      if (all.length < way.blocks) continue;
      const floors = all.slice(-way.blocks);
      // Most floors do not rise at all: the quadratic test is for those that do.
      if (floors.at(-1)! - floors[0]! < 0.5 * LEAST_RISE * this.#room(floors[0]!)) continue;
      const trend = mannKendall(floors);
      if (trend === undefined || !way.sure(trend)) continue;
      const leak = this.#describe(floors, trend, rung, endMs, value);
      if (leak !== undefined) return leak;
    }
    return undefined;
  }

  #outgrows(trend: MonotoneTrend, moved: number): boolean {
    if (moved < 0) return trend.tau >= GROWS_FROM_THE_START.tau;
    const { tau, timesEarlierMove } = GROWS_AS_NEVER_BEFORE;
    return trend.tau >= tau && trend.slope * (SPAN - 1) >= timesEarlierMove * moved;
  }

  #aboveCeiling(trend: MonotoneTrend, rung: number): boolean {
    const { tau, timesEarlierMove, blocks } = FLOOR_ABOVE_OLD_CEILING;
    if (this.#habits.covered[rung]! < SPAN || trend.tau < tau) return false;
    const newest = this.#ladder.minima(rung).slice(-blocks);
    return (
      Math.min(...newest) > (this.#habits.ceiling[rung] ?? Number.POSITIVE_INFINITY) &&
      trend.slope * (SPAN - 1) >= timesEarlierMove * Math.max(0, this.#habits.moved[rung]!)
    );
  }

  #room(floor: number): number {
    const { limit } = this.#settings;
    return limit === undefined ? Math.abs(floor) : Math.max(0, limit - floor);
  }

  #describe(
    floors: readonly number[],
    trend: MonotoneTrend,
    rung: number,
    endMs: number,
    value: number,
  ): Pattern | undefined {
    const { limit, horizonMs } = this.#settings;
    const start = floors[0]!;
    const rise = trend.slope * (floors.length - 1);
    const blockMs = SHAPE.blockMs * SHAPE.ratio ** rung;
    const perMs = trend.slope / blockMs;
    const timeToLimitMs = limit === undefined ? undefined : Math.max(0, limit - value) / perMs;
    if (rise <= 0 || rise < LEAST_RISE * this.#room(start) || (timeToLimitMs ?? 0) > horizonMs) return undefined;
    return {
      type: 'memory_leak',
      confidence: 1 - trend.p,
      samples: trend.samples,
      ...impactOf(start, start + rise),
      sinceMs: endMs - floors.length * blockMs,
      evidence: {
        growthPerHour: perMs * 3_600_000,
        riseOfFloor: rise,
        floorNow: floors.at(-1)!,
        tau: trend.tau,
        blockMs,
        blocks: floors.length,
        ...(timeToLimitMs !== undefined && { timeToLimitMs }),
        ...(this.#habits.moved[rung]! >= 0 && { largestEarlierMove: this.#habits.moved[rung]! }),
      },
    };
  }
}
