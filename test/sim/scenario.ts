import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import type { KnobSpec } from '../../agent/core/model.ts';

/**
 * A scenario is data: what the process is like (knobs, plant, load, disturbances), what may go wrong around it (faults)
 * and what is expected of a tuner. One zod schema is the source of the types, of the validation of YAML files and of
 * `scenario.schema.json`, which an editor can use (`# yaml-language-server: $schema=…`).
 *
 * Positions are shares of a knob's range in [0, 1] (of its log range for log knobs). "Log units" are natural logarithms
 * of latency: +0.1 is about 10 % slower. Times are milliseconds; instants of phases are shares of the run, so that one
 * scenario can be run short or long.
 */
const ratio = z.number().min(0).max(1);
const positive = z.number().positive();
const bounds = z.tuple([z.number(), z.number()]).describe('[smallest, largest] value that is acceptable');

const knobBase = {
  id: z.string().min(1),
  description: z.string().default(''),
  unit: z.string().default('1'),
  role: z.enum(['timeout', 'concurrency', 'batch', 'queue', 'memory', 'priority', 'threads', 'other']).default('other'),
  applyClass: z.enum(['hot', 'drain', 'reload', 'restart']).default('hot'),
  settleMs: z.number().min(0).default(0).describe('time until the metrics show the new value alone'),
  ceilingAtBoot: z.boolean().default(false),
  conditionalOn: z
    .strictObject({ knob: z.string(), values: z.array(z.union([z.string(), z.boolean()])).min(1) })
    .optional()
    .describe(
      'an enum or switch and its values at which this knob does anything; at others every term that names it is 0',
    ),
};
const numericKnob = z.strictObject({
  ...knobBase,
  type: z.enum(['int', 'double', 'duration']),
  min: z.number(),
  max: z.number(),
  step: positive.optional(),
  scale: z.enum(['linear', 'log']).default('linear'),
  baseline: z.number(),
});
const enumKnob = z.strictObject({
  ...knobBase,
  type: z.literal('enum'),
  values: z.array(z.string()).min(2),
  baseline: z.string(),
});
const boolKnob = z.strictObject({ ...knobBase, type: z.literal('bool'), baseline: z.boolean() });
const knob = z.discriminatedUnion('type', [numericKnob, enumKnob, boolKnob]);

/** Parts of a response surface; their sum is in log units of latency (or bytes, or log odds of an error). */
const term = z.discriminatedUnion('kind', [
  z
    .strictObject({ kind: z.literal('bowl'), knob: z.string(), optimum: ratio, depth: z.number() })
    .describe('depth · (u − optimum)² / max(optimum, 1 − optimum)²: `depth` is the rise at the farther end'),
  z
    .strictObject({ kind: z.literal('slope'), knob: z.string(), rise: z.number() })
    .describe('rise · u: from 0 at the lower end to `rise` at the upper end'),
  z
    .strictObject({ kind: z.literal('coupling'), knobs: z.tuple([z.string(), z.string()]), weight: z.number() })
    .describe('weight · (uᵢ − ½)(uⱼ − ½): turns the axes of the bowls'),
  z
    .strictObject({
      kind: z.literal('well'),
      at: z.record(z.string(), ratio),
      depth: z.number(),
      width: positive,
    })
    .describe('−depth · exp(−|u − at|² / 2 width²) over the knobs named: a local optimum'),
  z
    .strictObject({ kind: z.literal('cliff'), knob: z.string(), above: ratio, rise: z.number(), width: positive })
    .describe('rise / (1 + exp(−(u − above) / width)): a step up beyond `above`'),
  z
    .strictObject({ kind: z.literal('levels'), knob: z.string(), of: z.record(z.string(), z.number()) })
    .describe('a value for each value of an enum or switch'),
]);

