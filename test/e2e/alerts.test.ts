import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { parseConfig } from '../../agent/config/load.ts';
import { startSidecar } from '../../agent/sidecar.ts';
import { Arrivals } from '../wire/control-rig.ts';

/** Requests of which each took `seconds`, as OTLP in JSON. */
function requests(seconds: number, startMs: number, endMs: number): string {
  const nanos = (ms: number): string => `${Math.round(ms)}000000`;
  const point = {
    ...{ startTimeUnixNano: nanos(startMs), timeUnixNano: nanos(endMs), count: '100', sum: 100 * seconds },
    ...{ explicitBounds: [0.01, 0.1, 1, 10], bucketCounts: ['0', '0', '0', '0', '0'] },
  };
  point.bucketCounts[[0.01, 0.1, 1, 10].findIndex((bound) => seconds <= bound)] = '100';
  const histogram = { aggregationTemporality: 1, dataPoints: [point] };
  const metrics = [{ name: 'http.server.request.duration', unit: 's', histogram }];
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'chat' } }] };
  return JSON.stringify({ resourceMetrics: [{ resource, scopeMetrics: [{ metrics }] }] });
}

test('a component that gets worse is told to the webhook and the log, and so is that it is over; the report comes too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'perfopt-alerts-'));
  const told = new Arrivals<Record<string, unknown>>();
  const secrets: unknown[] = [];
  const hook = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      secrets.push(request.headers['x-secret']);
      told.push(JSON.parse(body));
      response.end();
    });
  });
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  const address = hook.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const loaded = parseConfig(
    `
receivers: { otlp: { grpc: { address: "127.0.0.1:0" }, http: { address: "127.0.0.1:0" } } }
web: { address: "127.0.0.1:0" }
control: { socket: null, address: "127.0.0.1:0" }
monitoring: { interval: 100ms, windowSize: 20 }
state: { path: "${join(folder, 'state.db')}" }
alerts:
  hold: 100ms
  resolve: 500ms
  report: "* * * * * *"
  webhook:
    url: "http://127.0.0.1:${address.port}/hook"
    headers:
      x-secret: \${env:HOOK_SECRET}
`,
    { HOOK_SECRET: 'hunter2hunter2' },
  );
  if (!loaded.ok) throw new Error(loaded.message);
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => lines.push(line) });
  const sidecar = await startSidecar(loaded.config, { log, version: '0.0.0', seed: 1 });
  let seconds = 5;
  let fromMs = Date.now() - 50;
  const posts: Promise<unknown>[] = [];
  const posting = setInterval(() => {
    const toMs = Date.now();
    const post = fetch(`http://${sidecar.addresses.otlpHttp}/v1/metrics`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: requests(seconds, fromMs, toMs),
    });
    posts.push(post);
    fromMs = toMs;
  }, 50);
  try {
    const opened = await told.first(({ status }) => status === 'opened');
    expect(opened).toMatchObject({
      ...{ kind: 'alert', what: 'health', component: 'chat', severity: 'high', version: 1 },
      summary: expect.stringMatching(/^chat is unhealthy: its responseTime scores 0/),
      text: expect.stringMatching(/^\[opened, high\] chat is unhealthy/),
    });
    const metrics = await (await fetch(`http://${sidecar.addresses.web}/metrics`)).text();
    expect(metrics).toMatch(/^performance_optimizer_alerts_total\{state="opened"\} [1-9]/m);
    const status = await (await fetch(`http://${sidecar.addresses.web}/status`)).json();
    expect(status).toMatchObject({ alerts: { opened: expect.any(Number), webhook: { dropped: { failed: 0 } } } });

    seconds = 0.005;
    const resolved = await told.first(({ status }) => status === 'resolved');
    expect(resolved).toMatchObject({ id: opened.id, text: expect.stringContaining('over: chat is unhealthy') });
    const report = await told.first(
      ({ kind, text, alerts }) => kind === 'report' && alerts === 0 && String(text).includes('chat: healthy'),
    );
    expect(report).toMatchObject({ components: [{ component: 'chat', tried: 0, kept: 0 }] });
    expect(new Set(secrets)).toEqual(new Set(['hunter2hunter2']));
    expect(lines.some((line) => line.includes('chat is unhealthy') && line.includes('"status":"opened"'))).toBe(true);
    expect(lines.some((line) => line.includes('hunter2'))).toBe(false);
  } finally {
    clearInterval(posting);
    await Promise.all(posts);
    await sidecar.stop(AbortSignal.timeout(10_000));
    hook.closeAllConnections();
    hook.close();
    rmSync(folder, { recursive: true });
  }
}, 30_000);
