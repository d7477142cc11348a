/**
 * The demo: a real inference server under a real trace's load, tuned by the agent while it serves, then measured at its default against
 * tuned, and at last left alone by an agent that is killed. Nothing is scripted: what it prints is what the agent
 * decided and what the load generator measured.
 *
 *     node deploy/demo/demo.ts [--json] [--minutes 4.5] [--seed 1]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Setting } from '../../agent/core/model.ts';
import { AgentProcess } from './agent-process.ts';
import { randomFrom } from './arrivals.ts';
import { ensureInstalled } from './install.ts';
import { COMPONENT } from './names.ts';
import { desiredSetting } from './operator.ts';
import { end, LoadProcess, ServerProcess } from './processes.ts';
import { armTable, Progress, percent, settingText, trialTable } from './report.ts';
import { summarise } from './statistics.ts';
import { ARRIVALS_PER_30_S } from './trace.ts';
import { trialsOf, unprovenKnobs } from './trials.ts';
import { compare } from './verify.ts';

/** Of what the server can do at its default: the traffic has outgrown the timid setting, and a third of what batching could do. */
const MEAN_LOAD = 1.25;
const PEAK_LOAD = 1.45;
const EXPORT_INTERVAL_MS = 500;
const SETTLE_MS = 500;
const WINDOW_MS = 1_200;
/** Four windows and, on average, two and a half changes with their settle time. */
const BLOCK_MS = 4 * WINDOW_MS + 2.5 * (SETTLE_MS + 100);
/** Of the whole run. */
const COMPARISON_SHARE = 0.28;
const KILL_AND_TABLES_MS = 8_000;
/** An agent that lost sight of the server waits for its leases to run out before it speaks again. */
const APPLIED_WITHIN_MS = 15_000;
const TOO_SHORT_FOR_A_TRIAL_MS = 25_000;

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '4.5' },
    seed: { type: 'string', default: '1' },
  },
});
const minutes = Number(flags.minutes);
const seed = Number(flags.seed);
if (!(minutes >= 2 && minutes <= 120)) fail(`--minutes ${flags.minutes}: allowed are 2 to 120`);
if (!Number.isSafeInteger(seed)) fail(`--seed ${flags.seed}: allowed are whole numbers`);

const startMs = performance.now();
const endMs = startMs + minutes * 60_000;
// In JSON mode standard output is for the one object at the end.
const progress = new Progress(flags.json ? process.stderr : process.stdout);

// Children end with this process (see processes.ts), so every way out is this one.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
process.once('uncaughtException', (error) => fail(error.message));
process.once('unhandledRejection', (error) => fail(error instanceof Error ? error.message : String(error)));

await ensureInstalled((line) => progress.say(line));

const agent = await AgentProcess.start(COMPONENT);
agent.onDeath(fail);
progress.say(`agent up (pid ${agent.pid}): telemetry to ${agent.otlpUrl}, control on ${agent.controlAddress}`);

const serverFlags = ['--otlp', agent.otlpUrl, '--agent', agent.controlAddress];
const server = await ServerProcess.start(
  [...serverFlags, '--export-interval-ms', String(EXPORT_INTERVAL_MS)],
  'inherit',
);
server.child.once('exit', (code) => fail(`the server ended with ${code}`));
const baseline = await server.knobs();
progress.say(`server up (pid ${server.child.pid}): Silero voice activity detection at ${settingText(baseline)}`);

const load = await LoadProcess.start(server.port);
load.child.once('exit', (code) => fail(`the load generator ended with ${code}`));
await until(
  'the server has introduced itself to the agent',
  async () => (await agent.operator.state())?.connected === true,
);
await agent.operator.freeze('measuring what the server can do at its default');
const capacity = await load.saturate(16, 2_000, 3_000);
const meanPerSecond = MEAN_LOAD * capacity;
load.run(
  { counts: ARRIVALS_PER_30_S, replayS: minutes * 60, meanPerSecond, peakPerSecond: PEAK_LOAD * capacity },
  seed,
);
progress.say(
  `at its default the server does ${capacity.toFixed(0)} requests/s; from now on it is offered ${meanPerSecond.toFixed(0)} on average ` +
    `(${MEAN_LOAD * 100} %) and ${(PEAK_LOAD * capacity).toFixed(0)} at most (${PEAK_LOAD * 100} %), in the shape of a real trace`,
);
await agent.operator.unfreeze();

await tune(endMs - KILL_AND_TABLES_MS - COMPARISON_SHARE * (endMs - startMs));

await agent.operator.freeze('the demo compares the default with what was found');
const tuned = await settled();
const decisions = await agent.operator.decisions();
const trials = trialsOf(decisions);
const kept = trials.filter(({ outcome }) => outcome === 'kept');
progress.say(
  kept.length > 0
    ? `tuning is over: ${settingText(differences(tuned))} was proven better and is in force`
    : 'tuning is over: nothing was proven better than the default, so the default is in force',
);
const blocks = Math.max(6, Math.min(20, Math.floor((endMs - KILL_AND_TABLES_MS - performance.now()) / BLOCK_MS)));
progress.say(`now ${blocks} blocks of default and tuned by turns, in random order, latency as the users see it`);
const comparison = await compare(
  baseline,
  tuned,
  blocks,
  {
    put,
    measure: (settleFirst) => load.measure(settleFirst ? SETTLE_MS : 0, WINDOW_MS),
    onBlock: (block) => progress.live(`compared ${block} of ${blocks} blocks`),
  },
  randomFrom(seed),
);
const inForce = await server.knobs();
const unproven = unprovenKnobs(inForce, baseline, decisions);

