import { mean } from './proof.ts';
import { wilson } from './wilson.ts';
import type { Measurement } from './window.ts';

/**
 * When to stop an experiment without waiting for statistics. Each returns the reason in words, or undefined.
 *
 * These rules may be wrong about the cause (a spike of the load looks the same): a needless rollback costs one trial, a missed one
 * costs the users.
 *
 * Error ratios are judged by the lower end of Wilson's interval, far worse windows by two in a row beyond a limit or one far beyond it, as
 * run rules of control charts do. Sources: Wilson 1927; Western Electric, Statistical Quality Control Handbook, 1956. Example: 3 errors are never
 * a reason to stop, 30 in 200 requests at a limit of 5 % are.
 */

/** Two windows in a row more than 28 % worse than the incumbent (ln 1.28 in log units). */
const FAR_WORSE = Math.log(1.28);
/** Where single windows of the incumbent vary by more than that, as many of their standard deviations: 1 in 1,000 by chance. */
const FAR_WORSE_DEVIATIONS = 3;
/** Times that, in log units: no window shows it by chance, and few spikes are as high. There is no need to wait for a second one. */
const FAR_BEYOND = 2;
/** What is held is given up for nothing less, in log units, nor on a single window, nor for what may be chance. */
const RELIEF = Math.log(1.1);
const LEAST_RELIEFS = 2;
const RELIEF_DEVIATIONS = 3;
/** Of the incumbent, before one window alone is judged by their noise. */
const KNOWN_WINDOWS = 8;
/** One-sided 99 % in standard deviations: a ratio counts as above the limit when chance alone would rarely put it there. */
const CERTAIN = 2.326;
/** So few errors are chance, whatever ratio they make. */
const MIN_ERRORS = 5;

export function errorTrigger(
  counts: { readonly requests: number; readonly errors: number },
  limitRatio: number,
  incumbentRatio: number,
): string | undefined {
  if (counts.errors < MIN_ERRORS || counts.requests === 0) return undefined;
  const ratio = counts.errors / counts.requests;
  // Repair mode: where the incumbent itself is over the limit, "as bad as now, and half as much again" is the limit.
  const allowed = Math.max(limitRatio, incumbentRatio * 1.5);
  if (wilson(counts.errors, counts.requests, CERTAIN)[0] <= allowed) return undefined;
  return `error ratio ${percent(ratio)} over ${counts.requests} requests is above ${percent(allowed)}`;
}

/** Why a setting is left at once. */
export interface Trouble {
  readonly why: string;
  /** Log units that it was worse than the incumbent, where that alone is why: no limit was crossed. */
  readonly worseBy?: number;
}

/** Counts windows beyond what is bearable: the second in a row counts, since one may be a spike, or one that no spike reaches. */
export class BadWindows {
  #farWorse = 0;
  #aboveLimit = 0;

  observe(
    y: number,
    incumbent: { readonly y: number; readonly noise: number; readonly windows: number },
    measurement: Measurement,
    limitMsP95: number | undefined,
    incumbentMsP95: number | undefined,
  ): Trouble | undefined {
    const excess = y - incumbent.y;
    const most = Math.max(FAR_WORSE, FAR_WORSE_DEVIATIONS * incumbent.noise);
    this.#farWorse = excess > most ? this.#farWorse + 1 : 0;
    const { latencyMsP95 = 0 } = measurement;
    // Repair mode: an incumbent that violates the limit itself is judged by what it does now, with the same 28 % of room.
    const allowed = Math.max(limitMsP95 ?? Number.POSITIVE_INFINITY, (incumbentMsP95 ?? 0) * 1.28);
    const isAbove = latencyMsP95 > allowed;
    this.#aboveLimit = isAbove ? this.#aboveLimit + 1 : 0;
    const merely = isAbove ? {} : { worseBy: excess };
    const [limit, last] = [percent(Math.expm1(most)), percent(Math.expm1(excess))];
    if (this.#farWorse >= 2) {
      return { why: `two windows in a row more than ${limit} worse than before (the last ${last})`, ...merely };
    }
    // How far chance reaches is not known from a few windows: the load may have begun to rise with them.
    if (excess > FAR_BEYOND * most && incumbent.windows >= KNOWN_WINDOWS) {
      return { why: `a window ${last} worse than before, far beyond what chance does`, ...merely };
    }
    if (this.#aboveLimit < 2) return undefined;
    return { why: `p95 of ${latencyMsP95.toFixed(1)} ms is above ${allowed.toFixed(1)} ms for two windows` };
  }
}

/**
 * When to leave what is held for the baselines without waiting for a proof, or to stay with it: `reliefs`, by how much each window at the
 * baselines was better, are on average clearly more than nothing and by enough to matter, or clearly less.
 */
export function reliefTrigger(
  reliefs: readonly number[],
  incumbent: { readonly noise: number; readonly standardError: number },
): { readonly isBetter: boolean; readonly why: string } | undefined {
  const count = reliefs.length;
  const relief = mean(reliefs);
  const bound = RELIEF_DEVIATIONS * Math.hypot(incumbent.noise / Math.sqrt(count), incumbent.standardError);
  const isBetter = count >= LEAST_RELIEFS && relief > Math.max(RELIEF, bound);
  if (!isBetter && relief >= -bound) return undefined;
  const windows = count === 1 ? 'a window at the baselines was' : `${count} windows at the baselines were`;
  const by = isBetter ? `${percent(-Math.expm1(-relief))} better` : `${percent(Math.expm1(-relief))} worse`;
  return { isBetter, why: `${windows} ${by} than what was held` };
}

export function percent(ratio: number): string {
  const value = ratio * 100;
  return `${Math.abs(value) >= 10 ? value.toFixed(0) : value.toFixed(1)} %`;
}
