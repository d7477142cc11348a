import type { LatencySignal, LevelSignal, Resource } from '../signals.ts';

/** Where in a profile a watched signal is measured. */
export type SignalSource =
  | { readonly of: 'latency'; readonly signal: LatencySignal; readonly figure: 'meanMs' | 'p95Ms' }
  | { readonly of: 'traffic'; readonly figure: 'okPerSecond' | 'errorRatio' }
  | { readonly of: 'tokens'; readonly direction: 'input' | 'output' }
  | { readonly of: 'level'; readonly signal: LevelSignal; readonly limit?: number }
  | { readonly of: 'resource'; readonly resource: Resource };

const mean = (signal: LatencySignal) => ({ of: 'latency', signal, figure: 'meanMs' }) as const;
const share = (signal: LevelSignal) => ({ of: 'level', signal, limit: 1 }) as const;
const resource = (name: Resource) => ({ of: 'resource', resource: name }) as const;

/** What of a profile is looked at as a series over time; units last. */
export const WATCHED = {
  responseTimeMs: mean('responseTime'),
  responseTimeMsP95: { of: 'latency', signal: 'responseTime', figure: 'p95Ms' },
  timeToFirstTokenMs: mean('timeToFirstToken'),
  timePerOutputTokenMs: mean('timePerOutputToken'),
  queueTimeMs: mean('queueTime'),
  throughputPerSecond: { of: 'traffic', figure: 'okPerSecond' },
  errorRatio: { of: 'traffic', figure: 'errorRatio' },
  queueDepth: { of: 'level', signal: 'queueDepth' },
  inFlight: { of: 'level', signal: 'inFlight' },
  cacheUsageRatio: share('cacheUsage'),
  cpuPressureRatio: share('cpuPressure'),
  memoryPressureRatio: share('memoryPressure'),
  ioPressureRatio: share('ioPressure'),
  cpuThrottledRatio: share('cpuThrottled'),
  diskUsedRatio: share('diskUsed'),
  inodesUsedRatio: share('inodesUsed'),
  diskBusyRatio: share('diskBusy'),
  diskWaitMs: { of: 'level', signal: 'diskWait' },
  inputTokensPerSecond: { of: 'tokens', direction: 'input' },
  outputTokensPerSecond: { of: 'tokens', direction: 'output' },
  cpuPercent: resource('cpu'),
  memoryMiB: resource('memory'),
  gpuPercent: resource('gpu'),
  gpuMemoryMiB: resource('gpuMemory'),
} as const satisfies Readonly<Record<string, SignalSource>>;

export type WatchedSignal = keyof typeof WATCHED;
export const WATCHED_SIGNALS: readonly WatchedSignal[] = keysOf(WATCHED);

export function isWatchedSignal(word: string): word is WatchedSignal {
  return Object.hasOwn(WATCHED, word);
}

/** Over some intervals, in the unit that ends the signal's name. */
export interface SignalReading {
  readonly value: number;
  /** Where the signal ends, where that is known. */
  readonly limit?: number;
}

export function valued(value: number | undefined, limit?: number): SignalReading | undefined {
  return value === undefined ? undefined : { value, ...(limit !== undefined && { limit }) };
}

function keysOf<K extends string>(table: Readonly<Record<K, unknown>>): readonly K[] {
  const keys: K[] = [];
  for (const key in table) keys.push(key);
  return keys;
}
