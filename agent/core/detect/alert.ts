/**
 * Intuition: a surprise only ranks; an operator has a budget. The stage turns "at most b false alerts a day" into a bar
 * without ever seeing a label. It starts from what the budget means if surprises were honest probabilities, then moves
 * the bar by what it counts.
 *
 * Formula (decades):  bar = max(2, log₁₀(n / b) + 1.1 + t) + .4·load + cold
 *   n     points a day, from the usual time between points; 1.1 ≈ log₁₀ 12: as many channels may err (Bonferroni)
 *   t     slow: falls by .15·b a day and rises by .15·10^(−.2·excess) with each alert, within ±2. It rests where alerts
 *         come at rate b; an alert far above the bar is hardly a false one and hardly counts.
 *   load  fast: +1 with each alert, fading over 1500 points. A second alert must be 2.5 times rarer than the first.
 *   cold  6·log₁₀(1 / (b·d)) while d, the days watched, is below 1/b: who has watched for one day has no ground to call
 *         anything a once-in-five-days event, unless it lies far beyond all that was seen: 18 decades always do (twice
 *         as much as ever of a metric that varies by 1 %, four times of one that varies by 5 %), and so do 26 of two points in
 *         a row, as what is measured while a change happens is half of it, and surprises less.
 * No alert in the first 100 points. After an alert there is none until 20 points have passed with the surprise half a
 * decade below the bar it crossed, unless it climbs three decades above the peak: that is another event. A decade and two
 * cost .6, 1.9 and .4 NAB points and .02 of range F1 on SMD; .3 to .7 and 2.5 to 4 are equally good.
 *
 * Fails: true alerts use the budget too (that is what "no labels" costs), so a metric that is often sick is heard less;
 * in the first 1/b days only gross anomalies are reported.
 *
 * Source: adaptive conformal inference (I. Gibbs and E. Candès, NeurIPS 2021) for t; DETECTION.md for the load.
 *
 * Example: b = .2 a day, one point a minute: log₁₀(1440/.2) + 1.1 = 4.96. After an alert the next needs 5.36, and 5.02
 * two days later. On independent noise (normal, exponential, uniform) 60 days cost .23, .24 and .12 alerts a day.
 */
export type AlertPolicy =
  /** False alerts that the operator tolerates on this series, a day: the stage finds the bar. */
  | { readonly kind: 'budget'; readonly alertsPerDay: number }
  /** A bar set by hand (decades); only the load is added. */
  | { readonly kind: 'bar'; readonly decades: number };

export const DEFAULT_ALERT_POLICY: AlertPolicy = { kind: 'budget', alertsPerDay: 0.2 };

/** Points before the first alert is possible. */
export const WARM_UP_POINTS = 100;
/** Points below the bar that end an alert. */
export const REFRACTORY_POINTS = 20;
/** An alert goes on while the surprise is at most this many decades below the bar it crossed. */
export const HYSTERESIS_DECADES = 0.5;
/** A new alert within another must climb this many decades above its peak. */
export const ESCALATION_DECADES = 3;

const DAY_MS = 86_400_000;
const MARGIN = 1.1;
const LEAST_BAR = 2;
const LOAD_STEP = 0.4;
const LOAD_KEEP = Math.exp(-1 / 1500);
const TRIM_STEP = 0.15;
const TRIM_LIMIT = 2;
const EXCESS_DISCOUNT = 0.2;
const COLD_GAIN = 6;
/** However short the time that was watched: this is told. */
const GROSS_DECADES = 18;
const GROSS_PAIR_DECADES = 26;
/** A pause this many times the usual interval is a gap, and says nothing of the usual interval. */
const GAP_INTERVALS = 4;
const INTERVAL_ALPHA = 0.05;

export interface Verdict {
  /** `opened`: alert now. `open`: an earlier alert goes on. */
  readonly state: 'quiet' | 'opened' | 'open';
  /** What the surprise had to reach, decades. */
  readonly bar: number;
}

/** What `AlertStage.save` returns. */
export interface AlertState {
  readonly points: number;
  readonly quietPoints: number;
  readonly startedMs: number;
  readonly lastMs: number;
  readonly intervalMs: number;
  readonly load: number;
  readonly trim: number;
  readonly crossedBar: number;
  readonly peak: number;
  /** The last point's surprise; absent in what an older agent has saved. */
  readonly last?: number;
}

export class AlertStage {
  readonly #policy: AlertPolicy;
  #points = 0;
  #quietPoints = WARM_UP_POINTS;
  #startedMs = 0;
  #lastMs = 0;
  #intervalMs = 0;
  #load = 0;
  #trim = 0;
  /** The bar that the open alert crossed; 0 when none is open. */
  #crossedBar = 0;
  #peak = 0;
  #last = 0;

