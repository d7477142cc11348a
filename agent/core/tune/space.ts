import type { KnobSpec, KnobValue, NumericKnobSpec } from '../model.ts';

/**
 * Numeric knobs as coordinates `u ∈ [0, 1]`: linear, or logarithmic where equal ratios matter equally (a batch of 2
 * against 1 is as large a move as 64 against 32).
 *
 *   linear: u = (v − min) / (max − min)        log: u = ln(v / min) / ln(max / min)
 *
 * `decode` always lands on a value that the process can take (integer, step grid, bounds), so
 * `encode(decode(u)) ≠ u` in general; callers that need the true coordinate encode the decoded value.
 */
export interface Axis {
  readonly id: string;
  readonly spec: NumericKnobSpec;
  /** Bounds in force: the specification's, narrowed by policy and by a ceiling at boot. */
  readonly min: number;
  readonly max: number;
}

export interface Bounds {
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

/** The axis of a numeric knob under a policy; undefined for other types and where the bounds leave no choice. */
export function axisOf(spec: KnobSpec, policy: Bounds = {}): Axis | undefined {
  if (spec.type === 'bool' || spec.type === 'enum') return undefined;
  const ceiling = spec.ceilingAtBoot ? spec.baseline : spec.max;
  const min = Math.max(spec.min, policy.min ?? spec.min);
  const max = Math.min(spec.max, ceiling, policy.max ?? spec.max);
  return max > min ? { id: spec.id, spec, min, max } : undefined;
}

export function encode(axis: Axis, value: number): number {
  const { min, max } = axis;
  const u = axis.spec.scale === 'log' ? Math.log(value / min) / Math.log(max / min) : (value - min) / (max - min);
  return clamp01(u);
}

export function decode(axis: Axis, u: number): number {
  return snap(axis, valueAt(axis, u));
}

/** What lies at `u`, whether the process can take it or not. */
export function valueAt(axis: Axis, u: number): number {
  const { min, max } = axis;
  const at = clamp01(u);
  return axis.spec.scale === 'log' ? min * (max / min) ** at : min + at * (max - min);
}

/** The next value in a direction that the process can take; the same value at the edge. */
export function neighbour(axis: Axis, value: number, direction: 1 | -1): number {
  const grid = gridStep(axis.spec);
  // A continuous knob has no next value: a thousandth of its range is below what any window can tell apart.
  if (grid === undefined) return decode(axis, encode(axis, value) + direction * 0.001);
  return snap(axis, value + direction * grid);
}

/** Whether a process that declared this knob can take this value. */
export function isAllowed(spec: KnobSpec, value: KnobValue, policy: Bounds = {}): boolean {
  switch (spec.type) {
    case 'bool':
      return typeof value === 'boolean';
    case 'enum':
      return typeof value === 'string' && spec.values.includes(value);
    default: {
      if (typeof value !== 'number' || !Number.isFinite(value)) return false;
      if (spec.type === 'int' && !Number.isInteger(value)) return false;
      const min = Math.max(spec.min, policy.min ?? spec.min);
      const max = Math.min(spec.max, policy.max ?? spec.max);
      return value >= min && value <= max;
    }
  }
}

/** What a knob may be set to, in words. */
export function allowedValues(spec: KnobSpec, policy: Bounds = {}): string {
  switch (spec.type) {
    case 'bool':
      return 'true or false';
    case 'enum':
      return `one of ${spec.values.join(', ')}`;
    default: {
      const ceiling = spec.ceilingAtBoot ? spec.baseline : spec.max;
      const [min, max] = [Math.max(spec.min, policy.min ?? spec.min), Math.min(ceiling, policy.max ?? ceiling)];
      return `${spec.type} from ${min} to ${max} ${spec.unit}`.trim();
    }
  }
}

function gridStep(spec: NumericKnobSpec): number | undefined {
  if (spec.step !== undefined) return spec.step;
  return spec.type === 'int' ? 1 : undefined;
}

/** The nearest value that the process can take, within the axis. */
export function snap(axis: Axis, raw: number): number {
  const { min, max, spec } = axis;
  const grid = gridStep(spec);
  if (grid === undefined) return Math.min(max, Math.max(min, raw));
  // The grid is anchored at the knob's own minimum, not at the policy's.
  const lowest = Math.ceil((min - spec.min) / grid - 1e-9);
  const highest = Math.floor((max - spec.min) / grid + 1e-9);
  const nearest = Math.round((raw - spec.min) / grid);
  const value = spec.min + Math.min(highest, Math.max(lowest, nearest)) * grid;
  return spec.type === 'int' ? Math.round(value) : value;
}

function clamp01(u: number): number {
  return Math.max(0, Math.min(1, u));
}
