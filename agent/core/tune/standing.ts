import type { KnobMode, KnobSpec, KnobValue, Setting } from '../model.ts';
import type { ComponentPolicy, EngineSettings, TierPolicy } from '../settings.ts';
import type { Arms } from './arms.ts';
import { type AuditState, NO_AUDIT } from './audit.ts';
import type { ErrorBudgetState } from './error_budget.ts';
import type { ParetoPoint } from './pareto.ts';
import type { Revision } from './revisions.ts';
import type { Rules } from './rules.ts';
import type { Scar } from './scars.ts';
import type { Transients } from './settling.ts';
import { isAllowed } from './space.ts';
import type { UsageHistogramState } from './usage_histogram.ts';

/** Why a knob may stand at something other than its baseline. */
export interface Held {
  readonly value: KnobValue;
  /** The trial that proved it, or `human`. */
  readonly by: string;
}

export interface StrategyRecord {
  readonly failures: number;
  readonly retryAtMs: number;
  readonly triedAtMs: number;
}

export interface Proposal {
  readonly id: string;
  readonly strategy: string;
  readonly atMs: number;
  readonly expiresMs: number;
  /** The exact setting to try; absent: probe these knobs. */
  readonly setting?: Setting;
  readonly knobs: readonly string[];
  readonly reason: string;
  /** Who let it go ahead; absent while it waits for approval. */
  readonly approvedBy?: string;
  /** Who asked for it; absent where a strategy of the engine itself did. */
  readonly askedBy?: string;
  /** The rule that led to it. */
  readonly rule?: string;
}

export interface Pin {
  readonly value: KnobValue;
  readonly by: string;
  /** Why the process will not have it, until it starts anew: the knob stays where it is, and nobody tunes it. */
  readonly refused?: string;
}

/**
 * What is known of a component and must outlive the agent: proven values, pins, modes, budgets, the open trial. Plain
 * JSON, replaced whole; the journal keeps it beside the decisions that led to it.
 */
export interface Standing {
  /** Proven (or human) values; a knob that is not here stands at its baseline. */
  readonly held: Readonly<Record<string, Held>>;
  readonly pins: Readonly<Record<string, Pin>>;
  /** Modes set by operators; `*` for the component. */
  readonly modes: Readonly<Record<string, KnobMode>>;
  readonly strategies: Readonly<Record<string, StrategyRecord>>;
  /** What trials of each strategy have paid, by context. */
  readonly arms: Arms;
  /** What was proven, by context. */
  readonly rules: Rules;
  /** Proven settings that trade one objective for another. */
  readonly pareto: readonly ParetoPoint[];
  /** How long the last changes of each knob took to show, in ms. */
  readonly transients: Transients;
  /** When what is held was last compared with the baselines, and how often in a row it has stood that since something was kept. */
  readonly checkpoint?: { readonly atMs: number; readonly passed: number };
  /** Log units that the setting is better than the baselines, by the proofs that led there. */
  readonly won?: { readonly setting: Setting; readonly gain: number };
  readonly lastKept?: { readonly strategy: string; readonly atMs: number };
  /** Memory in use over the last days. */
  readonly memory?: UsageHistogramState;
  /** Oldest first; at most one that the engine itself has made. */
  readonly proposals: readonly Proposal[];
  /** Settings that were in force one after another; the last one is the incumbent. */
  readonly revisions: readonly Revision[];
  readonly frozen?: string;
  readonly openTrial?: {
    readonly id: string;
    readonly strategy: string;
    readonly proposalId?: string;
    readonly recorded: Setting;
  };
  readonly errorBudget: ErrorBudgetState;
  readonly audit: AuditState;
  readonly walletBalance?: number;
  /** Incarnation last seen, and when it changed while tuned values were in force. */
  readonly incarnation?: number;
  readonly crashesMs: readonly number[];
  /** Settings that had to be abandoned at once. */
  readonly scars: readonly Scar[];
  /** Of values of switches and enums: when each was last found to be no better than the one in force. */
  readonly choices: Readonly<Record<string, number>>;
  readonly told: Readonly<Record<string, { readonly atMs: number; readonly what: string }>>;
}

