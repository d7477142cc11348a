import { describe, expect, test } from 'vitest';
import type { Decision, Setting } from '../../agent/core/model.ts';
import { expectClean } from './expect_clean.ts';
import { baselineSetting } from './knob_space.ts';
import { realEngine } from './real_engine.ts';
import { caseOptions } from './regression.ts';
import { builtInScenario, knobSpecs, type Scenario } from './scenario.ts';
import { settingsFor } from './settings.ts';
import { runChecked } from './trial_run.ts';
import { type Watcher, World } from './world.ts';

const WINDOWS = 400;

interface Jumps {
  readonly decisions: readonly Decision[];
  /** What was in force in the end. */
  readonly last: Setting;
  /** Windows of walks that were more than 25 % worse than the default, by the plant's truth. */
  readonly farWorse: number;
}

function jumpsOf(scenario: Scenario, seed: number): Jumps {
  const decisions: Decision[] = [];
  const baseline = baselineSetting(knobSpecs(scenario));
  let last: Setting = {};
  let isWalking = false;
  let ticks = 0;
  const watcher: Watcher = {
    decided: (_, decision) => {
      if (decision.strategy !== 'Jump') return;
      decisions.push(decision);
      isWalking = decision.kind === 'trial_started';
    },
    ticked: (atMs, belief, actual) => {
      last = belief?.incumbent ?? last;
      if (isWalking && actual !== undefined && world.excess(actual, baseline, atMs) > Math.log(1.25)) ticks++;
    },
  };
  const runMs = WINDOWS * scenario.windowMs;
  const world = new World({
    ...{ scenario, seed, runMs, settings: settingsFor(scenario), createEngine: realEngine },
    ...{ watchers: [watcher], compareEveryTicks: 1 },
  });
  world.run();
  return { decisions, last, farWorse: (ticks * scenario.telemetry.intervalMs) / scenario.windowMs };
}

describe('jumps', () => {
  test('a far better optimum behind a hill is found, most of the time, and proven before it is kept', () => {
    const scenario = builtInScenario('p6-two-optima');
    let arrived = 0;
    for (let seed = 0; seed < 6; seed++) {
      const { decisions, last } = jumpsOf(scenario, seed);
      const kept = decisions.filter(({ kind }) => kind === 'promoted');
      for (const { evidence } of kept) expect(evidence?.blocks.length).toBeGreaterThanOrEqual(4);
      if (Number(last.k1) > 0.6 && Number(last.k2) > 0.55) arrived++;
    }
    expect(arrived).toBeGreaterThanOrEqual(4);
  });

  test('each says in a sentence why and within what bound, and the same seed walks the same way', () => {
    const scenario = builtInScenario('p6-two-optima');
    const { decisions } = jumpsOf(scenario, 1);
    expect(decisions[0]?.reason).toMatch(
      /^a search nearby was in vain: walking to where .+ unless the way gets \d+ % worse/,
    );
    expect(jumpsOf(scenario, 1).decisions).toEqual(decisions);
  });

  test('a wall more than a quarter above the default is not climbed for what lies behind it', () => {
    const base = builtInScenario('p6-two-optima');
    if (base.plant.kind !== 'surface') throw new Error('p6 is a surface');
    const terms = [
      { kind: 'well', at: { k1: 0.2, k2: 0.25 }, depth: 1.5, width: 0.2 },
      { kind: 'well', at: { k1: 0.8, k2: 0.8 }, depth: 2.5, width: 0.12 },
    ] as const;
    const scenario: Scenario = {
      ...base,
      plant: { ...base.plant, latency: { ...base.plant.latency, terms: [...terms] } },
    };
    let walks = 0;
    for (let seed = 0; seed < 4; seed++) {
      const { decisions, last, farWorse } = jumpsOf(scenario, seed);
      const begun = decisions.filter(({ kind }) => kind === 'trial_started').length;
      walks += begun;
      expect(Number(last.k1)).toBeLessThan(0.6);
      // What a step leads to has to be seen, and be seen again where one window leaves it in doubt.
      expect(farWorse).toBeLessThanOrEqual(3 * begun);
    }
    expect(walks).toBeGreaterThan(0);
  });

  test('one that is cut short leaves the recorded values, and no unproven one', () => {
    const scenario = builtInScenario('p6-two-optima');
    const runMs = WINDOWS * scenario.windowMs;
    const agent = { meanTimeBetweenMs: 600_000, downMs: [1_000, 60_000] as [number, number] };
    const broken: Scenario = { ...scenario, faults: { ...scenario.faults, agent } };
    for (let seed = 0; seed < 3; seed++) {
      const options = caseOptions({ scenario: scenario.name, seed, runMs });
      expectClean(
        { scenario: scenario.name, seed, runMs },
        runChecked({ ...options, scenario: broken, seed, createEngine: realEngine }),
      );
    }
  });
});
