import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { connectTuner } from '../../agent/client/typescript/tuner.ts';
import { parseConfig } from '../../agent/config/load.ts';
import { ListRecommendationsRequestSchema } from '../../agent/gen/performance_optimizer/control/v1/recommendation_pb.ts';
import {
  TuningService,
  WatchEventsRequestSchema,
} from '../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callServerStream, callUnary } from '../../agent/rpc/calls.ts';
import { startSidecar } from '../../agent/sidecar.ts';

/** Two thousand requests of about 10 ms, as OTLP in JSON. */
function requests(component: string, startMs: number, endMs: number): string {
  const nanos = (ms: number): string => `${Math.round(ms)}000000`;
  return JSON.stringify({
    resourceMetrics: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: component } }] },
        scopeMetrics: [
          {
            metrics: [
              {
                name: 'http.server.request.duration',
                unit: 's',
                histogram: {
                  aggregationTemporality: 1,
                  dataPoints: [
                    {
                      ...{ startTimeUnixNano: nanos(startMs), timeUnixNano: nanos(endMs), count: '2000', sum: 20 },
                      ...{ explicitBounds: [0.005, 0.015], bucketCounts: ['0', '2000', '0'], min: 0.008, max: 0.012 },
                    },
                  ],
                },
              },
            ],
          },
        ],
      },
    ],
  });
}

test('a knob that needs a restart is recommended exactly, announced once, and still there after a restart of the agent', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'perfopt-advice-'));
  const loaded = parseConfig(
    `
receivers: { otlp: { grpc: { address: "127.0.0.1:0" }, http: { address: "127.0.0.1:0" } } }
web: { address: null }
control: { socket: null, address: "127.0.0.1:0" }
tuning: { tick: 20ms, window: { min: 100ms } }
monitoring: { interval: 200ms }
state: { path: "${join(folder, 'state.db')}" }
`,
    {},
  );
  if (!loaded.ok) throw new Error(loaded.message);
  const log = pino({ level: 'silent' });
  const start = () => startSidecar(loaded.config, { log, version: '0.0.0', seed: 1 });
  const list = async (address: string) => {
    const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    const request = create(ListRecommendationsRequestSchema, { component: 'chat' });
    const answer = await callUnary(client, TuningService.method.listRecommendations, request, 5_000);
    client.close();
    return answer.recommendations;
  };

  let sidecar = await start();
  try {
    const address = sidecar.addresses.control[0] ?? '';
    const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    const events = callServerStream(
      client,
      TuningService.method.watchEvents,
      create(WatchEventsRequestSchema, { types: ['recommendation'] }),
    );
    const announced = new Promise((resolve, reject) => {
      events.on('data', resolve);
      events.on('error', reject);
    });
    const tuner = await connectTuner({ component: 'chat', tier: 'stable', address });
    const timeout = tuner.duration('answer_timeout', {
      ...{ default: 10, min: 0.01, max: 60, role: 'timeout', applies: 'restart' },
      ...{ bootFlag: '--timeout', bootVariable: 'ANSWER_TIMEOUT' },
    });
    let fromMs = Date.now() - 1_000;
    const post = async (): Promise<void> => {
      const toMs = Date.now();
      await fetch(`http://${sidecar.addresses.otlpHttp}/v1/metrics`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: requests('chat', fromMs, toMs),
      });
      fromMs = toMs;
    };
    await post();
    const posts: Promise<void>[] = [];
    const posting = setInterval(() => posts.push(post()), 200);
    await announced;
    clearInterval(posting);
    await Promise.all(posts);
    events.on('error', () => undefined);
    events.cancel();
    client.close();

    const [recommendation, ...others] = await list(address);
    expect(others).toEqual([]);
    expect(recommendation).toMatchObject({
      component: 'chat',
      source: 'strategy',
      optimization: 'Timeout Optimization',
    });
    const texts = recommendation?.steps.map(({ kind, text }) => `${kind} ${text}`) ?? [];
    expect(texts).toEqual([
      expect.stringMatching(/^knob answer_timeout: 10 → 0\.0\d+ s \(at the next start\)$/),
      expect.stringMatching(/^flag --timeout 0\.0\d+$/),
      expect.stringMatching(/^manifest args: \["--timeout", "0\.0\d+"\]$/),
      expect.stringMatching(/^environment ANSWER_TIMEOUT=0\.0\d+$/),
      expect.stringMatching(/^manifest env:\n {2}- name: ANSWER_TIMEOUT\n {4}value: "0\.0\d+"$/),
    ]);
    // Nothing was ever tried, so nothing is promised.
    expect(recommendation?.expected).toBeUndefined();
    expect(timeout.value).toBe(10);
    tuner.close();
    await sidecar.stop(AbortSignal.timeout(10_000));

    sidecar = await start();
    expect(await list(sidecar.addresses.control[0] ?? '')).toMatchObject([
      { id: recommendation?.id, since: recommendation?.since, steps: recommendation?.steps },
    ]);
  } finally {
    await sidecar.stop(AbortSignal.timeout(10_000));
    rmSync(folder, { recursive: true });
  }
}, 30_000);
