/**
 * Throws mutated requests at a receiver: `npm run -s bench:fuzz -- [--frames 1000000] [--seed 1] [--json]`.
 *
 * A third each over gRPC, HTTP in protobuf and HTTP in JSON, plain or compressed, mutated before or after compression and
 * sometimes in the frame's header. The receiver runs in a process of its own. Expected, or it exits with 1: that process
 * lives, no request meets a defect, every answer is well formed (a gRPC status; an HTTP status whose error body is a
 * `google.rpc.Status`), memory is bounded and does not grow from one quarter to the next, and a good request succeeds
 * at the end. The same seed sends the same frames.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { parseArgs } from 'node:util';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { createOtlpReceiver } from '../../agent/adapters/otlp/receiver.ts';
import { SeriesStore } from '../../agent/core/series/store.ts';
import { jsonRequests, requests } from '../wire/otlp_load.ts';
import { requestArb } from '../wire/otlp_requests.ts';
import { decodeRequest } from '../wire/otlp_schema.ts';
import { framed, GrpcClient, HttpClient, JSON_TYPE, PROTOBUF, statusOf } from './conformance/clients.ts';

const SERVE = 'serve';
const CORPUS = 600;
const LANES = 24;
/** A connection is given up after so many frames, as those of hostile clients are. */
const FRAMES_PER_CONNECTION = 2_000;
const MAX_RSS_MIB = 400;
/** Beyond what warming up and an unlucky collection cost. */
const MAX_GROWTH_MIB = 48;

