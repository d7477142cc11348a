import type { KnobSpec, KnobValue, Rationale } from '../../core/model.ts';

/**
 * Told of each new value before it counts. Throwing (or rejecting) refuses it, with the reason; a `TransientRejection`
 * refuses it for now only. When the value is one that the knob falls back to, refusing changes nothing.
 */
export type ChangeListener<T extends KnobValue> = (value: T, rationale: Rationale) => void | Promise<void>;

/** Thrown by a listener to say: not now, try again later. Any other error says: never again. */
export class TransientRejection extends Error {
  override name = 'TransientRejection';
}

/** Something of this process that the agent may tune. */
export interface Knob<T extends KnobValue> {
  readonly id: string;
  /** The value in force. A plain read: never waits, never throws. */
  readonly value: T;
  /** Returns the way to stop listening. */
  onChange(listener: ChangeListener<T>): () => void;
  /**
   * Sets the value by hand. The tuner leaves it alone from then on, until an operator unpins it. Throws when the value
   * is not one of the knob's, and what a listener throws; nothing has changed then.
   */
  set(value: T): void;
}

/** On whose word a knob holds its value. */
export interface Origin {
  readonly commandId: string;
  readonly epoch: number;
  readonly revision: number;
}

export interface Lease {
  readonly expiresAtMs: number;
  readonly onExpiry: 'hold' | 'baseline' | 'last_good';
  /** The agent stood by the value at least once. */
  readonly renewed: boolean;
}

/** What the client keeps of one knob. `Holdings` alone changes it. */
export interface KnobRecord {
  readonly spec: KnobSpec;
  readonly listeners: Set<ChangeListener<KnobValue>>;
  readonly readBack: (() => KnobValue) | undefined;
  value: KnobValue;
  /** Absent: the value is the baseline, or was set by hand. */
  origin: Origin | undefined;
  /** Absent: the value needs none. */
  lease: Lease | undefined;
  /** The value held before this one, if its lease had been renewed. */
  lastGood: { readonly value: KnobValue; readonly origin: Origin } | undefined;
  manual: boolean;
  /** Rises with every change of `value`: tells a listener's late answer that things have moved on. */
  generation: number;
  /** A listener is being called right now, further down the stack. */
  telling: boolean;
}

export function newRecord(spec: KnobSpec, readBack: (() => KnobValue) | undefined): KnobRecord {
  return {
    spec,
    listeners: new Set(),
    readBack,
    value: spec.baseline,
    origin: undefined,
    lease: undefined,
    lastGood: undefined,
    manual: false,
    generation: 0,
    telling: false,
  };
}
