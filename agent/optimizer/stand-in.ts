import { isDeepStrictEqual } from 'node:util';
import type { KnobValue, Setting } from '../core/model.ts';
import { whyNotAllowed } from '../rpc/knob_domain.ts';
import type { AIComponent } from './component.ts';
import type { ComponentKnob } from './component-knobs.ts';

/** What a strategy set on its stand-in: values by knob id, or all that is wrong with them. */
export type Caught = { readonly changes: Setting } | { readonly refused: string };

const CONFIG = 'config';
const MAX_DEPTH = 32;

/**
 * Looks and reads like the component, and writes nowhere: what is set on it is kept apart, to be proposed. Reading gives back
 * what was set. Objects within `config` are copies. Once closed, a write throws: whoever was too late hears of it.
 */
export class StandIn {
  readonly component: AIComponent;
  readonly #real: AIComponent;
  readonly #knobs: readonly ComponentKnob[];
  readonly #fields = new Map<string | symbol, unknown>();
  #config: Record<string, unknown>;
  #closed = false;

  constructor(real: AIComponent, knobs: readonly ComponentKnob[]) {
    this.#real = real;
    this.#knobs = knobs;
    this.#config = this.#watched(copied(real.config));
    // A copy as the target: what is frozen in the component does not bind what its stand-in may show.
    const shape: AIComponent = Object.assign(Object.create(Object.getPrototypeOf(real)), real);
    this.component = new Proxy(shape, {
      get: (_, property) => this.#read(property),
      set: (_, property, value) => this.#write(property, value),
      defineProperty: (_, property) => this.#refuse(property),
      deleteProperty: (_, property) => this.#refuse(property),
      setPrototypeOf: () => this.#refuse('its prototype'),
    });
  }

  /** Ends it: what was set up to now. */
  close(): Caught {
    this.#closed = true;
    const problems: string[] = [];
    const changes: Record<string, KnobValue> = {};
    const consider = (name: string, before: unknown, after: unknown): void => {
      if (isDeepStrictEqual(before, after)) return;
      const knob = this.#knobs.find((known) => known.name === name);
      if (knob === undefined || !isKnobValue(after)) {
        problems.push(`${name} is not a knob; knobs: ${this.#knobs.map((known) => known.name).join(', ') || 'none'}`);
        return;
      }
      const problem = whyNotAllowed(knob.spec, after);
      if (problem === undefined) changes[knob.spec.id] = after;
      else problems.push(`${name}: ${problem}`);
    };
    for (const [name, value] of this.#fields) {
      consider(String(name), Reflect.get(this.#real, name), value);
    }
    for (const name of new Set([...Object.keys(this.#real.config), ...Object.keys(this.#config)])) {
      consider(name, this.#real.config[name], this.#config[name]);
    }
    if (problems.length > 0) return { refused: `${this.#real.name}: ${problems.join('; ')}` };
    return { changes };
  }

  #read(property: string | symbol): unknown {
    if (property === CONFIG) return this.#config;
    if (this.#fields.has(property)) return this.#fields.get(property);
    const value: unknown = Reflect.get(this.#real, property, this.#real);
    return typeof value === 'function' ? value.bind(this.#real) : value;
  }

  #write(property: string | symbol, value: unknown): boolean {
    this.#mustBeOpen();
    if (property !== CONFIG) this.#fields.set(property, value);
    else if (typeof value === 'object' && value !== null) this.#config = this.#watched(copied({ ...value }));
    else throw new TypeError(`${this.#real.name}: config must stay an object`);
    return true;
  }

  #watched(config: Record<string, unknown>): Record<string, unknown> {
    return new Proxy(config, {
      set: (target, property, value) => {
        this.#mustBeOpen();
        return Reflect.set(target, property, value);
      },
      deleteProperty: (_, property) => this.#refuse(property),
    });
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new Error(`${this.#real.name}: too late, the proposal is closed`);
  }

  #refuse(what: string | symbol): never {
    throw new TypeError(`${this.#real.name}: ${String(what)} can be set by a strategy, and nothing else`);
  }
}

function isKnobValue(value: unknown): value is KnobValue {
  return typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string';
}

function copied(config: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(config).map(([name, value]) => [name, copyOf(value, 0)]));
}

/** Plain objects and lists are copied all the way down; other things, such as functions, are not ours to copy. */
function copyOf(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return value;
  if (Array.isArray(value)) return value.map((entry) => copyOf(entry, depth + 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, copyOf(entry, depth + 1)]));
}
