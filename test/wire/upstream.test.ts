import { randomBytes } from 'node:crypto';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { TELEMETRY_SIGNALS } from '../../agent/adapters/upstream/raw_sink.ts';
import { VIA_HEADER } from '../../agent/adapters/upstream/via.ts';
import { partialSuccess, retryDetails } from './upstream_answers.ts';
import {
  type Arrived,
  FakeUpstream,
  grpcStatus,
  pemPath,
  startUpstream,
  TAKEN,
  temporaryFolder,
} from './upstream_rig.ts';

const PROTOCOLS = ['grpc', 'http'] as const;
const numbered = (n: number): Buffer => Buffer.from(`request ${n}`);
const textOf = (arrived: readonly Arrived[]): string[] => arrived.map(({ body }) => body.toString());
const range = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe.each(PROTOCOLS)('over %s', (protocol) => {
  it.each(['none', 'gzip'] as const)(
    'sends all three signals on byte for byte, with headers, compression %s',
    async (compression) => {
      await using server = await new FakeUpstream(protocol).start();
      await using rig = await startUpstream(server, {
        compression,
        headers: { 'x-tenant': 'a', authorization: 'Bearer t' },
      });
      const bodies = TELEMETRY_SIGNALS.map((signal) => ({ signal, body: randomBytes(200_000) }));
      for (const { signal, body } of bodies)
        expect(await rig.upstream.accept(signal, body, 'protobuf')).toEqual({ state: 'kept' });
      await server.count(3);
      for (const { signal, body } of bodies) {
        const found = server.arrived.find((arrived) => arrived.signal === signal);
        expect(found?.body.equals(body)).toBe(true);
        expect(found?.headers).toMatchObject({ 'x-tenant': 'a', authorization: 'Bearer t' });
        expect(found?.headers[VIA_HEADER]).toMatch(/^[0-9a-f-]{36}$/);
      }
    },
  );

  it('keeps the order of each signal while attempts fail, and counts the retries', async () => {
    await using server = await new FakeUpstream(protocol).start();
    const busy = protocol === 'grpc' ? grpcStatus(status.UNAVAILABLE, 'busy') : { state: 'http' as const, code: 503 };
    let attempts = 0;
    server.reply = () => (++attempts % 3 === 0 ? TAKEN : busy);
    await using rig = await startUpstream(server);
    for (const n of range(20))
      for (const signal of TELEMETRY_SIGNALS) await rig.upstream.accept(signal, numbered(n), 'protobuf');
    await server.count(60);
    for (const signal of TELEMETRY_SIGNALS) {
      const texts = textOf(server.arrived.filter((arrived) => arrived.signal === signal));
      expect(texts).toEqual(range(20).map((n) => `request ${n}`));
    }
    await rig.stop();
    const { signals } = rig.upstream.status();
    expect(TELEMETRY_SIGNALS.reduce((sum, signal) => sum + signals[signal].counters.retries, 0)).toBe(120);
    expect(signals.metrics).toMatchObject({
      queued: { requests: 0 },
      counters: { accepted: 20, delivered: 20, dropped: {} },
    });
    expect(rig.log.filter(({ msg }) => String(msg).includes('does not take telemetry')).length).toBeGreaterThanOrEqual(
      3,
    );
  });

  it('waits for as long as the upstream asks', async () => {
    await using server = await new FakeUpstream(protocol).start();
    const later =
      protocol === 'grpc'
        ? grpcStatus(status.RESOURCE_EXHAUSTED, 'later', retryDetails(8, 'later', 3_600_000))
        : { state: 'http' as const, code: 429, headers: { 'Retry-After': '3600' } };
    server.reply = () => later;
    await using rig = await startUpstream(server);
    const beforeMs = Date.now();
    await rig.upstream.accept('metrics', numbered(1), 'protobuf');
    await server.until(() => server.turnedAway.length === 1);
    let { delivery } = rig.upstream.status().signals.metrics;
    while (delivery.state !== 'waiting') {
      await new Promise((next) => setImmediate(next));
      ({ delivery } = rig.upstream.status().signals.metrics);
    }
    // What is asked for counts up to a quarter of an hour.
    expect(delivery.untilMs - beforeMs).toBeGreaterThanOrEqual(900_000);
    await rig.upstream.stop(AbortSignal.abort());
  });

  it('drops what the upstream will never take, counts it by reason, and goes on', async () => {
    await using server = await new FakeUpstream(protocol).start();
    const never =
      protocol === 'grpc' ? grpcStatus(status.INVALID_ARGUMENT, 'bad') : { state: 'http' as const, code: 400 };
    server.reply = ({ body }) => (body.toString() === 'request 1' ? never : TAKEN);
    await using rig = await startUpstream(server);
    for (const n of range(3)) await rig.upstream.accept('logs', numbered(n), 'protobuf');
    await server.count(2);
    await rig.stop();
    expect(textOf(server.arrived)).toEqual(['request 0', 'request 2']);
    const reason = protocol === 'grpc' ? 'invalid_argument' : 'http_400';
    expect(rig.upstream.status().signals.logs.counters).toMatchObject({
      delivered: 2,
      retries: 0,
      dropped: { [reason]: 1 },
    });
  });

  it('counts what the upstream says it rejected of a delivered request', async () => {
    await using server = await new FakeUpstream(protocol).start();
    server.reply = () => ({ state: 'taken', response: partialSuccess(300, 'too old') });
    await using rig = await startUpstream(server);
    await rig.upstream.accept('metrics', numbered(1), 'protobuf');
    await server.count(1);
    await rig.stop();
    expect(rig.upstream.status().signals.metrics.counters).toMatchObject({ delivered: 1, rejectedByUpstream: 300 });
    expect(rig.log).toContainEqual(expect.objectContaining({ rejected: 300, reason: 'too old' }));
  });

  it('speaks TLS with a certificate of its own', async () => {
    await using server = await new FakeUpstream(protocol).start({ tls: true });
    await using rig = await startUpstream(
      { protocol, endpoint: `https://localhost:${server.port}` },
      { tls: { ca: pemPath('ca.pem'), cert: pemPath('client.pem'), key: pemPath('client.key') } },
    );
    await rig.upstream.accept('metrics', numbered(1), 'protobuf');
    expect(textOf(await server.count(1))).toEqual(['request 1']);
  });

  it('never answers late because the upstream is away, and delivers when it is back', async () => {
    await using server = await new FakeUpstream(protocol).start();
    await server.stop();
    await using rig = await startUpstream(server);
    // At once: there is nothing to wait for without a file.
    for (const n of range(50))
      expect(rig.upstream.accept('metrics', numbered(n), 'protobuf')).toEqual({ state: 'kept' });
    await server.start();
    expect(textOf(await server.count(50))).toEqual(range(50).map((n) => `request ${n}`));
  });

  it('gives up an attempt that is never answered, makes it again, and says that it may be a duplicate', async () => {
    await using server = await new FakeUpstream(protocol).start();
    server.reply = () => (server.turnedAway.length === 0 ? undefined : TAKEN);
    await using rig = await startUpstream(server, { timeoutMs: 50 });
    await rig.upstream.accept('metrics', numbered(1), 'protobuf');
    await server.count(1);
    await rig.stop();
    expect(rig.upstream.status().signals.metrics.counters).toMatchObject({ delivered: 1, possibleDuplicates: 1 });
  });
});

