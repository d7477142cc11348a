/** Reads what a process says of its knobs. It may say anything: what makes no sense is refused with the reason. */
import type { KnobResult, KnobSpec, KnobValue } from '../../core/model.ts';
import type { KnobResult as WireKnobResult } from '../../gen/performance_optimizer/control/v1/control_service_pb.ts';
import type { KnobValue as WireKnobValue } from '../../gen/performance_optimizer/control/v1/knob_pb.ts';
import { decodeInteger, decodeValue } from '../../rpc/knob_codec.ts';
import { stateWords } from '../../rpc/words.ts';
import { isValueOf, quote } from './hello.ts';

const MAX_ERROR = 1_024;
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]+/gu;

export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

export function readResults(
  wire: readonly WireKnobResult[],
  specs: ReadonlyMap<string, KnobSpec>,
): Read<readonly KnobResult[]> {
  if (wire.length === 0) return refused('a result without knob_results');
  // Twice the knobs: a command may name a knob that is not there, once for each that is.
  if (wire.length > 2 * specs.size + 1) return refused(`a result with ${wire.length} knob_results`);
  const results: KnobResult[] = [];
  for (const [i, entry] of wire.entries()) {
    // Only where it is needed: escaping costs more than reading the whole result.
    const where = (): string => `knob_results[${i}] (${quote(entry.knob)})`;
    const state = stateWords.decode(entry.state);
    if (state === undefined) return refused(`${where()}: state is ${entry.state}, which is not a KnobState`);
    const attemptedRevision = decodeInteger(entry.attemptedRevision);
    const effectiveRevision = decodeInteger(entry.effectiveRevision);
    if (attemptedRevision === undefined || effectiveRevision === undefined)
      return refused(`${where()}: a revision above 2^53 - 1`);
    const known = specs.has(entry.knob);
    const effective = readKnobValue(entry.effectiveValue, entry.knob, specs);
    // Of a knob that is not there, no value can be in force; that it is not there is the answer.
    if (!effective.ok && (known || state === 'applied')) return refused(`${where()}: ${effective.problem}`);
    results.push({
      knob: entry.knob,
      state,
      effectiveValue: effective.ok ? effective.value : '',
      attemptedRevision,
      effectiveRevision,
      // It goes into decisions and logs: one line, of a length that anybody reads.
      ...(entry.error !== '' && { error: entry.error.slice(0, MAX_ERROR).replace(CONTROL, ' ') }),
    });
  }
  return { ok: true, value: results };
}

/** A value of the knob's own type. Whether it is in the knob's range is not asked: it is what the process really has. */
export function readKnobValue(
  wire: WireKnobValue | undefined,
  knob: string,
  specs: ReadonlyMap<string, KnobSpec>,
): Read<KnobValue> {
  const spec = specs.get(knob);
  if (spec === undefined) return refused(`there is no knob ${quote(knob)}`);
  const value = decodeValue(wire);
  if (!isValueOf(spec, value)) return refused(`the value is not one of a knob of type ${spec.type}`);
  return { ok: true, value };
}

function refused(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem };
}
