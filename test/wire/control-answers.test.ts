import { Client, credentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MeasuredResults } from '../../agent/core/analytics/results.ts';
import { Answers } from '../../agent/core/answers.ts';
import { DEFAULT_HEALTH_THRESHOLDS } from '../../agent/core/health.ts';
import type { PerformanceProfile } from '../../agent/core/profile/performance_profile.ts';
import { TuningService } from '../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import {
  decodeAnalytics,
  decodeFigures,
  decodeHealthReport,
  decodeOptimization,
} from '../../agent/rpc/answers_codec.ts';
import { decodeProfile, encodeProfile } from '../../agent/rpc/profile_codec.ts';
import { snapshotOf } from '../../agent/snapshot.ts';
import { Loop } from '../unit/engine_loop.ts';
import { perfopt } from './command_rig.ts';
import { ask, type Rig, startRig, stepping } from './control-rig.ts';

const { method } = TuningService;
const loop = new Loop({ latencyS: ({ batch = 1 }) => 0.2 / batch ** 0.7 });
const results = new MeasuredResults();
const answers = new Answers({
  ...{ engine: loop.engine, results, observedSinceMs: loop.nowMs },
  thresholds: () => DEFAULT_HEALTH_THRESHOLDS,
});
let rig: Rig;
let client: Client;

