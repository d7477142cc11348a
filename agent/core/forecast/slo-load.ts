import {
  concurrencyAtLatency,
  fitScalability,
  type LoadPoint,
  peakConcurrency,
  type ScalabilityLaw,
  throughputAt,
} from './scalability.ts';

/** The load at which a latency objective breaks, in requests per second, and how far that may be trusted. */
export interface SloLoad {
  readonly law: ScalabilityLaw;
  /** Highest throughput at which the mean latency keeps the objective. */
  readonly throughputPerSecond: number;
  /** 95 % interval by a jackknife over ten blocks of time. */
  readonly low: number;
  readonly high: number;
  /** The concurrency there, and the one at which throughput peaks (absent: it never falls). */
  readonly concurrency: number;
  readonly peakConcurrency?: number;
  /** Highest concurrency seen. An answer at over twice that is an extrapolation; see `extrapolated`. */
  readonly observedConcurrency: number;
  /** The load lies at over twice the highest concurrency seen: read it as "at least twice today's". */
  readonly extrapolated: boolean;
  /** Median of `N / (X·R)`: 1 where the three measurements agree (Little's law). Absent without latencies. */
  readonly littleRatio?: number;
  readonly samples: number;
}

const BLOCKS = 10;

/**
 * From the fitted law: the concurrency whose mean latency is the objective, or the peak if that comes first (beyond it
 * more load only waits), and the throughput there. Points are in order of time. Silent (undefined) where the law cannot
 * be fitted, or where even an idle service breaks the objective.
 */
export function loadAtSlo(points: readonly LoadPoint[], latencyLimitMs: number): SloLoad | undefined {
  const law = fitScalability(points);
  if (law === undefined) return undefined;
  const found = breaking(law, latencyLimitMs);
  if (found === undefined) return undefined;
  const observed = Math.max(...points.map((p) => p.concurrency).filter(Number.isFinite));
  const peak = peakConcurrency(law);
  const extrapolated = found.concurrency > 2 * observed;
  // Beyond twice the data the law's own curvature is a guess: answer with the edge of what the data can say.
  const concurrency = extrapolated ? 2 * observed : found.concurrency;
  const throughput = throughputAt(law, concurrency);
  const error = 1.96 * jackknifeError(points, latencyLimitMs, extrapolated ? concurrency : undefined);
  const little = littleRatio(points);
  return {
    law,
    throughputPerSecond: throughput,
    low: Math.max(0, throughput - error),
    high: throughput + error,
    concurrency,
    ...(Number.isFinite(peak) && { peakConcurrency: peak }),
    observedConcurrency: observed,
    extrapolated,
    ...(little !== undefined && { littleRatio: little }),
    samples: points.length,
  };
}

function breaking(law: ScalabilityLaw, limitMs: number): { concurrency: number } | undefined {
  const atLimit = concurrencyAtLatency(law, limitMs);
  return atLimit === undefined ? undefined : { concurrency: Math.min(atLimit, peakConcurrency(law)) };
}

/** Standard error of the throughput: refit without each tenth of the time in turn (neighbours are not independent). */
function jackknifeError(points: readonly LoadPoint[], limitMs: number, fixedConcurrency?: number): number {
  const estimates: number[] = [];
  for (let b = 0; b < BLOCKS; b++) {
    const rest = points.filter((_, i) => Math.floor((i * BLOCKS) / points.length) !== b);
    const law = fitScalability(rest);
    const concurrency = law && (fixedConcurrency ?? breaking(law, limitMs)?.concurrency);
    if (law === undefined || concurrency === undefined || !Number.isFinite(concurrency)) continue;
    estimates.push(throughputAt(law, concurrency));
  }
  const mean = estimates.reduce((a, v) => a + v, 0) / estimates.length;
  const squares = estimates.reduce((a, v) => a + (v - mean) ** 2, 0);
  return estimates.length < 2
    ? Number.POSITIVE_INFINITY
    : Math.sqrt(((estimates.length - 1) / estimates.length) * squares);
}

function littleRatio(points: readonly LoadPoint[]): number | undefined {
  const ratios = points
    .map((p) => p.concurrency / (p.throughputPerSecond * (p.latencyMs / 1000)))
    .filter((r) => Number.isFinite(r) && r > 0)
    .sort((a, b) => a - b);
  return ratios[ratios.length >> 1];
}
