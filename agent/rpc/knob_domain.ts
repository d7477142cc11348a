import type { KnobSpec, KnobValue } from '../core/model.ts';

/** Grid positions further from a step than this share of it are off the grid; nearer is rounding. */
const GRID_TOLERANCE = 1e-6;

/** Why `value` is not one of the knob's values, in words that say what is; `undefined` when it is one. */
export function whyNotAllowed(spec: KnobSpec, value: KnobValue): string | undefined {
  switch (spec.type) {
    case 'bool':
      return typeof value === 'boolean' ? undefined : `${show(value)} is not true or false`;
    case 'enum':
      if (typeof value === 'string' && spec.values.includes(value)) return undefined;
      return `${show(value)} is not one of ${spec.values.join(', ')}`;
    default: {
      if (typeof value !== 'number' || !Number.isFinite(value)) return `${show(value)} is not a finite number`;
      if (spec.type === 'int' && !Number.isSafeInteger(value)) return `${value} is not a whole number`;
      if (value < spec.min || value > spec.max) return `${value} is outside ${spec.min} to ${spec.max}`;
      if (spec.step === undefined) return undefined;
      const steps = (value - spec.min) / spec.step;
      if (Math.abs(steps - Math.round(steps)) <= GRID_TOLERANCE) return undefined;
      return `${value} is not ${spec.min} plus a multiple of ${spec.step}`;
    }
  }
}

/** As `whyNotAllowed`, of a value that the tuner wants: a knob whose value at boot is a ceiling is not tuned above it. */
export function whyNotTunable(spec: KnobSpec, value: KnobValue): string | undefined {
  const problem = whyNotAllowed(spec, value);
  if (problem !== undefined || !spec.ceilingAtBoot || typeof value !== 'number') return problem;
  if (typeof spec.baseline !== 'number' || value <= spec.baseline) return undefined;
  return `${value} is above ${spec.baseline}, its value at boot, which is this knob's ceiling`;
}

const ID = /^[a-z][a-z0-9_.-]{0,63}$/;
/** Humans paste these into a shell or a manifest: nothing in them may mean anything there. */
const FLAG = /^-{1,2}[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/;
const MAX_ENUM_VALUES = 64;

/** What is wrong with a knob as it was declared: the field, and what is allowed. `undefined` when all is well. */
export function whyNotSound(spec: KnobSpec): { readonly field: string; readonly problem: string } | undefined {
  if (!ID.test(spec.id)) return { field: 'id', problem: `${show(spec.id)} does not match ${ID.source}` };
  if (spec.description.length > 1_024) return { field: 'description', problem: 'is longer than 1,024 characters' };
  if (spec.unit.length > 32) return { field: 'unit', problem: 'is longer than 32 characters' };
  if ((spec.blastRadius?.length ?? 0) > 256) return { field: 'blast_radius', problem: 'is longer than 256 characters' };
  if (spec.bootFlag !== undefined && !FLAG.test(spec.bootFlag))
    return { field: 'boot_flag', problem: `${show(spec.bootFlag)} does not match ${FLAG.source}` };
  if (spec.bootVariable !== undefined && !VARIABLE.test(spec.bootVariable))
    return { field: 'boot_variable', problem: `${show(spec.bootVariable)} does not match ${VARIABLE.source}` };
  if (!(spec.settleMs >= 0 && spec.settleMs <= 86_400_000))
    return { field: 'settle_time', problem: `${spec.settleMs} ms is outside 0 to one day` };
  if ((spec.conditionalOn?.values.length ?? 0) > MAX_ENUM_VALUES)
    return { field: 'conditional_on', problem: `names more than ${MAX_ENUM_VALUES} values` };
  if (spec.type === 'enum') {
    if (spec.values.length < 2 || spec.values.length > MAX_ENUM_VALUES)
      return { field: 'values', problem: `has ${spec.values.length} entries, allowed are 2 to ${MAX_ENUM_VALUES}` };
    if (new Set(spec.values).size !== spec.values.length) return { field: 'values', problem: 'names a value twice' };
    const bad = spec.values.find((value) => value.length === 0 || value.length > 64);
    if (bad !== undefined) return { field: 'values', problem: `${show(bad)} is not 1 to 64 characters long` };
  }
  if (spec.type === 'int' || spec.type === 'double' || spec.type === 'duration') {
    const { min, max, step } = spec;
    if (!Number.isFinite(min)) return { field: 'min', problem: `${min} is not a finite number` };
    if (!Number.isFinite(max)) return { field: 'max', problem: `${max} is not a finite number` };
    if (spec.type === 'int' && !Number.isSafeInteger(min))
      return { field: 'min', problem: `${min} is not a whole number` };
    if (spec.type === 'int' && !Number.isSafeInteger(max))
      return { field: 'max', problem: `${max} is not a whole number` };
    if (min >= max) return { field: 'max', problem: `${max} is not greater than min ${min}` };
    if (spec.scale === 'log' && min <= 0)
      return { field: 'min', problem: `${min} is not above 0, which a log scale needs` };
    if (spec.type === 'duration' && min < 0) return { field: 'min', problem: `${min} is below 0, for a duration` };
    if (step !== undefined && !(step > 0 && step <= max - min))
      return { field: 'step', problem: `${step} is not above 0 and at most max - min = ${max - min}` };
  }
  const problem = whyNotAllowed(spec, spec.baseline);
  return problem === undefined ? undefined : { field: 'baseline', problem };
}

/** Quoted and cut, so that a hostile text cannot flood or forge a log line. */
function show(value: KnobValue): string {
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
