import { once } from 'node:events';
import { create } from '@bufbuild/protobuf';
import { Client, credentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Series } from '../../agent/core/model.ts';
import { SampleBatchBuilder } from '../../agent/core/series/batch.ts';
import { DEFAULT_MAPPINGS } from '../../agent/core/signals.ts';
import { TapRequestSchema, type TapResponse } from '../../agent/gen/performance_optimizer/control/v1/tap_pb.ts';
import { TuningService } from '../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callServerStream } from '../../agent/rpc/calls.ts';
import { Tap } from '../../agent/tap.ts';
import { perfopt } from './command_rig.ts';
import { type Rig, startRig } from './control-rig.ts';
import { MemorySink } from './otlp_rig.ts';

const T0 = Date.UTC(2027, 0, 15, 12);
const tap = new Tap(DEFAULT_MAPPINGS);
let sink: MemorySink;
let rig: Rig;
let client: Client;
/** One for each tap that is opened. */
const opened: (() => void)[] = [];

beforeAll(async () => {
  const open: typeof tap.open = (filter, reader) => {
    const close = tap.open(filter, reader);
    opened.shift()?.();
    return close;
  };
  rig = await startRig({ listen: ['127.0.0.1:0'] }, { tap: open });
  client = new Client(rig.address, credentials.createInsecure());
});
beforeEach(() => {
  sink = new MemorySink();
});
afterAll(async () => {
  client.close();
  await rig.stop();
});

let nextId = 0;
function seriesOf(name: string, kind: Series['kind'], more: Partial<Series> = {}): Series {
  return {
    ...{ id: nextId++, name, unit: kind === 'histogram' ? 's' : '1', kind, monotonic: kind === 'sum', scope: '' },
    ...{ resource: new Map([['service.name', 'embedder']]), attributes: new Map() },
    ...(kind !== 'gauge' && { temporality: 'cumulative' as const }),
    ...more,
  };
}

const duration = seriesOf('http.server.request.duration', 'histogram', {
  attributes: new Map([['http.route', '/v1/embed']]),
});
const depth = seriesOf('my.queue', 'gauge', { attributes: new Map([['shards', ['a', 2n]]]) });
const other = seriesOf('my.queue', 'gauge', { resource: new Map([['service.name', 'other']]) });

function everything() {
  const batch = new SampleBatchBuilder();
  const point = { count: 10, sum: 0.08, min: 0.001, max: 0.02, bounds: [0.01], counts: [9, 1] };
  batch.histogramOverMs(duration, T0 - 60_000, T0, point);
  batch.gaugeAtMs(depth, T0, 7);
  batch.gaugeAtMs(other, T0, 8);
  return batch.build();
}

function gauges(points: number) {
  const batch = new SampleBatchBuilder();
  for (let i = 0; i < points; i++) batch.gaugeAtMs(depth, T0 + i, i);
  return batch.build();
}

const whenOpened = (): Promise<void> => new Promise((resolve) => opened.push(resolve));

test('nobody looks: the sink is all there is', () => {
  const shown = tap.on('otlp', sink);
  expect(shown.accept(everything())).toEqual({ state: 'accepted', rejected: 0 });
  expect(sink.points).toBe(3);
});

test('points are shown as they came, with what the agent takes them for', async () => {
  const isOpen = whenOpened();
  const running = perfopt('tap', '--count', '3', '--json', '--address', rig.address);
  await isOpen;
  tap.on('otlp', sink).accept(everything());
  const { out, err, code } = await running;
  expect({ err, code }).toEqual({ err: '', code: 0 });
  const [first, second, third] = out
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
  expect(first).toEqual({
    ...{ time: '2027-01-15T12:00:00Z', start: '2027-01-15T11:59:00Z', source: 'otlp', component: 'embedder' },
    ...{ metric: 'http.server.request.duration', unit: 's', kind: 'histogram', temporality: 'cumulative' },
    ...{ attributes: { 'http.route': '/v1/embed' }, signal: 'responseTime' },
    distribution: { count: 10, sum: 0.08, min: 0.001, max: 0.02 },
  });
  expect(second).toMatchObject({ metric: 'my.queue', value: 7, attributes: { shards: '["a","2"]' } });
  expect(third).toMatchObject({ component: 'other', value: 8 });
});

