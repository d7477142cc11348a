import type { Standing } from './standing.ts';
import { wilson } from './wilson.ts';

/**
 * How often the proof errs, measured on the live process: now and then a "candidate" that is the incumbent itself is put through the
 * same windows, draws and stakes as any other. Whatever is then found better is a false accept.
 *
 * It costs no harm, because nothing is changed, and little time: it runs only while no strategy has anything to try, at most one
 * in `AUDIT_EVERY_WINDOWS` windows. A run that something else cuts short does not count, whatever it looked like.
 *
 *   rate = accepts / runs, with Wilson's 95 % interval [low, high]      level factor = min(1, q / low)
 *
 * The runs are held to `q` (`tuning.proof.alpha`) itself. As long as the interval covers it, nothing changes. Where even its lower end
 * is above, something here breaks the proof's assumption (a load that follows the windows, say), and every level from then on is
 * smaller by the factor: intervals widen and proofs take more blocks, until the rate is back within what was promised.
 *
 * Fails to see what only a change can cause: an effect that outlasts its settle time is none of the incumbent's.
 * Sources: A/A tests (Kohavi, Tang and Xu, "Trustworthy online controlled experiments", 2020); Wilson 1927.
 *
 * Example: 4 accepts in 20 runs at q = .05: low = .081, so levels are multiplied by .62; 1 in 20: low = .009, nothing changes.
 */
export interface AuditState {
  /** Runs that came to an end, and those of them that found a change that was none. */
  readonly runs: number;
  readonly accepts: number;
  /** When the last run began. */
  readonly lastMs?: number;
}

export interface AuditView {
  readonly runs: number;
  readonly accepts: number;
  /** Of the false-accept rate, in [0, 1]; the interval is [0, 1] before the first run. */
  readonly low: number;
  readonly high: number;
  /** What every level is multiplied by. */
  readonly levelFactor: number;
}

export const NO_AUDIT: AuditState = { runs: 0, accepts: 0 };
/** Once an hour at windows of ten seconds. */
const AUDIT_EVERY_WINDOWS = 360;
/** Nothing else may be due for so many windows: most runs are over by then. */
const AUDIT_WINDOWS = 15;
/** Old runs fade: beyond so many, both counts are halved, so that what changed shows. */
const MAX_RUNS = 400;
const DEVIATIONS = 1.96;

/** Whether one may begin, while nothing else is due. */
export function isAuditDue(
  { strategies, audit }: Pick<Standing, 'strategies' | 'audit'>,
  nowMs: number,
  windowMs: number,
): boolean {
  const isSoon = nowMs - (audit.lastMs ?? Number.NEGATIVE_INFINITY) < AUDIT_EVERY_WINDOWS * windowMs;
  const records = Object.values(strategies);
  const isNeeded = records.some(({ retryAtMs }) => retryAtMs > nowMs && retryAtMs - nowMs < AUDIT_WINDOWS * windowMs);
  // Where nothing was ever tried there is nothing to audit.
  return !isSoon && !isNeeded && records.length > 0;
}

export function withRun(audit: AuditState, accepted: boolean): AuditState {
  const runs = audit.runs + 1;
  const accepts = audit.accepts + (accepted ? 1 : 0);
  return runs <= MAX_RUNS ? { ...audit, runs, accepts } : { ...audit, runs: runs / 2, accepts: accepts / 2 };
}

export function auditView({ runs, accepts }: AuditState, q: number): AuditView {
  const [low, high] = wilson(accepts, runs, DEVIATIONS);
  return { runs, accepts, low, high, levelFactor: low > q ? q / low : 1 };
}
