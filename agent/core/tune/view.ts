import type { Actuator, ActuatorState, KnobStanding } from '../actuator.ts';
import type { KnobMode, KnobValue, Setting, Tier } from '../model.ts';
import { type AuditView, auditView } from './audit.ts';
import type { ParetoPoint } from './pareto.ts';
import type { Revision } from './revisions.ts';
import { confidenceOf, type LearnedRule } from './rules.ts';
import { settleMsOf } from './settling.ts';
import type { Proposal, Standing } from './standing.ts';
import type { Terms } from './terms.ts';
import type { Trial } from './trial.ts';

/** What a component's tuner believes and does, as data. */
export interface TunerView {
  readonly tier: Tier;
  readonly phase: 'absent' | 'restoring' | 'waiting' | 'auditing' | 'reference' | 'trying' | 'promoting';
  /** A session is open. */
  readonly connected: boolean;
  readonly actuator: ActuatorState['state'];
  /** Nothing is under way: `effective` is what the process holds. */
  readonly settled: boolean;
  readonly incumbent: Setting;
  readonly effective: Setting;
  readonly knobs: readonly KnobView[];
  readonly openTrial?: OpenTrialView;
  /** Waiting for approval or for their turn, oldest first. */
  readonly proposals: readonly Proposal[];
  /** Settings that were in force one after another; the last is the incumbent's. */
  readonly revisions: readonly Revision[];
  /** Proven settings that trade one objective for another, against the baselines. */
  readonly pareto: readonly ParetoPoint[];
  /** What was learned, by context, with the confidence that it has earned. */
  readonly rules: readonly RuleView[];
  readonly frozen?: string;
  /** Whose experiment goes first, and why. */
  readonly waitsFor?: string;
  readonly walletBalance: number;
  /** Level of the next proof. */
  readonly alpha: number;
  /** How often the proof errs here. */
  readonly audit: AuditView;
}

export interface RuleView extends LearnedRule {
  /** In (0, 1). */
  readonly confidence: number;
}

export interface OpenTrialView {
  readonly id: string;
  readonly strategy: string;
  readonly proposalId?: string;
  readonly startedMs: number;
  /** What will be restored, whatever happens. */
  readonly recorded: Setting;
  /** What the window under way measures. */
  readonly trying: Setting;
  readonly blocks: number;
  readonly candidate?: Setting;
}

export interface KnobView extends KnobStanding {
  readonly mode: KnobMode;
  readonly pinned: boolean;
  readonly incumbent: KnobValue;
  /** What is waited for after a change: the declared time, or what was measured where that is longer. */
  readonly settleMs: number;
  /** The trial that proved the incumbent's value, `human`, or absent for the baseline. */
  readonly heldBy?: string;
}

export interface TunerParts {
  readonly phase: TunerView['phase'];
  readonly waitsFor: string | undefined;
  readonly terms: Terms;
  readonly standing: Standing;
  readonly actuator: Actuator;
  readonly trial: Trial | undefined;
  readonly walletBalance: number;
  readonly alpha: number;
  /** What is promised of everything kept. */
  readonly q: number;
  readonly nowMs: number;
  readonly maxWindowMs: number;
}

export function viewOf({
  q,
  nowMs,
  maxWindowMs,
  phase,
  waitsFor,
  terms,
  standing,
  actuator,
  trial,
  walletBalance,
  alpha,
}: TunerParts): TunerView {
  const { proposals, revisions, rules, pareto, frozen, held, pins } = standing;
  const incumbent = terms.incumbent(standing);
  return {
    tier: terms.tier,
    phase,
    connected: terms.manifest !== undefined,
    actuator: actuator.state.state,
    settled: actuator.state.state === 'settled',
    incumbent,
    effective: actuator.effective,
    knobs: actuator.standing.map((knob) => {
      const heldBy = held[knob.spec.id]?.by;
      return {
        ...knob,
        mode: terms.modeOf(knob.spec, standing),
        pinned: pins[knob.spec.id] !== undefined,
        incumbent: incumbent[knob.spec.id],
        settleMs: settleMsOf(standing.transients[knob.spec.id], knob.spec.settleMs, maxWindowMs),
        ...(heldBy !== undefined && { heldBy }),
      };
    }),
    ...(trial !== undefined && { openTrial: openTrialOf(trial) }),
    proposals,
    revisions,
    pareto,
    rules: Object.values(rules).map((rule) => ({ ...rule, confidence: confidenceOf(rule, nowMs) })),
    ...(frozen !== undefined && { frozen }),
    ...(waitsFor !== undefined && { waitsFor }),
    walletBalance,
    alpha,
    audit: auditView(standing.audit, q),
  };
}

function openTrialOf(trial: Trial): OpenTrialView {
  const { id, strategy, proposalId, startedMs, recorded, target, blocks, candidate, hasCandidate } = trial;
  const proposed = proposalId !== undefined && { proposalId };
  return { id, strategy, ...proposed, startedMs, recorded, trying: target, blocks, ...(hasCandidate && { candidate }) };
}
