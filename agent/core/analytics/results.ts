import type { Decision, Effectiveness } from '../model.ts';
import { fTail } from '../pattern/statistics.ts';

/** One finished trial that measured an effect. */
export interface MeasuredResult {
  readonly component: string;
  readonly strategy: string;
  readonly trialId: string;
  readonly atMs: number;
  readonly kept: boolean;
  readonly knobs: readonly string[];
  readonly effect: Effectiveness;
}

/** Results kept in memory: a year of ten a day. */
const MOST_RESULTS = 4_096;

/**
 * What finished trials have measured, newest last: all that the figures below rest on. Fed with decisions as they are made,
 * and at the start with those of the journal; a decision that says nothing of an effect is passed over, and one that is
 * seen twice counts once.
 */
export class MeasuredResults {
  readonly #byTrial = new Map<string, MeasuredResult>();
  #dropped = 0;

  learn(decision: Decision): void {
    const result = resultOf(decision);
    if (result === undefined) return;
    const key = `${result.component} ${result.trialId}`;
    this.#byTrial.delete(key);
    this.#byTrial.set(key, result);
    if (this.#byTrial.size <= MOST_RESULTS) return;
    const oldest = this.#byTrial.keys().next();
    if (oldest.done !== true) this.#byTrial.delete(oldest.value);
    this.#dropped += 1;
  }

  all(): readonly MeasuredResult[] {
    return [...this.#byTrial.values()];
  }

  /** Results that had to make room for newer ones. */
  get dropped(): number {
    return this.#dropped;
  }
}

function resultOf({
  kind,
  component,
  strategy,
  trialId,
  atMs,
  changes,
  evidence,
}: Decision): MeasuredResult | undefined {
  if (kind !== 'promoted' && kind !== 'futile' && kind !== 'rolled_back') return undefined;
  const effect = evidence?.effect;
  if (effect === undefined || strategy === undefined || trialId === undefined) return undefined;
  if (!Number.isFinite(effect.estimate) || effect.estimate <= -1) return undefined;
  const knobs = changes.map(({ knob }) => knob);
  return { component, strategy, trialId, atMs, kept: kind === 'promoted', knobs, effect };
}

/**
 * How much better the objective is than at the defaults, by what was proven and is still in force.
 *
 *     score = 1 − exp( mean_i Σ_j ln(1 + e_ij) )      [0, 1)
 *
 * `e_ij < 0` is the measured relative effect of the kept change `j` of component `i` on its objective (−0.3: 30 % lower),
 * `mean` is over the components that are given. Effects of changes made one after the other multiply, so their logarithms
 * add. 0 where no proven change is in force. Grows with every change kept and with each one's effect; never negative,
 * because nothing is kept that is not proven better.
 *
 * Fails where a change outlives what it was proven under (another load): it is then still counted until a trial, a human or
 * a restart takes it back.
 *
 * Example: one component, two kept changes of −20 % and −10 %: 1 − 0.8 · 0.9 = 0.28.
 *
 * @figure Optimization score [0, 1)
 */
export function optimizationScore(
  results: readonly MeasuredResult[],
  inForce: ReadonlyMap<string, ReadonlySet<string>>,
): number {
  if (inForce.size === 0) return 0;
  let logs = 0;
  for (const { component, trialId, kept, effect } of results) {
    if (kept && inForce.get(component)?.has(trialId) === true) logs += Math.min(0, Math.log1p(effect.estimate));
  }
  return 0 - Math.expm1(logs / inForce.size);
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/**
 * How often a change is kept.
 *
 *     rate = changes kept in the last 24 h / hours observed      [1/h]
 *
 * Hours observed are those since the agent first saw the system, at least 1 and at most 24: in the first minutes there is
 * no rate worth the name. 0 where nothing was kept. Only changes that a trial proved count; what a human did does not.
 *
 * Example: three changes kept in the first six hours: 0.5 per hour.
 *
 * @figure Adaptation rate [1/h]
 */
export function adaptationRatePerHour(
  results: readonly MeasuredResult[],
  nowMs: number,
  observedSinceMs: number,
): number {
  const kept = results.filter((result) => result.kept && result.atMs > nowMs - DAY_MS && result.atMs <= nowMs).length;
  const observedMs = Math.min(DAY_MS, Math.max(HOUR_MS, nowMs - observedSinceMs));
  return kept / (observedMs / HOUR_MS);
}

/** A relative gain of the objective, positive is better: 0.3 is 30 % lower. */
export interface ExpectedImprovement {
  readonly estimate: number;
  /** 95 % interval of the mean, or the one result's own. `low ≤ estimate ≤ high < 1`. */
  readonly low: number;
  readonly high: number;
  /** Finished trials that it rests on, and how many of them were kept. */
  readonly samples: number;
  readonly kept: number;
  /** What they have in common with the change: its knobs, its component, or its strategy alone. */
  readonly basis: 'knobs' | 'component' | 'strategy';
}

export interface Question {
  readonly component: string;
  readonly strategy: string;
  readonly knobs: readonly string[];
}

/** Enough results of the narrower kind not to ask the wider one. */
const ENOUGH = 3;
const CONFIDENCE = 0.95;

/**
 * What a change may be expected to gain, from finished trials of comparable ones, kept or not.
 *
 *     d_i = ln(1 + e_i)        D = mean d_i        h = t(0.975, n − 1) · s / √n
 *     estimate = 1 − exp(D)    low = 1 − exp(D + h)    high = 1 − exp(D − h)      [relative, below 1]
 *
 * `e_i` is the relative effect on the objective that trial `i` measured, `s` the standard deviation of the `d_i`. Trials that
 * were not kept count too: to look only at those that were would promise what the next one will not hold. With a single
 * result the interval is its own. Comparable are trials of the same strategy on the same component that moved one of the
 * same knobs; where there are fewer than three, those of the same component; where there are fewer than three of these, all
 * of the strategy. Absent where there is none, or where the only one has no bounded interval.
 *
 * Fails where results are not exchangeable (a change that was kept leaves less to gain for the next).
 *
 * Example: effects of −10 %, −20 % and 0: D = −0.110, estimate 0.104, interval −0.183 to 0.321.
 *
 * @figure Expected improvement [relative]
 */
export function expectedImprovement(
  results: readonly MeasuredResult[],
  question: Question,
): ExpectedImprovement | undefined {
  const { basis, comparable } = comparableTo(results, question);
  const samples = comparable.length;
  const kept = comparable.filter((result) => result.kept).length;
  const [only] = comparable;
  if (only === undefined) return undefined;
  if (samples === 1) {
    const { estimate, low, high } = only.effect;
    if (!Number.isFinite(low) || !Number.isFinite(high)) return undefined;
    return { estimate: -estimate, low: -high, high: -low, samples, kept, basis };
  }
  const logs = comparable.map(({ effect }) => Math.log1p(effect.estimate));
  const mean = logs.reduce((sum, log) => sum + log, 0) / samples;
  const variance = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / (samples - 1);
  const half = studentQuantile(CONFIDENCE, samples - 1) * Math.sqrt(variance / samples);
  return {
    estimate: -Math.expm1(mean),
    low: -Math.expm1(mean + half),
    high: -Math.expm1(mean - half),
    ...{ samples, kept, basis },
  };
}

/**
 * How likely the next comparable trial is to end with the change kept: Laplace's rule of succession.
 *
 *     confidence = (kept + 1) / (trials + 2)      (0, 1)
 *
 * over the trials that the expected improvement rests on. Never 0 or 1, because no number of trials makes certain. Rises
 * with each one that was kept and falls with each that was not. Absent where there was none.
 *
 * Example: three of four were kept: 4/6 = 0.67.
 *
 * @figure Confidence of a recommendation (0, 1)
 */
export function confidenceOf(evidence: Pick<ExpectedImprovement, 'samples' | 'kept'>): number {
  return (evidence.kept + 1) / (evidence.samples + 2);
}

function comparableTo(
  results: readonly MeasuredResult[],
  { component, strategy, knobs }: Question,
): { readonly basis: ExpectedImprovement['basis']; readonly comparable: readonly MeasuredResult[] } {
  const same = results.filter((result) => result.strategy === strategy);
  const here = same.filter((result) => result.component === component);
  const close = here.filter((result) => result.knobs.some((knob) => knobs.includes(knob)));
  if (close.length >= ENOUGH) return { basis: 'knobs', comparable: close };
  if (here.length >= ENOUGH) return { basis: 'component', comparable: here };
  if (same.length > here.length) return { basis: 'strategy', comparable: same };
  return here.length > close.length ? { basis: 'component', comparable: here } : { basis: 'knobs', comparable: close };
}

/** `t` with `P(|T| < t) = confidence`, by bisection of the tail. */
function studentQuantile(confidence: number, degrees: number): number {
  let low = 0;
  let high = 1;
  while (fTail(high * high, 1, degrees) > 1 - confidence) high *= 2;
  for (let round = 0; round < 60; round++) {
    const middle = (low + high) / 2;
    if (fTail(middle * middle, 1, degrees) > 1 - confidence) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