const surfacePlant = z
  .strictObject({
    kind: z.literal('surface'),
    latency: z.strictObject({
      baseMs: positive.describe('mean at the reference load where the terms add up to zero'),
      spread: positive.default(0.5).describe('log standard deviation of single requests; gives the p95'),
      loadExponent: z.number().default(0).describe('mean grows with (load / reference load) to this power'),
      terms: z.array(term).default([]),
    }),
    errors: z
      .strictObject({ base: ratio.default(0), terms: z.array(term).default([]) })
      .default({ base: 0, terms: [] })
      .describe('terms are log odds on top of `base`'),
    memory: z
      .strictObject({
        baseBytes: positive,
        terms: z.array(term).default([]).describe('in bytes'),
        loadShare: ratio.default(0).describe('share of the terms that grows in proportion to the load'),
        noise: z.number().min(0).default(0.02).describe('relative standard deviation'),
      })
      .optional(),
  })
  .describe('analytic: a sum of terms');

const batchingKnobs = z
  .strictObject({
    batch: z.string().optional(),
    waitMs: z.string().optional(),
    concurrency: z.string().optional(),
    queueTimeoutMs: z.string().optional(),
  })
  .describe('which knob plays which part; a part without a knob has the value under `fixed`');
const batchingParts = {
  knobs: batchingKnobs,
  fixed: z
    .strictObject({
      batch: positive.default(1),
      waitMs: z.number().min(0).default(0),
      concurrency: positive.default(1),
      queueTimeoutMs: positive.default(10_000),
    })
    .prefault({}),
  service: z.strictObject({
    batchMs: z.number().min(0).describe('fixed cost of one batch'),
    itemMs: positive.describe('cost of each item in it'),
    variation: z.number().min(0).default(0.3).describe('coefficient of variation of a service time'),
  }),
  cores: positive.describe('batches that run at full speed side by side; beyond, they share'),
  memory: z
    .strictObject({ baseBytes: positive, itemBytes: z.number().min(0), noise: z.number().min(0).default(0.02) })
    .optional()
    .describe('base + item · batch · concurrency'),
};
const batchingPlant = z
  .strictObject({ kind: z.literal('batching'), ...batchingParts })
  .describe('analytic: M/G/c with dynamic batching (Allen-Cunneen approximation)');
const queueingPlant = z
  .strictObject({
    kind: z.literal('queueing'),
    ...batchingParts,
    warmup: z
      .strictObject({ batches: positive, slowdown: z.number().min(1) })
      .optional()
      .describe('after a change the first batches take up to `slowdown` times as long (cold caches)'),
  })
  .describe('request by request in virtual time: the same server as `batching`, simulated');

const load = z.strictObject({
  requestsPerSecond: positive.describe('the reference load'),
  fluctuation: z
    .strictObject({ sd: z.number().min(0), correlationMs: positive })
    .optional()
    .describe('log load wanders: standard deviation and correlation time'),
  diurnal: z.strictObject({ amplitude: ratio, periodMs: positive, phase: ratio.default(0) }).optional(),
  spikes: z
    .strictObject({ perHour: positive, factor: positive, durationMs: positive })
    .optional()
    .describe('load times `factor`, at random instants'),
  trace: z
    .strictObject({ binMs: positive, factors: z.array(positive).min(1) })
    .optional()
    .describe('factors on the reference load, one a bin, repeated for ever'),
});

const noise = z
  .strictObject({
    latencySd: z.number().min(0).default(0.05).describe('of one export interval, in log units, shared by its requests'),
    correlationMs: z.number().min(0).default(0),
    spikes: z.strictObject({ perHour: positive, factor: positive, durationMs: positive }).optional(),
  })
  .prefault({});

const phase = z.strictObject({
  atRatio: ratio.describe('when it begins, as a share of the run'),
  loadFactor: positive.default(1),
  slowdown: positive.default(1).describe('factor on every latency'),
  optimumShift: z.record(z.string(), z.number()).default({}).describe('added to the optimum of bowls, by knob'),
});

const channel = z
  .strictObject({
    delayMs: bounds.default([1, 5]),
    loss: ratio.default(0),
    duplicate: ratio.default(0),
    reorder: ratio.default(0).describe('share of messages that are held back by up to ten more delays'),
  })
  .prefault({});
const renewalProcess = z.strictObject({ meanTimeBetweenMs: positive, downMs: bounds });

