import type { KnobMode } from '../model.ts';
import { drawArm, evidenceOf } from './arms.ts';
import type { Random } from './random.ts';
import type { Standing } from './standing.ts';
import type { Plan, Strategy, StrategyContext } from './strategy.ts';

export interface Selection {
  readonly strategy: Strategy;
  readonly plan: Plan;
  /** What else could have been done, and why it was not, in words. */
  readonly alternatives: readonly string[];
}

/**
 * Which strategy's turn it is: among those that apply to the tier, are not cooling down after a failure and have a plan, the one with
 * the highest draw (`arms.ts`); by priority while nothing is known of any of them.
 */
export function select(
  strategies: readonly Strategy[],
  context: StrategyContext,
  modes: readonly KnobMode[],
  standing: Standing,
  random: Random,
): Selection | undefined {
  const passedOver: string[] = [];
  const ready: { readonly strategy: Strategy; readonly plan: Plan }[] = [];
  for (const strategy of strategies) {
    const whyNot = whyNotReady(strategy, context, modes, standing);
    const plan = whyNot === undefined ? strategy.plan(context, modes) : undefined;
    if (plan === undefined) passedOver.push(`${strategy.name}: ${whyNot ?? 'has no plan for these knobs now'}`);
    else ready.push({ strategy, plan });
  }
  ready.sort((a, b) => b.strategy.priority - a.strategy.priority);
  const isKnown = ready.length > 1 && ready.some(({ strategy }) => evidenceOf(standing.arms, strategy.name) > 0);
  const drawn = ready.map((entry) => ({
    ...entry,
    draw: isKnown ? drawArm(standing.arms, entry.strategy.name, context.circumstances, random) : undefined,
  }));
  // A stable sort: what is drawn alike, or not at all, stays in order of priority.
  drawn.sort((a, b) => (b.draw ?? 0) - (a.draw ?? 0));
  const [chosen, ...others] = drawn;
  if (chosen === undefined) return undefined;
  const lost = others.map(({ strategy, plan, draw }) => {
    const why =
      draw === undefined || chosen.draw === undefined
        ? `priority ${strategy.priority} against ${chosen.strategy.priority}`
        : `drew ${draw.toFixed(2)} against ${chosen.draw.toFixed(2)} (${context.circumstances})`;
    return `${strategy.name}: ${why}; its plan: ${plan.reason}`;
  });
  return { strategy: chosen.strategy, plan: chosen.plan, alternatives: [...lost, ...passedOver] };
}

/** Whether there is a knob of a strategy's roles in one of these modes: asked first, since it is answered at once. */
export function hasKnob({ roles }: Strategy, { knobs }: StrategyContext, modes: readonly KnobMode[]): boolean {
  return knobs.some(({ spec, mode }) => roles.includes(spec.role) && modes.includes(mode));
}

function whyNotReady(
  strategy: Strategy,
  context: StrategyContext,
  modes: readonly KnobMode[],
  standing: Standing,
): string | undefined {
  const { tier, nowMs } = context;
  if (!strategy.applicableTiers.includes(tier)) return `not for tier ${tier}`;
  if (!hasKnob(strategy, context, modes)) return 'no knob of its roles may be moved';
  const retryAtMs = standing.strategies[strategy.name]?.retryAtMs;
  if (retryAtMs !== undefined && nowMs < retryAtMs) {
    return `waits ${Math.ceil((retryAtMs - nowMs) / 1000)} s after its last trial`;
  }
  return strategy.canApply(context) ? undefined : 'its condition does not hold';
}
