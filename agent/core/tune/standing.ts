import type { KnobMode, KnobSpec, KnobValue, Setting } from '../model.ts';
import type { ComponentPolicy, EngineSettings, TierPolicy } from '../settings.ts';
import type { ErrorBudgetState } from './error_budget.ts';
import type { Scar } from './scars.ts';
import { isAllowed } from './space.ts';

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
  readonly approvedBy?: string;
}

/**
 * What is known of a component and must outlive the agent: proven values, pins, modes, budgets, the open trial. Plain
 * JSON, replaced whole; the journal keeps it beside the decisions that led to it.
 */
export interface Standing {
  /** Proven (or human) values; a knob that is not here stands at its baseline. */
  readonly held: Readonly<Record<string, Held>>;
  readonly pins: Readonly<Record<string, { readonly value: KnobValue; readonly by: string }>>;
  /** Modes set by operators; `*` for the component. */
  readonly modes: Readonly<Record<string, KnobMode>>;
  readonly strategies: Readonly<Record<string, StrategyRecord>>;
  readonly proposal?: Proposal;
  readonly frozen?: string;
  readonly openTrial?: { readonly id: string; readonly strategy: string; readonly recorded: Setting };
  readonly errorBudget: ErrorBudgetState;
  readonly walletBalance?: number;
  /** Incarnation last seen, and when it changed while tuned values were in force. */
  readonly incarnation?: number;
  readonly crashesMs: readonly number[];
  /** Settings that had to be abandoned at once. */
  readonly scars: readonly Scar[];
  readonly told: Readonly<Record<string, { readonly atMs: number; readonly what: string }>>;
}

export const EMPTY_STANDING: Standing = {
  held: {},
  pins: {},
  modes: {},
  strategies: {},
  errorBudget: { trials: 0, discoveries: [], firstDiscovery: undefined },
  crashesMs: [],
  scars: [],
  told: {},
};

/** The setting that should be in force when nothing is being tried. Values the manifest no longer allows are left out. */
export function incumbentOf(specs: readonly KnobSpec[], standing: Standing, policy: ComponentPolicy): Setting {
  return Object.fromEntries(
    specs.map((spec) => {
      const pinned = standing.pins[spec.id]?.value;
      if (pinned !== undefined && isAllowed(spec, pinned)) return [spec.id, pinned];
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
