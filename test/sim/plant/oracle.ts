import type { Setting } from '../../../agent/core/model.ts';
import { baselineSetting, positionsOf, settingAt } from '../knob_space.ts';
import { Random, seedFor } from '../random.ts';
import { knobSpecs, type Scenario } from '../scenario.ts';
import { emptyTruth, writePositions } from './analytic.ts';
import { createModel } from './create.ts';
import { baseLoadFactor, phaseAt } from './load.ts';
import { crosses, objectiveOf } from './plant.ts';

export interface Oracle {
  /** Best constant of each phase, the time before the first phase included, by start. */
  readonly phases: readonly { readonly startMs: number; readonly setting: Setting }[];
  /** Best constant of the whole run. */
  readonly overall: Setting;
}

const SAMPLES_PER_PHASE = 12;
const RANDOM_CANDIDATES = 1_500;
// Where each truth is a simulation of its own.
const SIMULATED_CANDIDATES = 250;
// Crossing a limit costs more than any surface can give back, in proportion to how often, so that the search has a slope.
const LIMIT_PENALTY = 20;

/**
 * The best that a tuner who knew everything could do without moving inside a phase: the constant with the smallest
 * expected objective over the phase's load that stays within the limits.
 * Random search over the whole space, then coordinate descent on a shrinking grid from the best few.
 */
export function findOracle(scenario: Scenario, runMs: number): Oracle {
  const starts = [0, ...scenario.phases.map((phase) => phase.atRatio * runMs)].filter((at, i) => i === 0 || at > 0);
  const phases = starts.map((startMs, i) => {
    const endMs = starts[i + 1] ?? runMs;
    return { startMs, setting: bestConstant(scenario, runMs, instantsIn(startMs, endMs), seedFor(i, 'oracle')) };
  });
  const everywhere = starts.flatMap((startMs, i) => instantsIn(startMs, starts[i + 1] ?? runMs));
  return { phases, overall: bestConstant(scenario, runMs, everywhere, seedFor(99, 'oracle')) };
}

/** The oracle's setting at an instant. */
export function oracleAt(oracle: Oracle, atMs: number): Setting {
  let found = oracle.phases[0].setting;
  for (const phase of oracle.phases) if (atMs >= phase.startMs) found = phase.setting;
  return found;
}

function instantsIn(startMs: number, endMs: number): number[] {
  return Array.from(
    { length: SAMPLES_PER_PHASE },
    (_, i) => startMs + ((i + 0.5) / SAMPLES_PER_PHASE) * (endMs - startMs),
  );
}

function bestConstant(scenario: Scenario, runMs: number, instants: readonly number[], seed: number): Setting {
  const knobs = knobSpecs(scenario);
  const model = createModel(scenario, knobs);
  const u = new Float64Array(knobs.length);
  const natural = new Float64Array(knobs.length);
  const truth = emptyTruth();
  const noShift = new Float64Array(knobs.length);
  const conditions = instants.map((atMs) => {
    const phase = phaseAt(scenario.phases, atMs / runMs);
    const shift = phase < 0 ? undefined : scenario.phases[phase]?.optimumShift;
    const shifts = shift ? Float64Array.from(knobs, ({ id }) => shift[id] ?? 0) : noShift;
    const slowdown = phase < 0 ? 1 : (scenario.phases[phase]?.slowdown ?? 1);
    return { load: baseLoadFactor(scenario, atMs, runMs), shifts, latencyShift: Math.log(slowdown) };
  });
  // A constant that is killed now and then is not the best: memory keeps 4.5 deviations of its noise to spare, at a load
  // three deviations above the expected one. Latency and errors are judged at the expected load.
  const spare = 1 + 4.5 * (scenario.plant.memory?.noise ?? 0);
  const heavy = Math.exp(3 * (scenario.load.fluctuation?.sd ?? 0));
  const hasMemoryLimit = scenario.limits.memoryBytes !== undefined && scenario.plant.memory !== undefined;
  const costOf = (setting: Setting): number => {
    writePositions(knobs, setting, u, natural);
    let total = 0;
    for (const { load, shifts, latencyShift } of conditions) {
      model.evaluate(u, natural, load, shifts, latencyShift, truth);
      total += objectiveOf(truth, scenario.objective) + (crosses(truth, scenario.limits) ? LIMIT_PENALTY : 0);
      if (!hasMemoryLimit) continue;
      model.evaluate(u, natural, load * heavy, shifts, latencyShift, truth);
      if (truth.memoryBytes * spare > (scenario.limits.memoryBytes ?? 0)) total += LIMIT_PENALTY;
    }
    return total / conditions.length;
  };

  const random = new Random(seed);
  const candidates = [baselineSetting(knobs)];
  const isSimulated = scenario.plant.kind === 'queueing';
  for (let i = 0; i < (isSimulated ? SIMULATED_CANDIDATES : RANDOM_CANDIDATES); i++)
    candidates.push(
      settingAt(
        knobs,
        knobs.map(() => random.uniform()),
      ),
    );
  const ranked = candidates.map((setting) => ({ setting, cost: costOf(setting) })).sort((a, b) => a.cost - b.cost);
  const refined = ranked.slice(0, isSimulated ? 2 : 5).map(({ setting }) => {
    const best = { positions: positionsOf(knobs, setting), cost: costOf(setting) };
    for (let reach = 0.2; reach > 0.002; reach /= 1.6) {
      for (let round = 0; round < 2; round++) {
        for (let i = 0; i < knobs.length; i++) {
          for (const side of [-1, 1]) {
            const positions = best.positions.with(i, Math.min(1, Math.max(0, best.positions[i] + side * reach)));
            const cost = costOf(settingAt(knobs, positions));
            if (cost < best.cost) Object.assign(best, { positions, cost });
          }
        }
      }
    }
    return { setting: settingAt(knobs, best.positions), cost: costOf(settingAt(knobs, best.positions)) };
  });
  return refined.sort((a, b) => a.cost - b.cost)[0].setting;
}
