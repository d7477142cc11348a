/**
 * How long a knob really takes to show: measured, where the process has declared too little.
 *
 * Intuition. After a change the response times move to their new level and stay there. The level is what the second half of the time at
 * the new setting shows; what differs from it by more than its own noise belongs to the transient.
 *
 *   level = median of the later half     noise = max(1.4826 · median |ln x − ln level|, 2 %)
 *   transient = end of the last point of the earlier half with |ln x − ln level| > 4 · noise
 *
 * A knob's settle time is the median over its last 20 transients, from five on, and it replaces the declared one only where it is
 * longer: a declared time that is too long costs patience, one that is too short lies. At most ten times the declared time (at least
 * ten seconds) and half of the longest window, so that no estimate can stop the measuring.
 *
 * Units: ms; logs of response times. Needs at least eight exports at one setting; what changes for another reason within that time is
 * taken for a transient, which the median over several changes outvotes. Fails where the earlier half ends before the transient does:
 * then it is called as long as that half, and the windows grow from there.
 * Sources: transient removal in simulation output (Welch 1983); carry-over in switchback designs (arXiv 2009.00148).
 *
 * Example: exports every second; 120, 100, 80, 61, 60, 60, … after a change: level 60, transient 3 s.
 */
export interface TransientPoint {
  /** End of the export's interval. */
  readonly atMs: number;
  /** Mean response time in it. */
  readonly latencyMs: number;
}

/** The last transients of each knob, in ms. */
export type Transients = Readonly<Record<string, readonly number[]>>;

const MIN_POINTS = 8;
/** Beyond, the change is long over. */
const MAX_POINTS = 256;
const KEPT = 20;
const MIN_TRANSIENTS = 5;
const NOISE_FLOOR = 0.02;
const DEVIATIONS = 4;
const MOST_TIMES = 10;
const MOST_MS = 10_000;
const MAX_KNOBS = 256;

/** What the process shows since its setting was changed last. */
export class TransientRecorder {
  #knobs: readonly string[] = [];
  #fromMs: number | undefined;
  #points: TransientPoint[] = [];

  /** Values are on their way: what was recorded of the change before is judged. */
  changed(knobs: readonly string[]): { readonly knobs: readonly string[]; readonly lengthMs: number } | undefined {
    const lengthMs = this.#fromMs === undefined ? undefined : transientMs(this.#points, this.#fromMs);
    const before = lengthMs === undefined ? undefined : { knobs: this.#knobs, lengthMs };
    this.drop();
    this.#knobs = knobs;
    return before;
  }

  /** They are in force. */
  applied(sinceMs: number): void {
    this.#fromMs ??= sinceMs;
  }

  observe(point: TransientPoint): void {
    if (this.#fromMs !== undefined && this.#points.length < MAX_POINTS) this.#points.push(point);
  }

  /** Something else has changed: nothing can be said of this one. */
  drop(): void {
    this.#knobs = [];
    this.#fromMs = undefined;
    this.#points = [];
  }
}

/** How long the points after a change at `fromMs` took to settle; undefined where there are too few. */
export function transientMs(points: readonly TransientPoint[], fromMs: number): number | undefined {
  const seen = points.filter(({ atMs, latencyMs }) => atMs > fromMs && latencyMs > 0 && Number.isFinite(latencyMs));
  if (seen.length < MIN_POINTS) return undefined;
  const half = seen.length >> 1;
  const later = seen.slice(half).map(({ latencyMs }) => Math.log(latencyMs));
  const level = median(later);
  const noise = Math.max(1.4826 * median(later.map((value) => Math.abs(value - level))), NOISE_FLOOR);
  const last = seen
    .slice(0, half)
    .findLast(({ latencyMs }) => Math.abs(Math.log(latencyMs) - level) > DEVIATIONS * noise);
  return last === undefined ? 0 : last.atMs - fromMs;
}

export function withTransient(transients: Transients, knobs: readonly string[], lengthMs: number): Transients {
  const next: Record<string, readonly number[]> = { ...transients };
  for (const knob of knobs) {
    if (next[knob] === undefined && Object.keys(next).length >= MAX_KNOBS) continue;
    next[knob] = [...(next[knob] ?? []), lengthMs].slice(-KEPT);
  }
  return next;
}

/** The settle time to wait for: the declared one, or what was measured where that is longer. */
export function settleMsOf(
  transients: readonly number[] | undefined,
  declaredMs: number,
  longestWindowMs: number,
): number {
  if (transients === undefined || transients.length < MIN_TRANSIENTS) return declaredMs;
  const most = Math.min(Math.max(MOST_TIMES * declaredMs, MOST_MS), longestWindowMs / 2);
  return Math.max(declaredMs, Math.min(median(transients), most));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? high) + high) / 2;
}
