import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { requestArb } from './otlp_requests.ts';
import { framed, LOGS, rawClient, rawSession, startReceiver, statusOf, TRACES } from './otlp_rig.ts';
import { decodeResponse, encodeRequest } from './otlp_schema.ts';

const gauge = (points: number, extra: object = {}) =>
  encodeRequest({
    resourceMetrics: [
      {
        scopeMetrics: [
          {
            metrics: [
              {
                name: 'g',
                gauge: {
                  dataPoints: Array.from({ length: points }, (_, i) => ({
                    timeUnixNano: 1 + i,
                    asDouble: i,
                    ...extra,
                  })),
                },
              },
            ],
          },
        ],
      },
    ],
  });

/** The RetryInfo in an error's details, as seconds; `undefined` without one. */
function retrySeconds(error: { metadata: { get(key: string): unknown[] } }): number | undefined {
  const [details] = error.metadata.get('grpc-status-details-bin');
  if (!(details instanceof Buffer) || !details.includes('google.rpc.RetryInfo')) return undefined;
  // … Any.value (2) { retry_delay (1) { seconds (1) … } }
  const at = details.indexOf('google.rpc.RetryInfo') + 'google.rpc.RetryInfo'.length;
  expect(details[at]).toBe(0x12);
  expect(details[at + 2]).toBe(0x0a);
  expect(details[at + 4]).toBe(0x08);
  return details[at + 5];
}

