import { createServer, type Server as TcpServer } from 'node:net';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { pino } from 'pino';
import protobuf from 'protobufjs';
import { afterEach, expect, test } from 'vitest';
import type { Readings } from '../../agent/adapters/readings/readings.ts';
import { createLog } from '../../agent/adapters/telemetry/log.ts';
import { createTelemetry } from '../../agent/adapters/telemetry/telemetry.ts';

// Of the OTLP protos, what these tests look at.
const { root } = protobuf.parse(`syntax = "proto3";
message Request { repeated ResourceMetrics resource_metrics = 1; }
message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; }
message Resource { repeated KeyValue attributes = 1; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { string string_value = 1; int64 int_value = 3; }
message ScopeMetrics { repeated Metric metrics = 2; }
message Metric { string name = 1; string unit = 3; Points gauge = 5; Points sum = 7; Points histogram = 9; }
message Points { repeated Point data_points = 1; }
message Point { double as_double = 4; sfixed64 as_int = 6; repeated KeyValue attributes = 7; }
message HistogramPoints { repeated HistogramPoint data_points = 1; }
message HistogramPoint { fixed64 count = 4; double sum = 5; repeated KeyValue attributes = 9; }`);
root.lookupType('Metric').fields.histogram!.resolvedType = null;
root.lookupType('Metric').fields.histogram!.type = 'HistogramPoints';
const Request = root.lookupType('Request');

interface Collector {
  readonly endpoint: string;
  readonly requests: AsyncGenerator<ReturnType<typeof Request.toObject>>;
  fail: boolean;
}

let stopping: (() => void)[] = [];
afterEach(() => {
  for (const stop of stopping) stop();
  stopping = [];
});

