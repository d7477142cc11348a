import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Status } from '../../agent/adapters/web/status.ts';
import { LOGS, METRICS, type RawClient, rawClient, TRACES } from '../wire/otlp_rig.ts';
import { encodeRequest } from '../wire/otlp_schema.ts';
import { FakeUpstream } from '../wire/upstream_rig.ts';
import { AgentProcess } from './agent_process.ts';

const LONG = 120_000;
const MAIN = join(import.meta.dirname, '../../agent/main.ts');
const agents: AgentProcess[] = [];

afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.dispose()));
});

function newAgent(): AgentProcess {
  const agent = new AgentProcess();
  agents.push(agent);
  return agent;
}

function upstreamTo(agent: AgentProcess, server: { readonly protocol: 'grpc' | 'http'; readonly endpoint: string }) {
  return {
    upstream: {
      endpoint: server.protocol === 'http' ? `${server.endpoint}/prefix` : server.endpoint,
      protocol: server.protocol,
      retry: { initial: 10, max: 100 },
      queue: { path: join(agent.folder, 'queue.db') },
    },
  };
}

/** Metrics that say which request they are. */
function metrics(id: string): Uint8Array {
  const point = { timeUnixNano: `${Date.now()}000000`, asDouble: 1 };
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'sender' } }] };
  return encodeRequest({
    resourceMetrics: [{ resource, scopeMetrics: [{ metrics: [{ name: id, gauge: { dataPoints: [point] } }] }] }],
  });
}

const grpcTo = (agent: AgentProcess): RawClient => rawClient(new URL(agent.otlpUrl).host, 'gzip');

async function lineOf(agent: AgentProcess, key: string): Promise<string> {
  const ready = agent.lines.findLast(({ msg }) => msg === 'the agent is ready');
  return String(ready?.[key]);
}

async function statusOf(agent: AgentProcess): Promise<Status> {
  const response = await fetch(`http://${await lineOf(agent, 'web')}/status`);
  const status: Status = JSON.parse(await response.text());
  return status;
}

describe.each(['grpc', 'http'] as const)('an upstream over %s', (protocol) => {
  test('gets metrics, traces and logs byte for byte, from gRPC and from HTTP', { timeout: LONG }, async () => {
    await using server = await new FakeUpstream(protocol).start();
    const agent = newAgent();
    await agent.start(upstreamTo(agent, server));
    using client = grpcTo(agent);
    const sent = metrics('a');
    const spans = Buffer.from('0a051a0361626300', 'hex').subarray(0, 7);
    expect(await client.send(sent, METRICS)).toMatchObject({ ok: true });
    expect(await client.send(spans, TRACES)).toMatchObject({ ok: true });
    expect(await client.send(spans, LOGS)).toMatchObject({ ok: true });
    await server.count(3);
    const bodyOf = (signal: string) => server.arrived.find((one) => one.signal === signal)?.body.toString('hex');
    expect(bodyOf('metrics')).toBe(Buffer.from(sent).toString('hex'));
    expect(bodyOf('traces')).toBe(spans.toString('hex'));
    expect(bodyOf('logs')).toBe(spans.toString('hex'));

    // JSON over HTTP: as it came where the upstream speaks HTTP, and as protobuf over gRPC.
    const json = '{"resourceSpans":[{"schemaUrl":"abc"}]}';
    const http = await fetch(`http://${await lineOf(agent, 'otlpHttp')}/v1/traces`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: json,
    });
    expect([http.status, await http.text()]).toEqual([200, '{}']);
    const last = (await server.count(4)).at(-1);
    expect(last?.body.toString('hex')).toBe((protocol === 'http' ? Buffer.from(json) : spans).toString('hex'));
    expect((await statusOf(agent)).receiver).toMatchObject({ requests: 1, tracesDropped: 0, logsDropped: 0 });
  });

  test('killed for a while, and the agent killed -9 in between: all that was acknowledged arrives', {
    timeout: LONG,
  }, async () => {
    await using server = await new FakeUpstream(protocol).start();
    const agent = newAgent();
    const config = upstreamTo(agent, server);
    await agent.start(config);
    const acknowledged: string[] = [];
    const send = async (prefix: string, requests: number, killAt = Number.POSITIVE_INFINITY): Promise<void> => {
      using client = grpcTo(agent);
      const one = async (n: number): Promise<void> => {
        const id = `${prefix}-${n}`;
        if ((await client.send(metrics(id), METRICS)).ok) acknowledged.push(id);
        if (acknowledged.length === killAt) void agent.kill('SIGKILL');
      };
      await Promise.all(Array.from({ length: requests }, (_, n) => one(n)));
    };
    await send('before', 30);
    await server.stop();
    await send('away', 60, 30 + 40);
    await agent.kill('SIGKILL');
    const away = acknowledged.length;
    expect(away).toBeGreaterThanOrEqual(70);

    await agent.start(config);
    await send('again', 20);
    expect(acknowledged.length).toBe(away + 20);
    await server.start();
    const have = (): Set<string> =>
      new Set(server.arrived.flatMap(({ body }) => body.toString('latin1').match(/(?:before|away|again)-\d+/g) ?? []));
    await server.until(() => acknowledged.every((id) => have().has(id)));
    const { counters } = (await statusOf(agent)).upstream?.signals.metrics ?? {};
    expect(counters?.dropped).toEqual({});
    const repeated = server.arrived.length - have().size;
    expect(repeated).toBeLessThanOrEqual((counters?.possibleDuplicates ?? 0) + 64);
  });
});

