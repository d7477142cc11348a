import { type GpuDevice, throttleReasons } from './reading.ts';

const MIB = 2 ** 20;

/** What nvidia-smi is asked for. Every version knows these. */
const ESSENTIAL = [
  'uuid',
  'name',
  'utilization.gpu',
  'utilization.memory',
  'memory.used',
  'memory.total',
  'power.draw',
  'temperature.gpu',
  'clocks.sm',
] as const;
/** Known to many. `clocks_throttle_reasons` became `clocks_event_reasons` in driver 535 and was taken as an alias since. */
const MORE = ['clocks_throttle_reasons.active', 'ecc.errors.uncorrected.volatile.total'] as const;

/** Lists of fields, the next to be tried when a version refuses one of the list before. */
export const SMI_QUERIES: readonly (readonly string[])[] = [[...ESSENTIAL, ...MORE], ESSENTIAL];

/**
 * One line of `--format=csv,noheader,nounits`; undefined when it is none (a message, or a line cut short). What stands in
 * brackets (`[N/A]`, `[Not Supported]`, `[Unknown Error]`) or is no number is absent.
 */
export function parseSmiLine(line: string, fields: readonly string[]): GpuDevice | undefined {
  const values = line.split(',').map((value) => value.trim());
  if (values.length !== fields.length) return undefined;
  const text = (field: string) => values[fields.indexOf(field)] ?? '';
  const number = (field: string, scale = 1): number | undefined => {
    const value = text(field);
    return /^\d+(?:\.\d+)?$/.test(value) ? Number(value) * scale : undefined;
  };
  const id = text('uuid');
  if (!/^(?:GPU|MIG)-\S+$/.test(id)) return undefined;
  const name = text('name');
  const utilizationRatio = number('utilization.gpu', 0.01);
  const memoryControllerRatio = number('utilization.memory', 0.01);
  const memoryUsedBytes = number('memory.used', MIB);
  const memoryTotalBytes = number('memory.total', MIB);
  const powerWatts = number('power.draw');
  const temperatureCelsius = number('temperature.gpu');
  const clockHertz = number('clocks.sm', 1e6);
  const throttle = /^0x[0-9a-f]+$/i.test(text('clocks_throttle_reasons.active'))
    ? Number(text('clocks_throttle_reasons.active'))
    : undefined;
  const uncorrectedErrors = number('ecc.errors.uncorrected.volatile.total');
  return {
    id,
    ...(name !== '' && !name.startsWith('[') && { name }),
    vendor: 'NVIDIA',
    ...(utilizationRatio !== undefined && { utilizationRatio }),
    ...(memoryControllerRatio !== undefined && { memoryControllerRatio }),
    ...(memoryUsedBytes !== undefined && { memoryUsedBytes }),
    ...(memoryTotalBytes !== undefined && { memoryTotalBytes }),
    ...(powerWatts !== undefined && { powerWatts }),
    ...(temperatureCelsius !== undefined && { temperatureCelsius }),
    ...(clockHertz !== undefined && { clockHertz }),
    ...(throttle !== undefined && { throttledBy: throttleReasons(throttle) }),
    ...(uncorrectedErrors !== undefined && { uncorrectedErrors }),
  };
}
