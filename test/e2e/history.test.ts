import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { openHistory } from '../../agent/adapters/history/sqlite_history.ts';
import { MINUTE_MS } from '../../agent/core/history/rollup.ts';
import { perfopt } from '../wire/command_rig.ts';
import { METRICS, rawClient } from '../wire/otlp_rig.ts';
import { encodeRequest } from '../wire/otlp_schema.ts';
import { AgentProcess } from './agent_process.ts';

const agent = new AgentProcess();
afterEach(() => agent.dispose());

/** Ten requests of 8 ms in the ten seconds before `nowMs`. */
function tenRequests(nowMs: number): Uint8Array {
  const ns = (ms: number) => String(BigInt(ms) * 1_000_000n);
  const point = {
    ...{ startTimeUnixNano: ns(nowMs - 10_000), timeUnixNano: ns(nowMs), count: '10', sum: 0.08 },
    ...{ explicitBounds: [0.005, 0.01], bucketCounts: ['0', '10', '0'] },
  };
  const histogram = { aggregationTemporality: 1, dataPoints: [point] };
  const metric = { name: 'http.server.request.duration', unit: 's', histogram };
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'embedder' } }] };
  return encodeRequest({ resourceMetrics: [{ resource, scopeMetrics: [{ metrics: [metric] }] }] });
}

test('what was received is history, and outlives the agent', { timeout: 60_000 }, async () => {
  await agent.start();
  using client = rawClient(new URL(agent.otlpUrl).host);
  expect(await client.send(tenRequests(Date.now()), METRICS)).toMatchObject({ ok: true });
  await agent.kill('SIGTERM');
  const path = join(agent.folder, 'state-history.db');
  const query = { component: 'embedder', stepMs: MINUTE_MS, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER } as const;
  const log = pino({ level: 'silent' });
  const history = openHistory({ path, log, maxBytes: 2 ** 26, retentionMs: 1e12, nowMs: Date.now() });
  const durations = history.read({ ...query, signal: 'responseTime' });
  const [duration] = durations;
  expect(duration).toMatchObject({ count: 10, min: 5, max: 10 });
  expect(duration?.sum).toBeCloseTo(80);
  const requests = history.read({ ...query, signal: 'throughput' }).reduce((total, { sum }) => total + sum, 0);
  expect(requests).toBeCloseTo(10);
  history.close([]);
  await agent.start();
  const { out } = await perfopt('history', 'embedder', 'responseTime', '--json', '--address', agent.controlAddress);
  expect(JSON.parse(out).steps).toMatchObject([{ count: 10 }]);
});
