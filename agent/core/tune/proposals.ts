import { KNOB_MODES, type KnobMode, type KnobSpec, type KnobValue, type Setting } from '../model.ts';
import { changesBetween, describe } from './changes.ts';
import { allowedValues, axisOf, type Bounds, isAllowed, snap } from './space.ts';
import { isActive, type Standing, unknownKnob } from './standing.ts';

/**
 * Changes that somebody asks for: an operator, a strategy or a rule of the user's own. They are plans like any other: within bounds
 * and modes, one at a time, put to trial and kept only when proven. Here is decided whether one may wait for its turn.
 */
export const PROPOSAL_LIFE_MS = 86_400_000;
/** Those waiting for approval or for their turn. */
const MAX_PROPOSALS = 8;

/** Who plans, where a human does. */
export const HUMAN_STRATEGY = 'Operator';

export interface ProposalRules {
  readonly nowMs: number;
  readonly specs: readonly KnobSpec[];
  readonly incumbent: Setting;
  readonly modeOf: (spec: KnobSpec) => KnobMode;
  /** The configuration's own bounds of a knob. */
  readonly boundsOf: (knob: string) => Bounds;
  /** Values that the process refused for good, with its reason. */
  readonly rejection: (knob: string, value: KnobValue) => string | undefined;
  readonly isBanned: (setting: Setting) => boolean;
}

/** What may become of a proposal: its values as the process can take them, and the least that its knobs' modes allow. */
export type Checked = { readonly mode: KnobMode; readonly setting: Setting };

/** A text says why a proposal is refused. */
export function checkProposal(changes: Setting, standing: Standing, rules: ProposalRules): Checked | string {
  if (Object.keys(changes).length === 0) return 'a proposal needs at least one knob and its value';
  const setting: Record<string, KnobValue> = {};
  let least = KNOB_MODES.length - 1;
  for (const [knob, value] of Object.entries(changes)) {
    const spec = rules.specs.find((known) => known.id === knob);
    if (spec === undefined) return unknownKnob(knob, rules.specs);
    const taken = takenAs(spec, value, rules.boundsOf(knob));
    if (taken === undefined) return `${knob} cannot be ${value}: ${allowedValues(spec, rules.boundsOf(knob))}`;
    const pin = standing.pins[knob];
    if (pin !== undefined) return `${knob} is pinned at ${pin.value} by ${pin.by}; unpin it first`;
    if (!isActive(spec, rules.incumbent)) {
      return `${knob} means nothing at the present value of ${spec.conditionalOn?.knob}`;
    }
    const refused = rules.rejection(knob, taken);
    if (refused !== undefined) return `the process has refused ${knob} = ${taken} before: ${refused}`;
    const mode = rules.modeOf(spec);
    if (mode === 'observe') return `${knob} is in mode observe: nothing may be proposed for it`;
    least = Math.min(least, KNOB_MODES.indexOf(mode));
    setting[knob] = taken;
  }
  const target = { ...rules.incumbent, ...setting };
  if (changesBetween(rules.incumbent, target).length === 0) return `${describe(setting)} is in force already`;
  if (rules.isBanned(target)) return `${describe(setting)} lies where an experiment had to be abandoned not long ago`;
  return { mode: KNOB_MODES[least] ?? 'observe', setting };
}

/** The value on the knob's own grid; undefined where it is of another type or out of bounds. */
function takenAs(spec: KnobSpec, value: KnobValue, bounds: Bounds): KnobValue | undefined {
  if (spec.type === 'bool' || spec.type === 'enum') return isAllowed(spec, value) ? value : undefined;
  const axis = axisOf(spec, bounds);
  if (axis === undefined || typeof value !== 'number' || !(value >= axis.min && value <= axis.max)) return undefined;
  return snap(axis, value);
}

/** Why there is no room for one more; undefined while there is. */
export function whyNotQueued(changes: Setting, standing: Standing): string | undefined {
  const same = standing.proposals.find(
    ({ setting }) => setting !== undefined && describe(setting) === describe(changes),
  );
  if (same !== undefined) return `that is proposed already: ${same.id}`;
  if (standing.proposals.length < MAX_PROPOSALS) return undefined;
  return `${MAX_PROPOSALS} proposals are waiting already; reject one or let them run out`;
}
