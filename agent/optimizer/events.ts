import { z } from 'zod';
import { type OptimizerEvent as CoreEvent, EVENT_TYPES, type EventType, type KnobValue } from '../core/model.ts';
import type { OptimizationResult } from './strategy.ts';

/** What happened, to which component, when (milliseconds since the Unix epoch), and what else there is to say of it. */
export interface OptimizerEvent<Type extends string = string, Data = unknown> {
  readonly type: Type;
  /** `*` when it is about all. */
  readonly component: string;
  readonly at: number;
  readonly data: Data;
}

export interface KnobStep {
  readonly knob: string;
  readonly from: KnobValue;
  readonly to: KnobValue;
}

/** Whatever else an event says. */
type More = { readonly [key: string]: unknown };

export interface EventData {
  /** A change was acknowledged by the component and proven to help. */
  readonly optimization_applied: More & {
    readonly strategy: string;
    readonly trialId: string;
    readonly changes: readonly KnobStep[];
    readonly result: OptimizationResult;
  };
  /** A learned rule has proposed something. */
  readonly adaptive_optimization: More & { readonly rule: string };
  /** Refused, taken back, or never begun; `error` says why. */
  readonly optimization_failed: More & { readonly strategy: string; readonly error: string };
  readonly trial_started: More & { readonly trialId: string; readonly strategy: string };
  readonly optimization_rolled_back: More & { readonly strategy: string; readonly error: string };
  readonly recommendation: More & { readonly strategy: string; readonly reason: string };
  readonly frozen: More & { readonly reason: string };
  readonly unfrozen: More & { readonly reason: string };
}

/** Events by name, for `on`; `*` stands for all of them. */
export type OptimizerEvents = {
  readonly [T in keyof EventData]: OptimizerEvent<T, EventData[T]>;
} & {
  readonly [T in Exclude<EventType, keyof EventData>]: OptimizerEvent<T, More>;
} & { readonly '*': OptimizerEvent<EventType, More> };

const knobValue = z.union([z.number(), z.boolean(), z.string()]);
const step = z.object({ knob: z.string(), from: knobValue, to: knobValue });
const results = z.looseObject({
  ...{ improvement: z.number(), low: z.number(), high: z.number() },
  ...{ confidence: z.number(), blocks: z.number() },
});
const applied = z.looseObject({
  ...{ strategy: z.string(), trialId: z.string(), changes: z.array(step) },
  result: z.looseObject({ results }),
});
const failed = z.looseObject({ strategy: z.string().default('none'), error: z.string() });
const reason = z.looseObject({ reason: z.string() });

/** How each event's data is read; what comes over the wire is nobody's word until then. */
const READ: { readonly [T in keyof EventData]: z.ZodType<EventData[T]> } = {
  optimization_applied: applied.transform(({ result, ...data }) => {
    const { improvement, low, high, confidence, blocks } = result.results;
    const interval = { low, high, confidence, blocks };
    const { strategy, trialId } = data;
    return { ...data, result: { applied: true, optimization: strategy, trialId, results: { improvement, interval } } };
  }),
  adaptive_optimization: z.looseObject({ rule: z.string() }),
  optimization_failed: failed,
  trial_started: z.looseObject({ trialId: z.string(), strategy: z.string() }),
  optimization_rolled_back: failed,
  recommendation: z.looseObject({ strategy: z.string().default('none'), reason: z.string() }),
  frozen: reason,
  unfrozen: reason,
};

function isRead(type: EventType): type is keyof EventData {
  return type in READ;
}

/** An agent of a later version may tell of more. */
export function isEventType(word: string): word is EventType {
  const known: readonly string[] = EVENT_TYPES;
  return known.includes(word);
}

/** The event as it is told, or why it cannot be understood. */
export function publicEvent({ type, component, atMs, data }: CoreEvent): OptimizerEvent<EventType, More> | string {
  // What is not a number (of data that is missing) is not there.
  const known = Object.fromEntries(Object.entries(data).filter(([, value]) => !Number.isNaN(value)));
  if (!isRead(type)) return { type, component, at: atMs, data: known };
  const read = READ[type].safeParse(data);
  return read.success ? { type, component, at: atMs, data: read.data } : `${type}: ${z.prettifyError(read.error)}`;
}