const faults = z
  .strictObject({
    telemetry: channel,
    control: channel,
    partitions: renewalProcess.optional().describe('both channels are cut'),
    process: renewalProcess.optional().describe('the AI process dies and is started again'),
    agent: renewalProcess.optional().describe('the agent is killed with -9 and started again'),
    clock: z
      .strictObject({ meanTimeBetweenMs: positive, jumpMs: bounds })
      .optional()
      .describe('the wall clock of the machine is set, forward or back'),
    operator: z
      .strictObject({ meanTimeBetweenMs: positive })
      .optional()
      .describe('somebody asks for something: proposals, ways back, pins, modes, freezes, at random'),
    client: z
      .strictObject({
        rejectTransient: ratio.default(0),
        rejectPermanent: ratio.default(0),
        silent: ratio.default(0).describe('applies, but does not answer'),
        untoldExpiry: ratio.default(0).describe('falls back when a lease runs out, but does not tell'),
        misapply: ratio.default(0).describe('applies another value and says so (read-back differs)'),
        applyMs: bounds.default([0, 20]),
      })
      .prefault({}),
  })
  .prefault({});

const scenario = z.strictObject({
  name: z.string().min(1),
  description: z.string().default(''),
  tier: z.enum(['critical', 'stable', 'advanced', 'experimental', 'research']).default('experimental'),
  windowMs: positive.default(10_000).describe('a measurement window, of the engine and of every peer'),
  objective: z
    .strictObject({
      responseTimeMean: z.number().min(0).default(0.5),
      responseTimeP95: z.number().min(0).default(0.5),
      throughput: z.number().min(0).default(0),
      errorRate: z.number().min(0).default(10),
    })
    .prefault({}),
  limits: z
    .strictObject({
      errorRatio: ratio.default(0.02),
      responseTimeMsP95: positive.optional(),
      memoryBytes: positive.optional().describe('beyond it the process is killed'),
    })
    .prefault({}),
  telemetry: z
    .strictObject({
      intervalMs: positive.default(5_000),
      temporality: z.enum(['delta', 'cumulative']).default('cumulative'),
      boundsS: z
        .array(positive)
        .min(1)
        .default([0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10])
        .describe('of http.server.request.duration; the default is that of the semantic conventions'),
    })
    .prefault({}),
  knobs: z.array(knob).min(1),
  plant: z.discriminatedUnion('kind', [surfacePlant, batchingPlant, queueingPlant]),
  load,
  noise,
  drift: z.strictObject({ latencyPerDay: z.number() }).optional().describe('log units a day, whatever the knobs'),
  carryOver: z
    .strictObject({
      lagMs: z.number().min(0).default(0).describe('the surface follows the knobs with this time constant'),
      warmup: z.number().min(0).default(0).describe('log units added by a move across the whole range'),
      warmupMs: positive.default(30_000).describe('time constant with which that fades'),
    })
    .optional(),
  phases: z.array(phase).default([]),
  restartMs: positive.default(20_000).describe('time that the process needs to come back after it died'),
  faults,
  expect: z
    .strictObject({
      regretRatio: bounds.optional(),
      killsPerRun: bounds.optional(),
      extraViolationRatio: bounds.optional(),
      farWorseRatio: bounds.optional().describe('share of windows over 25 % worse than the default'),
      falseAcceptRuns: bounds.optional().describe('share of runs with a promotion that does not help'),
    })
    .default({}),
});

export type Scenario = z.output<typeof scenario>;
export type Term = z.output<typeof term>;
export type SurfacePlantSpec = z.output<typeof surfacePlant>;
export type BatchingPlantSpec = z.output<typeof batchingPlant>;
export type QueueingPlantSpec = z.output<typeof queueingPlant>;
export type LoadSpec = z.output<typeof load>;
export type NoiseSpec = z.output<typeof noise>;
export type PhaseSpec = z.output<typeof phase>;
export type ChannelSpec = z.output<typeof channel>;
export type Faults = z.output<typeof faults>;
export type Bounds = z.output<typeof bounds>;

