import { baselineSetting } from '../../sim/knob_space.ts';
import { createPlant } from '../../sim/plant/create.ts';
import { Random, seedFor } from '../../sim/random.ts';
import { knobSpecs, type Scenario, scenarioFrom } from '../../sim/scenario.ts';
import { firstSuitable, hasRoom, type Round, roundOn } from './round.ts';

/**
 * Scenarios nobody has tuned for: the n-th is drawn from its number alone. Surfaces of two to eight knobs (bowls, slopes, couplings,
 * wells, cliffs, enums and switches) or batching servers, quiet to very noisy, with load that wanders, swings and spikes, phases
 * that shift the optimum, and for a third of them a memory limit. The ranges are those of the scenarios in `test/sim/scenarios`
 * and somewhat beyond. A draw whose default is within 10 % of the best has nothing to find and is drawn again.
 */
export function randomScenario(number: number, windows: number): Round {
  return firstSuitable((attempt) => {
    const random = new Random(seedFor(number * 1_000 + attempt, 'scenario'));
    const round = roundOn(draw(number, random), windows);
    return hasRoom(round, windows) ? round : undefined;
  }, `random scenario ${number}`);
}

function draw(number: number, random: Random): Scenario {
  const isServer = random.chance(0.3);
  const knobs = isServer ? serverKnobs(random) : surfaceKnobs(random);
  const base = {
    name: `random-${number}`,
    tier: random.chance(0.7) ? 'experimental' : random.chance(0.6) ? 'advanced' : 'research',
    knobs,
    load: drawLoad(random),
    noise: drawNoise(random),
    phases: drawPhases(random, isServer ? [] : knobs.map(({ id }) => id)),
    plant: isServer ? server(random, knobs) : surface(random, knobs),
  };
  const unlimited = scenarioFrom(base, base.name);
  const baseline = baselineSetting(knobSpecs(unlimited));
  const { memoryBytes, latencyMsP95 } = createPlant(unlimited, 1, 1).truth(baseline, 0);
  const limits = {
    errorRatio: 0.02,
    // The default has room, for the load as well; how much is left for more is another matter.
    ...(memoryBytes > 0 && { memoryBytes: memoryBytes * random.between(1.25, 1.8) }),
    ...(random.chance(0.25) && { responseTimeMsP95: latencyMsP95 * random.between(0.8, 2) }),
  };
  return { ...unlimited, limits };
}

interface DrawnKnob {
  readonly id: string;
  readonly type: string;
  readonly [key: string]: unknown;
}

function surfaceKnobs(random: Random): DrawnKnob[] {
  return Array.from({ length: 2 + random.below(6) }, (_, i): DrawnKnob => {
    const id = `k${i + 1}`;
    const kind = random.uniform();
    if (kind < 0.08) return { id, type: 'bool', baseline: random.chance(0.3) };
    if (kind < 0.16) return { id, type: 'enum', values: ['a', 'b', 'c'], baseline: 'a' };
    if (kind < 0.45) {
      const max = 2 ** (4 + random.below(5));
      return { id, type: 'int', min: 1, max, scale: 'log', baseline: Math.max(1, Math.round(max ** random.uniform())) };
    }
    if (kind < 0.6)
      return { id, type: 'double', min: 10, max: 1_000, scale: 'log', baseline: 10 * 100 ** random.uniform() };
    return { id, type: 'double', min: 0, max: 1, baseline: random.between(0.05, 0.95) };
  });
}

