/**
 * From devices to points, under the names of the OpenTelemetry semantic conventions for hardware (`hw.*`); names that
 * these lack are marked. What a device does not say is not written.
 */
import type { SampleBatchBuilder } from '../../core/series/batch.ts';
import type { Attributes, Instrument, Points } from '../../core/series/points.ts';
import { type GpuDevice, THROTTLE_REASONS, type ThrottleReason } from './reading.ts';

type Metric = readonly [name: string, unit: string, instrument: Instrument];
const METRICS = {
  utilization: ['hw.gpu.utilization', '1', 'gauge'],
  memoryUsage: ['hw.gpu.memory.usage', 'By', 'updowncounter'],
  memoryLimit: ['hw.gpu.memory.limit', 'By', 'updowncounter'],
  memoryUtilization: ['hw.gpu.memory.utilization', '1', 'gauge'],
  power: ['hw.power', 'W', 'gauge'],
  temperature: ['hw.temperature', 'Cel', 'gauge'],
  errors: ['hw.errors', '{error}', 'counter'],
  // Not in the conventions; the clock is named after `hw.cpu.speed`.
  clock: ['hw.gpu.speed', 'Hz', 'gauge'],
  memoryController: ['hw.gpu.memory.controller.utilization', '1', 'gauge'],
  throttled: ['hw.gpu.throttled', '1', 'gauge'],
} satisfies Record<string, Metric>;
const REASONS = Object.keys(THROTTLE_REASONS) as readonly ThrottleReason[]; // Its own keys; the type forgets them.

/** Where points go: the writer for a resource, the batch and the time they share. */
export interface Out {
  readonly points: Points;
  readonly batch: SampleBatchBuilder;
  readonly timeMs: number;
}

export function emitDevice({ points, batch, timeMs }: Out, device: GpuDevice): void {
  const about = attributesOf(device);
  const put = (metric: Metric, value: number | undefined, more: Attributes = {}) =>
    points.put(batch, timeMs, metric, value, { ...about, ...more });
  put(METRICS.utilization, device.utilizationRatio, { 'hw.gpu.task': 'general' });
  put(METRICS.memoryController, device.memoryControllerRatio);
  const { memoryUsedBytes: used, memoryTotalBytes: total } = device;
  put(METRICS.memoryUsage, used);
  put(METRICS.memoryLimit, total);
  if (used !== undefined && total !== undefined && total > 0) put(METRICS.memoryUtilization, used / total);
  put(METRICS.power, device.powerWatts);
  put(METRICS.temperature, device.temperatureCelsius);
  put(METRICS.clock, device.clockHertz);
  put(METRICS.errors, device.uncorrectedErrors, { 'error.type': 'uncorrected' });
  if (device.throttledBy !== undefined) {
    for (const reason of REASONS) {
      put(METRICS.throttled, device.throttledBy.includes(reason) ? 1 : 0, { 'hw.gpu.throttle.reason': reason });
    }
  }
}

/** What one component has of a device. */
export interface Share {
  readonly device: GpuDevice;
  /** Of all its processes there; absent when the driver does not say it of each. */
  readonly memoryBytes?: number;
}

/**
 * As the component's own: the memory that its processes hold, and load and size of the devices that they are on. That a
 * device is shared with others, and which part of its load is whose, no driver says at this price.
 */
export function emitShare({ points, batch, timeMs }: Out, { device, memoryBytes }: Share): void {
  const about = attributesOf(device);
  points.put(batch, timeMs, METRICS.utilization, device.utilizationRatio, { ...about, 'hw.gpu.task': 'general' });
  points.put(batch, timeMs, METRICS.memoryUsage, memoryBytes, about);
  // Without a use of its own the limit would make the whole machine's use look like a share of this device.
  if (memoryBytes !== undefined) points.put(batch, timeMs, METRICS.memoryLimit, device.memoryTotalBytes, about);
}

function attributesOf({ id, name, vendor, parentId }: GpuDevice): Attributes {
  return {
    'hw.id': id,
    'hw.type': 'gpu',
    'hw.vendor': vendor,
    ...(name !== undefined && { 'hw.name': name }),
    ...(parentId !== undefined && { 'hw.parent': parentId }),
  };
}
