import type { SignalMapping } from '../signals.ts';
import { latency, resource, stall } from './rows.ts';

/** CPU modes in which a CPU does something; the hostmetrics receiver says `state`, the conventions `cpu.mode`. */
const BUSY_MODES = ['', 'user', 'nice', 'system', 'kernel', 'interrupt', 'softirq', 'steal'];
const busy = { 'cpu.mode': BUSY_MODES, state: BUSY_MODES };
const used = { 'system.memory.state': ['', 'used'], state: ['', 'used'] };
const writable = { 'system.filesystem.mode': ['', 'rw'], mode: ['', 'rw'] };
const anyPoint = {};
/** Ours: what a process reports over the control channel; nobody else has a metric for it. */
export const OUTCOME_METRIC = 'performance_optimizer.outcome.reward';

/**
 * OpenTelemetry semantic conventions. Ranks: the model server's own view (10) before HTTP (20), RPC (30) and what the
 * process sees as a client (40); for resources the process (10) before its container (20) before the machine (30), and
 * a finished utilisation before a time that must be turned into one (+1).
 */
export const OPENTELEMETRY_MAPPINGS: readonly SignalMapping[] = [
  latency(10, 'gen_ai.server.request.duration', 'responseTime', 's'),
  latency(20, 'http.server.request.duration', 'responseTime', 's'),
  latency(21, 'http.server.duration', 'responseTime', 'ms'),
  latency(30, 'rpc.server.call.duration', 'responseTime', 's'),
  latency(31, 'rpc.server.duration', 'responseTime', 'ms'),
  latency(40, 'gen_ai.client.operation.duration', 'responseTime', 's'),
  latency(10, 'gen_ai.server.time_to_first_token', 'timeToFirstToken', 's'),
  latency(10, 'gen_ai.server.time_per_output_token', 'timePerOutputToken', 's'),
  { rank: 20, metric: 'http.server.active_requests', signal: 'inFlight' },
  { rank: 10, metric: OUTCOME_METRIC, signal: 'reward' },
  {
    ...{ rank: 40, metric: 'gen_ai.client.token.usage', signal: 'tokens', direction: 'output' },
    where: { 'gen_ai.token.type': ['output', 'completion'] },
  },
  {
    ...{ rank: 40, metric: 'gen_ai.client.token.usage', signal: 'tokens', direction: 'input' },
    where: { 'gen_ai.token.type': ['input'] },
  },

  resource(10, 'process.cpu.utilization', 'cpu', 'process', 'utilization', busy),
  resource(11, 'process.cpu.time', 'cpu', 'process', 'time', busy),
  resource(20, 'container.cpu.usage', 'cpu', 'container', 'usage', busy),
  resource(21, 'container.cpu.time', 'cpu', 'container', 'time', busy),
  resource(20, 'container.cpu.limit', 'cpu', 'container', 'limit', anyPoint),
  resource(21, 'k8s.container.cpu.limit', 'cpu', 'container', 'limit', anyPoint),
  resource(30, 'system.cpu.utilization', 'cpu', 'host', 'utilization', busy),
  resource(30, 'system.cpu.logical.count', 'cpu', 'host', 'limit', anyPoint),

  resource(10, 'process.memory.usage', 'memory', 'process', 'usage', anyPoint),
  resource(20, 'container.memory.working_set', 'memory', 'container', 'usage', anyPoint),
  resource(21, 'container.memory.usage', 'memory', 'container', 'usage', anyPoint),
  resource(20, 'container.memory.limit', 'memory', 'container', 'limit', anyPoint),
  resource(21, 'k8s.container.memory.limit', 'memory', 'container', 'limit', anyPoint),
  resource(30, 'system.memory.usage', 'memory', 'host', 'usage', used),
  resource(30, 'system.memory.limit', 'memory', 'host', 'limit', anyPoint),

  stall(20, 'container.cpu.linux.pressure.10s', 'cpuPressure'),
  stall(30, 'system.cpu.linux.pressure.10s', 'cpuPressure'),
  stall(20, 'container.memory.linux.pressure.10s', 'memoryPressure'),
  stall(30, 'system.memory.linux.pressure.10s', 'memoryPressure'),
  stall(20, 'container.io.linux.pressure.10s', 'ioPressure'),
  stall(30, 'system.io.linux.pressure.10s', 'ioPressure'),
  { rank: 20, metric: 'container.cpu.throttled.ratio', signal: 'cpuThrottled' },

  // A file system that nobody can write to is full by nature.
  { rank: 30, metric: 'system.filesystem.utilization', signal: 'diskUsed', where: writable },
  { rank: 30, metric: 'system.filesystem.inodes.utilization', signal: 'inodesUsed', where: writable },
  { rank: 30, metric: 'system.disk.utilization', signal: 'diskBusy' },
  { rank: 30, metric: 'system.disk.wait', signal: 'diskWait', scale: 1_000 },

  resource(30, 'hw.gpu.utilization', 'gpu', 'host', 'utilization', { 'hw.gpu.task': ['', 'general'] }),
  resource(30, 'hw.gpu.memory.usage', 'gpuMemory', 'host', 'usage', anyPoint),
  resource(30, 'hw.gpu.memory.limit', 'gpuMemory', 'host', 'limit', anyPoint),

  // Of our own library: what `executeWithMonitoring` was told that a request may use.
  resource(10, 'performance_optimizer.allocation.cpu', 'cpu', 'process', 'reserved', anyPoint),
  resource(10, 'performance_optimizer.allocation.memory', 'memory', 'process', 'reserved', anyPoint),
  resource(10, 'performance_optimizer.allocation.gpu', 'gpu', 'process', 'reserved', anyPoint),
];
