import type { Decision, DecisionKind, KnobSpec, KnobValue, Setting, TuningAction } from '../model.ts';
import { changesBetween, describeChanges } from './changes.ts';
import { checkProposal, HUMAN_STRATEGY, PROPOSAL_LIFE_MS, type ProposalRules, whyNotQueued } from './proposals.ts';
import { findRevision } from './revisions.ts';
import { allowedValues, isAllowed } from './space.ts';
import { type Held, type Proposal, type Standing, unknownKnob, withoutProposal, withProposal } from './standing.ts';

export type OperatorOutcome =
  | { readonly ok: false; readonly message: string }
  | {
      readonly ok: true;
      readonly message: string;
      readonly standing: Standing;
      readonly kind: DecisionKind;
      /** What was asked for and is not wanted. */
      readonly declined?: Proposal;
      readonly proposalId?: string;
      readonly strategy?: string;
      /** What would change; absent: what has changed of the incumbent. */
      readonly changes?: Decision['changes'];
      /** The incumbent was taken back from somewhere: it is not gone to again for a while. */
      readonly isRetreat?: boolean;
      /** The open trial cannot go on under the new rules. */
      readonly endsTrial: boolean;
    };

export interface OperatorContext extends ProposalRules {
  /** What the process holds. */
  readonly effective: Setting;
  readonly nextProposalId: () => string;
}

/**
 * What an operator's wish makes of a component's standing. Pure: the caller records the decision and brings the process
 * to the new incumbent. A human always wins, so nothing here asks whether the tuner agrees; a proposal alone is only
 * the wish that something be tried.
 */
export function obey(
  standing: Standing,
  action: Exclude<TuningAction, { readonly action: 'optimize' }>,
  by: string,
  context: OperatorContext,
): OperatorOutcome {
  const { specs, incumbent, effective, rejection, nowMs } = context;
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
        return { ok: false, message: `${action.knob} cannot be ${value}: ${allowedValues(spec)}` };
      }
      const refused = rejection(action.knob, value);
      if (refused !== undefined) return { ok: false, message: refusal(action.knob, value, refused) };
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
      // What a human chose stays in force until something is proven better; what the process refuses never was in force.
      const value = pin.refused === undefined ? pin.value : incumbent[action.knob];
      const held =
        pin.refused === undefined ? { ...standing.held, [action.knob]: { value, by: 'human' } } : standing.held;
      return {
        ok: true,
        message: `${action.knob} unpinned; it stays at ${value} until something is proven better`,
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
      const proposal = standing.proposals.find(({ id }) => id === action.proposalId);
      if (proposal === undefined) return noProposal(action.proposalId, standing);
      if (proposal.expiresMs <= nowMs) return { ok: false, message: `proposal ${proposal.id} has expired` };
      return {
        ok: true,
        message: `proposal ${proposal.id} approved; its trial starts as soon as the component can be measured`,
        kind: 'approved',
        proposalId: proposal.id,
        strategy: proposal.strategy,
        standing: withProposal(standing, { ...proposal, approvedBy: by }),
        endsTrial: false,
      };
    }
    case 'reject': {
      const proposal = standing.proposals.find(({ id }) => id === action.proposalId);
      if (proposal === undefined) return noProposal(action.proposalId, standing);
      return {
        ok: true,
        message: `proposal ${proposal.id} declined: ${action.reason}`,
        kind: 'declined',
        proposalId: proposal.id,
        strategy: proposal.strategy,
        declined: proposal,
        standing: withoutProposal(standing, proposal.id),
        endsTrial: false,
      };
    }
    case 'propose':
      return propose(standing, action, by, context);
    case 'rollback':
      return rollBack(standing, action, context);
    case 'choose':
      return choose(standing, action.point, context);
  }
}

