import type {
  LatencySignal,
  LevelSignal,
  Resource,
  ResourceMeasure,
  ResourceScope,
  SignalMapping,
  StallSignal,
} from '../signals.ts';

/* Rows of the tables, written as lines: rank first, because it is what one compares when reading down. */

export function latency(rank: number, metric: string, signal: LatencySignal, unit: string): SignalMapping {
  return { rank, metric, signal, unit };
}

export function level(rank: number, metric: string, signal: LevelSignal): SignalMapping {
  return { rank, metric, signal };
}

/** Time in which something waited, not that in which everything did. */
export function stall(rank: number, metric: string, signal: StallSignal): SignalMapping {
  return { rank, metric, signal, where: { 'system.linux.pressure.stall_type': ['some'] } };
}

export function tokens(rank: number, metric: string, direction: 'input' | 'output'): SignalMapping {
  return { rank, metric, signal: 'tokens', direction };
}

export function resource(
  rank: number,
  metric: string,
  resource: Resource,
  scope: ResourceScope,
  measure: ResourceMeasure,
  where: Readonly<Record<string, readonly string[]>>,
  scale = 1,
): SignalMapping {
  return { rank, metric, signal: 'resource', resource, scope, measure, where, scale };
}
