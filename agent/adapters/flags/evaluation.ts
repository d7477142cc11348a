/** flagd's evaluation protocol, in both versions: they differ in what may be absent, not in what is asked. */
import { create, type DescMethod, type DescService, type JsonObject } from '@bufbuild/protobuf';
import {
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { KnobValue } from '../../core/model.ts';
import { BASELINE, keyOf, valueAt, variantOf } from './definitions.ts';
import type { Flag } from './ports.ts';

/** A value, why, and which variant: what every answer of the protocol says. */
interface Resolution {
  readonly value: KnobValue;
  readonly reason: string;
  readonly variant: string;
  readonly metadata: JsonObject;
}

export interface EvaluationHouse {
  /** What a call may read. */
  flags(call: object): readonly Flag[];
  nowMs(): number;
  eventStream(call: ServerWritableStream<unknown, unknown>): void;
}

/** A value of the wrong type for the method, or `undefined` for one that fits. */
const FITS: Readonly<Record<string, (value: KnobValue) => boolean>> = {
  resolveBoolean: (value) => typeof value === 'boolean',
  resolveString: (value) => typeof value === 'string',
  resolveFloat: (value) => typeof value === 'number',
  resolveInt: (value) => Number.isSafeInteger(value),
  // No knob is an object.
  resolveObject: () => false,
};

export function evaluation(service: DescService, house: EvaluationHouse): UntypedServiceImplementation {
  const resolve = (flag: Flag): Resolution => {
    const { value, isTuned } = valueAt(flag, house.nowMs());
    return {
      value,
      reason: isTuned ? 'TARGETING_MATCH' : 'DEFAULT',
      variant: isTuned ? variantOf(flag) : BASELINE,
      metadata: { flagSetId: flag.component, knob: flag.spec.id },
    };
  };
  const one = (method: DescMethod, fits: (value: KnobValue) => boolean) => {
    return (call: ServerUnaryCall<{ flagKey: string }, unknown>, callback: sendUnaryData<unknown>): void => {
      const { flagKey } = call.request;
      const flag = house.flags(call).find((each) => keyOf(each) === flagKey);
      if (flag === undefined) {
        const shown = JSON.stringify(flagKey.slice(0, 80));
        callback({ code: status.NOT_FOUND, details: `FLAG_NOT_FOUND: there is no flag ${shown}` });
        return;
      }
      const resolution = resolve(flag);
      if (!fits(resolution.value)) {
        const details = `TYPE_MISMATCH: ${flagKey} is of type ${flag.spec.type}`;
        callback({ code: status.INVALID_ARGUMENT, details });
        return;
      }
      const { value } = resolution;
      const isInt = method.localName === 'resolveInt' && typeof value === 'number';
      callback(null, create(method.output, { ...resolution, value: isInt ? BigInt(value) : value }));
    };
  };
  const handlers: UntypedServiceImplementation = {
    eventStream: (call: ServerWritableStream<unknown, unknown>) => house.eventStream(call),
  };
  for (const method of service.methods) {
    if (method.methodKind !== 'unary') continue;
    const fits = FITS[method.localName];
    if (fits !== undefined) handlers[method.localName] = one(method, fits);
    else
      handlers[method.localName] = (
        call: ServerUnaryCall<unknown, unknown>,
        callback: sendUnaryData<unknown>,
      ): void => {
        const entries = house.flags(call).map((flag) => {
          const { value, ...rest } = resolve(flag);
          return [keyOf(flag), { ...rest, value: anyValue(value) }];
        });
        callback(null, create(method.output, { flags: Object.fromEntries(entries) }));
      };
  }
  return handlers;
}

function anyValue(value: KnobValue) {
  if (typeof value === 'boolean') return { case: 'boolValue', value };
  return typeof value === 'string' ? { case: 'stringValue', value } : { case: 'doubleValue', value };
}
