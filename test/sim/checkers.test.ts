import { describe, expect, test } from 'vitest';
import type { Effect } from '../../agent/core/model.ts';
import { realEngine } from './real_engine.ts';
import { caseOptions } from './regression.ts';
import type { EngineFactory, SimEngine } from './seam.ts';
import { runChecked } from './trial_run.ts';

const DAY_MS = 86_400_000;

/** The engine with something broken in what leaves it. */
function broken(
  breakEffects: (effects: readonly Effect[]) => readonly Effect[],
  more: Partial<SimEngine> = {},
): EngineFactory {
  return (options) => {
    const engine = realEngine(options);
    return {
      step: (nowMs, input) => breakEffects(engine.step(nowMs, input)),
      save: () => engine.save(),
      belief: (component) => engine.belief(component),
      ...more,
    };
  };
}

function rulesBroken(createEngine: EngineFactory, seeds = 2, runMs = 2 * DAY_MS): Set<string> {
  const rules = new Set<string>();
  for (let seed = 0; seed < seeds; seed++) {
    const options = caseOptions({ scenario: 'p10-lossy', seed, runMs, eager: true });
    for (const { rule } of runChecked({ ...options, createEngine, compareEveryTicks: 2 }).violations) rules.add(rule);
  }
  return rules;
}

const command = (effect: Effect, change: (command: Effect & { kind: 'command' }) => Effect): Effect =>
  effect.kind === 'command' ? change(effect) : effect;

/** A checker that never fires proves nothing: each must catch an engine that breaks its rule. */
describe('checkers catch', () => {
  test('nothing, on the engine as it is', () => {
    expect(rulesBroken(realEngine)).toEqual(new Set());
  });

  test('an engine that believes its commands without an answer', () => {
    const gullible: EngineFactory = (options) => {
      const engine = realEngine(options);
      let told: Record<string, number | boolean | string> = {};
      return {
        step: (nowMs, input) => {
          const effects = engine.step(nowMs, input);
          for (const effect of effects) {
            if (effect.kind !== 'command') continue;
            told = { ...told, ...Object.fromEntries(effect.command.changes.map(({ knob, value }) => [knob, value])) };
          }
          return effects;
        },
        save: () => engine.save(),
        belief: (component) => {
          const belief = engine.belief(component);
          return belief === undefined
            ? undefined
            : { ...belief, isSettled: true, setting: { ...belief.setting, ...told } };
        },
      };
    };
    expect(rulesBroken(gullible)).toContain('belief = plant');
  });

  test('an engine that does not hear what is held', () => {
    const deaf: EngineFactory = (made) => {
      const engine = realEngine(made);
      return {
        step: (nowMs, input) => (input.kind === 'holding' ? [] : engine.step(nowMs, input)),
        save: () => engine.save(),
        belief: (component) => engine.belief(component),
      };
    };
    const options = caseOptions({ scenario: 'p10-lossy', seed: 1, runMs: DAY_MS, eager: true });
    const { client } = options.scenario.faults;
    const partitions = { meanTimeBetweenMs: 900_000, downMs: [60_000, 170_000] as [number, number] };
    const faults = { ...options.scenario.faults, client: { ...client, untoldExpiry: 1 }, partitions };
    const scenario = { ...options.scenario, faults };
    const run = runChecked({ ...options, scenario, createEngine: deaf, compareEveryTicks: 3 });
    expect(run.violations.map(({ rule }) => rule)).toContain('belief = plant');
  });

  test('an engine that loses the end of its trials', () => {
    const forgetful = broken((effects) =>
      effects.filter((effect) => effect.kind !== 'decision' || effect.decision.kind !== 'rolled_back'),
    );
    expect(rulesBroken(forgetful)).toContain('every trial ends');
  });

  test('an engine that restores by arithmetic', () => {
    const rounding = broken((effects) =>
      effects.map((effect) =>
        command(effect, ({ command: sent }) => {
          if (sent.rationale.trialId !== undefined) return { kind: 'command', command: sent };
          const changes = sent.changes.map((change) =>
            typeof change.value === 'number' ? { ...change, value: (change.value / 1.2) * 1.2000001 } : change,
          );
          return { kind: 'command', command: { ...sent, changes } };
        }),
      ),
    );
    expect(rulesBroken(rounding)).toContain('a rollback restores the recorded value');
  });

  test('an engine whose values outlive it', () => {
    const holding = broken((effects) =>
      effects.map((effect) =>
        command(effect, ({ command: sent }) => ({ kind: 'command', command: { ...sent, onExpiry: 'hold' } })),
      ),
    );
    expect(rulesBroken(holding)).toContain('no unproven value outlives its lease');
  });

  test('an engine that loses what was proposed to it', () => {
    const silent = broken((effects) =>
      effects.filter((effect) => {
        if (effect.kind !== 'decision' || effect.decision.proposalId === undefined) return true;
        return effect.decision.kind !== 'declined' && effect.decision.kind !== 'trial_started';
      }),
    );
    expect(rulesBroken(silent, 2, 4 * DAY_MS)).toContain('requests are answered and kept');
  });

  test('an engine that does not answer', () => {
    expect(rulesBroken(broken((effects) => effects.filter(({ kind }) => kind !== 'reply')))).toContain(
      'requests are answered and kept',
    );
  });

  test('an engine that starts its revisions over', () => {
    const fresh = broken((effects) =>
      effects.map((effect) =>
        command(effect, ({ command: sent }) => ({ kind: 'command', command: { ...sent, revision: 1 } })),
      ),
    );
    expect(rulesBroken(fresh)).toContain('epoch and revision rise');
  });

  test('an engine that tries what has not earned it', () => {
    const options = caseOptions({ scenario: 'p10-lossy', seed: 5, runMs: 7 * DAY_MS, eager: true });
    const { optimization } = options.settings!;
    const hasty: EngineFactory = (made) => realEngine({ ...made, settings: { ...made.settings, optimization } });
    const settings = { ...options.settings!, optimization: { ...optimization, adaptationThreshold: 1 } };
    const run = runChecked({ ...options, settings, createEngine: hasty, compareEveryTicks: 10 });
    expect(run.violations.map(({ rule }) => rule)).toContain('rules earn their trials');
  });

  test('an engine with another idea of its wallet', () => {
    const spendthrift: EngineFactory = (options) => {
      const { experimental } = options.settings.tiers;
      const tiers = { ...options.settings.tiers, experimental: { ...experimental, harmRatio: 10, maxStepRatio: 0.5 } };
      return realEngine({
        ...options,
        settings: { ...options.settings, tiers, probe: { perturbation: 0.3, pairsPerProof: 30 } },
      });
    };
    const options = caseOptions({ scenario: 'p9-carry-over', seed: 1, runMs: 3_000 * 10_000, eager: true });
    const tiers = {
      ...options.settings!.tiers,
      experimental: { ...options.settings!.tiers.experimental, harmRatio: 0.001 },
    };
    const run = runChecked({ ...options, settings: { ...options.settings!, tiers }, createEngine: spendthrift });
    expect(run.violations.map(({ rule }) => rule)).toContain('harm wallet');
  });
});
