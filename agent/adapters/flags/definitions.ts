/** Knobs as flagd knows flags. */
import type { KnobValue } from '../../core/model.ts';
import type { Flag } from './ports.ts';

export const BASELINE = 'baseline';

/** `embedder/batch_size`. */
export function keyOf({ component, spec }: Flag): string {
  return `${component}/${spec.id}`;
}

export function variantOf({ tuned }: Flag): string {
  return tuned === undefined ? BASELINE : `rev-${tuned.revision}`;
}

/**
 * Flag definitions as JSON, by flagd's schema. The lease is compiled in: a tuned value applies while the application's own
 * clock, in whole seconds, is before the second in which the lease ends, so that whoever evaluates by itself is at the
 * baseline in time whatever has become of the agent.
 */
export function definitions(flags: readonly Flag[]): string {
  return JSON.stringify({ flags: Object.fromEntries(flags.map((flag) => [keyOf(flag), definition(flag)])) });
}

function definition(flag: Flag): Record<string, unknown> {
  const { component, spec, tuned } = flag;
  const base = {
    state: 'ENABLED',
    defaultVariant: BASELINE,
    metadata: { flagSetId: component, knob: spec.id, ...(spec.unit !== '' && { unit: spec.unit }) },
  };
  if (tuned === undefined) return { ...base, variants: { [BASELINE]: spec.baseline } };
  const variant = variantOf(flag);
  const isLeased = { '<': [{ var: '$flagd.timestamp' }, Math.floor(tuned.untilMs / 1_000)] };
  return {
    ...base,
    variants: { [BASELINE]: spec.baseline, [variant]: tuned.value },
    targeting: { if: [isLeased, variant, BASELINE] },
  };
}

/** The value in force at a moment, by the same rule. */
export function valueAt(
  { spec, tuned }: Flag,
  nowMs: number,
): { readonly value: KnobValue; readonly isTuned: boolean } {
  const isTuned = tuned !== undefined && Math.floor(nowMs / 1_000) < Math.floor(tuned.untilMs / 1_000);
  return { value: isTuned ? tuned.value : spec.baseline, isTuned };
}
