/**
 * Knobs and their values between the core's nouns and the wire. Shared by both ends of the control channel. Decoding
 * yields `undefined` for what cannot be said in the core; whether what can be said is also allowed is for the reader
 * to check.
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt';
import type { KnobSpec, KnobValue } from '../core/model.ts';
import {
  type KnobSpecSchema,
  KnobValueSchema,
  type NumericDomain,
  type KnobSpec as WireKnobSpec,
  type KnobValue as WireKnobValue,
} from '../gen/performance_optimizer/control/v1/knob_pb.ts';
import { applyClassWords, roleWords, scaleWords } from './words.ts';

/** `type` decides how a number travels; without it a whole number travels as an int. */
export function encodeValue(value: KnobValue, type?: KnobSpec['type']): WireKnobValue {
  if (typeof value === 'boolean') return create(KnobValueSchema, { kind: { case: 'boolValue', value } });
  if (typeof value === 'string') return create(KnobValueSchema, { kind: { case: 'stringValue', value } });
  return travelsAsInt(value, type)
    ? create(KnobValueSchema, { kind: { case: 'intValue', value: BigInt(value) } })
    : create(KnobValueSchema, { kind: { case: 'doubleValue', value } });
}

export function travelsAsInt(value: number, type?: KnobSpec['type']): boolean {
  return (type === undefined || type === 'int') && Number.isSafeInteger(value);
}

/** `undefined` when nothing is set, or a number that is not finite or not exact. */
export function decodeValue(value: WireKnobValue | undefined): KnobValue | undefined {
  switch (value?.kind.case) {
    case 'intValue':
      return decodeInteger(value.kind.value);
    case 'doubleValue':
      return Number.isFinite(value.kind.value) ? value.kind.value : undefined;
    case 'boolValue':
    case 'stringValue':
      return value.kind.value;
    default:
      return undefined;
  }
}

/** `undefined` beyond ±(2^53 − 1), where a number is no longer exact. */
export function decodeInteger(value: bigint): number | undefined {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : undefined;
}

/** Durations on this channel are never negative. */
export function encodeDurationMs(ms: number): Duration {
  return create(DurationSchema, wireSeconds(Math.max(0, ms)));
}

/** 0 for a duration that is not set. */
export function decodeDurationMs(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
}

export function encodeTimeMs(ms: number): Timestamp {
  return create(TimestampSchema, wireSeconds(ms));
}

function wireSeconds(ms: number): { seconds: bigint; nanos: number } {
  const { seconds, nanos } = splitSeconds(ms);
  return { seconds: BigInt(seconds), nanos };
}

export function splitSeconds(ms: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(ms / 1_000);
  // Rounding must not carry into the seconds: nanos end at 999,999,999.
  return { seconds, nanos: Math.min(999_999_999, Math.round((ms - seconds * 1_000) * 1e6)) };
}

export function decodeTimeMs(time: Timestamp): number {
  return Number(time.seconds) * 1_000 + time.nanos / 1e6;
}

export function encodeSpec(spec: KnobSpec): MessageInitShape<typeof KnobSpecSchema> {
  return {
    id: spec.id,
    description: spec.description,
    unit: spec.unit,
    domain: encodeDomain(spec),
    defaultValue: encodeValue(spec.baseline, spec.type),
    baseline: encodeValue(spec.baseline, spec.type),
    role: roleWords.encode(spec.role),
    applyClass: applyClassWords.encode(spec.applyClass),
    settleTime: encodeDurationMs(spec.settleMs),
    ceilingAtBoot: spec.ceilingAtBoot,
    ...(spec.conditionalOn && {
      conditionalOn: {
        knob: spec.conditionalOn.knob,
        values: spec.conditionalOn.values.map((value) => encodeValue(value)),
      },
    }),
    ...(spec.blastRadius !== undefined && { blastRadius: spec.blastRadius }),
    ...(spec.bootFlag !== undefined && { bootFlag: spec.bootFlag }),
    ...(spec.bootVariable !== undefined && { bootVariable: spec.bootVariable }),
  };
}

