import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { requestArb } from './otlp_requests.ts';
import { rawClient, startReceiver } from './otlp_rig.ts';
import { decodeRequest, decodeResponse, decodeStatus, encodeRequest } from './otlp_schema.ts';

const PROTOBUF = 'application/x-protobuf';
const JSON_TYPE = 'application/json';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly headers: Headers;
  readonly body: Buffer;
}

async function post(
  address: string,
  body: Uint8Array | string | undefined,
  { path = '/v1/metrics', method = 'POST', type = PROTOBUF, encoding = '' } = {},
): Promise<Answer> {
  const response = await fetch(`http://${address}${path}`, {
    method,
    headers: {
      ...(type !== '' && { 'content-type': type }),
      ...(encoding !== '' && { 'content-encoding': encoding }),
    },
    ...(body !== undefined && { body: typeof body === 'string' ? Buffer.from(body) : new Uint8Array(body) }),
  });
  return {
    status: response.status,
    type: response.headers.get('content-type') ?? '',
    headers: response.headers,
    body: Buffer.from(await response.arrayBuffer()),
  };
}

/** The `google.rpc.Status` of an error, in the encoding that the answer says. */
const statusIn = ({ type, body }: Answer): { code: number; message: string } =>
  type === JSON_TYPE ? JSON.parse(body.toString()) : decodeStatus(body);

const request1 = (points: readonly object[]) => ({
  resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: 'g', gauge: { dataPoints: points } }] }] }],
});
const points = (count: number) =>
  request1(Array.from({ length: count }, (_, i) => ({ timeUnixNano: String(1 + i), asDouble: i })));
const asProtobuf = (message: object) => encodeRequest(message);
const asJson = (message: object) => JSON.stringify(message);

function compressed(bytes: Buffer, encoding: string): Buffer {
  if (encoding === 'gzip') return gzipSync(bytes);
  if (encoding === 'deflate') return deflateSync(bytes);
  return encoding === 'zstd' ? zstdCompressSync(bytes) : bytes;
}

const WRITINGS = [
  [PROTOBUF, asProtobuf],
  [JSON_TYPE, asJson],
] as const;

