import type { EngineSettings } from '../../agent/core/settings.ts';
import { BeliefChecker } from './checkers/belief.ts';
import { EffectDigest, PromotionCounter } from './checkers/counters.ts';
import { FenceChecker } from './checkers/fence.ts';
import { LeaseChecker } from './checkers/lease.ts';
import { patienceFor } from './checkers/patience.ts';
import { RequestChecker } from './checkers/request.ts';
import { RestoreChecker } from './checkers/restore.ts';
import type { Checker, Violation } from './checkers/rule.ts';
import { RulesChecker } from './checkers/rules.ts';
import { TrialChecker } from './checkers/trial.ts';
import { WalletChecker } from './checkers/wallet.ts';
import type { ClientFactory } from './client.ts';
import type { Oracle } from './plant/oracle.ts';
import type { Scenario } from './scenario.ts';
import type { EngineFactory } from './seam.ts';
import { settingsFor } from './settings.ts';
import { World, type WorldResult } from './world.ts';

export interface CheckedRun {
  readonly result: WorldResult;
  readonly violations: readonly Violation[];
  readonly trials: number;
  readonly restored: number;
  readonly promoted: number;
  /** Share of ticks at which the engine said that it is settled: checks that checked nothing would show here. */
  readonly settledRatio: number;
  readonly harm: number;
  /** Trials of what was learned in a context that has returned. */
  readonly ruleTrials: number;
  readonly requests: { readonly answered: number; readonly proposed: number; readonly rolledBack: number };
  /** Fingerprint of all effects; empty unless asked for. */
  readonly digest: string;
}

export interface CheckedRunOptions {
  readonly scenario: Scenario;
  readonly createEngine: EngineFactory;
  readonly seed: number;
  readonly runMs: number;
  readonly settings?: EngineSettings;
  readonly oracle?: Oracle;
  readonly newClient?: ClientFactory;
  readonly compareEveryTicks?: number;
  readonly withDigest?: boolean;
}

/** One run of a scenario with every checker watching. */
export function runChecked(options: CheckedRunOptions): CheckedRun {
  const { world, finish } = prepare(options);
  return finish(world.run());
}

/** The same with a client that needs promises. */
export async function runCheckedAsync(options: CheckedRunOptions): Promise<CheckedRun> {
  const { world, finish } = prepare(options);
  return finish(await world.runAsync());
}

function prepare(options: CheckedRunOptions): { world: World; finish: (result: WorldResult) => CheckedRun } {
  const { scenario, seed, runMs, createEngine } = options;
  const settings = options.settings ?? settingsFor(scenario);
  const patience = patienceFor(scenario, settings);
  const belief = new BeliefChecker(patience.staleMs);
  const trial = new TrialChecker(patience.trialMs);
  const restore = new RestoreChecker();
  const request = new RequestChecker(patience.trialMs);
  const rules = new RulesChecker(settings);
  const wallet = new WalletChecker(scenario, settings, (setting, over, atMs) => world.excess(setting, over, atMs));
  const promotions = new PromotionCounter();
  const digest = new EffectDigest();
  const checkers: Checker[] = [
    ...[belief, trial, restore, wallet, request, rules],
    ...[new LeaseChecker(scenario, settings, patience.unprovenMs), new FenceChecker()],
  ];
  const watchers = [...checkers, promotions, ...(options.withDigest ? [digest] : [])];
  const { oracle, newClient, compareEveryTicks = 1 } = options;
  const world = new World({
    ...{ scenario, settings, createEngine, seed, runMs, watchers, compareEveryTicks },
    ...(oracle !== undefined && { oracle }),
    ...(newClient !== undefined && { newClient }),
  });
  const finish = (result: WorldResult): CheckedRun => ({
    result,
    violations: checkers.flatMap((checker) => checker.violations).sort((a, b) => a.atMs - b.atMs),
    trials: trial.started,
    restored: restore.restoredTotal,
    promoted: promotions.promoted,
    settledRatio: belief.settledTicks / Math.max(1, belief.checkedTicks),
    harm: wallet.harm,
    ruleTrials: rules.tried,
    requests: { answered: request.answered, proposed: request.proposed, rolledBack: request.rolledBack },
    digest: options.withDigest ? digest.value : '',
  });
  return { world, finish };
}
