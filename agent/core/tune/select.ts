import type { KnobMode } from '../model.ts';
import type { Standing } from './standing.ts';
import type { Plan, Strategy, StrategyContext } from './strategy.ts';

export interface Selection {
  readonly strategy: Strategy;
  readonly plan: Plan;
}

/**
 * Which strategy's turn it is: those that apply to the tier, are not cooling down after a failure and have a plan; the one tried
 * longest ago first, so that none starves, and by priority among those never tried.
 */
export function select(
  strategies: readonly Strategy[],
  context: StrategyContext,
  modes: readonly KnobMode[],
  standing: Standing,
): Selection | undefined {
  const ready = strategies
    .filter((strategy) => strategy.applicableTiers.includes(context.tier))
    .map((strategy) => ({ strategy, record: standing.strategies[strategy.name] }))
    .filter(({ record }) => record === undefined || context.nowMs >= record.retryAtMs)
    .sort(
      (a, b) => (a.record?.triedAtMs ?? 0) - (b.record?.triedAtMs ?? 0) || b.strategy.priority - a.strategy.priority,
    );
  for (const { strategy } of ready) {
    const plan = strategy.plan(context, modes);
    if (plan !== undefined) return { strategy, plan };
  }
  return undefined;
}