/** Parses a scenario; what is wrong is said with its path and the file it is in. */
export function parseScenario(yaml: string, where: string): Scenario {
  return scenarioFrom(parse(yaml), where);
}

/** The same from plain data. */
export function scenarioFrom(data: unknown, where: string): Scenario {
  const result = scenario.safeParse(data);
  if (!result.success) throw new Error(`${where} is not a scenario:\n${z.prettifyError(result.error)}`);
  const known = new Set(result.data.knobs.map((each) => each.id));
  for (const name of knobsNamedBy(result.data)) {
    if (!known.has(name)) throw new Error(`${where}: no knob is called '${name}'; there are ${[...known].join(', ')}`);
  }
  for (const spec of result.data.knobs) {
    checkRange(spec, where);
    checkCondition(spec, result.data.knobs, where);
  }
  return result.data;
}

export function readScenario(path: string): Scenario {
  return parseScenario(readFileSync(path, 'utf8'), path);
}

/** One of the scenarios that come with the repository, by file name without its ending. */
export function builtInScenario(name: string): Scenario {
  return readScenario(new URL(`scenarios/${basename(name)}.yaml`, import.meta.url).pathname);
}

export function scenarioJsonSchema(): unknown {
  return z.toJSONSchema(scenario, { io: 'input', target: 'draft-2020-12' });
}

/** The knobs in the core's words. */
export function knobSpecs(of: Scenario): readonly KnobSpec[] {
  return of.knobs.map((spec) => {
    const { conditionalOn, ...always } = spec;
    const given = { ...always, ...(conditionalOn !== undefined && { conditionalOn }) };
    if (given.type === 'enum' || given.type === 'bool') return given;
    const { step, ...rest } = given;
    return step === undefined ? rest : { ...rest, step };
  });
}

function checkRange(spec: Scenario['knobs'][number], where: string): void {
  if (spec.type === 'enum') {
    if (!spec.values.includes(spec.baseline))
      throw new Error(`${where}: baseline of '${spec.id}' is not among its values`);
  } else if (spec.type !== 'bool') {
    if (!(spec.min < spec.max)) throw new Error(`${where}: '${spec.id}' needs min < max`);
    if (spec.baseline < spec.min || spec.baseline > spec.max) {
      throw new Error(`${where}: baseline of '${spec.id}' must lie in [${spec.min}, ${spec.max}]`);
    }
    if (spec.scale === 'log' && spec.min <= 0)
      throw new Error(`${where}: '${spec.id}' is logarithmic and needs min > 0`);
  }
}

function checkCondition({ id, conditionalOn }: Scenario['knobs'][number], all: Scenario['knobs'], where: string): void {
  if (conditionalOn === undefined) return;
  const parent = all.find((each) => each.id === conditionalOn.knob);
  if (parent === undefined || parent.id === id || (parent.type !== 'enum' && parent.type !== 'bool'))
    throw new Error(`${where}: conditionalOn of '${id}' needs another knob that is an enum or a switch`);
  const allowed: readonly (string | boolean)[] = parent.type === 'enum' ? parent.values : [true, false];
  const odd = conditionalOn.values.find((value) => !allowed.includes(value));
  if (odd !== undefined)
    throw new Error(`${where}: conditionalOn of '${id}' names ${odd}, and '${parent.id}' has ${allowed.join(', ')}`);
}

function knobsNamedBy(of: Scenario): string[] {
  const names = of.phases.flatMap((each) => Object.keys(each.optimumShift));
  if (of.plant.kind !== 'surface') {
    return [...names, ...Object.values(of.plant.knobs).filter((name) => name !== undefined)];
  }
  const terms = [...of.plant.latency.terms, ...of.plant.errors.terms, ...(of.plant.memory?.terms ?? [])];
  return [...names, ...terms.flatMap(knobsOf)];
}

/** The knobs that a term names. */
export function knobsOf(of: Term): readonly string[] {
  if (of.kind === 'coupling') return of.knobs;
  return of.kind === 'well' ? Object.keys(of.at) : [of.knob];
}
