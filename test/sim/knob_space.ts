import type { KnobSpec, KnobValue, NumericKnobSpec, Setting } from '../../agent/core/model.ts';

/**
 * Knob values as positions in [0, 1]: linear or logarithmic for numbers, evenly spaced for enums and switches.
 * Written apart from the engine's own mapping on purpose: an error in one is then seen by the other.
 */
export function positionOf(spec: KnobSpec, value: KnobValue): number {
  switch (spec.type) {
    case 'bool':
      return value === true ? 1 : 0;
    case 'enum':
      return spec.values.length < 2 ? 0 : Math.max(0, spec.values.indexOf(String(value))) / (spec.values.length - 1);
    default: {
      const { low, high } = axis(spec);
      const at = spec.scale === 'log' ? Math.log(Number(value)) : Number(value);
      return high > low ? (at - low) / (high - low) : 0;
    }
  }
}

/** The allowed value nearest to a position; positions outside [0, 1] are clamped. */
export function valueAt(spec: KnobSpec, position: number): KnobValue {
  const u = Math.min(1, Math.max(0, position));
  switch (spec.type) {
    case 'bool':
      return u >= 0.5;
    case 'enum':
      return spec.values[Math.min(spec.values.length - 1, Math.floor(u * spec.values.length))] ?? spec.baseline;
    default: {
      const { low, high } = axis(spec);
      const raw = spec.scale === 'log' ? Math.exp(low + u * (high - low)) : low + u * (high - low);
      return snap(spec, raw);
    }
  }
}

/** Nearest value that the knob can take: on its grid, whole where it counts, within its range. */
export function snap(spec: NumericKnobSpec, raw: number): number {
  const step = spec.step ?? (spec.type === 'int' ? 1 : undefined);
  const onGrid = step === undefined ? raw : spec.min + Math.round((raw - spec.min) / step) * step;
  return Math.min(spec.max, Math.max(spec.min, onGrid));
}

export function baselineSetting(knobs: readonly KnobSpec[]): Setting {
  return Object.fromEntries(knobs.map((knob) => [knob.id, knob.baseline]));
}

export function settingAt(knobs: readonly KnobSpec[], positions: ArrayLike<number>): Setting {
  return Object.fromEntries(knobs.map((knob, i) => [knob.id, valueAt(knob, positions[i] ?? 0)]));
}

export function positionsOf(knobs: readonly KnobSpec[], setting: Setting): number[] {
  return knobs.map((knob) => positionOf(knob, setting[knob.id] ?? knob.baseline));
}

/** Whether a process would take this value at all. */
export function allows(spec: KnobSpec, value: KnobValue): boolean {
  switch (spec.type) {
    case 'bool':
      return typeof value === 'boolean';
    case 'enum':
      return typeof value === 'string' && spec.values.includes(value);
    default:
      if (typeof value !== 'number' || !Number.isFinite(value)) return false;
      if (value < spec.min || value > spec.max) return false;
      return spec.type !== 'int' || Number.isInteger(value);
  }
}

export function sameSetting(a: Setting, b: Setting): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

function axis(spec: NumericKnobSpec): { low: number; high: number } {
  return spec.scale === 'log'
    ? { low: Math.log(spec.min), high: Math.log(spec.max) }
    : { low: spec.min, high: spec.max };
}
