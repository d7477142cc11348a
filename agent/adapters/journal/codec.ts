import type { Decision } from '../../core/model.ts';

/*
 * Decisions as JSON text, without loss: numbers that JSON does not know (NaN, the infinities, -0) are written as
 * `{"$number":"NaN"}`, because an explanation must show what the engine saw, bit for bit.
 */

export function encodeDecision(decision: Decision): string {
  return JSON.stringify(decision, (_key, value: unknown) =>
    typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))
      ? { $number: Object.is(value, -0) ? '-0' : String(value) }
      : value,
  );
}

/** Only for what `encodeDecision` wrote: the schema version of the file vouches for the shape. */
export function decodeDecision(json: string): Decision {
  return JSON.parse(json, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && '$number' in value && typeof value.$number === 'string'
      ? Number(value.$number)
      : value,
  );
}