it('pushes the oldest out of a full memory, counts it, and keeps the newest', async () => {
  await using server = await new FakeUpstream('grpc').start();
  await server.stop();
  await using rig = await startUpstream(server, { queue: { maxMemoryBytes: 10_000 } });
  for (const n of range(100)) await rig.upstream.accept('traces', Buffer.alloc(744, n), 'protobuf');
  expect(rig.upstream.status().signals.traces).toMatchObject({
    queued: { requests: 10, bytes: 10_000 },
    counters: { accepted: 100, dropped: { queue_full: 90 } },
  });
  await server.start();
  const arrived = await server.count(10);
  // The first was with the sender when the memory filled up.
  expect(arrived.map(({ body }) => body[0])).toEqual([0, ...range(9).map((n) => 91 + n)]);
});

it('gives up what is too old, and counts it', async () => {
  await using server = await new FakeUpstream('grpc').start();
  let nowMs = 1_000_000;
  server.reply = () => {
    nowMs += 60_000;
    return server.turnedAway.length < 3 ? grpcStatus(status.UNAVAILABLE) : TAKEN;
  };
  await using rig = await startUpstream(server, { nowMs: () => nowMs, queue: { maxAgeMs: 100_000 } });
  await rig.upstream.accept('metrics', numbered(1), 'protobuf');
  await server.until(() => server.turnedAway.length === 2);
  await rig.stop();
  expect(rig.upstream.status().signals.metrics.counters).toMatchObject({ delivered: 0, dropped: { expired: 1 } });
});