export const EMPTY_STANDING: Standing = {
  held: {},
  pins: {},
  modes: {},
  strategies: {},
  arms: {},
  rules: {},
  pareto: [],
  transients: {},
  proposals: [],
  revisions: [],
  audit: NO_AUDIT,
  errorBudget: { trials: 0, discoveries: [] },
  crashesMs: [],
  scars: [],
  choices: {},
  told: {},
};

/** The setting that should be in force when nothing is being tried. Values the manifest no longer allows are left out. */
export function incumbentOf(specs: readonly KnobSpec[], standing: Standing, policy: ComponentPolicy): Setting {
  return Object.fromEntries(
    specs.map((spec) => {
      const pin = standing.pins[spec.id];
      if (pin !== undefined && pin.refused === undefined && isAllowed(spec, pin.value)) return [spec.id, pin.value];
      const held = standing.held[spec.id]?.value;
      if (held !== undefined && isAllowed(spec, held, policy.knobs?.[spec.id])) return [spec.id, held];
      return [spec.id, spec.baseline];
    }),
  );
}

const RANK: Readonly<Record<KnobMode, number>> = { observe: 0, recommend: 1, approve: 2, auto: 3 };

/** The mode in force: what an operator said, else the configuration, else the tier; then what safety allows of it. */
export function modeOf(
  spec: KnobSpec,
  standing: Standing,
  policy: ComponentPolicy,
  tier: TierPolicy,
  optimization: EngineSettings['optimization'],
): KnobMode {
  if (!optimization.enabled) return 'observe';
  const wanted =
    standing.modes[spec.id] ?? standing.modes['*'] ?? policy.knobs?.[spec.id]?.mode ?? policy.mode ?? tier.mode;
  // A restart is never ours to make, and a tier without a step has none to take.
  if (spec.applyClass === 'restart' || tier.maxStepRatio === 0) return atMost(wanted, 'recommend');
  // What could not be taken back is not tried unattended.
  if (!optimization.rollbackEnabled) return atMost(wanted, 'approve');
  return wanted;
}

function atMost(mode: KnobMode, limit: KnobMode): KnobMode {
  return RANK[mode] <= RANK[limit] ? mode : limit;
}

/** Whether a knob means anything at the present values of the others. */
export function isActive(spec: KnobSpec, setting: Setting): boolean {
  const condition = spec.conditionalOn;
  if (condition === undefined) return true;
  const value = setting[condition.knob];
  return value !== undefined && condition.values.includes(value);
}

/** Two restarts of the process within this time under tuned values: the values are suspect. */
const CRASH_MEMORY_MS = 1_800_000;
const SUSPICIOUS_RESTARTS = 2;

/**
 * The process is there in this incarnation. A new one under tuned values may be a crash that they caused; the second soon
 * after is taken for it, and `suspect` is how many there were: then everything held is given up.
 */
export function withIncarnation(
  standing: Standing,
  incarnation: number,
  nowMs: number,
): { readonly standing: Standing; readonly suspect: number } {
  const hasRestarted = standing.incarnation !== undefined && standing.incarnation !== incarnation;
  const recent = standing.crashesMs.filter((atMs) => nowMs - atMs < CRASH_MEMORY_MS);
  const pins = hasRestarted ? withoutRefusals(standing.pins) : standing.pins;
  const crashesMs = hasRestarted && Object.keys(standing.held).length > 0 ? [...recent, nowMs] : recent;
  const next = { ...standing, incarnation, pins };
  if (crashesMs.length < SUSPICIOUS_RESTARTS) return { standing: { ...next, crashesMs }, suspect: 0 };
  return { standing: { ...next, crashesMs: [], held: {} }, suspect: crashesMs.length };
}

/** What a process refused for good, the next one may take. */
function withoutRefusals(pins: Standing['pins']): Standing['pins'] {
  return Object.fromEntries(Object.entries(pins).map(([knob, { value, by }]) => [knob, { value, by }]));
}

/** The same again after a day; something else on the same topic after an hour, since estimates wander. */
const SAY_AGAIN_MS = 86_400_000;
const SAY_MORE_MS = 3_600_000;

/** A strategy was tried, and may be again from `retryAtMs` on. */
export function withTry(standing: Standing, strategy: string, nowMs: number, retryAtMs = nowMs): Standing {
  const failures = standing.strategies[strategy]?.failures ?? 0;
  return withRecord(standing, strategy, { failures, retryAtMs, triedAtMs: nowMs });
}

