import type { EngineSettings } from '../settings.ts';
import { changesBetween, describe, signed } from './changes.ts';
import { CHECK, CHECKPOINT, checkDue, type Suspicion } from './checkpoint.ts';
import type { ContextKey } from './context.ts';
import { upperTail } from './normal.ts';
import { PROPOSAL_LIFE_MS } from './proposals.ts';
import { GAIN, type Purpose } from './purpose.ts';
import type { Random } from './random.ts';
import type { Records } from './records.ts';
import { confidenceOf, type LearnedRule, RULE_STRATEGY, ruleFor } from './rules.ts';
import { hasKnob, select } from './select.ts';
import { type Proposal, type Standing, sayingOnce, withoutProposal, withProposal, withTry } from './standing.ts';
import type { Plan, Strategy, StrategyContext } from './strategy.ts';
import { percent } from './triggers.ts';

export type TriablePlan = Exclude<Plan, { kind: 'shadow_rejected' }>;

export interface Planned {
  readonly standing: Standing;
  readonly next?: Next;
}

/** What is likelier not worth having than worth it is left alone. */
const LEAST_HOPE = 0.5;

/** What is tried next. */
export interface Next {
  readonly plan: TriablePlan;
  readonly strategy: string;
  readonly purpose: Purpose;
  /** The circumstances when it was planned. */
  readonly context: ContextKey;
  /** What else could have been done, and why it was not. */
  readonly alternatives: readonly string[];
  /** What it was proposed as, where it was. */
  readonly proposal?: Proposal;
  /** What was learned that led to it. */
  readonly rule?: LearnedRule;
}

/**
 * What to do next with a component that stands at its incumbent: recommendations and a proposal where the modes ask for
 * them, then the trial that an operator has approved, else the next one that a strategy may start by itself.
 */
export class Planner {
  readonly #strategies: readonly Strategy[];
  readonly #settings: EngineSettings;
  readonly #records: Records;
  readonly #nextProposalId: () => string;
  readonly #random: Random;

  constructor(
    strategies: readonly Strategy[],
    settings: EngineSettings,
    records: Records,
    nextProposalId: () => string,
    random: Random,
  ) {
    this.#strategies = strategies;
    this.#settings = settings;
    this.#records = records;
    this.#nextProposalId = nextProposalId;
    this.#random = random;
  }

