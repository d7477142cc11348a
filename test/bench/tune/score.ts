import type { Account } from '../../sim/ledger.ts';

/** One method on one seed. */
export interface RunScore {
  readonly account: Account;
  /** Zigzags of what the method keeps: a knob that went a tenth of its range one way and came back as far. */
  readonly flaps: number;
  /** Undefined for methods that prove nothing: promotions; those that did not help in the blocks that proved them; and later. */
  readonly promotions?: number;
  readonly falseAccepts?: number;
  readonly regretted?: number;
  readonly cpuUsPerWindow: number;
  /** Of our engine: each window's microseconds, and the memory it holds at the end, where it was weighed. */
  readonly cpuUsOfWindows?: readonly number[];
  readonly memoryBytes?: number;
}

export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** What the benchmark prints of one method on one scenario. */
export interface MethodReport {
  readonly method: string;
  readonly runs: number;
  /** 0 = the oracle, 1 = staying at the default; absent where the default is (nearly) the best. */
  readonly regretRatio?: Interval;
  /** Mean objective against the default, as a ratio: −0.1 is 10 % better. */
  readonly againstDefault: Interval;
  readonly extraViolationPercent: Interval;
  readonly killsPerRun: Interval;
  readonly farWorsePercent: Interval;
  readonly flapsPerRun: number;
  readonly promotionsPerRun?: number;
  readonly falseAccepts?: number;
  /** Share of runs with at least one false accept, in percent. */
  readonly falseAcceptRunsPercent?: number;
  /** Promotions that helped when they were proven, or not, but did not help over the time that followed in the same phase. */
  readonly regrettedAccepts?: number;
  /** Median over runs, and the share of runs that got there. */
  readonly windowsToOptimum: { readonly median?: number; readonly reachedPercent: number };
  readonly readaptWindows: { readonly median?: number; readonly reachedPercent: number };
  readonly cpuUsPerWindow: number;
  /** Of our engine, all runs but the first; and of that one, in which its code was not compiled yet. */
  readonly cpuUsPerWindowP99?: number;
  readonly cpuUsPerWindowP99Cold?: number;
  readonly memoryMiBMax?: number;
}

export function reportOf(method: string, scores: readonly RunScore[]): MethodReport {
  const of = (pick: (score: RunScore) => number) => bootstrapMean(scores.map(pick));
  const regrets = scores.flatMap(({ account }) => account.regretRatio ?? []);
  const promotions = scores.flatMap((score) => score.promotions ?? []);
  const falseAccepts = scores.flatMap((score) => score.falseAccepts ?? []);
  const [cold, ...others] = scores;
  const warm = others.length > 0 ? others : scores;
  const [warmP99, coldP99] = [warm, [cold]].map((runs) => p99(runs.flatMap((run) => run?.cpuUsOfWindows ?? [])));
  const memories = scores.flatMap((score) => score.memoryBytes ?? []);
  const gains = of(({ account }) => account.meanExcess);
  return {
    method,
    runs: scores.length,
    ...(regrets.length > 0 && { regretRatio: bootstrapMean(regrets) }),
    againstDefault: { mean: Math.expm1(gains.mean), low: Math.expm1(gains.low), high: Math.expm1(gains.high) },
    extraViolationPercent: of(({ account }) => 100 * account.extraViolationRatio),
    killsPerRun: of(({ account }) => account.kills),
    farWorsePercent: of(({ account }) => 100 * account.farWorseRatio),
    flapsPerRun: meanOf(scores.map((score) => score.flaps)),
    ...(promotions.length > 0 && { promotionsPerRun: meanOf(promotions) }),
    ...(falseAccepts.length > 0 && {
      falseAccepts: falseAccepts.reduce((sum, count) => sum + count, 0),
      regrettedAccepts: scores.reduce((sum, { regretted }) => sum + (regretted ?? 0), 0),
      falseAcceptRunsPercent: (100 * falseAccepts.filter((count) => count > 0).length) / falseAccepts.length,
    }),
    // On a flat plant everyone is at the optimum from the start, which says nothing.
    windowsToOptimum: reached(regrets.length === 0 ? [] : scores.map(({ account }) => account.windowsToOptimum)),
    readaptWindows: reached(regrets.length === 0 ? [] : scores.flatMap(({ account }) => account.readaptWindows)),
    cpuUsPerWindow: meanOf(warm.map((score) => score.cpuUsPerWindow)),
    ...(warmP99 !== undefined && { cpuUsPerWindowP99: warmP99 }),
    ...(coldP99 !== undefined && { cpuUsPerWindowP99Cold: coldP99 }),
    ...(memories.length > 0 && { memoryMiBMax: Math.max(...memories) / 2 ** 20 }),
  };
}

/** Counts turns of at least `reach` in a sequence. */
export function zigzags(values: readonly number[], reach: number): number {
  let turns = 0;
  let direction = 0;
  let extreme = values[0] ?? 0;
  for (const value of values) {
    if (direction === 0) {
      if (Math.abs(value - extreme) >= reach) {
        direction = Math.sign(value - extreme);
        extreme = value;
      }
    } else if ((value - extreme) * direction > 0) extreme = value;
    else if ((extreme - value) * direction >= reach) {
      turns++;
      direction = -direction;
      extreme = value;
    }
  }
  return turns;
}

/** Mean with a 95 % percentile-bootstrap interval over runs; the same numbers give the same interval. */
export function bootstrapMean(values: readonly number[]): Interval {
  const mean = meanOf(values);
  if (values.length < 2) return { mean, low: mean, high: mean };
  let state = 12_345;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
  const means = Array.from({ length: 2_000 }, () => {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[Math.floor(next() * values.length)];
    return sum / values.length;
  }).sort((a, b) => a - b);
  return { mean, low: means[49], high: means[1_949] };
}

function reached(windows: readonly (number | undefined)[]): { median?: number; reachedPercent: number } {
  const known = windows.filter((value) => value !== undefined).sort((a, b) => a - b);
  const reachedPercent = windows.length === 0 ? 0 : (100 * known.length) / windows.length;
  // A median over those who arrived alone would flatter: it is that of all, the others counting as later than any.
  const median = sortedMedian(known, windows.length);
  return { reachedPercent, ...(median !== undefined && { median }) };
}

function sortedMedian(sorted: readonly number[], total: number): number | undefined {
  return sorted[Math.floor((total - 1) / 2)];
}

function p99(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.ceil(0.99 * values.length) - 1];
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
