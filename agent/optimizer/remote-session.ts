import type { Knob } from '../client/typescript/knob.ts';
import { connectTuner, type Tuner } from '../client/typescript/tuner.ts';
import type { KnobSpec, KnobValue } from '../core/model.ts';
import type { ChannelAccess } from '../rpc/channel_access.ts';
import { whyNotAllowed } from '../rpc/knob_domain.ts';
import type { AIComponent } from './component.ts';
import { type ComponentKnob, knobsOf, readBack, sparingHands } from './component-knobs.ts';

/** What has set a value that is not the agent's: a hand, or what a knob falls back to. */
const NOT_THE_AGENT = ['manual', 'lease', 'client'];

/** A component of this process under an agent elsewhere, through the client that any process may use. */
export class RemoteSession {
  readonly component: AIComponent;
  readonly knobs: readonly ComponentKnob[];
  readonly #tuner: Tuner;
  readonly #declared: ReadonlyMap<ComponentKnob, Knob<KnobValue>>;
  readonly #tuned = new Set<string>();

  private constructor(component: AIComponent, tuner: Tuner) {
    this.component = component;
    this.knobs = knobsOf(component);
    this.#tuner = tuner;
    // What its owner has not declared is not shown to an agent elsewhere, which would take it for something to search.
    const declared = this.knobs.filter((own) => own.declared);
    this.#declared = new Map(declared.map((own) => [own, this.#declare(own)]));
  }

  static async open(component: AIComponent, address: string, access: ChannelAccess): Promise<RemoteSession> {
    const { name, tier } = component;
    return new RemoteSession(component, await connectTuner({ component: name, tier, address, access }));
  }

  /** At least one knob holds a value that the agent has set. */
  get isTuned(): boolean {
    return this.#tuned.size > 0;
  }

  /** As the local session's: false where a hand has set what a knob cannot have. */
  watch(): boolean {
    for (const [own, knob] of this.#declared) {
      const value = readBack(own);
      if (Object.is(value, knob.value)) continue;
      if (whyNotAllowed(own.spec, value) !== undefined) return false;
      knob.set(value);
    }
    return true;
  }

  /** Everything that was tuned is put back; values set by hand stay. */
  close(): void {
    sparingHands(this.#declared, () => this.#tuner.close());
  }

  #declare(own: ComponentKnob): Knob<KnobValue> {
    const knob = declared(this.#tuner, own.spec, () => readBack(own));
    knob.onChange((value, { strategy }) => {
      own.write(value);
      if (NOT_THE_AGENT.includes(strategy)) this.#tuned.delete(own.spec.id);
      else this.#tuned.add(own.spec.id);
    });
    return knob;
  }
}

function declared(tuner: Tuner, spec: KnobSpec, read: () => KnobValue): Knob<KnobValue> {
  const { role, applyClass: applies, settleMs } = spec;
  const same = { role, applies, settleMs };
  switch (spec.type) {
    case 'bool':
      return untyped(tuner.bool(spec.id, { ...same, default: spec.baseline, readBack: () => read() === true }), isBool);
    case 'enum':
      return untyped(
        tuner.enum(spec.id, { ...same, default: spec.baseline, values: spec.values, readBack: () => String(read()) }),
        isText,
      );
    default: {
      const { min, max, step, scale, unit, baseline } = spec;
      const range = { min, max, scale, unit, default: baseline, ...(step !== undefined && { step }) };
      const options = { ...same, ...range, readBack: () => Number(read()) };
      return untyped(spec.type === 'int' ? tuner.int(spec.id, options) : tuner.double(spec.id, options), isNumber);
    }
  }
}

/** A knob of one type as one of any: values of another type are refused. */
function untyped<T extends KnobValue>(knob: Knob<T>, is: (value: KnobValue) => value is T): Knob<KnobValue> {
  return {
    id: knob.id,
    get value() {
      return knob.value;
    },
    onChange: (listener) => knob.onChange(listener),
    set(value) {
      if (!is(value)) throw new RangeError(`knob ${JSON.stringify(knob.id)}: ${String(value)} is of another type`);
      knob.set(value);
    },
  };
}

const isBool = (value: KnobValue): value is boolean => typeof value === 'boolean';
const isText = (value: KnobValue): value is string => typeof value === 'string';
const isNumber = (value: KnobValue): value is number => typeof value === 'number';
