import type { Effectiveness, KnobValue, Setting } from '../model.ts';
import { describe } from './changes.ts';
import type { ContextKey } from './context.ts';
import { type Axis, encode } from './space.ts';
import type { StrategyContext } from './strategy.ts';

/**
 * Adaptation rules, generated from proven results: in this context this setting was proven to help. When the context returns and
 * another setting is in force, the rule's is tried before anything else, like any plan: trial, proof, restored otherwise.
 *
 * Confidence is earned, never set. A proof ends with a stake E that was bet against "the setting does nothing" (`proof.ts`): on
 * average it is at most 1 if that is true, so it is an e-value, and e-values of separate trials multiply.
 *
 *   ln E ← ln E + ln(stake of each further trial of the rule)        (a failed trial's stake is below 1, so confidence falls)
 *   confidence = E' / (1 + E'),   ln E' = ln E · 2^(−age / 7 d)      (even odds before any evidence; evidence fades with age)
 *
 * A rule is used from a confidence of `optimization.adaptationThreshold` on, until 30 days after it was last proven. A trial of it that
 * had to be abandoned for harm, before anything was proven, removes it, and so does a check that gives its setting back in its context.
 * There is one rule a context: what was proven last there was proven against what stood before. The context is that of the proof's end:
 * when a load that has just moved is answered by a search, its average still lies between the two.
 *
 * Fails where the context's bins are not what matters (then trials of the rule fail, and it loses its confidence).
 * Sources: e-values (Vovk and Wang, "E-values: calibration, combination and applications", Annals of Statistics 2021).
 *
 * Example: proven once with a stake of 120: .992. A week later: E' = 120^.5 = 11, .92. Then a failed trial with stake .1: E' ≈ 1.1, .52.
 */
export interface LearnedRule {
  readonly id: string;
  readonly context: ContextKey;
  /** The whole setting that was proven. */
  readonly setting: Setting;
  /** Whose idea it was, and the trial that proved it last. */
  readonly strategy: string;
  readonly trialId: string;
  /** On the objective, against what was in force; with interval and number of blocks. */
  readonly effect?: Effectiveness;
  /** ln of the product of the stakes. */
  readonly logEvidence: number;
  readonly evidenceMs: number;
  readonly provenMs: number;
  readonly expiresMs: number;
  /** Trials of this setting in this context, and how many of them proved it. */
  readonly samples: number;
  readonly proven: number;
}

export type Rules = Readonly<Record<ContextKey, LearnedRule>>;

/** The strategy under which rules' trials run: they wait together after a failure. */
export const RULE_STRATEGY = 'Adaptation Rule';

const HALF_LIFE_MS = 604_800_000;
const LIFE_MS = 2_592_000_000;
const MAX_RULES = 64;
const SAME = 0.001;
/** Beyond, more certainty is not worth the name. */
const MAX_LOG_EVIDENCE = 14;

export interface Lesson {
  readonly id: string;
  readonly context: ContextKey;
  readonly setting: Setting;
  readonly strategy: string;
  readonly trialId: string;
  readonly effect: Effectiveness | undefined;
  readonly logStake: number;
}

/** A setting was proven in a context: the rule of this context from now on. */
export function withLesson(rules: Rules, lesson: Lesson, nowMs: number): Rules {
  const { id, context, setting, strategy, trialId, effect, logStake } = lesson;
  const before = rules[context];
  const isKnown = before !== undefined && describe(before.setting) === describe(setting);
  const rule: LearnedRule = {
    ...{ id: isKnown ? before.id : id, context, setting, strategy, trialId },
    ...(effect !== undefined && { effect }),
    logEvidence: clampEvidence((isKnown ? agedEvidence(before, nowMs) : 0) + logStake),
    ...{ evidenceMs: nowMs, provenMs: nowMs, expiresMs: nowMs + LIFE_MS },
    samples: (isKnown ? before.samples : 0) + 1,
    proven: (isKnown ? before.proven : 0) + 1,
  };
  const kept = Object.entries(rules).filter(([key, { expiresMs }]) => key !== context && expiresMs > nowMs);
  kept.sort(([, a], [, b]) => a.provenMs - b.provenMs);
  return { ...Object.fromEntries(kept.slice(-(MAX_RULES - 1))), [context]: rule };
}

/** What the rule says was found to be worse than the baselines in its own context. */
export function withoutRule(rules: Rules, context: ContextKey, setting: Setting): Rules {
  const { [context]: rule, ...others } = rules;
  return rule !== undefined && describe(rule.setting) === describe(setting) ? others : rules;
}

/** A trial of the rule has failed; `logStake` undefined: it was abandoned before anything could be said. */
export function withFailedRule(rules: Rules, context: ContextKey, logStake: number | undefined, nowMs: number): Rules {
  const { [context]: rule, ...others } = rules;
  if (rule === undefined || logStake === undefined) return others;
  const logEvidence = clampEvidence(agedEvidence(rule, nowMs) + logStake);
  return { ...others, [context]: { ...rule, logEvidence, evidenceMs: nowMs, samples: rule.samples + 1 } };
}

export function confidenceOf(rule: LearnedRule, nowMs: number): number {
  return 1 / (1 + Math.exp(-agedEvidence(rule, nowMs)));
}

/** The rule that the context calls for: confident enough, not run out, and another setting than the one in force. */
export function ruleFor(
  rules: Rules,
  key: ContextKey,
  context: StrategyContext,
  threshold: number,
): { readonly rule: LearnedRule; readonly changes: Setting } | undefined {
  const rule = rules[key];
  if (rule === undefined || rule.expiresMs <= context.nowMs || confidenceOf(rule, context.nowMs) < threshold) return;
  const changes = Object.fromEntries(
    context.knobs.flatMap(({ spec, mode, axis }) => {
      const value = rule.setting[spec.id];
      const now = context.incumbent[spec.id];
      if (mode !== 'auto' || value === undefined || isAbout(axis, value, now)) return [];
      const isOutside = typeof value === 'number' && (axis === undefined || value < axis.min || value > axis.max);
      return isOutside || context.rejection(spec.id, value) !== undefined ? [] : [[spec.id, value] as const];
    }),
  );
  return Object.keys(changes).length === 0 ? undefined : { rule, changes };
}

/** A thousandth of a knob's range is less than any window can tell apart; the last digit of a logarithm certainly is. */
function isAbout(axis: Axis | undefined, value: KnobValue, now: KnobValue | undefined): boolean {
  if (axis === undefined || typeof value !== 'number' || typeof now !== 'number') return Object.is(value, now);
  return Math.abs(encode(axis, value) - encode(axis, now)) < SAME;
}

function agedEvidence({ logEvidence, evidenceMs }: LearnedRule, nowMs: number): number {
  return logEvidence * 2 ** (-Math.max(0, nowMs - evidenceMs) / HALF_LIFE_MS);
}

function clampEvidence(logEvidence: number): number {
  return Math.max(-MAX_LOG_EVIDENCE, Math.min(MAX_LOG_EVIDENCE, logEvidence));
}