const { values, positionals } = parseArgs({
  options: {
    frames: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});

/** A receiver whose points go into a series store, as the engine's do. */
async function serve(): Promise<void> {
  const store = new SeriesStore({ maxSeries: 2_000 });
  let defects = 0;
  const transport = {
    address: '127.0.0.1:0',
    maxMessageBytes: 4 * 1024 * 1024,
    maxInFlightBytes: 32 * 1024 * 1024,
    tls: null,
  };
  const receiver = createOtlpReceiver({
    grpc: transport,
    http: { ...transport, paths: { metrics: '/v1/metrics', traces: '/v1/traces', logs: '/v1/logs' } },
    sink: {
      accept(batch) {
        for (let row = 0; row < batch.size; row++) store.normalise(batch, row);
        return { state: 'accepted', rejected: 0 };
      },
    },
    maxResidentBytes: 1024 * 1024 * 1024,
    maxSeries: 2_000,
    nowMs: () => Date.now(),
    onDefect: (error) => {
      defects += 1;
      if (defects <= 3) console.error(error);
    },
    onCertificates: () => {},
  });
  await receiver.start();
  process.on('message', () => {
    receiver.evictIdle(10_000);
    store.evictIdle(Date.now(), 10_000);
    const { counters } = receiver;
    process.send?.({ defects, rssBytes: process.memoryUsage.rss(), counters });
  });
  process.on('disconnect', () => process.exit());
  process.send?.(receiver.addresses);
}

interface Reading {
  readonly defects: number;
  readonly rssBytes: number;
  readonly counters: { readonly requests: number; readonly pointsAccepted: number; readonly inFlightBytes: number };
}

/** Mulberry32: small, fast, and the same everywhere. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

type Random = ReturnType<typeof randomFrom>;

/** Changes, cuts, doubles or inserts bytes; one time in eight nothing. */
function mutated(bytes: Buffer, random: Random): Buffer {
  let result = Buffer.from(bytes);
  for (let changes = random(4) === 0 ? random(2) * 8 : 1 + random(3); changes > 0 && result.length > 0; changes--) {
    const at = random(result.length);
    switch (random(6)) {
      case 0:
        result = result.subarray(0, at);
        break;
      case 1:
        result = Buffer.concat([result.subarray(0, at), Buffer.of(random(256)), result.subarray(at)]);
        break;
      case 2: {
        const end = Math.min(result.length, at + 1 + random(40));
        result = Buffer.concat([result.subarray(0, end), result.subarray(at)]);
        break;
      }
      case 3:
        result[at] = [0x00, 0x7f, 0x80, 0xff, 0x22, 0x7b, 0x5d, 0x39][random(8)]!;
        break;
      case 4:
        result[at] = result[at]! ^ (1 << random(8));
        break;
      default:
        result[at] = random(256);
    }
  }
  return result;
}

const COMPRESSIONS = ['none', 'gzip', 'deflate', 'zstd'] as const;
function compressed(bytes: Buffer, encoding: (typeof COMPRESSIONS)[number]): Buffer {
  if (encoding === 'gzip') return gzipSync(bytes, { level: 1 });
  if (encoding === 'deflate') return deflateSync(bytes, { level: 1 });
  return encoding === 'zstd' ? zstdCompressSync(bytes) : bytes;
}

const count = (into: Record<string, number>, key: string): void => {
  into[key] = (into[key] ?? 0) + 1;
};

async function attack(frames: number, seed: number) {
  const child = fork(import.meta.filename, [SERVE], { execArgv: ['--max-old-space-size=512'] });
  let died: string | undefined;
  child.on('exit', (code, signal) => {
    died = `the receiver ended with ${signal ?? code}`;
  });
  const { grpc, http } = await message<{ grpc: string; http: string }>(child);
  const sampled = fc.sample(requestArb, { numRuns: CORPUS, seed }).map((bytes) => Buffer.from(bytes));
  const protobuf = [...sampled, ...requests(10, 8).map((bytes) => Buffer.from(bytes))];
  const json = [
    ...sampled.map((bytes) => Buffer.from(JSON.stringify(decodeRequest(bytes)))),
    ...jsonRequests(10, 8).map((bytes) => Buffer.from(bytes)),
  ];
  const random = randomFrom(seed);
  const answers: Record<string, number> = {};
  const malformed: string[] = [];
  let sent = 0;

  const overGrpc = async (client: GrpcClient): Promise<void> => {
    const encoding = random(3) === 0 ? 'gzip' : undefined;
    const payload = protobuf[random(protobuf.length)]!;
    const packed =
      encoding === 'gzip' ? mutated(compressed(mutated(payload, random), 'gzip'), random) : mutated(payload, random);
    const frame = framed(packed, encoding === 'gzip');
    const { code, message: why } = await client.send(random(20) === 0 ? mutated(frame, random) : frame, encoding);
    count(answers, `grpc ${code}`);
    if (code < 0) malformed.push(`gRPC: no status: ${why}`);
  };
  const overHttp = async (client: HttpClient, type: string, corpus: readonly Buffer[]): Promise<void> => {
    const encoding = random(3) === 0 ? COMPRESSIONS[1 + random(3)]! : 'none';
    const payload = mutated(corpus[random(corpus.length)]!, random);
    const body = encoding === 'none' ? payload : compressed(payload, encoding);
    const how = { type, ...(encoding !== 'none' && { encoding }) };
    const answer = await client.send(encoding !== 'none' && random(2) === 0 ? mutated(body, random) : body, how);
    count(answers, `${type} ${answer.status}`);
    const isError = answer.status !== 200;
    if (answer.status === 0 || !answer.type.startsWith(type) || (isError && statusOf(answer) === undefined)) {
      malformed.push(`${type}: ${answer.status} ${answer.body.toString('latin1').slice(0, 80)}`);
    }
  };
  const lane = async (until: number, which: number): Promise<void> => {
    while (sent < until && died === undefined) {
      using grpcClient = new GrpcClient(grpc);
      using httpClient = new HttpClient(http);
      for (let i = 0; i < FRAMES_PER_CONNECTION && sent < until && died === undefined; i++) {
        sent += 1;
        if (sent % 20_000 === 0) console.error(`${sent} frames`);
        if (which === 0) await overGrpc(grpcClient);
        else if (which === 1) await overHttp(httpClient, PROTOBUF, protobuf);
        else await overHttp(httpClient, JSON_TYPE, json);
      }
    }
  };

  const quarters: { rssMiB: number; requests: number; inFlightBytes: number }[] = [];
  let last: Reading | undefined;
  for (let quarter = 1; quarter <= 4 && died === undefined; quarter++) {
    const until = Math.floor((frames * quarter) / 4);
    await Promise.all(Array.from({ length: LANES }, (_, i) => lane(until, i % 3)));
    if (died !== undefined) break;
    child.send('read');
    last = await message<Reading>(child);
    quarters.push({
      rssMiB: Math.round(last.rssBytes / 1024 / 1024),
      requests: last.counters.requests,
      inFlightBytes: last.counters.inFlightBytes,
    });
  }
  using after = new HttpClient(http);
  const good = died === undefined ? (await after.send(protobuf.at(-1)!)).status : 0;
  const rss = quarters.map(({ rssMiB }) => rssMiB);
  const problems = [
    ...(died === undefined ? [] : [died]),
    ...(malformed.length === 0 ? [] : [`${malformed.length} answers were not well formed, such as ${malformed[0]}`]),
    ...(last === undefined || last.defects === 0 ? [] : [`${last.defects} requests met a defect`]),
    ...(Math.max(...rss) <= MAX_RSS_MIB ? [] : [`the receiver held ${Math.max(...rss)} MiB`]),
    ...((rss[3] ?? 0) - (rss[1] ?? 0) <= MAX_GROWTH_MIB ? [] : ['memory grows']),
    ...(good === 200 ? [] : [`a good request afterwards was answered ${good}`]),
  ];
  child.disconnect();
  return { frames: sent, seed, answers, quarters, pointsAccepted: last?.counters.pointsAccepted ?? 0, problems };
}

/** What arrives is what `serve` above sends. */
function message<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve) => child.once('message', (received) => resolve(received as T)));
}

if (positionals.includes(SERVE)) await serve();
else {
  const began = performance.now();
  const report = await attack(Number(values.frames), Number(values.seed));
  const seconds = Math.round((performance.now() - began) / 1_000);
  if (values.json) console.log(JSON.stringify({ ...report, seconds }));
  else {
    console.table(report.answers);
    console.table(report.quarters);
    console.log(report.problems.length === 0 ? `no problem in ${report.frames} frames, ${seconds} s` : report.problems);
  }
  process.exitCode = report.problems.length === 0 ? 0 : 1;
}