  /** `mayTry`: the tier and the wallet allow a trial now; `suspicion`: why what is held should be looked into. */
  plan(context: StrategyContext, before: Standing, mayTry: boolean, suspicion?: Suspicion): Planned {
    const standing = this.#propose(context, this.#recommend(context, before));
    const asked = mayTry ? this.#asked(context, standing) : undefined;
    if (asked !== undefined) return asked;
    const check = mayTry || suspicion !== undefined ? this.#check(standing, context, suspicion) : undefined;
    if (check !== undefined) return { standing, next: check };
    if (!mayTry) return { standing };
    const learned = this.learned(standing, context);
    if (learned !== undefined) return { standing, next: learned };
    const selection = select(this.#strategies, context, ['auto'], standing, this.#random);
    if (selection === undefined) return { standing };
    const { strategy, alternatives } = selection;
    const plan = this.#vetted(selection.plan, context);
    if (plan.kind === 'shadow_rejected') {
      return { standing: this.#sayRejected(plan, strategy.name, context, standing) };
    }
    const { circumstances } = context;
    return {
      standing,
      next: { plan, strategy: strategy.name, purpose: GAIN, context: circumstances, alternatives },
    };
  }

  /**
   * What somebody asked for while the incumbent was measured for a plan of our own goes first, and so does a look into what is held
   * where that has come under suspicion: the plan can be made again.
   */
  afresh(next: Next, context: StrategyContext, before: Standing, suspicion: Suspicion | undefined): Required<Planned> {
    if (next.proposal !== undefined) return { standing: before, next };
    const asked = this.#asked(context, before);
    const standing = asked?.standing ?? before;
    const check = suspicion === undefined ? undefined : this.#check(standing, context, suspicion);
    return { standing, next: asked?.next ?? check ?? next };
  }

  /** What the windows around have spoken of already is not tried again to hear the same. */
  #vetted(plan: Plan, context: StrategyContext): Plan {
    const foreseen = plan.kind === 'candidate' ? context.foresee(plan.setting) : undefined;
    if (plan.kind !== 'candidate' || foreseen === undefined) return plan;
    const { mean, sd } = foreseen;
    const hope = upperTail((mean - Math.log(1 - this.#settings.proof.minimumEffect)) / sd);
    if (hope >= LEAST_HOPE) return plan;
    const { setting, reason } = plan;
    const signals = { ...plan.signals, foreseen: mean, foreseenDeviation: sd, hope };
    const [low, high] = [mean - sd, mean + sd].map((y) => signed(Math.expm1(y)));
    const why = `what was measured around says ${low} to ${high}, a chance of ${percent(hope)} that it helps`;
    return { kind: 'shadow_rejected', setting, isPassing: true, reason: `${reason}; but ${why}`, signals };
  }

  /** What somebody asked for or approved, oldest first; undefined where nobody did. */
  #asked(context: StrategyContext, standing: Standing): Planned | undefined {
    const proposal = standing.proposals.find(({ approvedBy }) => approvedBy !== undefined);
    return proposal === undefined ? undefined : this.#approved(proposal, standing, context);
  }

  /** Whether what is held would be looked into now, were nothing being tried. */
  checks(context: StrategyContext, standing: Standing, suspicion: Suspicion): boolean {
    return this.#check(standing, context, suspicion) !== undefined;
  }

  #check(standing: Standing, context: StrategyContext, suspicion: Suspicion | undefined): Next | undefined {
    const due = checkDue(context, standing, this.#settings.window, suspicion);
    if (due === undefined) return undefined;
    const { setting, reason, passed } = due;
    const plan: TriablePlan = { kind: 'candidate', setting, reason, signals: { checksPassed: passed } };
    return { plan, strategy: CHECKPOINT, purpose: CHECK, context: context.circumstances, alternatives: [] };
  }

  /** A rule whose context has returned comes before anything that is merely drawn. */
  learned(standing: Standing, context: StrategyContext): Next | undefined {
    const waitsUntilMs = standing.strategies[RULE_STRATEGY]?.retryAtMs ?? Number.NEGATIVE_INFINITY;
    if (context.nowMs < waitsUntilMs) return undefined;
    if (Object.keys(standing.rules).length === 0) return undefined;
    const key = context.circumstances;
    const found = ruleFor(standing.rules, key, context, this.#settings.optimization.adaptationThreshold);
    if (found === undefined) return undefined;
    const { rule, changes } = found;
    const confidence = confidenceOf(rule, context.nowMs);
    const reason = `rule ${rule.id}: ${describe(changes)} was proven under ${key} by ${rule.strategy} (${rule.trialId})`;
    const signals = { ruleConfidence: confidence, ruleSamples: rule.samples, ruleProven: rule.proven };
    const plan: TriablePlan = { kind: 'candidate', setting: changes, reason, signals };
    return { plan, strategy: RULE_STRATEGY, purpose: GAIN, context: key, alternatives: [], rule };
  }

  /** Proposals whose time has run out: whoever asked is told. */
  expire(before: Standing, nowMs: number): Standing {
    const expired = before.proposals.filter(({ expiresMs }) => expiresMs <= nowMs);
    return expired.reduce(
      (standing, proposal) => this.decline(proposal, 'it ran out before it could be tried', nowMs, standing),
      before,
    );
  }

  /** A proposal that will not be tried, and why. */
  decline(proposal: Proposal, why: string, nowMs: number, standing: Standing): Standing {
    const { id: proposalId, strategy } = proposal;
    this.#records.decide('declined', nowMs, `proposal ${proposalId}: ${why}`, { changes: [], strategy, proposalId });
    this.#records.emit('optimization_failed', nowMs, { strategy, proposalId, error: why, changes: [] });
    return withoutProposal(standing, proposalId);
  }

  /** For knobs in mode `recommend`: what could be judged without touching is told, once per value and day. */
  #recommend(context: StrategyContext, before: Standing): Standing {
    let standing = before;
    for (const strategy of this.#strategies) {
      const { name } = strategy;
      // A recommendation harms nobody, so the tiers that may not be touched get them as well.
      const isAsked = hasKnob(strategy, context, ['recommend']) && strategy.canApply(context);
      const plan = isAsked ? strategy.plan(context, ['recommend']) : undefined;
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
    if (standing.proposals.some(({ askedBy }) => askedBy === undefined)) return standing;
    const selection = select(this.#strategies, context, ['approve'], standing, this.#random);
    if (selection === undefined) return standing;
    const { strategy } = selection;
    const plan = this.#vetted(selection.plan, context);
    if (plan.kind === 'shadow_rejected') return this.#sayRejected(plan, strategy.name, context, standing);
    const proposal: Proposal = {
      id: this.#nextProposalId(),
      strategy: strategy.name,
      atMs: context.nowMs,
      expiresMs: context.nowMs + PROPOSAL_LIFE_MS,
      ...(plan.kind === 'candidate' && { setting: plan.setting }),
      knobs: plan.kind === 'candidate' ? Object.keys(plan.setting) : plan.axes.map((axis) => axis.id),
      reason: plan.reason,
    };
    const changes = plan.kind === 'candidate' ? changesBetween(context.incumbent, plan.setting) : [];
    const reason = `waiting for approval of ${proposal.id}: ${plan.reason}`;
    const told = { changes, strategy: strategy.name, proposalId: proposal.id };
    this.#records.decide('proposed', context.nowMs, reason, { ...told, signals: plan.signals });
    this.#records.emit('recommendation', context.nowMs, { ...told, reason });
    return withProposal(standing, proposal);
  }

  #sayRejected(
    plan: Plan & { kind: 'shadow_rejected' },
    strategy: string,
    context: StrategyContext,
    before: Standing,
  ): Standing {
    const { nowMs, incumbent } = context;
    const { cooldown, window } = this.#settings;
    const pauseWindows = plan.isPassing === true ? cooldown.windows : cooldown.maxWindows;
    const standing = withTry(before, strategy, nowMs, nowMs + pauseWindows * window.minMs);
    const said = sayingOnce(standing, `shadow:${strategy}`, describe(plan.setting), nowMs);
    if (said === undefined) return standing;
    const changes = changesBetween(incumbent, plan.setting);
    this.#records.decide('shadow_rejected', nowMs, plan.reason, { changes, strategy, signals: plan.signals });
    return said;
  }

  /** The plan that was asked for or approved, made anew from the present knobs. It keeps its place until its trial has begun. */
  #approved(proposal: Proposal, standing: Standing, context: StrategyContext): Planned {
    const { strategy, setting, askedBy, approvedBy } = proposal;
    const knobs = context.knobs.filter(({ spec }) => proposal.knobs.includes(spec.id));
    const missing = proposal.knobs.find(
      (id) => !knobs.some(({ spec, mode }) => spec.id === id && mode !== 'recommend'),
    );
    if (missing !== undefined) {
      return { standing: this.decline(proposal, `${missing} may not be moved now`, context.nowMs, standing) };
    }
    const who = askedBy === approvedBy ? `asked for by ${askedBy}` : `approved by ${approvedBy}`;
    const told = { reason: `${proposal.reason} (${who})`, signals: {} };
    const axes = knobs.flatMap(({ axis }) => axis ?? []);
    const plan: TriablePlan =
      setting === undefined ? { kind: 'explore', axes, ...told } : { kind: 'candidate', setting, ...told };
    return {
      standing,
      next: { strategy, purpose: GAIN, plan, proposal, context: context.circumstances, alternatives: [] },
    };
  }
}