test('two agents that point at each other send each request round once', { timeout: LONG }, async () => {
  const first = newAgent();
  const second = newAgent();
  await first.start();
  await second.start(upstreamTo(second, { protocol: 'grpc', endpoint: first.otlpUrl }));
  await first.kill('SIGTERM');
  await first.start(upstreamTo(first, { protocol: 'grpc', endpoint: second.otlpUrl }));
  using client = grpcTo(first);
  expect(await client.send(metrics('a'), METRICS)).toMatchObject({ ok: true });
  await first.line(({ msg }) => msg.startsWith('a request came back to the agent'));
  const { counters } = (await statusOf(first)).upstream?.signals.metrics ?? {};
  expect(counters).toMatchObject({ accepted: 2, dropped: { loop: 1 } });
});

test('the pages and the doctor of a running agent', { timeout: LONG }, async () => {
  await using server = await new FakeUpstream('grpc').start();
  await server.stop();
  const agent = newAgent();
  await agent.start(upstreamTo(agent, server));
  const web = await lineOf(agent, 'web');
  const page = async (path: string) => {
    const response = await fetch(`http://${web}${path}`);
    return { code: response.status, body: await response.text() };
  };
  expect(await page('/healthz')).toEqual({ code: 200, body: 'ok\n' });
  expect(await page('/readyz')).toEqual({ code: 200, body: 'ok\n' });
  using client = grpcTo(agent);
  await client.send(metrics('nobody.knows.this'), METRICS);
  await agent.line(({ msg }) => msg.startsWith('the upstream does not take telemetry'));

  const shown = (await page('/metrics')).body;
  expect(shown).toMatch(/^performance_optimizer_points_accepted_total [1-9]/m);
  expect(shown).toContain('performance_optimizer_upstream_queue_requests{signal="metrics"} 1');
  expect(shown).toMatch(/^performance_optimizer_step_duration_seconds_count [1-9]/m);

  const doctor = spawn(process.execPath, [MAIN, 'doctor', '--web', web, '--config', join(agent.folder, 'agent.yaml')]);
  let said = '';
  doctor.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const code = await new Promise((resolve) => doctor.once('close', resolve));
  expect(said).toContain('1 requests with 1 data points have arrived');
  expect(said).toContain('none is of a metric that means something');
  expect(said).toContain(`The upstream ${server.endpoint} does not take metrics`);
  expect(code).toBe(1);
});