/** A component that has been helped, an agent that knows of it, and whoever asks. */
beforeAll(async () => {
  loop.open().run(4_000, ({ kind }) => kind === 'promoted');
  for (const decision of loop.decisions) results.learn(decision);
  const views = () => loop.engine.components().flatMap((component) => loop.engine.view(component) ?? []);
  rig = await startRig(
    { listen: ['127.0.0.1:0'] },
    {
      ...{ answers, nowMs: () => loop.nowMs, snapshot: () => snapshotOf(views(), false, loop.nowMs) },
      inbox: stepping(loop, () => rig),
    },
  );
  client = new Client(rig.address, credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await rig.stop();
});

describe('over gRPC the answers are the engine’s own', () => {
  test('profile', async () => {
    const { profile } = await ask(client, method.getProfile, { component: 'c' });
    expect(profile && decodeProfile(profile)).toEqual(answers.profile('c'));
    expect(profile?.latencies.responseTime?.average).toBeGreaterThan(0);
    const host = await ask(client, method.getProfile, { component: '@host' });
    expect(host.profile?.component).toBe('@host');
  });

  test('analytics, health, snapshot', async () => {
    const analytics = decodeAnalytics(await ask(client, method.getAnalytics, {}));
    expect(analytics).toEqual(answers.analytics(loop.nowMs));
    expect(analytics.system.optimizationScore).toBeGreaterThan(0.1);
    expect(decodeHealthReport(await ask(client, method.checkHealth, {}))).toEqual(answers.health(loop.nowMs));
    const { figures, components } = await ask(client, method.getSnapshot, {});
    expect(decodeFigures(figures)).toEqual(answers.figures(loop.nowMs));
    const standing = components[0]?.optimization;
    expect(standing && decodeOptimization('c', standing)).toEqual(answers.optimization('c'));
    expect(standing?.inForce?.effect?.estimate).toBeLessThan(0);
  });

  test('optimize asks the engine, and says how it stands', async () => {
    const { message, standing } = await ask(client, method.optimize, { component: 'c', by: 'eve' });
    expect(message).toMatch(/considered at the next tick|under way/);
    expect(standing && decodeOptimization('c', standing)).toMatchObject({
      state: 'kept',
      inForce: { strategy: expect.any(String) },
    });
  });

  test('of a component that is not known: those that are', async () => {
    const unknown = { code: status.NOT_FOUND, details: 'unknown component "d"; known: "c"' };
    await expect(ask(client, method.getProfile, { component: 'd' })).rejects.toMatchObject(unknown);
    await expect(ask(client, method.optimize, { component: 'd' })).rejects.toMatchObject(unknown);
    await expect(ask(client, method.getProfile, { component: '' })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });
});

test('a profile with everything in it survives the wire, and so does one with nothing', () => {
  const latency = { current: 1, average: 2, p95: 3, p99: 4, trend: -0.5, count: 7.5 };
  const level = { current: 1, average: 2, peak: 3, measuredAtMs: 1_700_000_000_000 };
  const rate = { current: 1, average: 2, peak: 3, trend: 0.25 };
  const usage = { usage: 1, average: 2, peak: 3, efficiency: 0.5, utilizationRatio: 0.25, capacity: 4 };
  const full: PerformanceProfile = {
    component: 'c',
    atMs: 1_700_000_000_123,
    windowMs: 500_000,
    measuredAtMs: 1_700_000_000_000,
    metrics: {
      ...{ responseTime: latency, timeToFirstToken: latency, timePerOutputToken: latency, queueTime: latency },
      ...{ throughput: rate, inputTokens: rate, outputTokens: rate },
      reliability: { current: 1, average: 0.75, trend: 0 },
      errorRate: 0.25,
      ...{ queueDepth: { ...level, trend: 1 }, inFlight: level, cacheUsage: level },
    },
    resources: {
      cpu: { ...usage, scope: 'process' },
      memory: { ...usage, scope: 'container' },
      gpu: { ...usage, scope: 'host' },
      gpuMemory: { usage: 1, average: 2, peak: 3, scope: 'host' },
    },
    stalls: { cpuPressure: level, memoryPressure: level, ioPressure: level, cpuThrottled: level },
    disks: { diskUsed: level, inodesUsed: level, diskBusy: level, diskWait: level },
    optimization: { lastOptimized: 1_700_000_000_001, optimizations: 2, lastImprovement: 0.25 },
  };
  expect(decodeProfile(encodeProfile(full))).toEqual(full);
  const empty: PerformanceProfile = {
    ...{ component: 'c', atMs: 0, windowMs: 1_000, metrics: {}, resources: {}, stalls: {}, disks: {} },
    optimization: { lastOptimized: 0, optimizations: 0 },
  };
  expect(decodeProfile(encodeProfile(empty))).toEqual(empty);
});

describe('on the command line', () => {
  const run = (...args: readonly string[]) => perfopt(...args, '--address', rig.address);

  test('analytics', async () => {
    const { out, code } = await run('analytics');
    expect(code).toBe(0);
    expect(out).toMatch(
      /^health +\w+, [01]\.\d\d \(\w+\)\naverage think time +[\d.]+ ms\ntotal throughput +[\d.]+ requests\/s\n/,
    );
    expect(out).toMatch(/^component +tier +health .*\nc +research +\w+ /m);
    expect(JSON.parse((await run('analytics', '--json')).out).components[0].component).toBe('c');
  });

  test('profile', async () => {
    const { out } = await run('profile', 'c');
    expect(out).toMatch(/^c over 500 s, /);
    expect(out).toMatch(/^responseTime \(ms\) +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +[-\d.]+$/m);
    expect(out).toMatch(/1 change kept, the last at .*Z: \+[\d.]+ % better by its trial/);
    expect(JSON.parse((await run('profile', 'c', '--json')).out).profile.component).toBe('c');
    expect((await run('profile', '@host')).out).toMatch(/^@host over 500 s, .*\nnothing was measured in this time/);
    const { err, code } = await run('profile', 'd');
    expect(err).toContain('unknown component "d"; known: "c"');
    expect(code).toBe(1);
  });

  test('health, whose exit code a script may ask', async () => {
    const { out, code } = await run('health');
    const { health } = answers.health(loop.nowMs);
    expect(out).toContain(`${health.status}, `);
    expect(code).toBe(health.status === 'unhealthy' ? 1 : 0);
    expect(JSON.parse((await run('health', '--json')).out).components[0].component).toBe('c');
  });

  test('snapshot shows the three numbers', async () => {
    expect((await run('snapshot')).out).toMatch(
      /^epoch 1, average think time [\d.]+ ms, optimization score 0\.\d+, [\d.]+ changes kept per hour\n/,
    );
  });

  test('watch', async () => {
    const watching = run('watch', 'c', '--count', '2', '--type', 'optimization_applied', '--type', 'frozen');
    const applied = loop.events.find(({ type }) => type === 'optimization_applied');
    const seen = { done: false };
    const ended = watching.finally(() => {
      seen.done = true;
    });
    // The stream opens in its own time: events are repeated until it has seen two.
    while (!seen.done) {
      if (applied !== undefined) rig.server.perform({ kind: 'event', event: applied });
      await new Promise<void>((turn) => setImmediate(turn));
    }
    const { out } = await ended;
    expect(out.split('\n')[0]).toMatch(
      /Z {2}c {2}optimization_applied {2}Configuration Optimization · t1-\d+ · \+[\d.]+ % better$/,
    );
    expect((await run('watch', '--count', 'x')).err).toContain('--count x: allowed: a whole number above 0');
  });
});
