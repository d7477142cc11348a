import type { Bounds, Scenario } from '../../sim/scenario.ts';
import type { MethodReport } from './score.ts';

export interface Expectation {
  readonly what: string;
  readonly bounds: Bounds;
  readonly value: number;
  readonly isMet: boolean;
}

/** Holds a method's report against the bounds that the scenario itself expects. */
export function expectationsOf(scenario: Scenario, report: MethodReport): readonly Expectation[] {
  const { expect } = scenario;
  const falseRuns = report.falseAcceptRunsPercent;
  const held: readonly (readonly [string, Bounds | undefined, number | undefined])[] = [
    ['regretRatio', expect.regretRatio, report.regretRatio?.mean],
    ['killsPerRun', expect.killsPerRun, report.killsPerRun.mean],
    ['extraViolationRatio', expect.extraViolationRatio, report.extraViolationPercent.mean / 100],
    ['farWorseRatio', expect.farWorseRatio, report.farWorsePercent.mean / 100],
    ['falseAcceptRuns', expect.falseAcceptRuns, falseRuns === undefined ? undefined : falseRuns / 100],
  ];
  return held.flatMap(([what, bounds, value]) => {
    if (bounds === undefined || value === undefined) return [];
    return [{ what, bounds, value, isMet: value >= bounds[0] && value <= bounds[1] }];
  });
}
