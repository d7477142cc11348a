import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { optimizerConfig } from '../../agent/config/optimizer.ts';
import { MeasuredResults } from '../../agent/core/analytics/results.ts';
import { Answers } from '../../agent/core/answers.ts';
import { DEFAULT_HEALTH_THRESHOLDS } from '../../agent/core/health.ts';
import type { Agent } from '../../agent/optimizer/agent.ts';
import { LocalAgent } from '../../agent/optimizer/local-agent.ts';
import { RemoteAgent } from '../../agent/optimizer/remote-agent.ts';
import { snapshotOf } from '../../agent/snapshot.ts';
import { memoryJournal } from '../contract/memory-journal.ts';
import { Loop } from '../unit/engine_loop.ts';
import { type Rig, startRig } from './control-rig.ts';

const log = pino({ level: 'silent' });
const tell = () => undefined;

/** The same telemetry, recorded in virtual time, to an engine: until a change was kept, and some time beyond. */
function played(): Loop {
  const loop = new Loop({ latencyS: ({ batch = 1 }) => 0.2 / batch ** 0.7, errorRatio: () => 0.01 });
  loop.open().run(4_000, ({ kind }) => kind === 'promoted');
  loop.run(60);
  return loop;
}

let embedded: Agent;
let remote: Agent;
let rig: Rig;

beforeAll(async () => {
  const here = played();
  const there = played();
  expect(there.decisions).toEqual(here.decisions);

  const journal = memoryJournal();
  journal.commit(here.decisions, undefined);
  // Neither engine may go on by itself: time stands still.
  const config = optimizerConfig({ tuning: { tick: '1m' } });
  const clock = { nowMs: () => here.nowMs, steps: 0 };
  embedded = new LocalAgent({ config, log, tell, journal, clock, engine: here.engine });
  await embedded.start();

  const results = new MeasuredResults();
  for (const decision of there.decisions) results.learn(decision);
  const { engine, nowMs } = there;
  const thresholds = () => DEFAULT_HEALTH_THRESHOLDS;
  const answers = new Answers({ engine, results, thresholds, observedSinceMs: nowMs });
  const views = () => engine.components().flatMap((component) => engine.view(component) ?? []);
  const snapshot = () => snapshotOf(views(), false, nowMs);
  rig = await startRig({ listen: ['127.0.0.1:0'] }, { answers, nowMs: () => nowMs, snapshot });
  remote = new RemoteAgent({ address: rig.address, exportIntervalMs: 1_000, watchIntervalMs: 1_000, log, tell });
  await remote.start();
});
afterAll(async () => {
  await embedded.stop();
  await remote.stop();
  await rig.stop();
});

describe('the same questions on the same telemetry: an embedded engine and a running agent answer alike', () => {
  const questions: Readonly<Record<string, (agent: Agent) => Promise<unknown>>> = {
    components: (agent) => agent.components(),
    profile: (agent) => agent.profile('c'),
    'profile of nobody': (agent) => agent.profile('nobody'),
    optimization: (agent) => agent.optimization('c'),
    'optimization of nobody': (agent) => agent.optimization('nobody'),
    figures: (agent) => agent.figures(),
    analytics: (agent) => agent.analytics(),
    health: (agent) => agent.health(),
    modes: (agent) => agent.modes('c'),
  };

  test.each(Object.entries(questions))('%s', async (_, question) => {
    const answer = await question(embedded);
    expect(await question(remote)).toEqual(answer);
  });

  test('and there was something to answer', async () => {
    const { optimizationScore, averageThinkTimeMs } = await embedded.figures();
    expect(optimizationScore).toBeGreaterThan(0.1);
    expect(averageThinkTimeMs).toBeGreaterThan(1);
    expect(await embedded.optimization('c')).toMatchObject({ inForce: { strategy: 'Configuration Optimization' } });
  });

  test('what the resource manager is shown', async () => {
    await remote.refresh();
    const { components } = remote.resources();
    expect(components).toEqual(embedded.resources().components);
  });
});

test('an agent that is not there: nothing harms the process, and questions say so', async () => {
  const absent = new RemoteAgent({ address: '127.0.0.1:9', exportIntervalMs: 10, watchIntervalMs: 10, log, tell });
  await absent.start();
  await expect(absent.health()).rejects.toThrow(/UNAVAILABLE/);
  await expect(absent.ask({ action: 'optimize', component: 'c' }, 'eve')).rejects.toThrow(/UNAVAILABLE/);
  await absent.stop();
});
