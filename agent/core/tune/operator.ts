import type { DecisionKind, KnobSpec, OperatorAction, Setting } from '../model.ts';
import { isAllowed } from './space.ts';
import type { Proposal, Standing } from './standing.ts';

export type OperatorOutcome =
  | { readonly ok: false; readonly message: string }
  | {
      readonly ok: true;
      readonly message: string;
      readonly standing: Standing;
      readonly kind: DecisionKind;
      /** What was asked for and is not wanted. */
      readonly declined?: Proposal;
      /** The open trial cannot go on under the new rules. */
      readonly endsTrial: boolean;
    };

/**
 * What an operator's wish makes of a component's standing. Pure: the caller records the decision and brings the process
 * to the new incumbent. A human always wins, so nothing here asks whether the tuner agrees.
 */
export function obey(
  standing: Standing,
  action: OperatorAction,
  by: string,
  nowMs: number,
  specs: readonly KnobSpec[],
  effective: Setting,
): OperatorOutcome {
  switch (action.action) {
    case 'set_mode': {
      const key = action.knob ?? '*';
      if (action.knob !== undefined && !specs.some((spec) => spec.id === action.knob))
        return unknown(action.knob, specs);
      const what = action.knob === undefined ? 'all knobs' : action.knob;
      return {
        ok: true,
        message: `${what} set to mode ${action.mode}`,
        kind: 'mode_changed',
        standing: { ...standing, modes: { ...standing.modes, [key]: action.mode } },
        endsTrial: true,
      };
    }
    case 'pin': {
      const spec = specs.find((known) => known.id === action.knob);
      if (spec === undefined) return unknown(action.knob, specs);
      const value = action.value ?? effective[action.knob];
      if (!isAllowed(spec, value)) {
        return { ok: false, message: `${action.knob} cannot be ${value}: ${allowed(spec)}` };
      }
      return {
        ok: true,
        message: `${action.knob} pinned at ${value}`,
        kind: 'pinned',
        standing: { ...standing, pins: { ...standing.pins, [action.knob]: { value, by } } },
        endsTrial: true,
      };
    }
    case 'unpin': {
      const pin = standing.pins[action.knob];
      if (pin === undefined) {
        const pinned = Object.keys(standing.pins).join(', ') || 'none';
        return { ok: false, message: `${action.knob} is not pinned; pinned knobs: ${pinned}` };
      }
      const { [action.knob]: _, ...pins } = standing.pins;
      // What a human chose stays in force until something is proven better.
      const held = { ...standing.held, [action.knob]: { value: pin.value, by: 'human' } };
      return {
        ok: true,
        message: `${action.knob} unpinned; it stays at ${pin.value} until something is proven better`,
        kind: 'unpinned',
        standing: { ...standing, pins, held },
        endsTrial: false,
      };
    }
    case 'freeze':
      return {
        ok: true,
        message: `frozen: ${action.reason}`,
        kind: 'frozen',
        standing: { ...standing, frozen: action.reason },
        endsTrial: true,
      };
    case 'unfreeze': {
      const { frozen, ...thawed } = standing;
      if (frozen === undefined) return { ok: false, message: 'not frozen' };
      return { ok: true, message: 'unfrozen', kind: 'unfrozen', standing: thawed, endsTrial: false };
    }
    case 'approve': {
      const { proposal } = standing;
      if (proposal === undefined || proposal.id !== action.proposalId) return noProposal(action.proposalId, standing);
      if (proposal.expiresMs <= nowMs) return { ok: false, message: `proposal ${proposal.id} has expired` };
      return {
        ok: true,
        message: `proposal ${proposal.id} approved; its trial starts as soon as the component can be measured`,
        kind: 'approved',
        standing: { ...standing, proposal: { ...proposal, approvedBy: by } },
        endsTrial: false,
      };
    }
    case 'reject': {
      const { proposal, ...rest } = standing;
      if (proposal === undefined || proposal.id !== action.proposalId) return noProposal(action.proposalId, standing);
      return {
        ok: true,
        message: `proposal ${proposal.id} declined: ${action.reason}`,
        kind: 'declined',
        declined: proposal,
        standing: rest,
        endsTrial: false,
      };
    }
  }
}

function unknown(knob: string, specs: readonly KnobSpec[]): OperatorOutcome {
  const known = specs.map((spec) => spec.id).join(', ') || 'none declared';
  return { ok: false, message: `unknown knob ${knob}; known: ${known}` };
}

function noProposal(id: string, standing: Standing): OperatorOutcome {
  const open = standing.proposal === undefined ? 'none is open' : `open: ${standing.proposal.id}`;
  return { ok: false, message: `no proposal ${id}; ${open}` };
}

function allowed(spec: KnobSpec): string {
  switch (spec.type) {
    case 'bool':
      return 'true or false';
    case 'enum':
      return `one of ${spec.values.join(', ')}`;
    default:
      return `${spec.type} from ${spec.min} to ${spec.max} ${spec.unit}`.trim();
  }
}