async function collector(): Promise<Collector> {
  const arrived: Buffer[] = [];
  let wake = Promise.withResolvers<void>();
  const state = { fail: false };
  const server = new Server();
  server.addService(
    {
      export: {
        path: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
        requestStream: false,
        responseStream: false,
        requestDeserialize: (bytes: Buffer) => bytes,
        requestSerialize: (bytes: Buffer) => bytes,
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    },
    {
      export: (call: { request: Buffer }, answer: (error: object | null, response?: Buffer) => void) => {
        if (state.fail) return answer({ code: status.INVALID_ARGUMENT, details: 'told to fail' });
        arrived.push(call.request);
        wake.resolve();
        wake = Promise.withResolvers();
        answer(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  stopping.push(() => server.forceShutdown());
  async function* requests() {
    for (;;) {
      const bytes = arrived.shift();
      if (bytes === undefined) await wake.promise;
      else yield Request.toObject(Request.decode(bytes), { longs: Number });
    }
  }
  return Object.assign(state, { endpoint: `http://127.0.0.1:${port}`, requests: requests() });
}

const readings: Readings = {
  version: '1.2.3',
  startedMs: 1_500,
  residentBytes: 1e8,
  cpuSeconds: { user: 1.5, system: 0.25 },
  loop: { activeSeconds: 1, idleSeconds: 9 },
  loopDelaySeconds: { p50: 0.001, p99: 0.01, max: 0.1 },
  alerts: { open: 1, opened: 3, resolved: 2, delayed: 0, dropped: 0 },
  recommendations: { open: 2, dropped: 0 },
  cgroups: { applied: 0, writes: 0, refused: 0, overruled: 0 },
  pointsAccepted: 1_000,
  pointsRejected: { no_time: 3 },
  pointsDropped: { overlap: 2, series_limit: 1 },
  inboxDepth: 4,
  decisions: { trial_started: 5, promoted: 2, rolled_back: 1 },
  sessions: 2,
  components: 1,
  series: 7,
  clockSteps: 6,
  insights: { found: { anomaly: 9 }, openAnomalies: 3, paused: 1, series: 20, refusedSeries: 0 },
  audits: { chat: { runs: 20, accepts: 1, low: 0.009, high: 0.24 } },
};

function telemetry(more: Partial<Parameters<typeof createTelemetry>[0]>) {
  return createTelemetry({
    endpoint: null,
    intervalMs: 100,
    serviceVersion: '1.2.3',
    debugMetrics: false,
    readings: () => readings,
    log: pino({ level: 'silent' }),
    ...more,
  });
}

test('exports what the agent counts, under OpenTelemetry names and units', async () => {
  const { endpoint, requests } = await collector();
  const made = telemetry({ endpoint });
  await made.start();
  made.recordStep(0.3);
  made.recordStep(0.4);
  const request = (await requests.next()).value;
  await made.stop(AbortSignal.timeout(10_000));

  const [{ resource, scopeMetrics }] = request.resourceMetrics;
  expect(attributes(resource)).toMatchObject({ 'service.name': 'performance-optimizer', 'service.version': '1.2.3' });
  const metrics: { name: string; unit: string; [kind: string]: unknown }[] = scopeMetrics.flatMap(
    (scope: { metrics: unknown[] }) => scope.metrics,
  );
  const seen = new Map(
    metrics.map(({ name, unit, gauge, sum, histogram }) => [name, { unit, points: points(gauge ?? sum ?? histogram) }]),
  );
  expect(Object.fromEntries(seen)).toMatchObject({
    'performance_optimizer.points.accepted': { unit: '{point}', points: [{ asInt: 1_000 }] },
    'performance_optimizer.points.rejected': { unit: '{point}', points: [{ reason: 'no_time', asInt: 3 }] },
    'performance_optimizer.audit.runs': { unit: '{run}', points: [{ component: 'chat', asInt: 20 }] },
    'performance_optimizer.audit.false_accept': {
      unit: '1',
      points: [
        { component: 'chat', end: 'low', asDouble: 0.009 },
        { component: 'chat', end: 'high', asDouble: 0.24 },
      ],
    },
    'performance_optimizer.points.dropped': {
      unit: '{point}',
      points: [
        { reason: 'overlap', asInt: 2 },
        { reason: 'series_limit', asInt: 1 },
      ],
    },
    'performance_optimizer.decisions': {
      points: [
        { kind: 'trial_started', asInt: 5 },
        { kind: 'promoted', asInt: 2 },
        { kind: 'rolled_back', asInt: 1 },
      ],
    },
    'performance_optimizer.inbox.depth': { points: [{ asInt: 4 }] },
    'performance_optimizer.sessions': { points: [{ asInt: 2 }] },
    'performance_optimizer.components': { points: [{ asInt: 1 }] },
    'performance_optimizer.series': { points: [{ asInt: 7 }] },
    'performance_optimizer.clock.steps': { points: [{ asInt: 6 }] },
    'performance_optimizer.step.duration': { unit: 's', points: [{ count: 2 }] },
    'performance_optimizer.alerts': { points: [{ asInt: 3 }, { state: 'resolved', asInt: 2 }, {}, {}] },
    'process.memory.usage': { unit: 'By', points: [{ asInt: 1e8 }] },
    'process.cpu.time': { unit: 's' },
    'nodejs.eventloop.delay.p50': { unit: 's', points: [{ asDouble: 0.001 }] },
    'nodejs.eventloop.delay.p99': { unit: 's' },
    'nodejs.eventloop.delay.max': { unit: 's' },
  });
});

test('stop sends what there is, without waiting for the interval', async () => {
  const { endpoint, requests } = await collector();
  const made = telemetry({ endpoint, intervalMs: 3_600_000 });
  await made.start();
  await made.stop(AbortSignal.timeout(30_000));
  expect((await requests.next()).value.resourceMetrics).toHaveLength(1);
});

test('a collector that refuses costs one line in the log, and one when it is back', async () => {
  const fake = await collector();
  fake.fail = true;
  const lines: Record<string, unknown>[] = [];
  const failures = Promise.withResolvers<void>();
  const log = pino(
    { level: 'info' },
    {
      write: (line: string) => {
        lines.push(JSON.parse(line));
        if (line.includes('cannot be exported')) failures.resolve();
      },
    },
  );
  const failing = telemetry({ endpoint: fake.endpoint, log });
  await failing.start();
  await failures.promise;
  fake.fail = false;
  await fake.requests.next();
  await failing.stop(AbortSignal.timeout(10_000));
  expect(lines.map(({ msg }) => msg)).toEqual([
    'own telemetry is exported',
    'own telemetry cannot be exported; it goes on trying',
    'own telemetry is exported again',
  ]);
});

test('a collector that never answers does not hold the stop beyond its deadline', async () => {
  const silent: TcpServer = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  stopping.push(() => silent.close());
  const address = silent.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const made = telemetry({ endpoint: `http://127.0.0.1:${port}`, intervalMs: 3_600_000 });
  await made.start();
  const deadline = AbortSignal.timeout(50);
  await made.stop(deadline);
  expect(deadline.aborted).toBe(true);
});

test('without an endpoint nothing runs, and debugMetrics logs the readings', async () => {
  const logged = Promise.withResolvers<Record<string, unknown>>();
  const log = pino({ level: 'info' }, { write: (line: string) => logged.resolve(JSON.parse(line)) });
  const made = telemetry({ debugMetrics: true, intervalMs: 10, log });
  await made.start();
  made.recordStep(1);
  expect(await logged.promise).toMatchObject({ msg: 'own readings', readings });
  await made.stop(AbortSignal.abort());
});

test('the log is one JSON object a line, and keeps secrets and forged lines out', () => {
  const lines: string[] = [];
  const log = createLog({ level: 'info', version: '1.2.3', sink: { write: (line) => lines.push(line) } });
  log.debug('not this');
  log.info({ token: 'hunter2', session: { headers: { authorization: 'Bearer hunter2' } }, name: 'a\nb' }, 'said\n{}');
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toContain('hunter2');
  expect(lines[0]?.trimEnd()).not.toContain('\n');
  const record = JSON.parse(lines[0] ?? '');
  expect(record).toMatchObject({ level: 'info', version: '1.2.3', name: 'a\nb', msg: 'said\n{}', token: '[redacted]' });
  expect(new Date(record.time).toISOString()).toBe(record.time);
});

function attributes({ attributes = [] }: { attributes?: { key: string; value: object }[] }): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}

function points(data: unknown): Record<string, unknown>[] {
  if (typeof data !== 'object' || data === null || !('dataPoints' in data) || !Array.isArray(data.dataPoints))
    return [];
  return data.dataPoints.map((point) => ({ ...point, ...attributes(point) }));
}
