import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import type { Kept, RawSink } from '../../agent/adapters/otlp/raw_sink.ts';
import { createOtlpReceiver, type OtlpReceiver } from '../../agent/adapters/otlp/receiver.ts';
import { MemorySink, rawClient, TRACES } from './otlp_rig.ts';
import { encodeRequest } from './otlp_schema.ts';

interface Left {
  readonly signal: string;
  readonly body: Uint8Array;
  readonly encoding: string;
  readonly via: string | undefined;
}

/** Keeps what it is left with, and answers when and what a test wants. */
class MemoryRawSink implements RawSink {
  readonly left: Left[] = [];
  answer: () => Kept | Promise<Kept> = () => ({ state: 'kept' });

  accept(signal: string, body: Uint8Array, encoding: string, via?: string): Kept | Promise<Kept> {
    this.left.push({ signal, body, encoding, via });
    return this.answer();
  }
}

async function start() {
  const sink = new MemorySink();
  const upstream = new MemoryRawSink();
  const transport = { address: '127.0.0.1:0', maxMessageBytes: 2 ** 22, maxInFlightBytes: 2 ** 24, tls: null };
  const receiver: OtlpReceiver = createOtlpReceiver({
    grpc: transport,
    http: { ...transport, paths: { metrics: '/v1/metrics', traces: '/v1/traces', logs: '/v1/logs' } },
    sink,
    upstream,
    maxSeries: 1_000,
    maxResidentBytes: 2 ** 40,
    nowMs: () => 0,
    onDefect: (error) => {
      throw error;
    },
    onCertificates: () => undefined,
  });
  await receiver.start();
  const http = `http://${receiver.addresses.http}`;
  const client = rawClient(receiver.addresses.grpc ?? '');
  const post = async (path: string, body: Uint8Array<ArrayBuffer> | string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${http}${path}`, {
      method: 'POST',
      body,
      headers: { 'content-type': typeof body === 'string' ? 'application/json' : 'application/x-protobuf', ...headers },
    });
    await response.arrayBuffer();
    return response;
  };
  return {
    ...{ sink, upstream, receiver, client, post },
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await receiver.stop(AbortSignal.abort());
    },
  };
}

const gauge = (name: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(
    encodeRequest({
      resourceMetrics: [
        { scopeMetrics: [{ metrics: [{ name, gauge: { dataPoints: [{ timeUnixNano: 1, asDouble: 1 }] } }] }] },
      ],
    }),
  );

describe('a receiver with an upstream', () => {
  it('answers only when the request is kept', async () => {
    await using rig = await start();
    const kept = Promise.withResolvers<Kept>();
    const asked = Promise.withResolvers<void>();
    rig.upstream.answer = () => {
      if (rig.upstream.left.length === 2) asked.resolve();
      return kept.promise;
    };
    const order: string[] = [];
    const answers = [
      rig.client.send(gauge('a')).then(() => order.push('answer')),
      rig.post('/v1/metrics', gauge('b')).then(() => order.push('answer')),
    ];
    await asked.promise;
    order.push('kept');
    kept.resolve({ state: 'kept' });
    await Promise.all(answers);
    expect(order).toEqual(['kept', 'answer', 'answer']);
  });

  it('asks the sender to come back when it cannot be kept', async () => {
    await using rig = await start();
    rig.upstream.answer = () => ({ state: 'refused', retryAfterMs: 2_000 });
    const answer = await rig.client.send(gauge('a'));
    expect(answer).toMatchObject({ ok: false, error: { code: status.UNAVAILABLE } });
    const response = await rig.post('/v1/traces', gauge('a'));
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '2']);
  });

  it('sends nothing on that it refuses itself, and nothing that is empty', async () => {
    await using rig = await start();
    await rig.client.send(Buffer.from('no protobuf'));
    await rig.client.send(Buffer.alloc(0));
    await rig.post('/v1/metrics', '{"resourceMetrics":7}');
    rig.sink.answer = { state: 'overloaded', retryAfterMs: 1 };
    await rig.client.send(gauge('a'));
    expect(rig.upstream.left).toEqual([]);
  });

  it('keeps each body apart from what comes after it, in its own encoding, with its way so far', async () => {
    await using rig = await start();
    // Several chunks each, which are put together in the same memory.
    const bodies = [1, 2, 3].map((n) => gauge(String(n).repeat(300_000)));
    for (const body of bodies) expect((await rig.post('/v1/metrics', body, { 'perfopt-via': 'x,y' })).status).toBe(200);
    await rig.post('/v1/logs', '{"resourceLogs":[]}');
    await rig.client.send(gauge('g'), TRACES);
    const { left } = rig.upstream;
    for (const [n, body] of bodies.entries()) expect(Buffer.from(left[n]?.body ?? []).equals(body)).toBe(true);
    expect(left.map(({ signal, encoding, via }) => [signal, encoding, via])).toEqual([
      ...Array(3).fill(['metrics', 'protobuf', 'x,y']),
      ['logs', 'json', ''],
      ['traces', 'protobuf', ''],
    ]);
    expect(Buffer.from(left[3]?.body ?? []).toString()).toBe('{"resourceLogs":[]}');
    expect(rig.receiver.counters).toMatchObject({ tracesDropped: 0, logsDropped: 0 });
  });
});