it('does not send on what it has sent before, and says through whom a request came', async () => {
  await using server = await new FakeUpstream('grpc').start();
  await using rig = await startUpstream(server);
  await rig.upstream.accept('metrics', numbered(1), 'protobuf', 'another-agent');
  const [first] = await server.count(1);
  const via = first?.headers[VIA_HEADER] ?? '';
  expect(via).toMatch(/^another-agent,[0-9a-f-]{36}$/);
  expect(await rig.upstream.accept('metrics', numbered(1), 'protobuf', via)).toEqual({ state: 'kept' });
  await rig.upstream.accept('metrics', numbered(2), 'protobuf', Array(8).fill('x').join(','));
  await rig.upstream.accept('metrics', numbered(3), 'protobuf');
  await server.count(2);
  expect(textOf(server.arrived)).toEqual(['request 1', 'request 3']);
  expect(rig.upstream.status().signals.metrics.counters.dropped).toEqual({ loop: 2 });
});

describe('JSON', () => {
  const json = Buffer.from('{"resourceMetrics":[{"schemaUrl":"s"}], "unknown": 1}');

  it('goes over HTTP as it came', async () => {
    await using server = await new FakeUpstream('http').start();
    await using rig = await startUpstream(server);
    await rig.upstream.accept('metrics', json, 'json');
    const [arrived] = await server.count(1);
    expect(arrived?.body.equals(json)).toBe(true);
    expect(arrived?.headers['content-type']).toBe('application/json');
  });

  it('becomes protobuf over gRPC; what is no request is dropped and counted', async () => {
    await using server = await new FakeUpstream('grpc').start();
    await using rig = await startUpstream(server);
    await rig.upstream.accept('metrics', Buffer.from('{'), 'json');
    await rig.upstream.accept('metrics', json, 'json');
    const [arrived] = await server.count(1);
    expect(arrived?.body.toString('hex')).toBe('0a031a0173');
    await rig.stop();
    expect(rig.upstream.status().signals.metrics.counters.dropped).toEqual({ json_unreadable: 1 });
  });
});

