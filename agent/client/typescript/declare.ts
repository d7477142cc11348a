import type { ApplyClass, KnobRole, KnobSpec, KnobValue } from '../../core/model.ts';
import { whyNotSound } from '../../rpc/knob_domain.ts';

/** What can be said of any knob. */
export interface KnobOptions<T extends KnobValue> {
  /** The value without a tuner: what the knob starts with, and returns to when the agent is gone. */
  readonly default: T;
  readonly description?: string;
  readonly role?: KnobRole;
  /** What applying a value costs: nothing (`hot`, the default), a drain, a reload, or a restart. */
  readonly applies?: ApplyClass;
  /** Time after applying before the metrics show the new value alone. */
  readonly settleMs?: number;
  /** The default is a ceiling: the tuner never goes above it. */
  readonly ceilingAtBoot?: boolean;
  /** The knob means something only while another has one of these values. */
  readonly conditionalOn?: { readonly knob: string; readonly values: readonly KnobValue[] };
  /** What else a bad value would harm, for the humans who approve it. */
  readonly blastRadius?: string;
  /** The flag that sets it at the process's start (`--max-model-len`), for recommendations that say what to change. */
  readonly bootFlag?: string;
  /** The environment variable that does. */
  readonly bootVariable?: string;
  /** Reads the value that is really in force; reported to the agent after each change. */
  readonly readBack?: () => T;
}

export interface NumericOptions extends KnobOptions<number> {
  readonly min: number;
  readonly max: number;
  /** Values are `min + n·step`. */
  readonly step?: number;
  readonly scale?: 'linear' | 'log';
  /** UCUM unit (`ms`, `By`, `{request}`). Durations are in seconds whatever is said here. */
  readonly unit?: string;
}

export interface EnumOptions<T extends string> extends KnobOptions<T> {
  readonly values: readonly T[];
}

export function numericSpec(id: string, type: 'int' | 'double' | 'duration', options: NumericOptions): KnobSpec {
  const { min, max, step, scale = 'linear' } = options;
  const unit = type === 'duration' ? 's' : (options.unit ?? '');
  return sound({
    ...common(id, unit, options),
    type,
    min,
    max,
    scale,
    baseline: options.default,
    ...(step !== undefined && { step }),
  });
}

export function boolSpec(id: string, options: KnobOptions<boolean>): KnobSpec {
  return sound({ ...common(id, '', options), type: 'bool', baseline: options.default });
}

export function enumSpec(id: string, options: EnumOptions<string>): KnobSpec {
  return sound({ ...common(id, '', options), type: 'enum', values: [...options.values], baseline: options.default });
}

function common(id: string, unit: string, options: KnobOptions<KnobValue>) {
  return {
    id,
    description: options.description ?? '',
    unit,
    role: options.role ?? ('other' as const),
    applyClass: options.applies ?? ('hot' as const),
    settleMs: options.settleMs ?? 0,
    ceilingAtBoot: options.ceilingAtBoot ?? false,
    ...(options.conditionalOn && { conditionalOn: options.conditionalOn }),
    ...(options.blastRadius !== undefined && { blastRadius: options.blastRadius }),
    ...(options.bootFlag !== undefined && { bootFlag: options.bootFlag }),
    ...(options.bootVariable !== undefined && { bootVariable: options.bootVariable }),
  };
}

/** A declaration that makes no sense is a mistake in the program, said where it is made. */
function sound(spec: KnobSpec): KnobSpec {
  const flaw = whyNotSound(spec);
  if (flaw) {
    const field = flaw.field === 'baseline' ? 'default' : flaw.field;
    throw new RangeError(`knob ${JSON.stringify(spec.id)}: ${field} ${flaw.problem}`);
  }
  return spec;
}
