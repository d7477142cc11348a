import type { KnobRole, KnobSpec, KnobValue } from '../core/model.ts';
import { whyNotSound } from '../rpc/knob_domain.ts';
import type { AIComponent, KnobRange } from './component.ts';

/** One field or configuration entry of a component, as a knob: `read` and `write` reach the object itself. */
export interface ComponentKnob {
  readonly spec: KnobSpec;
  /** As the component calls it: `timeout`, or the name of a `config` entry. */
  readonly name: string;
  /** The owner has said that it may be turned. */
  readonly declared: boolean;
  read(): unknown;
  write(value: unknown): void;
}

/** The document's own floors: a timeout of 10 ms, 256 MiB. */
const TIMEOUT_FLOOR_MS = 10;
const MEMORY_FLOOR_MIB = 256;
/** Undeclared numbers stay within this factor of what they were. */
const UNDECLARED_FACTOR = 4;
const TIMEOUT_FACTOR = 10;
const DEFAULT_SETTLE_MS = 500;

type Field = 'timeout' | 'memoryLimit' | 'priority';
const FIELDS: readonly Field[] = ['timeout', 'memoryLimit', 'priority'];

/** What stands in the field now; a value of a strange type reads as text, which no number's domain allows. */
export function readBack(knob: ComponentKnob): KnobValue {
  const value = knob.read();
  return typeof value === 'number' || typeof value === 'boolean' ? value : String(value);
}

/**
 * Does what would set knobs back, such as the end of a session, and leaves what a hand has set as it is: what stands in a
 * field is a hand's where it is not what was last `told`.
 */
export function sparingHands(knobs: ReadonlyMap<ComponentKnob, { readonly value: KnobValue }>, act: () => void): void {
  const byHand = [...knobs].flatMap(([knob, told]) => {
    const value = knob.read();
    return Object.is(value, told.value) ? [] : [{ knob, value }];
  });
  act();
  for (const { knob, value } of byHand) knob.write(value);
}

/** Every knob of a component. A declaration that makes no sense is refused, with what is wrong. */
export function knobsOf(component: AIComponent): readonly ComponentKnob[] {
  const { knobs = {}, config } = component;
  const known = new Set<string>([...FIELDS, ...Object.keys(config)]);
  const strange = Object.keys(knobs).filter((name) => !known.has(name));
  if (strange.length > 0) {
    throw new RangeError(
      `${component.name}: knobs names ${strange.join(', ')}, which is no field of it; known: ${[...known].join(', ')}`,
    );
  }
  const fields = FIELDS.flatMap((name) => fieldKnob(component, name, knobs[name]) ?? []);
  const entries = Object.keys(config).flatMap((name) => entryKnob(component, name, knobs[name]) ?? []);
  const ids = new Map<string, string>();
  for (const { spec, name } of [...fields, ...entries]) {
    const other = ids.get(spec.id);
    if (other !== undefined) throw new RangeError(`${component.name}: ${other} and ${name} are both knob ${spec.id}`);
    ids.set(spec.id, name);
  }
  return [...fields, ...entries];
}

function fieldKnob(component: AIComponent, name: Field, range: KnobRange = {}): ComponentKnob | undefined {
  if (range.fixed === true) return undefined;
  const value = component[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new RangeError(`${component.name}: ${name} is ${String(value)}, not a finite number`);
  }
  const defaults: Record<Field, KnobRange & { readonly role: KnobRole }> = {
    timeout: {
      role: 'timeout',
      unit: 'ms',
      min: Math.min(TIMEOUT_FLOOR_MS, value),
      max: Math.max(TIMEOUT_FLOOR_MS, value) * TIMEOUT_FACTOR,
    },
    memoryLimit: {
      role: 'memory',
      unit: 'MiBy',
      min: Math.min(MEMORY_FLOOR_MIB, value),
      max: Math.max(MEMORY_FLOOR_MIB, value) * UNDECLARED_FACTOR,
    },
    priority: { role: 'priority', unit: '1', min: Math.min(0, value), max: Math.max(100, value) },
  };
  return {
    spec: specOf(component.name, idOf(name), value, { type: 'double', ...defaults[name], ...range }),
    name,
    declared: true,
    read: () => component[name],
    write: (next) => {
      if (typeof next === 'number') component[name] = next;
    },
  };
}

function entryKnob(component: AIComponent, name: string, range: KnobRange | undefined): ComponentKnob | undefined {
  const value = component.config[name];
  if (range?.fixed === true || !isTurnable(value, range)) return undefined;
  return {
    spec: specOf(component.name, idOf(name), value, { ...rangeAround(value), ...range }),
    name,
    declared: range !== undefined,
    read: () => component.config[name],
    write: (next) => {
      component.config[name] = next;
    },
  };
}

/** Numbers and truth values; texts only where their values are declared. Everything else is configuration, not a knob. */
function isTurnable(value: unknown, range: KnobRange | undefined): value is KnobValue {
  if (typeof value === 'string') return range?.values !== undefined;
  return typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value));
}

function rangeAround(value: KnobValue): KnobRange {
  if (typeof value !== 'number') return {};
  if (value === 0) return { min: 0, max: 1 };
  const ends = [value / UNDECLARED_FACTOR, value * UNDECLARED_FACTOR];
  const whole = Number.isInteger(value);
  const [min = 0, max = 0] = ends.map((end) => (whole ? Math.round(end) : end)).sort((a, b) => a - b);
  return { min: whole && value > 0 ? Math.max(1, min) : min, max };
}

function specOf(component: string, id: string, value: KnobValue, range: KnobRange): KnobSpec {
  const { role = 'other', unit = '', applies = 'hot', settleMs = DEFAULT_SETTLE_MS } = range;
  const base = { id, description: '', unit, role, applyClass: applies, settleMs, ceilingAtBoot: false };
  const spec = ((): KnobSpec => {
    switch (typeof value) {
      case 'boolean':
        return { ...base, type: 'bool', baseline: value };
      case 'string':
        return { ...base, type: 'enum', values: range.values ?? [], baseline: value };
      case 'number': {
        const { min = value, max = value, step } = range;
        const type = range.type ?? (Number.isInteger(value) ? 'int' : 'double');
        const scale = range.scale ?? (min > 0 ? 'log' : 'linear');
        return { ...base, type, min, max, scale, baseline: value, ...(step !== undefined && { step }) };
      }
    }
  })();
  const flaw = whyNotSound(spec);
  if (flaw !== undefined) throw new RangeError(`${component}: knob ${id}: ${flaw.field} ${flaw.problem}`);
  return spec;
}

/** `maxBatchSize` is knob `max_batch_size`: ids are lower case on the wire. */
function idOf(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z0-9_.-]/g, '_')
    .replace(/^(?=[^a-z])/, 'k_');
}