function propose(
  standing: Standing,
  { changes: wanted, strategy = HUMAN_STRATEGY, rule, reason }: TuningAction & { action: 'propose' },
  by: string,
  context: OperatorContext,
): OperatorOutcome {
  const { nowMs, incumbent } = context;
  if (standing.frozen !== undefined) return { ok: false, message: `nothing is tried while frozen: ${standing.frozen}` };
  const checked = checkProposal(wanted, standing, context);
  if (typeof checked === 'string') return { ok: false, message: checked };
  const { mode, setting } = checked;
  const retryAtMs = strategy === HUMAN_STRATEGY ? undefined : standing.strategies[strategy]?.retryAtMs;
  if (retryAtMs !== undefined && retryAtMs > nowMs) {
    const seconds = Math.ceil((retryAtMs - nowMs) / 1000);
    return { ok: false, message: `${strategy} has failed not long ago and may propose again in ${seconds} s` };
  }
  const changes = changesBetween(incumbent, { ...incumbent, ...setting });
  const told = { ok: true, changes, strategy, endsTrial: false } as const;
  if (mode === 'recommend') {
    const message = `recommended, not tried: ${describeChanges(changes)} (mode recommend): ${reason}`;
    return { ...told, kind: 'recommended', message, standing };
  }
  const noRoom = whyNotQueued(setting, standing);
  if (noRoom !== undefined) return { ok: false, message: noRoom };
  const id = context.nextProposalId();
  const proposal: Proposal = {
    ...{ id, strategy, atMs: nowMs, expiresMs: nowMs + PROPOSAL_LIFE_MS, setting, knobs: Object.keys(setting), reason },
    askedBy: by,
    ...(mode === 'auto' && { approvedBy: by }),
    ...(rule !== undefined && { rule }),
  };
  const next = mode === 'auto' ? 'is tried as soon as the component can be measured' : 'waits for approval';
  const message = `proposal ${id} (${describeChanges(changes)}) ${next}: ${reason}`;
  return { ...told, kind: 'proposed', message, proposalId: id, standing: withProposal(standing, proposal) };
}

function rollBack(
  standing: Standing,
  { toRevision, toDecision }: TuningAction & { action: 'rollback' },
  context: OperatorContext,
): OperatorOutcome {
  const found = findRevision(standing.revisions, { toRevision, toDecision });
  if (typeof found === 'string') return { ok: false, message: found };
  const outcome = goTo(standing, found.setting, `back to revision ${found.revision}`, context);
  return outcome.ok ? { ...outcome, kind: 'rolled_back', isRetreat: true } : outcome;
}

function choose(standing: Standing, id: string, context: OperatorContext): OperatorOutcome {
  const point = standing.pareto.find((known) => known.id === id);
  if (point === undefined) {
    const known = standing.pareto.map((one) => one.id).join(', ') || 'none yet';
    return { ok: false, message: `no proven setting ${id}; known: ${known}` };
  }
  return goTo(standing, point.setting, `${id} chosen`, context);
}

/** Recorded values, knob by knob, as a human's choice; pinned knobs stay. */
function goTo(
  standing: Standing,
  setting: Setting,
  what: string,
  { specs, incumbent, boundsOf, rejection }: OperatorContext,
): OperatorOutcome {
  if (specs.length === 0) return { ok: false, message: 'the process is not connected; its knobs are unknown' };
  const held: Record<string, Held> = { ...standing.held };
  const target: Record<string, Setting[string]> = { ...incumbent };
  const pinned: string[] = [];
  for (const spec of specs) {
    const { id } = spec;
    const value = setting[id];
    if (value === undefined || Object.is(value, incumbent[id])) continue;
    if (standing.pins[id] !== undefined) {
      pinned.push(id);
      continue;
    }
    if (!isAllowed(spec, value, boundsOf(id))) {
      return { ok: false, message: `${id} can no longer be ${value}: ${allowedValues(spec, boundsOf(id))}` };
    }
    const refused = rejection(id, value);
    if (refused !== undefined) return { ok: false, message: refusal(id, value, refused) };
    target[id] = value;
    if (Object.is(value, spec.baseline)) delete held[id];
    else held[id] = { value, by: 'human' };
  }
  const changes = changesBetween(incumbent, target);
  const kept = pinned.length === 0 ? '' : `; pinned and left alone: ${pinned.join(', ')}`;
  if (changes.length === 0) return { ok: false, message: `${what}: that setting is in force already${kept}` };
  return {
    ok: true,
    message: `${what}: ${describeChanges(changes)}${kept}`,
    kind: 'chosen',
    standing: { ...standing, held },
    endsTrial: true,
  };
}

function refusal(knob: string, value: KnobValue, why: string): string {
  return `the process refuses ${knob} = ${value}: ${why}`;
}

function unknown(knob: string, specs: readonly KnobSpec[]): OperatorOutcome {
  return { ok: false, message: unknownKnob(knob, specs) };
}

function noProposal(id: string, standing: Standing): OperatorOutcome {
  return {
    ok: false,
    message: `no proposal ${id}; open: ${standing.proposals.map((open) => open.id).join(', ') || 'none'}`,
  };
}
