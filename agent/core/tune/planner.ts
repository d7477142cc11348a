import type { EngineSettings } from '../settings.ts';
import type { Records } from './records.ts';
import { select } from './select.ts';
import { type Proposal, type Standing, sayingOnce, withoutProposal, withTry } from './standing.ts';
import type { Plan, Strategy, StrategyContext } from './strategy.ts';
import { changesBetween, describe } from './trial.ts';

export type TriablePlan = Exclude<Plan, { kind: 'shadow_rejected' }>;

export interface Planned {
  readonly standing: Standing;
  readonly next?: { readonly plan: TriablePlan; readonly strategy: string };
}

const PROPOSAL_LIFE_MS = 86_400_000;

/**
 * What to do next with a component that stands at its incumbent: recommendations and a proposal where the modes ask for
 * them, then the trial that an operator has approved, else the next one that a strategy may start by itself.
 */
export class Planner {
  readonly #strategies: readonly Strategy[];
  readonly #settings: EngineSettings;
  readonly #records: Records;
  readonly #nextProposalId: () => string;

  constructor(
    strategies: readonly Strategy[],
    settings: EngineSettings,
    records: Records,
    nextProposalId: () => string,
  ) {
    this.#strategies = strategies;
    this.#settings = settings;
    this.#records = records;
    this.#nextProposalId = nextProposalId;
  }

  /** `mayTry`: the tier and the wallet allow a trial now. */
  plan(context: StrategyContext, before: Standing, mayTry: boolean): Planned {
    const standing = this.#propose(context, this.#recommend(context, before));
    if (!mayTry) return { standing };
    if (standing.proposal?.approvedBy !== undefined) return approved(standing.proposal, standing, context);
    const selection = select(this.#strategies, context, ['auto'], standing);
    if (selection === undefined) return { standing };
    const { plan, strategy } = selection;
    if (plan.kind !== 'shadow_rejected') return { standing, next: { plan, strategy: strategy.name } };
    return { standing: this.#sayRejected(plan, strategy.name, context, standing) };
  }

  /** For knobs in mode `recommend`: what could be judged without touching is told, once per value and day. */
  #recommend(context: StrategyContext, before: Standing): Standing {
    let standing = before;
    for (const { name, plan: planFor } of this.#strategies) {
      // A recommendation harms nobody, so the tiers that may not be touched get them as well.
      const plan = planFor(context, ['recommend']);
      if (plan?.kind !== 'candidate') continue;
      const said = sayingOnce(standing, `recommend:${name}`, describe(plan.setting), context.nowMs);
      if (said === undefined) continue;
      standing = said;
      const changes = changesBetween(context.incumbent, plan.setting);
      const { reason, signals } = plan;
      this.#records.decide('recommended', context.nowMs, reason, { changes, strategy: name, signals });
      this.#records.emit('recommendation', context.nowMs, { strategy: name, changes, reason });
    }
    return standing;
  }

  #propose(context: StrategyContext, standing: Standing): Standing {
    const open = standing.proposal;
    if (open !== undefined && open.expiresMs > context.nowMs) return standing;
    const selection = select(this.#strategies, context, ['approve'], standing);
    if (selection === undefined || selection.plan.kind === 'shadow_rejected') return withoutProposal(standing);
    const { strategy, plan } = selection;
    const proposal: Proposal = {
      id: this.#nextProposalId(),
      strategy: strategy.name,
      atMs: context.nowMs,
      expiresMs: context.nowMs + PROPOSAL_LIFE_MS,
      ...(plan.kind === 'candidate' && { setting: plan.setting }),
      knobs: plan.kind === 'explore' ? plan.axes.map((axis) => axis.id) : Object.keys(plan.setting),
      reason: plan.reason,
    };
    const changes = plan.kind === 'candidate' ? changesBetween(context.incumbent, plan.setting) : [];
    const reason = `waiting for approval of ${proposal.id}: ${plan.reason}`;
    const told = { changes, strategy: strategy.name, proposalId: proposal.id };
    this.#records.decide('proposed', context.nowMs, reason, { ...told, signals: plan.signals });
    this.#records.emit('recommendation', context.nowMs, { ...told, reason });
    return { ...standing, proposal };
  }

  #sayRejected(
    plan: Plan & { kind: 'shadow_rejected' },
    strategy: string,
    context: StrategyContext,
    before: Standing,
  ): Standing {
    const { nowMs, incumbent } = context;
    const { cooldown, window } = this.#settings;
    const standing = withTry(before, strategy, nowMs, nowMs + cooldown.maxWindows * window.minMs);
    const said = sayingOnce(standing, `shadow:${strategy}`, describe(plan.setting), nowMs);
    if (said === undefined) return standing;
    const changes = changesBetween(incumbent, plan.setting);
    this.#records.decide('shadow_rejected', nowMs, plan.reason, { changes, strategy, signals: plan.signals });
    return said;
  }
}

/** The plan that an operator has approved, made anew from the present knobs; the approval is used up by it. */
function approved(proposal: Proposal, before: Standing, { knobs }: StrategyContext): Planned {
  const standing = withoutProposal(before);
  const reason = `${proposal.reason} (approved by ${proposal.approvedBy})`;
  const { strategy, setting } = proposal;
  if (setting !== undefined)
    return { standing, next: { strategy, plan: { kind: 'candidate', setting, reason, signals: {} } } };
  const axes = knobs.filter((knob) => proposal.knobs.includes(knob.spec.id)).flatMap(({ axis }) => axis ?? []);
  if (axes.length === 0) return { standing };
  return { standing, next: { strategy, plan: { kind: 'explore', axes, reason, signals: {} } } };
}
