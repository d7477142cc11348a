import type { WatchedSignal } from '../profile/watched_signal.ts';

/**
 * What history keeps of a component, and in which unit. Latencies are those of requests that succeeded, `throughput` is
 * of successes and `errors` of failures; `cpu` and `gpu` are percent of what is available. The names are the profile's.
 */
export const HISTORY_UNITS = {
  responseTime: 'ms',
  timeToFirstToken: 'ms',
  timePerOutputToken: 'ms',
  queueTime: 'ms',
  throughput: '1/s',
  errors: '1/s',
  inputTokens: '1/s',
  outputTokens: '1/s',
  queueDepth: '1',
  inFlight: '1',
  cacheUsage: '1',
  cpuPressure: '1',
  memoryPressure: '1',
  ioPressure: '1',
  cpuThrottled: '1',
  diskUsed: '1',
  inodesUsed: '1',
  diskBusy: '1',
  diskWait: 'ms',
  cpu: '%',
  memory: 'MiB',
  gpu: '%',
  gpuMemory: 'MiB',
} as const;

export type HistorySignal = keyof typeof HISTORY_UNITS;

/** Where a profile has the same, interval by interval; it has no rate of failures, but their share. */
export const WATCHED_AS: Readonly<Record<Exclude<HistorySignal, 'errors'>, WatchedSignal>> = {
  responseTime: 'responseTimeMs',
  timeToFirstToken: 'timeToFirstTokenMs',
  timePerOutputToken: 'timePerOutputTokenMs',
  queueTime: 'queueTimeMs',
  throughput: 'throughputPerSecond',
  inputTokens: 'inputTokensPerSecond',
  outputTokens: 'outputTokensPerSecond',
  queueDepth: 'queueDepth',
  inFlight: 'inFlight',
  cacheUsage: 'cacheUsageRatio',
  cpuPressure: 'cpuPressureRatio',
  memoryPressure: 'memoryPressureRatio',
  ioPressure: 'ioPressureRatio',
  cpuThrottled: 'cpuThrottledRatio',
  diskUsed: 'diskUsedRatio',
  inodesUsed: 'inodesUsedRatio',
  diskBusy: 'diskBusyRatio',
  diskWait: 'diskWaitMs',
  cpu: 'cpuPercent',
  memory: 'memoryMiB',
  gpu: 'gpuPercent',
  gpuMemory: 'gpuMemoryMiB',
};
export const HISTORY_SIGNALS: readonly HistorySignal[] = keysOf(HISTORY_UNITS);

export function isHistorySignal(text: string): text is HistorySignal {
  return Object.hasOwn(HISTORY_UNITS, text);
}

function keysOf<K extends string>(table: Readonly<Record<K, string>>): readonly K[] {
  const keys: K[] = [];
  for (const key in table) keys.push(key);
  return keys;
}