progress.say(`kill -9 of the agent: who takes its values back?`);
await agent.killHard();
const killedMs = performance.now();
await until('the server is back at its default', async () => same(await server.knobs(), baseline));
const fallbackMs = performance.now() - killedMs;
const orphaned = await load.measure(0, 1_000);
progress.say(
  same(inForce, baseline)
    ? 'nobody has to: the server was at its default'
    : `the server, by itself: its lease on ${settingText(differences(inForce))} ran out ${(fallbackMs / 1_000).toFixed(1)} s after the agent died`,
);
progress.say(
  `without an agent it answered ${orphaned.latenciesMs.length} requests in the second after, with ${orphaned.errors} errors`,
);
load.stop();

if (flags.json) {
  const result = {
    baseline: comparison.baseline,
    tuned: comparison.tuned,
    objective: comparison.objective,
    trials,
    kept: kept.length,
    rolledBack: trials.filter(({ outcome }) => outcome === 'restored').length,
    unprovenKept: unproven.length,
    blocks: comparison.blocks,
    capacityPerSecond: capacity,
    offeredPerSecond: meanPerSecond,
    leaseFallbackMs: same(inForce, baseline) ? null : fallbackMs,
    seed,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
} else {
  console.log(`\nTrials\n\n${trials.length > 0 ? trialTable(trials) : '(none)'}`);
  console.log(
    `\nDefault against tuned (${settingText(differences(tuned)) || 'nothing differs'})\n\n${armTable(comparison)}\n`,
  );
  const { estimate, low, high } = comparison.objective;
  console.log(
    `Objective (half mean, half p95 latency, errors): ${percent(estimate)}, 95 % interval ${percent(low)} to ${percent(high)} over ${comparison.blocks} blocks.`,
  );
  if (kept.length === 0) console.log('Nothing was proven in this run, so nothing was kept.');
  else if (high >= 0) console.log('The interval contains zero: this comparison does not show a difference.');
  console.log(`Values kept without proof: ${unproven.length === 0 ? 'none' : unproven.join(', ')}.`);
  console.log(`The agent's log and journal: ${agent.folder}`);
}

server.child.removeAllListeners('exit');
load.child.removeAllListeners('exit');
await Promise.all([end(server.child), end(load.child)]);
process.exit(unproven.length === 0 ? 0 : 1);

/** Watches the agent until `untilMs`, or a little earlier where it is between two trials: a trial cut short proves nothing. */
async function tune(untilMs: number): Promise<void> {
  let traffic = '';
  load.onSecond = ({ measurement }) => {
    const { p50Ms, p95Ms, count } = summarise(measurement.latenciesMs);
    traffic = `${count} requests/s, p50 ${p50Ms.toFixed(1)} ms, p95 ${p95Ms.toFixed(1)} ms, ${measurement.errors} errors`;
  };
  const told = new Set<string>();
  for (const { id } of await agent.operator.decisions()) told.add(id);
  for (;;) {
    for (const decision of await agent.operator.decisions()) {
      if (told.has(decision.id)) continue;
      told.add(decision.id);
      progress.say(`${decision.kind.replaceAll('_', ' ')}: ${decision.reason}`);
    }
    const state = await agent.operator.state();
    const trial = state?.openTrial;
    const doing = trial === undefined ? 'between trials' : `trial ${trial.trialId}, ${trial.blocks} blocks`;
    if (state !== undefined && traffic !== '')
      progress.live(`${traffic} · ${doing} · ${settingText(desiredSetting(state))}`);
    const leftMs = untilMs - performance.now();
    if (leftMs <= 0 || (leftMs < TOO_SHORT_FOR_A_TRIAL_MS && trial === undefined)) break;
    await sleep(1_000);
  }
  load.onSecond = () => {};
}

/** The setting that stays once the agent stops trying: what it wants, and what the server says is in force. */
async function settled(): Promise<Setting> {
  let last: Setting = {};
  await until('agent and server agree on the values in force', async () => {
    const state = await agent.operator.state();
    last = await server.knobs();
    return state !== undefined && state.openTrial === undefined && same(desiredSetting(state), last);
  });
  return last;
}

/** Through the agent, as an operator does it: pinned, pushed over the control channel, read back from the server. */
async function put(setting: Setting): Promise<boolean> {
  const present = await server.knobs();
  const changes = Object.fromEntries(Object.entries(setting).filter(([knob, value]) => present[knob] !== value));
  if (Object.keys(changes).length === 0) return false;
  await agent.operator.pin(changes);
  await until(`${settingText(changes)} is in force`, async () => same(await server.knobs(), setting));
  return true;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + APPLIED_WITHIN_MS;
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`waited ${APPLIED_WITHIN_MS} ms in vain until ${what}`);
    await sleep(20);
  }
}

function differences(setting: Setting): Setting {
  return Object.fromEntries(Object.entries(setting).filter(([knob, value]) => value !== baseline[knob]));
}

function same(a: Setting, b: Setting): boolean {
  return Object.keys(a).length === Object.keys(b).length && Object.keys(a).every((knob) => a[knob] === b[knob]);
}

function fail(why: string): never {
  console.error(`demo: ${why}`);
  process.exit(1);
}
