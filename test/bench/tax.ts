/**
 * What the agent costs beside the process that it serves: `npm run -s bench:tax -- --json [--seconds 30]`.
 *
 * - `idle`: started with the defaults and left alone (host sampling and the engine's tick run).
 * - `load`: 10,000 points a second over 1,000 series, gRPC, 1,000 points a request; engine and host sampling on.
 * - `growth`: the same points a second over 1k, 10k and 100k series (1, 10 and 100 senders) in one process, one size
 *   after the other. `bytesPerSeries` is the growth of resident memory since the size before, garbage included; a
 *   process that collects late looks larger than it is, and the first size is too small to be told from that noise.
 * - `liveBytesPerSeries`: the same without garbage, in a process of its own.
 *
 * Measured from outside, in `/proc`, children included. `--target PID --grpc HOST:PORT` measures another receiver in the
 * same way, without what only our pages tell. `--entry agent/main.ts` runs the sources in place of the build.
 */
import { execFileSync, spawn } from 'node:child_process';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { BenchAgent, stepsBetween } from './tax/agent.ts';
import { LoadSource, POINTS_PER_REQUEST, type Sent, sendSteadily } from './tax/load.ts';
import { type CostOver, costOf, costWhile, mebibytes } from './tax/process_cost.ts';

const POINTS_PER_SECOND = 10_000;
const SERIES = [1_000, 10_000, 100_000];
const WARM_ROUNDS = 3;
/** Start-up is over after this long: modules loaded, the inventory of the host read, what only that needed given back. */
const SETTLE_MS = 15_000;
const LIMITS = { idlePercent: 0.5, idleMiB: 64, loadPercent: 25, loadMiB: 80, bytesPerSeries: 2_048 };

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '30' },
    'max-series': { type: 'string', default: String(SERIES.at(-1)) },
    entry: { type: 'string', default: 'dist/main.js' },
    target: { type: 'string' },
    grpc: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
if (!(seconds >= 1)) throw new Error(`--seconds ${values.seconds}: allowed is a number of at least 1`);
if ((values.target === undefined) !== (values.grpc === undefined)) {
  throw new Error('--target PID and --grpc HOST:PORT come together: the process to measure and where it listens');
}
const sizes = SERIES.filter((series) => series <= Number(values['max-series']));
const source = new LoadSource();

/** What is measured: another receiver, or an agent of its own for each phase. */
interface Subject extends AsyncDisposable {
  readonly pid: number;
  readonly grpc: string;
  readonly agent?: BenchAgent;
}

async function subject(config: Readonly<Record<string, object>> = {}): Promise<Subject> {
  const { target, grpc, entry } = values;
  if (target !== undefined && grpc !== undefined) {
    return { pid: Number(target), grpc, [Symbol.asyncDispose]: async () => {} };
  }
  const agent = await BenchAgent.start(entry, config);
  return { agent, pid: agent.pid, grpc: agent.grpc, [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose]() };
}

async function steadily(on: Subject, series: number): Promise<CostOver & Sent & { stepMsMean?: number }> {
  const instances = series / POINTS_PER_REQUEST;
  const pace = { instances, pointsPerSecond: POINTS_PER_SECOND };
  // Every series is known, and the code is hot, before the clock runs.
  await sendSteadily(on.grpc, source, {
    ...{ instances, pointsPerSecond: 5 * POINTS_PER_SECOND },
    requests: Math.max(50, WARM_ROUNDS * instances),
  });
  const stepsBefore = await on.agent?.steps();
  let sent: Sent | undefined;
  const cost = await costWhile(on.pid, async () => {
    const requests = Math.round((seconds * POINTS_PER_SECOND) / POINTS_PER_REQUEST);
    sent = await sendSteadily(on.grpc, source, { ...pace, requests });
  });
  if (sent === undefined) throw new Error('nothing was sent');
  const stepsAfter = await on.agent?.steps();
  const steps = stepsBefore && stepsAfter ? stepsBetween(stepsBefore, stepsAfter) : {};
  return { ...cost, ...sent, ...steps };
}

async function idleThenLoad() {
  await using on = await subject();
  await wait(on.agent === undefined ? 0 : SETTLE_MS);
  const idle = await costWhile(on.pid, () => wait(1_000 * seconds));
  const load = await steadily(on, 1_000);
  const status = await on.agent?.status();
  return {
    idle,
    load: { ...load, ...(status && { seriesOfEngine: status.engine.series, hostSamples: status.sampler.samples }) },
  };
}

async function growth() {
  await using on = await subject({ capacity: { maxSeries: 2 * SERIES.at(-1)! } });
  const rows: object[] = [];
  let before: { series: number; rssMiB: number } | undefined;
  for (const series of sizes) {
    const cost = await steadily(on, series);
    const grown = before && ((cost.rssMiBMedian - before.rssMiB) * 1_024 * 1_024) / (series - before.series);
    const status = await on.agent?.status();
    rows.push({
      ...{ series, ...cost },
      ...(status && { seriesOfEngine: status.engine.series }),
      ...(grown !== undefined && { bytesPerSeries: Math.round(grown) }),
    });
    before = { series, rssMiB: cost.rssMiBMedian };
  }
  return rows;
}

const { idle, load } = await idleThenLoad();
const rows = await growth();
const live = execFileSync(process.execPath, ['--expose-gc', join(import.meta.dirname, 'tax/series_bytes.ts')]);
const liveBytesPerSeries = Number(live.toString());
const holds = {
  idleCpu: idle.cpuPercentOfCore <= LIMITS.idlePercent,
  idleMemory: idle.rssMiBMax <= LIMITS.idleMiB,
  loadCpu: load.cpuPercentOfCore <= LIMITS.loadPercent,
  loadMemory: load.rssMiBMax <= LIMITS.loadMiB,
  seriesMemory: liveBytesPerSeries <= LIMITS.bytesPerSeries,
};
const report = {
  ...{ node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, seconds },
  subject: values.target === undefined ? values.entry : `process ${values.target} at ${values.grpc}`,
  // A Node that has loaded nothing, for scale: what no program on it can go below.
  emptyNodeRssMiB: await emptyNode(),
  ...{
    limits: LIMITS,
    idle,
    load,
    growth: rows,
    liveBytesPerSeries,
    holds,
  },
};
if (values.json) console.log(JSON.stringify(report));
else {
  console.table({ idle, load });
  console.table(rows);
  console.log(`empty Node: ${report.emptyNodeRssMiB} MiB resident`, holds);
}

async function emptyNode(): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], { stdio: 'ignore' });
  try {
    await wait(1_000);
    return mebibytes(costOf(child.pid!).rssBytes);
  } finally {
    child.kill();
  }
}