describe('the queue on the disk', () => {
  it('survives a stop: what was not delivered goes out after the start, in order', async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'queue.db');
    await using server = await new FakeUpstream('grpc').start();
    await server.stop();
    const first = await startUpstream(server, { queue: { path } });
    await Promise.all(range(200).map((n) => first.upstream.accept('metrics', numbered(n), 'protobuf', 'm')));
    expect(first.upstream.status().signals.metrics.queued.requests).toBe(200);
    await first.stop();
    expect(statSync(path).mode & 0o777).toBe(0o600);

    await server.start();
    await using second = await startUpstream(server, { queue: { path } });
    expect(textOf(await server.count(200))).toEqual(range(200).map((n) => `request ${n}`));
    expect(server.arrived.every(({ headers }) => headers[VIA_HEADER]?.startsWith('m,'))).toBe(true);
    await second.stop();
    expect(second.upstream.status().signals.metrics.queued).toEqual({ requests: 0, bytes: 0 });
    // Handed to the sender by the first run, so the upstream might have had them.
    expect(second.upstream.status().signals.metrics.counters.possibleDuplicates).toBeGreaterThan(0);
    await using third = await startUpstream(server, { queue: { path } });
    expect(third.upstream.status().signals.metrics.queued.requests).toBe(0);
  });

  it('pushes the oldest out when it is full, and gives the disk back when it has run empty', async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'queue.db');
    await using server = await new FakeUpstream('grpc').start();
    await server.stop();
    await using rig = await startUpstream(server, { queue: { path, maxBytes: 8 * 2 ** 20 } });
    const body = (n: number): Buffer => Buffer.alloc(100_000, n);
    for (const tens of range(20)) {
      await Promise.all(range(10).map((n) => rig.upstream.accept('logs', body(10 * tens + n), 'protobuf')));
    }
    const { queued, counters } = rig.upstream.status().signals.logs;
    expect(queued.bytes).toBeLessThanOrEqual(8 * 2 ** 20);
    expect(queued.requests + (counters.dropped.queue_full ?? 0)).toBe(200);
    expect(statSync(path).size).toBeLessThan(14 * 2 ** 20);
    await server.start();
    await server.count(queued.requests);
    expect(server.arrived.at(-1)?.body[0]).toBe(199);
    await rig.stop();
    expect(statSync(path).size).toBeLessThan(5 * 2 ** 20);
  });

  it('answers a sender only when the request is in the file', async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'queue.db');
    await using server = await new FakeUpstream('grpc').start();
    server.reply = () => undefined;
    const rig = await startUpstream(server, { queue: { path }, timeoutMs: 60_000 });
    const answers = range(5).map((n) => rig.upstream.accept('metrics', numbered(n), 'protobuf'));
    expect(answers.every((answer) => answer instanceof Promise)).toBe(true);
    await Promise.all(answers);
    await rig.upstream.stop(AbortSignal.abort());
    const database = new DatabaseSync(path, { readOnly: true });
    expect(database.prepare('SELECT count(*) AS n FROM requests').get()?.n).toBe(5);
    database.close();
  });

  it('goes on in memory when the disk refuses, says so, and returns to the disk', async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'queue.db');
    await using server = await new FakeUpstream('grpc').start();
    await server.stop();
    await using rig = await startUpstream(server, { queue: { path, maxBytes: 2 ** 20 } });
    await rig.upstream.accept('metrics', numbered(0), 'protobuf');
    expect(await rig.upstream.accept('metrics', Buffer.alloc(2 ** 22, 1), 'protobuf')).toEqual({ state: 'kept' });
    expect(rig.upstream.status().diskProblem).toMatch(/full/);
    expect(rig.upstream.status().signals.metrics.counters.unsaved).toBe(1);
    await rig.upstream.accept('metrics', numbered(2), 'protobuf');
    expect(rig.upstream.status().diskProblem).toBeUndefined();
    await server.start();
    await server.count(3);
    expect(server.arrived.map(({ body }) => body.length).sort((a, b) => a - b)).toEqual([9, 9, 2 ** 22]);
  });

  it('refuses to start on a file that is not its own, or that another agent has', async () => {
    using folder = temporaryFolder();
    const target = { protocol: 'grpc', endpoint: 'http://127.0.0.1:1' } as const;
    const path = join(folder.path, 'queue.db');
    await using _first = await startUpstream(target, { queue: { path } });
    await expect(startUpstream(target, { queue: { path } })).rejects.toThrow(/another agent is using it/);

    const text = join(folder.path, 'notes.txt');
    writeFileSync(text, 'not a database at all, but something that somebody wants to keep');
    await expect(startUpstream(target, { queue: { path: text } })).rejects.toThrow(/not a database/);

    const other = join(folder.path, 'other.db');
    const database = new DatabaseSync(other);
    database.exec('CREATE TABLE mine (n INTEGER)');
    database.close();
    await expect(startUpstream(target, { queue: { path: other } })).rejects.toThrow(/not a queue of this agent/);
  });
});