/** A strategy failed: it waits twice as long after each failure in a row. */
export function withFailure(
  standing: Standing,
  strategy: string,
  nowMs: number,
  cooldown: EngineSettings['cooldown'],
  windowMs: number,
): Standing {
  const failures = (standing.strategies[strategy]?.failures ?? 0) + 1;
  const pauseMs = Math.min(cooldown.windows * 2 ** (failures - 1), cooldown.maxWindows) * windowMs;
  return withRecord(standing, strategy, { failures, retryAtMs: nowMs + pauseMs, triedAtMs: nowMs });
}

/** The strategy's last trial has failed, and nothing was kept since. */
export function isInVain({ strategies, lastKept }: Standing, strategy: string): boolean {
  const record = strategies[strategy];
  if (record === undefined || record.failures === 0) return false;
  return lastKept === undefined || record.triedAtMs > lastKept.atMs;
}

/** What was proven is held from now on, and its strategy may try again at once. */
export function withProven(
  standing: Standing,
  trial: { readonly id: string; readonly strategy: string },
  values: Setting,
  nowMs: number,
): Standing {
  const proven = Object.entries(values).map(([knob, value]) => [knob, { value, by: trial.id }] as const);
  const held = { ...standing.held, ...Object.fromEntries(proven) };
  const record = { failures: 0, retryAtMs: nowMs, triedAtMs: nowMs };
  const lastKept = { strategy: trial.strategy, atMs: nowMs };
  return withRecord({ ...withoutTrial(standing), held, lastKept }, trial.strategy, record);
}

/** A value of a switch or an enum, as a key. */
export function choiceKey(knob: string, value: KnobValue): string {
  return `${knob}=${value}`;
}

const CHOICES_KEPT = 64;

/** These values of switches and enums were no better than others of their knobs; those judged last are kept. */
export function withChoices(standing: Standing, worse: Setting, nowMs: number): Standing {
  const judged = Object.entries(worse).filter(([, value]) => typeof value !== 'number');
  if (judged.length === 0) return standing;
  const all = {
    ...standing.choices,
    ...Object.fromEntries(judged.map(([knob, value]) => [choiceKey(knob, value), nowMs])),
  };
  const newest = Object.entries(all).sort(([, a], [, b]) => b - a);
  return { ...standing, choices: Object.fromEntries(newest.slice(0, CHOICES_KEPT)) };
}

export function withPin(standing: Standing, knob: string, value: KnobValue, by: string): Standing {
  return { ...standing, pins: { ...standing.pins, [knob]: { value, by } } };
}

export function withoutHeld(standing: Standing, knob: string): Standing {
  const { [knob]: _, ...held } = standing.held;
  return { ...standing, held };
}

export function withoutTrial(standing: Standing): Standing {
  const { openTrial: _, ...rest } = standing;
  return rest;
}

export function withProposal(standing: Standing, proposal: Proposal): Standing {
  return { ...standing, proposals: [...withoutProposal(standing, proposal.id).proposals, proposal] };
}

export function withoutProposal(standing: Standing, id: string): Standing {
  return { ...standing, proposals: standing.proposals.filter((proposal) => proposal.id !== id) };
}

/** As saved by this or an earlier build, which may not have known every field. */
export function completeStanding(saved: Partial<Standing>): Standing {
  return { ...EMPTY_STANDING, ...saved };
}

export function unknownKnob(knob: string, specs: readonly KnobSpec[]): string {
  return `unknown knob ${knob}; known: ${specs.map(({ id }) => id).join(', ') || 'none declared'}`;
}

/** The standing after saying something; undefined when it was said not long ago. */
export function sayingOnce(standing: Standing, topic: string, what: string, nowMs: number): Standing | undefined {
  const last = standing.told[topic];
  if (last !== undefined && nowMs - last.atMs < (last.what === what ? SAY_AGAIN_MS : SAY_MORE_MS)) return undefined;
  return { ...standing, told: { ...standing.told, [topic]: { atMs: nowMs, what } } };
}

function withRecord(standing: Standing, strategy: string, record: StrategyRecord): Standing {
  return { ...standing, strategies: { ...standing.strategies, [strategy]: record } };
}
