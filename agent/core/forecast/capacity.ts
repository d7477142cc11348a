import type { Forecaster, Interval } from './forecaster.ts';
import { type Breach, headRoomRatio, type Limit, timeToLimit } from './limits.ts';
import type { LoadPoint } from './scalability.ts';
import { loadAtSlo, type SloLoad } from './slo-load.ts';

/** One metric to be watched for running out. */
export interface CapacityQuestion {
  readonly metric: string;
  readonly unit: string;
  readonly forecaster: Pick<Forecaster, 'forecast'>;
  readonly stepMs: number;
  readonly now: number;
  readonly limit?: Limit;
}

export interface CapacityAnswer {
  readonly metric: string;
  readonly unit: string;
  readonly now: number;
  /** At the horizon; absent while the history is too short for a forecast. */
  readonly forecast?: Interval;
  /** The worst within the horizon, on the limit's side. */
  readonly worst?: Interval;
  readonly limit?: Limit;
  /** Free share of the limit now, and at the worst median within the horizon. */
  readonly headRoomRatio?: number;
  readonly headRoomRatioAtWorst?: number;
  readonly breach?: Breach;
}

/** How much load a service can take against what is coming. */
export interface LoadQuestion {
  readonly points: readonly LoadPoint[];
  readonly latencyLimitMs: number;
  /** Forecast of requests per second. */
  readonly arrivals: readonly Interval[];
}

export interface LoadAnswer extends SloLoad {
  /** Highest median of the arrivals forecast. */
  readonly expectedPeakPerSecond?: number;
  /** `1 − expected peak / load at which the objective breaks`; negative: more is coming than fits. */
  readonly headRoomRatio?: number;
}

export interface CapacityReport {
  readonly component: string;
  readonly atMs: number;
  readonly horizonMs: number;
  readonly metrics: readonly CapacityAnswer[];
  readonly load?: LoadAnswer;
}

/** Everything that is known of how long the present resources suffice, as plain data. */
export function capacityReport(
  component: string,
  atMs: number,
  horizonMs: number,
  questions: readonly CapacityQuestion[],
  load?: LoadQuestion,
): CapacityReport {
  const answer = load && answerLoad(load);
  return {
    component,
    atMs,
    horizonMs,
    metrics: questions.map((q) => answerMetric(q, horizonMs)),
    ...(answer !== undefined && { load: answer }),
  };
}

function answerMetric(question: CapacityQuestion, horizonMs: number): CapacityAnswer {
  const { metric, unit, now, limit, stepMs } = question;
  const path = question.forecaster.forecast(Math.max(1, Math.round(horizonMs / stepMs)));
  const forecast = path.at(-1);
  const below = limit?.side === 'below';
  const worst = path.length === 0 ? undefined : path.reduce((w, p) => (p.median < w.median === below ? p : w));
  const free = limit && headRoomRatio(now, limit);
  const freeAtWorst = limit && worst && headRoomRatio(worst.median, limit);
  return {
    metric,
    unit,
    now,
    ...(forecast !== undefined && { forecast }),
    ...(worst !== undefined && { worst }),
    ...(limit !== undefined && { limit, breach: timeToLimit(path, limit, stepMs) }),
    ...(free !== undefined && { headRoomRatio: free }),
    ...(freeAtWorst !== undefined && { headRoomRatioAtWorst: freeAtWorst }),
  };
}

function answerLoad({ points, latencyLimitMs, arrivals }: LoadQuestion): LoadAnswer | undefined {
  const found = loadAtSlo(points, latencyLimitMs);
  if (found === undefined) return undefined;
  if (arrivals.length === 0) return found;
  const peak = Math.max(...arrivals.map((p) => p.median));
  return { ...found, expectedPeakPerSecond: peak, headRoomRatio: 1 - peak / found.throughputPerSecond };
}