describe('answers', () => {
  it('full success with an empty response, also to an empty request', async () => {
    await using rig = await startReceiver();
    using client = rawClient(rig.address);
    for (const bytes of [new Uint8Array(0), encodeRequest({ resourceMetrics: [{}] }), gauge(3)]) {
      const answer = await client.send(bytes);
      expect(answer).toMatchObject({ ok: true });
      expect(answer.ok && answer.response.length).toBe(0);
    }
    expect(rig.sink.points).toBe(3);
    expect(rig.receiver.counters).toMatchObject({ requests: 3, pointsAccepted: 3 });
  });

  it('partial success with the number and the reasons, of decoder and sink together', async () => {
    await using rig = await startReceiver();
    using client = rawClient(rig.address);
    rig.sink.answer = { state: 'accepted', rejected: 2, reason: 'the sink says so' };
    const bytes = encodeRequest({
      resourceMetrics: [
        {
          scopeMetrics: [
            {
              metrics: [
                {
                  gauge: {
                    dataPoints: [
                      { asDouble: 1 },
                      { timeUnixNano: 1, asInt: 1 },
                      { timeUnixNano: 2, asInt: 1 },
                      { timeUnixNano: 3, asInt: 1 },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
    });
    const answer = await client.send(bytes);
    const partial = answer.ok ? decodeResponse(answer.response) : undefined;
    expect(partial?.rejectedDataPoints).toBe(3);
    expect(partial?.errorMessage).toContain('time_unix_nano is 0');
    expect(partial?.errorMessage).toContain('the sink says so');
    expect(rig.receiver.counters).toMatchObject({
      pointsAccepted: 1,
      pointsRejected: { no_time: 1, refused_by_engine: 2 },
    });
  });

  it('INVALID_ARGUMENT to what is no request, and goes on', async () => {
    await using rig = await startReceiver();
    using client = rawClient(rig.address);
    const answer = await client.send(Buffer.from('{"resourceMetrics":[]}'));
    expect(answer).toMatchObject({ ok: false, error: { code: status.INVALID_ARGUMENT } });
    expect(!answer.ok && answer.error.details).toMatch(/at byte \d+/);
    expect(!answer.ok && retrySeconds(answer.error)).toBeUndefined();
    expect(await client.send(gauge(1))).toMatchObject({ ok: true });
    expect(rig.receiver.counters.refused.undecodable).toBe(1);
  });

  it('UNAVAILABLE with RetryInfo when the sink is full', async () => {
    await using rig = await startReceiver();
    using client = rawClient(rig.address);
    rig.sink.answer = { state: 'overloaded', retryAfterMs: 3_000 };
    const answer = await client.send(gauge(1));
    expect(answer).toMatchObject({ ok: false, error: { code: status.UNAVAILABLE } });
    expect(!answer.ok && retrySeconds(answer.error)).toBe(3);
    expect(rig.receiver.counters).toMatchObject({ pointsAccepted: 0, refused: { overloaded: 1 } });
  });

  it('UNAVAILABLE while there is no room, before anything is inflated or decoded', async () => {
    await using rig = await startReceiver();
    using client = rawClient(rig.address, 'gzip');
    expect(await client.send(gauge(10))).toMatchObject({ ok: true });
    rig.sink.freePoints = 0;
    for (const bytes of [gauge(10), Buffer.from('no request at all')]) {
      const answer = await client.send(bytes);
      expect(answer).toMatchObject({ ok: false, error: { code: status.UNAVAILABLE } });
      expect(!answer.ok && retrySeconds(answer.error)).toBe(1);
    }
    expect(rig.receiver.counters).toMatchObject({ requests: 1, refused: { overloaded: 2, undecodable: 0 } });
    // Traces and logs take no room.
    expect(await client.send(gauge(1), TRACES)).toMatchObject({ ok: true });
    rig.sink.freePoints = 100;
    expect(await client.send(gauge(10))).toMatchObject({ ok: true });
  });

  it('success to traces and logs, which it drops and counts', async () => {
    await using rig = await startReceiver();
    using client = rawClient(rig.address);
    for (const path of [TRACES, LOGS]) {
      const answer = await client.send(Buffer.from('anything'), path);
      expect(answer.ok && answer.response.length).toBe(0);
    }
    expect(rig.receiver.counters).toMatchObject({ tracesDropped: 1, logsDropped: 1, requests: 0 });
  });

  it('UNAVAILABLE with RetryInfo while memory is short, but for a trickle', async () => {
    let resident = 2_000;
    await using rig = await startReceiver({ residentBytes: () => resident });
    using client = rawClient(rig.address);
    expect(await client.send(gauge(1))).toMatchObject({ ok: true });
    const answer = await client.send(gauge(1));
    expect(answer).toMatchObject({ ok: false, error: { code: status.UNAVAILABLE } });
    expect(!answer.ok && retrySeconds(answer.error)).toBe(5);
    expect(rig.receiver.counters).toMatchObject({ pointsAccepted: 1, refused: { memory: 1 } });
    resident = 0;
    await expect.poll(async () => (await client.send(gauge(1))).ok).toBe(true);
  });

  it('INTERNAL to a defect behind it, reports it, and goes on', async () => {
    await using rig = await startReceiver({
      sink: {
        accept(batch) {
          if (batch.size > 1) throw new Error('defect');
          return { state: 'accepted', rejected: 0 };
        },
      },
    });
    using client = rawClient(rig.address);
    expect(await client.send(gauge(2))).toMatchObject({ ok: false, error: { code: status.INTERNAL } });
    expect(rig.defects).toHaveLength(1);
    expect(await client.send(gauge(1))).toMatchObject({ ok: true });
  });
});

describe('limits', () => {
  it('refuses 100 MB without a hint to retry, and keeps serving others meanwhile', async () => {
    await using rig = await startReceiver();
    using large = rawClient(rig.address);
    using small = rawClient(rig.address);
    const [refused, taken] = await Promise.all([large.send(Buffer.alloc(100 * 1024 * 1024)), small.send(gauge(1))]);
    expect(refused).toMatchObject({ ok: false, error: { code: status.RESOURCE_EXHAUSTED } });
    expect(!refused.ok && retrySeconds(refused.error)).toBeUndefined();
    expect(taken).toMatchObject({ ok: true });
    expect(rig.receiver.counters.refused.tooLarge).toBe(1);
    expect(rig.receiver.counters.inFlightBytesMax).toBeLessThan(1024 * 1024);
  });

  it('takes a request of exactly the limit', async () => {
    const bytes = gauge(500);
    await using rig = await startReceiver({ maxMessageBytes: bytes.length });
    using client = rawClient(rig.address);
    expect(await client.send(bytes)).toMatchObject({ ok: true });
    expect(await client.send(gauge(501))).toMatchObject({ ok: false, error: { code: status.RESOURCE_EXHAUSTED } });
  });

  it.each(['gzip', 'deflate'] as const)('stops a %s bomb at the limit', async (compression) => {
    await using rig = await startReceiver({ maxMessageBytes: 8 * 1024 * 1024 });
    using client = rawClient(rig.address, compression);
    const answer = await client.send(Buffer.alloc(24 * 1024 * 1024));
    expect(answer).toMatchObject({ ok: false, error: { code: status.RESOURCE_EXHAUSTED } });
    expect(!answer.ok && retrySeconds(answer.error)).toBeUndefined();
    expect(rig.receiver.counters.refused.tooLarge).toBe(1);
    expect(await client.send(gauge(1))).toMatchObject({ ok: true });
  });

  it('inflates bombs one after the other, not all at once', async () => {
    await using rig = await startReceiver({ maxMessageBytes: 32 * 1024 * 1024, maxInFlightBytes: 64 * 1024 * 1024 });
    using session = rawSession(rig.address);
    const bomb = framed(gzipSync(Buffer.alloc(40 * 1024 * 1024), { level: 1 }), true);
    const before = process.memoryUsage.rss();
    let most = before;
    const answers = Array.from({ length: 12 }, () => {
      const stream = session.open('gzip');
      stream.end(bomb);
      return statusOf(stream).then((answer) => {
        most = Math.max(most, process.memoryUsage.rss());
        return answer;
      });
    });
    for (const answer of await Promise.all(answers)) expect(answer.code).toBe(status.RESOURCE_EXHAUSTED);
    // Twelve at once would hold 384 MiB.
    expect(most - before).toBeLessThan(250 * 1024 * 1024);
  });

  it('answers corrupt compression, unknown compression, and raw messages on a compressed call', async () => {
    await using rig = await startReceiver();
    using session = rawSession(rig.address);
    const send = (bytes: Buffer, encoding: string) => {
      const stream = session.open(encoding);
      stream.end(bytes);
      return statusOf(stream);
    };
    const zipped = gzipSync(gauge(10));
    const truncated = zipped.subarray(0, zipped.length - 9);
    expect((await send(framed(truncated, true), 'gzip')).code).toBe(status.INVALID_ARGUMENT);
    expect((await send(framed(Buffer.from('no gzip'), true), 'gzip')).code).toBe(status.INVALID_ARGUMENT);
    expect((await send(framed(zipped, true), 'snappy')).code).toBe(status.UNIMPLEMENTED);
    expect((await send(framed(gauge(10), false), 'gzip')).code).toBe(status.OK);
    expect((await send(framed(zipped, true), 'gzip')).code).toBe(status.OK);
    expect(rig.sink.points).toBe(20);
  });

  it('keeps the bytes in work under their limit: the largest goes, small ones pass', async () => {
    await using rig = await startReceiver({ maxMessageBytes: 8 * 1024 * 1024, maxInFlightBytes: 2 * 1024 * 1024 });
    using hoarder = rawSession(rig.address);
    using client = rawClient(rig.address);
    const hoards = Array.from({ length: 6 }, () => {
      const stream = hoarder.open();
      const answer = statusOf(stream);
      // Almost all of a message, and never its end.
      stream.write(framed(Buffer.alloc(700 * 1024)).subarray(0, 699 * 1024));
      return { stream, answer };
    });
    const refused = await Promise.race(hoards.map(({ answer }) => answer));
    expect(refused.code).toBe(status.UNAVAILABLE);
    expect(await client.send(gauge(1))).toMatchObject({ ok: true });
    expect(rig.receiver.counters.inFlightBytesMax).toBeLessThanOrEqual(2 * 1024 * 1024);
    expect(rig.receiver.counters.refused.inFlight).toBeGreaterThan(0);
    for (const { stream } of hoards) stream.destroy();
    await Promise.all(hoards.map(({ answer }) => answer));
    // All of it is given back once the calls are gone.
    await expect.poll(() => rig.receiver.counters.inFlightBytes).toBe(0);
  });

  it('survives clients that break off, send half frames, or nothing', async () => {
    await using rig = await startReceiver();
    using client = rawClient(rig.address);
    {
      using rude = rawSession(rig.address);
      for (const bytes of [Buffer.of(0), Buffer.of(0, 0, 0, 0, 9, 1), framed(gauge(1)).subarray(0, 20)]) {
        const stream = rude.open();
        stream.write(bytes);
        const ended = rude.open();
        ended.end(bytes);
        await statusOf(ended);
      }
      const empty = rude.open();
      empty.end();
      await statusOf(empty);
    }
    expect(await client.send(gauge(1))).toMatchObject({ ok: true });
    expect(rig.sink.points).toBe(1);
  });

  it('answers every one of a thousand mutated requests, raw and compressed, and then a good one', async () => {
    await using rig = await startReceiver();
    using session = rawSession(rig.address);
    const mutation = fc.tuple(requestArb, fc.boolean(), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }));
    const codes = new Map<number, number>();
    for (const [request, isZipped, changes] of fc.sample(mutation, { numRuns: 1_000, seed: 4317 })) {
      const frame = framed(isZipped ? gzipSync(request, { level: 1 }) : request, isZipped);
      for (const [position, value] of changes) frame[position % frame.length] = value;
      const stream = session.open(isZipped ? 'gzip' : undefined);
      stream.end(frame);
      const { code } = await statusOf(stream);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    // A frame that is cut short, or longer than it says, is grpc-js's to answer; the rest is ours.
    const expected: number[] = [
      status.OK,
      status.INVALID_ARGUMENT,
      status.RESOURCE_EXHAUSTED,
      status.UNIMPLEMENTED,
      status.INTERNAL,
    ];
    expect([...codes.keys()].filter((code) => !expected.includes(code))).toEqual([]);
    expect(codes.get(status.OK)).toBeGreaterThan(100);
    expect(codes.get(status.INVALID_ARGUMENT)).toBeGreaterThan(100);
    expect(rig.defects).toEqual([]);
    using client = rawClient(rig.address);
    expect(await client.send(gauge(1))).toMatchObject({ ok: true });
    await expect.poll(() => rig.receiver.counters.inFlightBytes).toBe(0);
  });

  it('says partial success beyond the limit of series, and frees the idle ones', async () => {
    let nowMs = 0;
    await using rig = await startReceiver({ maxSeries: 1, nowMs: () => nowMs });
    using client = rawClient(rig.address);
    const other = gauge(1, { attributes: [{ key: 'other', value: { boolValue: true } }] });
    await client.send(gauge(1));
    const refused = await client.send(other);
    expect(refused.ok && decodeResponse(refused.response)?.errorMessage).toContain('limit of series');
    nowMs = 10_000;
    expect(rig.receiver.evictIdle(5_000)).toBe(1);
    const taken = await client.send(other);
    expect(taken.ok && taken.response.length).toBe(0);
  });
});

describe('listening', () => {
  const inDirectory = () => {
    const directory = mkdtempSync(join(tmpdir(), 'otlp-'));
    return { path: join(directory, 's'), [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
  };

  it('works over a Unix socket, and replaces one that a dead agent left', async () => {
    using place = inDirectory();
    // A socket file whose listener is gone: bound, then moved aside so that closing does not remove it.
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(`${place.path}0`, resolve));
    renameSync(`${place.path}0`, place.path);
    await new Promise((resolve) => dead.close(resolve));

    await using rig = await startReceiver({ address: `unix:${place.path}` });
    using client = rawClient(rig.address);
    expect(await client.send(gauge(2))).toMatchObject({ ok: true });
    expect(rig.sink.points).toBe(2);
    await expect(startReceiver({ address: `unix:${place.path}` })).rejects.toThrow(/another process is listening/);
    expect(await client.send(gauge(2))).toMatchObject({ ok: true });
  });

  it('leaves alone what is no socket', async () => {
    using place = inDirectory();
    writeFileSync(place.path, 'precious');
    await expect(startReceiver({ address: `unix:${place.path}` })).rejects.toThrow(/is no socket/);
  });

  it('says clearly that a port is taken', async () => {
    await using rig = await startReceiver();
    await expect(startReceiver({ address: rig.address })).rejects.toThrow(
      /cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE.*receivers\.otlp\.grpc\.address/,
    );
  });

  it('refuses an address that is none', async () => {
    await expect(startReceiver({ address: 'nowhere' })).rejects.toThrow(/expected unix:\/absolute\/path, host:port/);
  });
});

describe('stopping', () => {
  it('lets a request that is arriving finish, then nothing more', async () => {
    await using rig = await startReceiver();
    using session = rawSession(rig.address);
    const bytes = framed(gauge(5));
    const stream = session.open();
    const answer = statusOf(stream);
    stream.write(bytes.subarray(0, 30));
    await expect.poll(() => rig.receiver.counters.inFlightBytes).toBeGreaterThan(0);
    const stopped = rig.receiver.stop(new AbortController().signal);
    stream.end(bytes.subarray(30));
    expect((await answer).code).toBe(status.OK);
    await stopped;
    expect(rig.sink.points).toBe(5);
    using client = rawClient(rig.address);
    expect(await client.send(gauge(1))).toMatchObject({ ok: false, error: { code: status.UNAVAILABLE } });
    expect(rig.sink.points).toBe(5);
  });

  it('waits no longer than its deadline for one that never ends', async () => {
    await using rig = await startReceiver();
    using session = rawSession(rig.address);
    const stream = session.open();
    const answer = statusOf(stream);
    stream.write(framed(gauge(5)).subarray(0, 30));
    await expect.poll(() => rig.receiver.counters.inFlightBytes).toBeGreaterThan(0);
    const deadline = new AbortController();
    const stopped = rig.receiver.stop(deadline.signal);
    deadline.abort();
    await stopped;
    expect((await answer).code).not.toBe(status.OK);
    expect(rig.sink.points).toBe(0);
  });
});
