import { baselineSetting, positionOf, valueAt } from '../../sim/knob_space.ts';
import { createPlant } from '../../sim/plant/create.ts';
import { crosses } from '../../sim/plant/plant.ts';
import { Random, seedFor } from '../../sim/random.ts';
import {
  knobSpecs,
  type LoadSpec,
  type NoiseSpec,
  type PhaseSpec,
  type Scenario,
  type SurfacePlantSpec,
  type Term,
} from '../../sim/scenario.ts';
import { firstSuitable, hasRoom, type Round, roundOn } from './round.ts';

/** Of the range of a knob, either way. */
const MOVE = 0.1;
/** In log units, either way: sizes become .74 to 1.35 times as large. */
const SCALE = 0.3;
/** Of the run, either way. */
const SOONER = 0.05;
/** A default that crosses its limits for less than this share of the time is one that keeps them, but for spikes of load. */
const CROSSING = 0.05;

/**
 * A scenario as it might have been: the same process with its numbers drawn anew around those of the file, by the seed alone.
 *
 * Positions (baselines, optima, wells, cliffs) move by up to a tenth of the range; sizes (depths, widths, noise, load, service times,
 * factors of phases) are scaled by up to e^±.3; phases begin up to a twentieth of the run sooner or later, days and traces anywhere.
 * What makes the scenario what it is stays: its knobs, the kinds of its terms, its faults and objective, and on which side of its
 * limits the default is. A tuner that is good on the file and not on its variations knows the file.
 *
 * Drawn again are variations whose default crosses its limits where the file's does not, or the other way round, and those whose
 * default leaves nothing to find where the file's leaves something.
 */
export function variationsOf(original: Scenario, windows: number): (seed: number) => Round {
  const needsRoom = hasRoom(roundOn(original, windows), windows);
  return (seed) => {
    const isCrossing = crossesByDefault(original, windows, seed);
    return firstSuitable((attempt) => {
      const scenario = vary(original, new Random(seedFor(seed * 1_000 + attempt, original.name)));
      if (crossesByDefault(scenario, windows, seed) !== isCrossing) return undefined;
      const round = roundOn(scenario, windows);
      return !needsRoom || hasRoom(round, windows) ? round : undefined;
    }, `variations of ${original.name}`);
  };
}

function crossesByDefault(scenario: Scenario, windows: number, seed: number): boolean {
  const plant = createPlant(scenario, windows * scenario.windowMs, seed);
  const baseline = baselineSetting(knobSpecs(scenario));
  let crossed = 0;
  for (let window = 0; window < windows; window++) {
    if (crosses(plant.truth(baseline, window * scenario.windowMs), scenario.limits)) crossed++;
  }
  return crossed > CROSSING * windows;
}

function vary(original: Scenario, random: Random): Scenario {
  const draw = new Draw(random);
  const varied: Scenario = {
    ...original,
    knobs: varyKnobs(original, draw),
    plant: varyPlant(original.plant, draw),
    load: varyLoad(original.load, draw),
    noise: varyNoise(original.noise, draw),
    phases: varyPhases(original.phases, draw),
    ...(original.drift && { drift: { latencyPerDay: draw.size(original.drift.latencyPerDay) } }),
    ...(original.carryOver && {
      carryOver: {
        lagMs: draw.size(original.carryOver.lagMs),
        warmup: draw.size(original.carryOver.warmup),
        warmupMs: draw.size(original.carryOver.warmupMs),
      },
    }),
  };
  return { ...varied, limits: limitsFor(varied, original, draw) };
}

/** The moves of one variation. */
class Draw {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  size(value: number): number {
    return value * Math.exp(this.#random.between(-SCALE, SCALE));
  }

  ratio(value: number): number {
    return Math.min(1, this.size(value));
  }

  /** What lies above `least` is scaled. */
  sizeAbove(least: number, value: number): number {
    return least + this.size(value - least);
  }