describe.each(WRITINGS)('%s', (type, write) => {
  it.each(['', 'identity', 'gzip', 'deflate', 'zstd'])('is taken, compressed as "%s"', async (encoding) => {
    await using rig = await startReceiver();
    const plain = Buffer.from(write(points(50)));
    const answer = await post(rig.httpAddress, compressed(plain, encoding), { type, encoding });
    expect([answer.status, answer.type]).toEqual([200, type]);
    expect(type === JSON_TYPE ? JSON.parse(answer.body.toString()) : answer.body.length).toEqual(
      type === JSON_TYPE ? {} : 0,
    );
    expect(rig.sink.points).toBe(50);
    expect(rig.receiver.counters).toMatchObject({ requests: 1, pointsAccepted: 50, inFlightBytes: 0 });
  });

  it('is taken with parameters and in any case, also when there is nothing in it', async () => {
    await using rig = await startReceiver();
    for (const spelled of [`${type}; charset=utf-8`, type.toUpperCase()]) {
      for (const body of [write({}), write({ resourceMetrics: [{}] }), '']) {
        const answer = await post(rig.httpAddress, body, { type: spelled });
        expect([answer.status, answer.type]).toEqual([200, type]);
      }
    }
    expect(rig.receiver.counters.requests).toBe(6);
  });

  it('is answered with what was refused, and why', async () => {
    await using rig = await startReceiver();
    const answer = await post(rig.httpAddress, write(request1([{ asDouble: 1 }, { timeUnixNano: 1, asDouble: 2 }])), {
      type,
    });
    expect(answer.status).toBe(200);
    const partial =
      type === JSON_TYPE ? JSON.parse(answer.body.toString()).partialSuccess : decodeResponse(answer.body);
    expect(Number(partial.rejectedDataPoints)).toBe(1);
    expect(partial.errorMessage).toContain('time_unix_nano is 0');
    if (type === JSON_TYPE) expect(partial.rejectedDataPoints).toBe('1');
  });

  it('is answered with a Status in its own writing to what cannot be read', async () => {
    await using rig = await startReceiver();
    for (const [body, encoding] of [
      ['\u0007 nonsense', ''],
      ['no gzip', 'gzip'],
      [gzipSync(Buffer.from(write(points(9)))).subarray(0, 40), 'gzip'],
      ['no zstd', 'zstd'],
    ] as const) {
      const answer = await post(rig.httpAddress, body, { type, encoding });
      expect([answer.status, answer.type]).toEqual([400, type]);
      expect(statusIn(answer)).toMatchObject({ code: 3, message: expect.stringMatching(/./) });
    }
    expect(rig.receiver.counters.refused.undecodable).toBe(4);
    expect((await post(rig.httpAddress, write(points(1)), { type })).status).toBe(200);
  });

  it('is postponed with Retry-After when the sink is full, memory is short', async () => {
    let resident = 0;
    await using rig = await startReceiver({ residentBytes: () => resident });
    rig.sink.answer = { state: 'overloaded', retryAfterMs: 1_500 };
    const full = await post(rig.httpAddress, write(points(1)), { type });
    expect([full.status, full.type, full.headers.get('retry-after')]).toEqual([503, type, '2']);
    expect(statusIn(full)).toMatchObject({ code: 14 });
    rig.sink.answer = { state: 'accepted', rejected: 0 };
    resident = 2_000;
    // The gate reads memory every 20 ms at most, and lets a trickle through.
    await expect.poll(async () => (await post(rig.httpAddress, write(points(1)), { type })).status).toBe(503);
    const short = await post(rig.httpAddress, write(points(1)), { type });
    expect([short.status, short.headers.get('retry-after')]).toEqual([503, '5']);
    resident = 0;
    await expect.poll(async () => (await post(rig.httpAddress, write(points(1)), { type })).status).toBe(200);
  });

  it('is postponed while there is no room, before it is read as what it says', async () => {
    await using rig = await startReceiver();
    expect((await post(rig.httpAddress, write(points(10)), { type })).status).toBe(200);
    rig.sink.freePoints = 5;
    for (const body of [write(points(10)), Buffer.alloc(500, 'x')]) {
      const full = await post(rig.httpAddress, body, { type });
      expect([full.status, full.headers.get('retry-after')]).toEqual([503, '1']);
      expect(statusIn(full)).toMatchObject({ code: 14 });
    }
    expect(rig.receiver.counters).toMatchObject({ requests: 1, refused: { overloaded: 2, undecodable: 0 } });
    expect((await post(rig.httpAddress, write(points(3)), { type })).status).toBe(200);
  });

  it('is refused beyond the limit, before and after decompression', async () => {
    await using rig = await startReceiver({ maxMessageBytes: 20_000 });
    const large = Buffer.concat([Buffer.from(write(points(2_000))), Buffer.alloc(10, ' ')]);
    for (const [body, encoding] of [
      [large, ''],
      [gzipSync(large), 'gzip'],
      [gzipSync(Buffer.alloc(50_000_000)), 'gzip'],
      [deflateSync(large), 'deflate'],
      [zstdCompressSync(large), 'zstd'],
    ] as const) {
      const answer = await post(rig.httpAddress, body, { type, encoding });
      expect([answer.status, answer.type, answer.headers.get('retry-after')]).toEqual([413, type, null]);
      expect(statusIn(answer)).toMatchObject({ code: 8 });
    }
    expect(rig.receiver.counters.refused.tooLarge).toBe(5);
    expect((await post(rig.httpAddress, write(points(2)), { type })).status).toBe(200);
  });
});