test('for humans, and only what was asked for', async () => {
  const lines = async (...args: readonly string[]): Promise<string[]> => {
    const isOpen = whenOpened();
    const running = perfopt('tap', ...args, '--count', '1', '--address', rig.address);
    await isOpen;
    tap.on('otlp', sink).accept(everything());
    return (await running).out.trim().split('\n');
  };
  expect(await lines('*.duration')).toEqual([
    '2027-01-15 12:00:00Z otlp embedder http.server.request.duration {http.route=/v1/embed} ' +
      'in all 10 values, mean 0.008, 0.001 to 0.02 s → responseTime',
  ]);
  expect(await lines('--component', 'oth*')).toEqual(['2027-01-15 12:00:00Z otlp other my.queue 8 → nothing']);
  expect(await lines('--where', 'http.route=/v1/*')).toEqual([expect.stringContaining('duration')]);
  expect(await lines('my.*', '--where', 'service.name=embedder')).toEqual([expect.stringContaining(' 7 → nothing')]);
});

test('what was refused is not shown', () => {
  const seen: number[] = [];
  const close = tap.open({ attributes: {} }, { room: () => 10, take: (points) => void seen.push(points.length) });
  sink.answer = { state: 'overloaded', retryAfterMs: 1 };
  tap.on('otlp', sink).accept(everything());
  sink.answer = { state: 'accepted', rejected: 0 };
  tap.on('otlp', sink).accept(everything());
  close();
  tap.on('otlp', sink).accept(everything());
  expect(seen).toEqual([3]);
});

/** Takes messages until it has seen or been told of so many points. */
async function account(stream: AsyncIterable<TapResponse>, points: number): Promise<{ shown: number; missed: number }> {
  const sum = { shown: 0, missed: 0 };
  for await (const message of stream) {
    sum.shown += message.points.length;
    sum.missed += Number(message.missed);
    if (sum.shown + sum.missed >= points) break;
  }
  return sum;
}

test('beyond so many a second the rest is counted', async () => {
  const isOpen = whenOpened();
  const stream = callServerStream(client, TuningService.method.tap, create(TapRequestSchema));
  await isOpen;
  tap.on('otlp', sink).accept(gauges(6_000));
  const { shown, missed } = await account(stream, 6_000);
  expect(shown + missed).toBe(6_000);
  expect(missed).toBeGreaterThanOrEqual(1_000);
  stream.cancel();
});

test('a reader that does not read holds up nobody, and hears how much it missed', async () => {
  const isOpen = whenOpened();
  const stream = callServerStream(client, TuningService.method.tap, create(TapRequestSchema));
  stream.pause();
  await isOpen;
  await once(stream, 'metadata');
  for (let i = 0; i < 5_000; i++) tap.on('otlp', sink).accept(gauges(4));
  const { shown, missed } = await account(stream, 20_000);
  expect(shown + missed).toBe(20_000);
  expect(missed).toBeGreaterThan(10_000);
  stream.cancel();
});

test('there are only so many taps, and they end with the agent', async () => {
  const server = await startRig({ listen: ['127.0.0.1:0'] }, { tap: (filter, reader) => tap.open(filter, reader) });
  const to = new Client(server.address, credentials.createInsecure());
  const open = () => callServerStream(to, TuningService.method.tap, create(TapRequestSchema));
  const streams = Array.from({ length: 4 }, open);
  const ended = streams.map((stream) => once(stream, 'error'));
  await Promise.all(streams.map((stream) => once(stream, 'metadata')));
  const [refused] = await once(open(), 'error');
  expect(refused).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  await server.stop();
  expect((await Promise.all(ended)).map(([error]) => error.code)).toEqual(new Array(4).fill(status.UNAVAILABLE));
  to.close();
});

test('mistakes are answered with what is allowed', async () => {
  expect(await perfopt('tap', '--where', 'route')).toMatchObject({
    code: 2,
    err: expect.stringContaining('KEY=VALUE'),
  });
  expect(await perfopt('tap', '--count', '0')).toMatchObject({ code: 2 });
  const stream = callServerStream(
    client,
    TuningService.method.tap,
    create(TapRequestSchema, { metric: 'x'.repeat(2_000) }),
  );
  const [error] = await once(stream, 'error');
  expect(error).toMatchObject({ code: status.INVALID_ARGUMENT });
});
