/**
 * Four times what the agent can take: `npm run -s bench:overload -- --json [--seconds 60] [--times 4]`.
 *
 * First what it takes of gzipped requests of 5,000 points over gRPC, sent as fast as they are answered. Then as many
 * times that, at a fixed pace whatever is answered; then whether it is as it was before. Beside it, in a process of its
 * own, control messages are sent and timed.
 *
 * On one machine sender and receiver share the cores. `sentTimes` says how much really got sent: what is `heldBack` found
 * every stream of 256 connections waiting for an answer. A sender gives up after `--timeout 10` seconds, as exporters do.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { cpus } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BenchAgent } from './tax/agent.ts';
import type { ProbeReadings } from './tax/control_probe.ts';
import { Flood, POINTS_PER_REQUEST } from './tax/flood.ts';
import { costOf, costWhile, mebibytes } from './tax/process_cost.ts';

const CAPACITY_SECONDS = 5;
const RECOVERY_DEADLINE_S = 60;
/** Full recovery: it takes at least this share of what it took before. */
const RECOVERED_RATIO = 0.8;
const MIB = 1_024 * 1_024;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '60' },
    times: { type: 'string', default: '4' },
    timeout: { type: 'string', default: '10' },
    'max-resident-mib': { type: 'string', default: '512' },
    entry: { type: 'string', default: 'dist/main.js' },
  },
});
const [seconds, times, limitMiB] = [Number(values.seconds), Number(values.times), Number(values['max-resident-mib'])];
if (!(seconds > 0 && times > 0 && Number(values.timeout) > 0 && limitMiB >= 64)) {
  throw new Error('--seconds, --times and --timeout are numbers above 0, --max-resident-mib is at least 64');
}

await using agent = await BenchAgent.start(values.entry, { receivers: { maxResidentBytes: limitMiB * MIB } });
using flood = new Flood(agent.grpc, 1_000 * Number(values.timeout));
await flood.closedLoop(CAPACITY_SECONDS);
const before = await flood.closedLoop(CAPACITY_SECONDS);
const restingControl = await probing(() => wait(5_000));
const acceptedBefore = (await agent.status()).receiver.pointsAccepted;

const perSecond = (times * before) / POINTS_PER_REQUEST;
let answers: Awaited<ReturnType<Flood['openLoop']>> | undefined;
let cost: Awaited<ReturnType<typeof costWhile>> | undefined;
const senderBefore = process.cpuUsage();
const floodStartedMs = performance.now();
const control = await probing(async () => {
  cost = await costWhile(agent.pid, async () => {
    answers = await flood.openLoop(perSecond, seconds);
  });
});
if (answers === undefined || cost === undefined) throw new Error('nothing was measured');

const senderCpu = process.cpuUsage(senderBefore);
// Near 100: the sender is the one that failed, and requests that timed out may never have reached the agent.
const senderCpuPercentOfCore = Math.round(
  (senderCpu.user + senderCpu.system) / 10 / (performance.now() - floodStartedMs),
);

const recoverySeconds = await recovered();
const status = await agent.status();
const rssAtRestMiB = mebibytes(costOf(agent.pid).rssBytes);
const after = await flood.closedLoop(CAPACITY_SECONDS);

const refused = Object.values(answers.refused).reduce((sum, each) => sum + each, 0);
const malformed = Object.values(answers.malformed).reduce((sum, each) => sum + each, 0);
const sent = answers.offered - answers.heldBack;
const holds = {
  memoryUnderLimit: cost.rssMiBMax <= limitMiB,
  refusalsWellFormed: malformed === 0,
  // Nothing is worse for a sender than no answer: it waits, gives up, and does not know.
  answeredInTime: answers.timedOut === 0,
  controlAnswered: control.snapshot.failed + control.freeze.failed + control.sessionsLost === 0,
  // What was answered with success is what the agent counted.
  acceptedIsKept:
    status.receiver.pointsAccepted - acceptedBefore >= POINTS_PER_REQUEST * answers.accepted && !status.engine.halted,
  recovered: recoverySeconds !== null && after >= RECOVERED_RATIO * before,
};
const report = {
  ...{ node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, subject: values.entry, seconds, times },
  capacityPointsPerSecond: Math.round(before),
  offeredPointsPerSecond: Math.round(perSecond * POINTS_PER_REQUEST),
  sentTimes: Number(((sent * POINTS_PER_REQUEST) / seconds / before).toFixed(2)),
  senderCpuPercentOfCore,
  answers: { ...answers, refusedTotal: refused, malformedTotal: malformed },
  memory: { limitMiB, ...cost, rssAtRestMiB },
  control,
  restingControl,
  recovery: { seconds: recoverySeconds, capacityPointsPerSecond: Math.round(after) },
  holds,
};
if (values.json) console.log(JSON.stringify(report));
else console.dir(report, { depth: null });
if (Object.values(holds).includes(false)) process.exitCode = 1;

/** What control messages go through while `work` runs. */
async function probing(work: () => Promise<void>): Promise<ProbeReadings> {
  const child = fork(fileURLToPath(new URL('./tax/control_probe.ts', import.meta.url)), [agent.control]);
  await message(child);
  await work();
  const readings = message(child);
  child.send('stop');
  // What the probe sends when it is told to stop.
  return (await readings) as ProbeReadings;
}

function message(child: ChildProcess): Promise<unknown> {
  return new Promise((settle, fail) => {
    child.once('message', settle);
    child.once('exit', (code) => fail(new Error(`the control probe ended with ${code}`)));
  });
}

/** Seconds until a request is accepted again and nothing waits for the engine; `null`: not within a minute. */
async function recovered(): Promise<number | null> {
  const startedMs = performance.now();
  for (;;) {
    const elapsedS = (performance.now() - startedMs) / 1_000;
    const isAccepted = await flood.one();
    if (isAccepted && (await agent.status()).engine.inboxDepth <= POINTS_PER_REQUEST)
      return Number(elapsedS.toFixed(2));
    if (elapsedS > RECOVERY_DEADLINE_S) return null;
    await wait(100);
  }
}