function encodeDomain(spec: KnobSpec): NonNullable<MessageInitShape<typeof KnobSpecSchema>['domain']> {
  switch (spec.type) {
    case 'bool':
      return { case: 'boolDomain', value: {} };
    case 'enum':
      return { case: 'enumDomain', value: { values: [...spec.values] } };
    default: {
      const { min, max, step } = spec;
      const value = { min, max, scale: scaleWords.encode(spec.scale), ...(step !== undefined && { step }) };
      return { case: `${spec.type}Domain`, value };
    }
  }
}

/** What could not be understood of a knob: which field, and what is allowed there. */
export interface Misfit {
  readonly field: string;
  readonly problem: string;
}

/** The knob as it was declared, unchecked beyond its shape; or what its shape lacks. */
export function decodeSpec(wire: WireKnobSpec): KnobSpec | Misfit {
  const baseline = decodeValue(wire.baseline ?? wire.defaultValue);
  if (baseline === undefined) return { field: 'default_value', problem: 'must be set to a finite value' };
  const role = wire.role === 0 ? 'other' : roleWords.decode(wire.role);
  if (role === undefined) return { field: 'role', problem: `is ${wire.role}, which is not a KnobRole` };
  const applyClass = wire.applyClass === 0 ? 'hot' : applyClassWords.decode(wire.applyClass);
  if (applyClass === undefined)
    return { field: 'apply_class', problem: `is ${wire.applyClass}, which is not an ApplyClass` };
  const base = {
    id: wire.id,
    description: wire.description,
    unit: wire.unit,
    role,
    applyClass,
    settleMs: decodeDurationMs(wire.settleTime),
    ceilingAtBoot: wire.ceilingAtBoot,
    ...(wire.blastRadius !== '' && { blastRadius: wire.blastRadius }),
    ...(wire.bootFlag !== '' && { bootFlag: wire.bootFlag }),
    ...(wire.bootVariable !== '' && { bootVariable: wire.bootVariable }),
    ...(wire.conditionalOn && {
      conditionalOn: {
        knob: wire.conditionalOn.knob,
        values: wire.conditionalOn.values.map(decodeValue).filter((value) => value !== undefined),
      },
    }),
  };
  switch (wire.domain.case) {
    case 'boolDomain':
      if (typeof baseline !== 'boolean') return { field: 'baseline', problem: 'must be a bool_value' };
      return { ...base, type: 'bool', baseline };
    case 'enumDomain':
      if (typeof baseline !== 'string') return { field: 'baseline', problem: 'must be a string_value' };
      return { ...base, type: 'enum', values: wire.domain.value.values, baseline };
    case 'intDomain':
      return decodeNumeric(base, 'int', wire.domain.value, baseline);
    case 'doubleDomain':
      return decodeNumeric(base, 'double', wire.domain.value, baseline);
    case 'durationDomain':
      return decodeNumeric(base, 'duration', wire.domain.value, baseline);
    default:
      return { field: 'domain', problem: 'must be one of int, double, duration, bool, enum' };
  }
}

type SpecBase = Omit<Extract<KnobSpec, { type: 'bool' }>, 'type' | 'baseline'>;

function decodeNumeric(
  base: SpecBase,
  type: 'int' | 'double' | 'duration',
  domain: NumericDomain,
  baseline: KnobValue,
): KnobSpec | Misfit {
  if (typeof baseline !== 'number') return { field: 'baseline', problem: 'must be a number' };
  const scale = domain.scale === 0 ? 'linear' : scaleWords.decode(domain.scale);
  if (scale === undefined) return { field: 'scale', problem: `is ${domain.scale}, which is not a Scale` };
  const { min, max, step } = domain;
  return { ...base, type, min, max, scale, baseline, ...(step !== undefined && { step }) };
}