  position(value: number): number {
    return Math.min(1, Math.max(0, value + this.#random.between(-MOVE, MOVE)));
  }

  instant(atRatio: number): number {
    return Math.min(1, Math.max(0, atRatio + this.#random.between(-SOONER, SOONER)));
  }

  anywhere(): number {
    return this.#random.uniform();
  }
}

function varyKnobs(original: Scenario, draw: Draw): Scenario['knobs'] {
  const specs = knobSpecs(original);
  return original.knobs.map((knob, i) => {
    if (knob.type === 'enum' || knob.type === 'bool') return knob;
    const position = draw.position(positionOf(specs[i], knob.baseline));
    return { ...knob, baseline: Number(valueAt(specs[i], position)) };
  });
}

function varyPlant(plant: Scenario['plant'], draw: Draw): Scenario['plant'] {
  if (plant.kind === 'surface') return varySurface(plant, draw);
  const { batchMs, itemMs, variation } = plant.service;
  const { memory } = plant;
  const varied = {
    service: { batchMs: draw.size(batchMs), itemMs: draw.size(itemMs), variation: draw.size(variation) },
    ...(memory && {
      memory: { ...memory, baseBytes: draw.size(memory.baseBytes), itemBytes: draw.size(memory.itemBytes) },
    }),
  };
  if (plant.kind === 'batching') return { ...plant, ...varied };
  const warmup = plant.warmup && { ...plant.warmup, slowdown: draw.sizeAbove(1, plant.warmup.slowdown) };
  return { ...plant, ...varied, ...(warmup && { warmup }) };
}

function varySurface(plant: SurfacePlantSpec, draw: Draw): SurfacePlantSpec {
  const { latency, errors, memory } = plant;
  const termsOf = ({ terms }: { terms: Term[] }) => terms.map((term) => varyTerm(term, draw));
  return {
    ...plant,
    latency: {
      baseMs: draw.size(latency.baseMs),
      spread: draw.size(latency.spread),
      loadExponent: draw.size(latency.loadExponent),
      terms: termsOf(latency),
    },
    errors: { base: draw.ratio(errors.base), terms: termsOf(errors) },
    ...(memory && {
      memory: {
        ...memory,
        baseBytes: draw.size(memory.baseBytes),
        loadShare: draw.ratio(memory.loadShare),
        terms: termsOf(memory),
      },
    }),
  };
}

function varyTerm(term: Term, draw: Draw): Term {
  const each = (of: Record<string, number>, move: (value: number) => number) =>
    Object.fromEntries(Object.entries(of).map(([key, value]) => [key, move(value)]));
  switch (term.kind) {
    case 'bowl':
      return { ...term, optimum: draw.position(term.optimum), depth: draw.size(term.depth) };
    case 'slope':
      return { ...term, rise: draw.size(term.rise) };
    case 'coupling':
      return { ...term, weight: draw.size(term.weight) };
    case 'well': {
      const at = each(term.at, (value) => draw.position(value));
      return { ...term, at, depth: draw.size(term.depth), width: draw.size(term.width) };
    }
    case 'cliff':
      return { ...term, above: draw.position(term.above), rise: draw.size(term.rise), width: draw.size(term.width) };
    case 'levels':
      return { ...term, of: each(term.of, (value) => draw.size(value)) };
  }
}

function varyLoad(load: LoadSpec, draw: Draw): LoadSpec {
  const { fluctuation, diurnal, spikes, trace } = load;
  return {
    requestsPerSecond: draw.size(load.requestsPerSecond),
    ...(fluctuation && {
      fluctuation: { sd: draw.size(fluctuation.sd), correlationMs: draw.size(fluctuation.correlationMs) },
    }),
    ...(diurnal && {
      diurnal: {
        amplitude: draw.ratio(diurnal.amplitude),
        periodMs: draw.size(diurnal.periodMs),
        phase: draw.anywhere(),
      },
    }),
    ...(spikes && { spikes: varySpikes(spikes, draw) }),
    ...(trace && { trace: { ...trace, factors: rotated(trace.factors, draw.anywhere()) } }),
  };
}

function varyNoise(noise: NoiseSpec, draw: Draw): NoiseSpec {
  return {
    latencySd: draw.size(noise.latencySd),
    correlationMs: draw.size(noise.correlationMs),
    ...(noise.spikes && { spikes: varySpikes(noise.spikes, draw) }),
  };
}

function varySpikes(spikes: { perHour: number; factor: number; durationMs: number }, draw: Draw): typeof spikes {
  return {
    perHour: draw.size(spikes.perHour),
    factor: draw.sizeAbove(1, spikes.factor),
    durationMs: draw.size(spikes.durationMs),
  };
}

function varyPhases(phases: readonly PhaseSpec[], draw: Draw): PhaseSpec[] {
  return phases
    .map(({ atRatio, loadFactor, slowdown, optimumShift }) => ({
      atRatio: draw.instant(atRatio),
      loadFactor: draw.size(loadFactor),
      slowdown: draw.size(slowdown),
      optimumShift: Object.fromEntries(Object.entries(optimumShift).map(([knob, by]) => [knob, draw.size(by)])),
    }))
    .sort((a, b) => a.atRatio - b.atRatio);
}

/** The default keeps the room that it has, or lacks, up to a factor: a limit that stayed where it was would be another scenario. */
function limitsFor(varied: Scenario, original: Scenario, draw: Draw): Scenario['limits'] {
  const { responseTimeMsP95, memoryBytes, ...rest } = original.limits;
  const [now, before] = [varied, original].map((each) => {
    return createPlant(each, 1, 1).truth(baselineSetting(knobSpecs(each)), 0);
  });
  const limitOf = (limit: number, was: number, is: number) => is * draw.sizeAbove(1, limit / was);
  return {
    ...rest,
    ...(responseTimeMsP95 !== undefined && {
      responseTimeMsP95: limitOf(responseTimeMsP95, before.latencyMsP95, now.latencyMsP95),
    }),
    ...(memoryBytes !== undefined &&
      before.memoryBytes > 0 && { memoryBytes: limitOf(memoryBytes, before.memoryBytes, now.memoryBytes) }),
  };
}

function rotated<T>(values: readonly T[], share: number): T[] {
  const from = Math.floor(share * values.length);
  return [...values.slice(from), ...values.slice(0, from)];
}