describe('what is no request', () => {
  it('is answered by the rules of HTTP, with a Status', async () => {
    await using rig = await startReceiver();
    const cases = [
      [{ path: '/v1/other' }, 404, 5],
      [{ method: 'GET' }, 405, 12],
      [{ method: 'PUT' }, 405, 12],
      [{ type: 'text/plain' }, 415, 3],
      [{ type: '' }, 415, 3],
      [{ encoding: 'br' }, 415, 3],
      [{ encoding: 'gzip, gzip' }, 415, 3],
    ] as const;
    for (const [how, status, code] of cases) {
      const body = 'method' in how && how.method === 'GET' ? undefined : asProtobuf(points(1));
      const answer = await post(rig.httpAddress, body, how);
      expect([answer.status, statusIn(answer).code]).toEqual([status, code]);
      if (status === 405) expect(answer.headers.get('allow')).toBe('POST');
    }
    expect(rig.sink.points).toBe(0);
    expect(rig.receiver.counters.refused.unsupported).toBe(cases.length);
  });

  it('is refused with a Status also where HTTP itself is broken', async () => {
    await using rig = await startReceiver();
    const raw = (text: string): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect(Number(rig.httpAddress.split(':')[1]), '127.0.0.1', () => socket.write(text));
        let answer = '';
        socket.on('data', (chunk) => {
          answer += chunk;
        });
        socket.on('close', () => resolve(answer));
        socket.on('error', () => resolve(answer));
      });
    for (const [text, status] of [
      ['NONSENSE\r\n\r\n', 400],
      [`POST /v1/metrics HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
      ['POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 400],
    ] as const) {
      const answer = await raw(text);
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ code: expect.any(Number) });
    }
    expect((await post(rig.httpAddress, asProtobuf(points(1)))).status).toBe(200);
  });

  it('takes traces and logs, drops and counts them', async () => {
    await using rig = await startReceiver();
    for (const path of ['/v1/traces', '/v1/logs']) {
      const answer = await post(rig.httpAddress, '{"resourceSpans":[]}', { path, type: JSON_TYPE });
      expect([answer.status, answer.body.toString()]).toEqual([200, '{}']);
    }
    expect(rig.receiver.counters).toMatchObject({ tracesDropped: 1, logsDropped: 1, requests: 0 });
  });
});

/** Sends the headers and a part of the body, and leaves it at that. */
function hanging(address: string, declared: number, sent: number) {
  const call = request(`http://${address}/v1/metrics`, {
    method: 'POST',
    headers: { 'content-type': PROTOBUF, 'content-length': declared },
  });
  call.on('error', () => {});
  call.write(Buffer.alloc(sent));
  const answer = new Promise<number>((resolve) => {
    call.on('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    call.on('close', () => resolve(0));
  });
  return { answer, [Symbol.dispose]: () => void call.destroy() };
}

describe('hostile and slow clients', () => {
  it('cannot hold more bytes than allowed: the largest goes, others pass', async () => {
    await using rig = await startReceiver({ maxMessageBytes: 8 * 1024 * 1024, maxInFlightBytes: 2 * 1024 * 1024 });
    const hoards = Array.from({ length: 6 }, () => hanging(rig.httpAddress, 800 * 1024, 700 * 1024));
    expect(await Promise.race(hoards.map(({ answer }) => answer))).toBe(429);
    expect((await post(rig.httpAddress, asProtobuf(points(1)))).status).toBe(200);
    expect(rig.receiver.counters.inFlightBytesMax).toBeLessThanOrEqual(2 * 1024 * 1024);
    for (const each of hoards) each[Symbol.dispose]();
    await expect.poll(() => rig.receiver.counters.inFlightBytes).toBe(0);
  });

  it('are timed out when they never finish, and the others are not', async () => {
    await using rig = await startReceiver({
      timeouts: { headersTimeout: 100, requestTimeout: 100, connectionsCheckingInterval: 20 },
    });
    using slow = hanging(rig.httpAddress, 1_000, 10);
    expect((await post(rig.httpAddress, asProtobuf(points(1)))).status).toBe(200);
    expect(await slow.answer).toBe(408);
    await expect.poll(() => rig.receiver.counters).toMatchObject({ inFlightBytes: 0, refused: { badHttp: 1 } });
  });

  it('get a well-formed answer to each of a thousand mutated requests', async () => {
    await using rig = await startReceiver();
    const mutation = fc.tuple(
      requestArb,
      fc.constantFrom('protobuf', 'json'),
      fc.constantFrom('', 'gzip', 'zstd', 'deflate'),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
    );
    const seen = new Map<number, number>();
    for (const [bytes, writing, encoding, changes] of fc.sample(mutation, { numRuns: 1_000, seed: 4318 })) {
      const plain = writing === 'json' ? Buffer.from(JSON.stringify(decodeRequest(bytes))) : Buffer.from(bytes);
      const body = compressed(plain, encoding);
      for (const [position, value] of changes) body[position % body.length] = value;
      const type = writing === 'json' ? JSON_TYPE : PROTOBUF;
      const answer = await post(rig.httpAddress, body, { type, encoding });
      expect(answer.type).toBe(type);
      if (answer.status !== 200) expect(statusIn(answer).message.length).toBeGreaterThan(0);
      seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
    }
    expect([...seen.keys()].filter((status) => ![200, 400, 413].includes(status))).toEqual([]);
    expect(seen.get(200)).toBeGreaterThan(100);
    expect(seen.get(400)).toBeGreaterThan(100);
    expect(rig.defects).toEqual([]);
    expect(rig.receiver.counters.inFlightBytes).toBe(0);
  });
});

describe('both transports', () => {
  it('give the same series for the same identity', async () => {
    await using rig = await startReceiver();
    using client = rawClient(rig.address);
    await client.send(asProtobuf(points(1)));
    await post(rig.httpAddress, asProtobuf(points(1)));
    await post(rig.httpAddress, asJson(points(1)), { type: JSON_TYPE });
    expect(new Set(rig.sink.batches.flatMap(({ series }) => series)).size).toBe(1);
  });
});

describe('listening', () => {
  it('works over a Unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otlp-http-'));
    const socketPath = join(folder, 's');
    try {
      await using rig = await startReceiver({ httpAddress: `unix:${socketPath}` });
      const status = await new Promise<number>((resolve, reject) => {
        const call = request({
          socketPath,
          path: '/v1/metrics',
          method: 'POST',
          headers: { 'content-type': PROTOBUF },
        });
        call.on('error', reject);
        call.on('response', (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        call.end(asProtobuf(points(2)));
      });
      expect([status, rig.sink.points]).toEqual([200, 2]);
      await expect(startReceiver({ httpAddress: `unix:${socketPath}` })).rejects.toThrow(
        /another process is listening/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('says clearly that a port is taken, and takes down what was started before it', async () => {
    await using rig = await startReceiver();
    await expect(startReceiver({ httpAddress: rig.httpAddress })).rejects.toThrow(
      /OTLP\/HTTP cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE.*receivers\.otlp\.http\.address/,
    );
  });
});

describe('stopping', () => {
  it('lets a request that is arriving finish, then nothing more', async () => {
    await using rig = await startReceiver();
    const bytes = asProtobuf(points(5));
    const call = request(`http://${rig.httpAddress}/v1/metrics`, {
      method: 'POST',
      headers: { 'content-type': PROTOBUF, 'content-length': bytes.length },
    });
    const answer = new Promise<number>((resolve) => {
      call.on('response', (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
    });
    call.write(bytes.subarray(0, 10));
    await expect.poll(() => rig.receiver.counters.inFlightBytes).toBeGreaterThan(0);
    const stopped = rig.receiver.stop(new AbortController().signal);
    call.end(bytes.subarray(10));
    expect(await answer).toBe(200);
    await stopped;
    expect(rig.sink.points).toBe(5);
    await expect(post(rig.httpAddress, bytes)).rejects.toThrow();
    expect(rig.sink.points).toBe(5);
  });

  it('waits no longer than its deadline', async () => {
    await using rig = await startReceiver();
    using slow = hanging(rig.httpAddress, 1_000, 10);
    await expect.poll(() => rig.receiver.counters.inFlightBytes).toBeGreaterThan(0);
    await rig.receiver.stop(AbortSignal.abort());
    expect(await slow.answer).toBe(0);
    expect(rig.sink.points).toBe(0);
  });
});
