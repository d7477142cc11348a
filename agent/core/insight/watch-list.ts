import type { MinimumEffect } from '../detect/effect.ts';
import type { WatchedSignal } from '../profile/watched_signal.ts';

/** How one signal is watched. */
export interface WatchPlan {
  /** Smaller changes are nobody's business, however rare. Absolute part in the signal's unit. */
  readonly minimumEffect: MinimumEffect;
  /** It speaks as long as its sender lives, so that silence is a finding. A latency is silent without requests. */
  readonly alwaysThere: boolean;
  /** Memory that a process may fail to give back. */
  readonly mayLeak?: true;
  /** Nothing that a setting is measured by depends on it: however odd it is, tuning goes on. */
  readonly leavesTuningAlone?: true;
  /** Kept by the hour for five weeks, and forecast. */
  readonly isForecast?: true;
}

const latency: WatchPlan = { minimumEffect: { absolute: 1, relative: 0.1 }, alwaysThere: false };
const perSecond: WatchPlan = { minimumEffect: { absolute: 0.5, relative: 0.1 }, alwaysThere: true, isForecast: true };
const tokens: WatchPlan = { minimumEffect: { absolute: 1, relative: 0.1 }, alwaysThere: false, isForecast: true };
const count: WatchPlan = { minimumEffect: { absolute: 1, relative: 0.1 }, alwaysThere: true };
const percent: WatchPlan = { minimumEffect: { absolute: 5, relative: 0.05 }, alwaysThere: true, isForecast: true };
const stall: WatchPlan = { minimumEffect: { absolute: 0.05, relative: 0.1 }, alwaysThere: true };
const memory: WatchPlan = {
  ...{ minimumEffect: { absolute: 16, relative: 0.02 }, alwaysThere: true },
  ...{ mayLeak: true, isForecast: true },
};

const room: WatchPlan = {
  ...{ minimumEffect: { absolute: 0.02, relative: 0.02 }, alwaysThere: true },
  ...{ isForecast: true, leavesTuningAlone: true },
};

export const WATCH_LIST: Readonly<Record<WatchedSignal, WatchPlan>> = {
  responseTimeMs: { ...latency, isForecast: true },
  responseTimeMsP95: { ...latency, isForecast: true },
  timeToFirstTokenMs: latency,
  timePerOutputTokenMs: latency,
  queueTimeMs: latency,
  throughputPerSecond: perSecond,
  errorRatio: { minimumEffect: { absolute: 0.005, relative: 0.05 }, alwaysThere: false },
  queueDepth: count,
  inFlight: { ...count, isForecast: true },
  cacheUsageRatio: { minimumEffect: { absolute: 0.05, relative: 0.05 }, alwaysThere: true, isForecast: true },
  cpuPressureRatio: stall,
  memoryPressureRatio: stall,
  ioPressureRatio: stall,
  cpuThrottledRatio: stall,
  diskUsedRatio: room,
  inodesUsedRatio: room,
  diskBusyRatio: { minimumEffect: { absolute: 0.2, relative: 0.1 }, alwaysThere: true, isForecast: true },
  // Silent while nothing is read or written.
  diskWaitMs: { minimumEffect: { absolute: 10, relative: 0.5 }, alwaysThere: false },
  inputTokensPerSecond: tokens,
  outputTokensPerSecond: tokens,
  cpuPercent: percent,
  memoryMiB: memory,
  gpuPercent: percent,
  gpuMemoryMiB: memory,
};