  /** The numbers of `AlertState`, of which two count points. */
  static readonly stateBytes = 8 * Float64Array.BYTES_PER_ELEMENT + 2 * Uint32Array.BYTES_PER_ELEMENT;

  constructor(policy: AlertPolicy) {
    if (policy.kind === 'budget' && !(policy.alertsPerDay > 0)) {
      throw new RangeError(`alertsPerDay is ${policy.alertsPerDay}; allowed: any number above 0 (0.2 by default)`);
    }
    this.#policy = policy;
  }

  /** Usual time between points; 0 until two were seen. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** True until the series was watched long enough for its budget to mean something. */
  get warmingUp(): boolean {
    return this.#points < WARM_UP_POINTS || this.#cold() > 0;
  }

  /**
   * Takes the next point's surprise, in time order. `mayOpen`: false where an alert is out of place (the effect is too
   * small, the process has just restarted); the point still counts.
   */
  judge(surprise: number, atMs: number, mayOpen: boolean): Verdict {
    this.#advance(atMs);
    const bar = this.#bar();
    this.#last = surprise;
    const wasOpen = this.#crossedBar > 0;
    if (this.#quietPoints > 0) {
      this.#quietPoints--;
      if (wasOpen && surprise >= this.#crossedBar - HYSTERESIS_DECADES) this.#quietPoints = REFRACTORY_POINTS;
      const escalates = wasOpen && surprise >= this.#peak + ESCALATION_DECADES;
      if (!escalates) return { state: wasOpen ? 'open' : 'quiet', bar };
    } else this.#crossedBar = 0;
    if (!mayOpen || surprise < bar) return { state: this.#crossedBar > 0 ? 'open' : 'quiet', bar };
    this.#load += 1;
    this.#trim = Math.min(TRIM_LIMIT, this.#trim + TRIM_STEP * 10 ** (-EXCESS_DISCOUNT * (surprise - bar)));
    this.#quietPoints = REFRACTORY_POINTS - 1;
    this.#crossedBar = bar;
    this.#peak = surprise;
    return { state: 'opened', bar };
  }

  save(): AlertState {
    return {
      points: this.#points,
      quietPoints: this.#quietPoints,
      startedMs: this.#startedMs,
      lastMs: this.#lastMs,
      intervalMs: this.#intervalMs,
      load: this.#load,
      trim: this.#trim,
      crossedBar: this.#crossedBar,
      peak: this.#peak,
      last: this.#last,
    };
  }

  restore(saved: AlertState): void {
    this.#points = saved.points;
    this.#quietPoints = saved.quietPoints;
    this.#startedMs = saved.startedMs;
    this.#lastMs = saved.lastMs;
    this.#intervalMs = saved.intervalMs;
    this.#load = saved.load;
    this.#trim = saved.trim;
    this.#crossedBar = saved.crossedBar;
    this.#peak = saved.peak;
    this.#last = saved.last ?? 0;
  }

  #advance(atMs: number): void {
    if (this.#points === 0) this.#startedMs = atMs;
    else this.#learnInterval(atMs - this.#lastMs);
    this.#lastMs = atMs;
    this.#points++;
    this.#load *= LOAD_KEEP;
    if (this.#policy.kind === 'budget' && this.#points > WARM_UP_POINTS) {
      const dayShare = this.#intervalMs / DAY_MS;
      this.#trim = Math.max(-TRIM_LIMIT, this.#trim - TRIM_STEP * this.#policy.alertsPerDay * dayShare);
    }
  }

  #learnInterval(elapsedMs: number): void {
    if (elapsedMs <= 0) return;
    if (this.#intervalMs === 0 || elapsedMs <= GAP_INTERVALS * this.#intervalMs) {
      this.#intervalMs += Math.max(1 / this.#points, INTERVAL_ALPHA) * (elapsedMs - this.#intervalMs);
    } else {
      // Some metrics are sparser than their first points showed: let the interval grow towards the pauses.
      this.#intervalMs *= 1 + INTERVAL_ALPHA;
    }
  }

  #bar(): number {
    const load = LOAD_STEP * this.#load;
    if (this.#policy.kind === 'bar') return this.#policy.decades + load;
    const pointsPerDay = this.#intervalMs > 0 ? DAY_MS / this.#intervalMs : 0;
    const honest = Math.log10(Math.max(1, pointsPerDay / this.#policy.alertsPerDay)) + MARGIN;
    const warm = Math.max(LEAST_BAR, honest + this.#trim) + load;
    return Math.max(warm, Math.min(GROSS_DECADES, GROSS_PAIR_DECADES - this.#last, warm + this.#cold()));
  }

  #cold(): number {
    if (this.#policy.kind === 'bar') return 0;
    const budgetSpans = (this.#policy.alertsPerDay * Math.max(this.#lastMs - this.#startedMs, 1)) / DAY_MS;
    return budgetSpans >= 1 ? 0 : -COLD_GAIN * Math.log10(budgetSpans);
  }
}