function surface(random: Random, knobs: readonly DrawnKnob[]): unknown {
  const terms: unknown[] = [];
  const numeric = knobs.filter(({ type }) => type !== 'bool' && type !== 'enum').map(({ id }) => id);
  for (const { id, type } of knobs) {
    const of = (levels: readonly string[]) =>
      Object.fromEntries(levels.map((level) => [level, random.between(-0.2, 0.2)]));
    if (type === 'bool') terms.push({ kind: 'levels', knob: id, of: of(['false', 'true']) });
    else if (type === 'enum') terms.push({ kind: 'levels', knob: id, of: of(['a', 'b', 'c']) });
    else {
      const kind = random.uniform();
      if (kind < 0.55)
        terms.push({ kind: 'bowl', knob: id, optimum: random.between(0.1, 0.9), depth: random.between(0.2, 1) });
      else if (kind < 0.7) terms.push({ kind: 'slope', knob: id, rise: random.between(-0.6, 0.6) });
      else if (kind < 0.8)
        terms.push({
          kind: 'cliff',
          knob: id,
          above: random.between(0.4, 0.9),
          rise: random.between(0.3, 1),
          width: 0.03,
        });
      // The rest does nothing.
    }
  }
  if (numeric.length >= 2 && random.chance(0.5)) {
    terms.push({ kind: 'coupling', knobs: [numeric[0], numeric[1]], weight: random.between(-0.5, 0.5) });
  }
  if (numeric.length >= 2 && random.chance(0.25)) {
    const at = Object.fromEntries(numeric.slice(0, 2).map((id) => [id, random.between(0.1, 0.9)]));
    terms.push({ kind: 'well', at, depth: random.between(0.2, 0.7), width: random.between(0.15, 0.3) });
  }
  const latency = { baseMs: random.between(20, 120), loadExponent: random.between(0, 1), terms };
  const errors = random.chance(0.3) ? { base: random.between(0.0005, 0.005) } : { base: 0 };
  if (numeric.length === 0 || !random.chance(0.35)) return { kind: 'surface', latency, errors };
  const rising = numeric.slice(0, 1 + random.below(Math.min(2, numeric.length)));
  const memory = {
    baseBytes: random.between(2e9, 4e9),
    loadShare: random.between(0, 0.4),
    noise: random.between(0.005, 0.02),
    terms: rising.map((knob) => ({ kind: 'slope', knob, rise: random.between(1e9, 5e9) })),
  };
  return { kind: 'surface', latency, errors, memory };
}

function serverKnobs(random: Random): DrawnKnob[] {
  const log = { scale: 'log' };
  return [
    { id: 'batch', type: 'int', min: 1, max: 64, ...log, baseline: 1 + random.below(8), role: 'batch' },
    { id: 'wait_ms', type: 'double', min: 0.5, max: 50, ...log, baseline: 0.5 * 60 ** random.uniform(), role: 'batch' },
    { id: 'concurrency', type: 'int', min: 1, max: 16, ...log, baseline: 1 + random.below(4), role: 'concurrency' },
    ...(random.chance(0.5)
      ? [{ id: 'timeout_ms', type: 'double', min: 100, max: 10_000, ...log, baseline: 2_000, role: 'timeout' }]
      : []),
  ];
}

function server(random: Random, knobs: readonly DrawnKnob[]): unknown {
  return {
    kind: 'batching',
    knobs: {
      ...{ batch: 'batch', waitMs: 'wait_ms', concurrency: 'concurrency' },
      ...(knobs.some(({ id }) => id === 'timeout_ms') && { queueTimeoutMs: 'timeout_ms' }),
    },
    service: { batchMs: random.between(5, 20), itemMs: random.between(0.5, 3), variation: random.between(0.2, 0.6) },
    cores: 2 + random.below(7),
  };
}

function drawLoad(random: Random): unknown {
  return {
    requestsPerSecond: random.between(50, 200),
    fluctuation: { sd: random.between(0.02, 0.15), correlationMs: random.between(30_000, 180_000) },
    ...(random.chance(0.3) && {
      diurnal: {
        amplitude: random.between(0.1, 0.5),
        periodMs: random.between(900_000, 3_600_000),
        phase: random.uniform(),
      },
    }),
    ...(random.chance(0.2) && {
      spikes: { perHour: random.between(2, 6), factor: random.between(1.2, 1.8), durationMs: 30_000 },
    }),
  };
}

function drawNoise(random: Random): unknown {
  return {
    latencySd: 0.03 * 10 ** random.uniform(),
    correlationMs: random.chance(0.5) ? random.between(5_000, 20_000) : 0,
    ...(random.chance(0.3) && {
      spikes: { perHour: random.between(2, 6), factor: random.between(1.5, 2.5), durationMs: 15_000 },
    }),
  };
}

function drawPhases(random: Random, shiftable: readonly string[]): unknown {
  if (random.chance(0.4)) return [];
  const optimumShift = Object.fromEntries(
    shiftable.filter(() => random.chance(0.3)).map((id) => [id, random.between(-0.25, 0.25)] as const),
  );
  return [
    {
      atRatio: random.between(0.35, 0.65),
      loadFactor: random.between(0.8, 1.3),
      slowdown: random.between(1, 1.2),
      ...(random.chance(0.5) && { optimumShift }),
    },
  ];
}
