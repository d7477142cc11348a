import type { DescMessage } from '@bufbuild/protobuf';
import { Client, credentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { TuningService } from '../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { Loop } from '../unit/engine_loop.ts';
import { perfopt } from './command_rig.ts';
import { ask, type Rig, startRig, stepping } from './control-rig.ts';

const { method } = TuningService;
const analytics = { ...DEFAULT_ENGINE_SETTINGS.analytics, falseAlertsPerDay: 50 };
let rig: Rig;
let loop: Loop;
let client: Client;

/** An hour and a half of one component, and then an outage. */
beforeAll(async () => {
  let factor = 1;
  const settings = { analytics, slo: { responseTimeMs: 250, targetRatio: 0.99 } };
  loop = new Loop({ settings, latencyS: () => 0.05 * factor });
  loop.run(5_400);
  factor = 40;
  loop.run(120);
  rig = await startRig(
    { listen: ['127.0.0.1:0'] },
    {
      ...{ insights: loop.engine, nowMs: () => loop.nowMs },
      inbox: stepping(loop, () => rig),
    },
  );
  client = new Client(rig.address, credentials.createInsecure());
}, 60_000);
afterAll(async () => {
  client.close();
  await rig.stop();
});

describe('what was found out', () => {
  test('anomalies: with what was expected, filtered, for people and for scripts', async () => {
    const { anomalies } = await ask(client, method.listAnomalies, {
      component: 'c',
      openOnly: true,
      severity: 'medium',
    });
    const anomaly = anomalies.find(({ metric }) => metric === 'responseTimeMs');
    expect(anomaly).toMatchObject({ component: 'c', state: 'open', kind: 'value' });
    expect(anomaly?.value).toBeGreaterThan(1_000);
    expect(anomaly?.expectedRange?.high).toBeLessThan(500);
    const shown = await perfopt('anomalies', 'c', '--open', '--address', rig.address);
    expect(shown.out).toMatch(/c responseTimeMs {2}\d+.*, expected \d+/);
    expect(shown.out).toContain('above the expected');
    // Half an hour at this budget, and a hundred values: all of it was long enough.
    expect((await ask(client, method.listAnomalies, {})).warmingUp.c).toBeUndefined();
    const json = await perfopt('anomalies', '--json', '--metric', 'responseTimeMs', '--address', rig.address);
    expect(JSON.parse(json.out).anomalies[0]).toMatchObject({ metric: 'responseTimeMs', severity: expect.any(String) });
  });

  test('a forecast says its coverage, and which metrics there are when asked for another', async () => {
    const horizon = { seconds: 1_800n, nanos: 0 };
    const forecast = await ask(client, method.getForecast, { component: 'c', metric: 'throughputPerSecond', horizon });
    expect(forecast.nominalCoverage).toBe(0.95);
    expect(forecast.target?.low).toBeLessThanOrEqual(100);
    expect(forecast.target?.high).toBeGreaterThanOrEqual(100);
    expect(forecast.steps.length).toBeGreaterThanOrEqual(6);
    const shown = await perfopt('forecast', 'c', 'throughputPerSecond', '--horizon', '30m', '--address', rig.address);
    expect(shown.out).toMatch(/95.0 % of values should lie in their interval/);
    const wrong = await perfopt('forecast', 'c', 'latency', '--address', rig.address);
    expect(wrong).toMatchObject({ code: 1 });
    expect(wrong.err).toContain('throughputPerSecond');
  });

  test('capacity: the report has the objective as a limit', async () => {
    const { components } = await ask(client, method.getCapacityReport, { component: 'c' });
    const p95 = components[0]?.metrics.find(({ metric }) => metric === 'responseTimeMsP95');
    expect(p95?.limit?.value).toBe(250);
    const shown = await perfopt('capacity', 'c', '--address', rig.address);
    expect(shown.out).toMatch(/responseTimeMsP95 .* ms/);
  });

  test('patterns can be asked for by type, and a wrong one is refused with those that there are', async () => {
    const { code, err } = await perfopt('patterns', 'c', '--type', 'leak', '--address', rig.address);
    expect(code).toBe(1);
    expect(err).toContain('memory_leak');
    expect(await perfopt('patterns', 'c', '--address', rig.address)).toMatchObject({ code: 0 });
  });

  test('an anomaly is acknowledged and silenced from the command line', async () => {
    const seen = await perfopt('acknowledge', 'c', 'responseTimeMs', '--address', rig.address);
    expect(seen).toMatchObject({ code: 0, out: expect.stringContaining('was seen') });
    const dry = await perfopt('silence', 'c', 'responseTimeMs', '2h', '--dry-run', '--address', rig.address);
    expect(dry.out).toMatch(/nothing was done; it would be: no word of anomalies of responseTimeMs of c for 120 min/);
    const wrong = await perfopt('silence', 'c', 'soon', '--address', rig.address);
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('"2h"') });
    const { anomalies } = await ask(client, method.listAnomalies, { metric: 'responseTimeMs' });
    expect(anomalies[0]?.acknowledgedBy).not.toBe('');
  });

  test.each([
    ['an unknown component', method.listAnomalies, { component: 'x' }, status.NOT_FOUND, 'known: "'],
    ['a wrong severity', method.listAnomalies, { severity: 'bad' }, status.INVALID_ARGUMENT, 'low, medium, high'],
    ['a wrong metric', method.listPatterns, { metric: 'cpu' }, status.INVALID_ARGUMENT, 'cpuPercent'],
    [
      'a horizon of a month',
      method.getCapacityReport,
      { horizon: { seconds: 2_592_000n, nanos: 0 } },
      status.INVALID_ARGUMENT,
      'at most 14 days',
    ],
  ])('%s is refused', async (_what, rpc, request, code, words) => {
    const refusal = ask<DescMessage, DescMessage>(client, rpc, request);
    await expect(refusal).rejects.toMatchObject({ code, details: expect.stringContaining(words) });
  });
});
