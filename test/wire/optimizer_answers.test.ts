import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { optimizerConfig } from '../../agent/config/optimizer.ts';
import type { Recommendation } from '../../agent/core/advice/recommendation.ts';
import { MeasuredResults } from '../../agent/core/analytics/results.ts';
import { Answers } from '../../agent/core/answers.ts';
import { DEFAULT_HEALTH_THRESHOLDS } from '../../agent/core/health.ts';
import type { ObservedAnomaly, ObservedPattern } from '../../agent/core/insight/finding.ts';
import type { Agent } from '../../agent/optimizer/agent.ts';
import { anomalyOf, patternOf } from '../../agent/optimizer/documents.ts';
import { LocalAgent } from '../../agent/optimizer/local-agent.ts';
import { RemoteAgent } from '../../agent/optimizer/remote-agent.ts';
import { snapshotOf } from '../../agent/snapshot.ts';
import { memoryJournal } from '../contract/memory-journal.ts';
import { Loop } from '../unit/engine_loop.ts';
import { answersOf, type Rig, startRig } from './control-rig.ts';

const log = pino({ level: 'silent' });
const horizonMs = 3_600_000;
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
  rig = await startRig({ listen: ['127.0.0.1:0'] }, { answers, insights: engine, nowMs: () => nowMs, snapshot });
  remote = new RemoteAgent({
    address: rig.address,
    exportIntervalMs: 1_000,
    watchIntervalMs: 1_000,
    horizonMs,
    log,
    tell,
  });
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
    patterns: async (agent) => (await agent.patterns('c')).map(patternOf),
    anomalies: async (agent) => (await agent.anomalies('c')).map(anomalyOf),
    recommendations: (agent) => agent.recommendations(),
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
    expect(remote.source.components()).toEqual(embedded.source.components());
  });
});

test('what was found and what is recommended comes over the wire whole', async () => {
  const pattern: ObservedPattern = {
    ...{ component: 'c', metric: 'memoryMiB', type: 'memory_leak', confidence: 0.99, samples: 40 },
    ...{ impactLog: Math.log(2), impact: 1, sinceMs: 7_000, evidence: { slopeMiBPerHour: 3 } },
  };
  const anomaly: ObservedAnomaly = {
    ...{ id: 'a1', component: 'c', metric: 'responseTimeMs', kind: 'missing', value: Number.NaN, severity: 'high' },
    ...{ state: 'open', expectedRange: { low: 12, high: 18 }, sinceMs: 1_000, atMs: 2_000, surprise: 5, bar: 3 },
    ...{ channel: 'level', explanation: 'nothing comes any more' },
  };
  const recommendation: Recommendation = {
    ...{ id: 'r1', component: 'c', source: 'strategy', optimization: 'Memory Optimization', reason: 'too large' },
    ...{ steps: [{ kind: 'flag', text: '--memory 300' }], changes: [{ knob: 'memory_limit', from: 512, to: 300 }] },
    ...{ signals: { memoryMib: 200 }, sinceMs: 1_000, seenMs: 2_000, confidence: 0.75, proposalId: 'p1' },
    expected: { estimate: 0.1, low: -0.1, high: 0.3, samples: 3, kept: 2, basis: 'knobs' },
  };
  const engine = played().engine;
  const insights = {
    ...{ insights: () => ['c'], patterns: () => [pattern], anomalies: () => [anomaly] },
    ...{
      forecast: () => undefined,
      forecastSignals: () => [],
      warmingUp: () => [],
      capacity: () => undefined,
      pausedBy: () => undefined,
    },
  };
  const advice = { list: () => [recommendation] };
  const told = await startRig({ listen: ['127.0.0.1:0'] }, { answers: answersOf(engine), insights, advice });
  const agent = new RemoteAgent({
    ...{ address: told.address, exportIntervalMs: 1_000, watchIntervalMs: 1_000, horizonMs, log, tell },
  });
  expect((await agent.patterns('c')).map(patternOf)).toEqual([patternOf(pattern)]);
  expect((await agent.anomalies('c')).map(anomalyOf)).toEqual([anomalyOf(anomaly)]);
  expect(await agent.recommendations()).toEqual([recommendation]);
  expect(await agent.patterns('nobody')).toEqual([]);
  await agent.stop();
  await told.stop();
});

test('an agent that is not there: nothing harms the process, and questions say so', async () => {
  const absent = new RemoteAgent({
    address: '127.0.0.1:9',
    exportIntervalMs: 10,
    watchIntervalMs: 10,
    horizonMs,
    log,
    tell,
  });
  await absent.start();
  await expect(absent.health()).rejects.toThrow(/UNAVAILABLE/);
  await expect(absent.ask({ action: 'optimize', component: 'c' }, 'eve')).rejects.toThrow(/UNAVAILABLE/);
  await absent.stop();
});
