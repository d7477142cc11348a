/**
 * What receiving costs: `npm run -s bench:ingest -- --json [--seconds 2] [insights]`; `insights`: that part only.
 *
 * - `decode`: points per CPU-second of our decoder, and of protobufjs decoding the same bytes in the same run, in turns.
 * - `transports`: points per CPU-second of the receiver, measured in its own process (decoder, gRPC or HTTP, kernel
 *   calls), under a client in this one that always has a few requests on the way.
 * - `insights`: CPU time and memory of the engine with insights and without (`ingest/insights.ts`).
 *
 * CPU time and not elapsed time: other work on the machine then disturbs little. The clock runs over warm code.
 */
import { fork } from 'node:child_process';
import { Agent, request } from 'node:http';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { MetricsDecoder } from '../../agent/adapters/otlp/decode.ts';
import { createOtlpReceiver } from '../../agent/adapters/otlp/receiver.ts';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import { jsonRequests, requests } from '../wire/otlp_load.ts';
import { rawClient } from '../wire/otlp_rig.ts';
import { decodeOnly } from '../wire/otlp_schema.ts';
import { benchInsights } from './ingest/insights.ts';

const SIZES = [10, 100, 1_000];
const ROUNDS = 6;
const VARIANTS = 16;
const REQUESTS_ON_THE_WAY = 8;
const SERVE = 'serve';
const INSIGHTS = 'insights';

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false }, seconds: { type: 'string', default: '2' } },
  allowPositionals: true,
});

function cpuSeconds(since?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
}

/** Runs `decode` over the requests for about `seconds` of CPU time. Returns points per CPU-second. */
function pace(
  bytes: readonly Uint8Array[],
  points: number,
  seconds: number,
  decode: (bytes: Uint8Array) => unknown,
): number {
  const since = process.cpuUsage();
  let done = 0;
  do {
    for (const each of bytes) decode(each);
    done += bytes.length * points;
  } while (cpuSeconds(since) < seconds);
  return done / cpuSeconds(since);
}

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;

function benchDecode(points: number, seconds: number) {
  const bytes = requests(points, VARIANTS);
  const decoder = new MetricsDecoder({ interner: new SeriesInterner({ maxSeries: 10_000 }), maxCachedKeys: 30_000 });
  const ours = (each: Uint8Array): void => {
    const decoded = decoder.decode(each, 0);
    if (!decoded.ok || decoded.batch.size !== points) throw new Error('the decoder lost points');
  };
  const paces: { ours: number; protobufjs: number }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const ourPace = pace(bytes, points, seconds / ROUNDS, ours);
    const theirPace = pace(bytes, points, seconds / ROUNDS, decodeOnly);
    // The first round warms up.
    if (round > 0) paces.push({ ours: ourPace, protobufjs: theirPace });
  }
  const ourPace = median(paces.map((each) => each.ours));
  const theirPace = median(paces.map((each) => each.protobufjs));
  return {
    pointsPerRequest: points,
    bytesPerPoint: Math.round(bytes[0]!.length / points),
    pointsPerCpuSecond: Math.round(ourPace),
    protobufjsPointsPerCpuSecond: Math.round(theirPace),
    ratio: Number((ourPace / theirPace).toFixed(2)),
  };
}

/** The receiver in a process of its own; asked for its CPU time and counters over IPC. */
async function serve(): Promise<void> {
  let points = 0;
  const transport = {
    address: '127.0.0.1:0',
    maxMessageBytes: 64 * 1024 * 1024,
    maxInFlightBytes: 128 * 1024 * 1024,
    tls: null,
  };
  const receiver = createOtlpReceiver({
    grpc: transport,
    http: { ...transport, paths: { metrics: '/v1/metrics', traces: '/v1/traces', logs: '/v1/logs' } },
    sink: {
      accept(batch) {
        points += batch.size;
        return { state: 'accepted', rejected: 0 };
      },
    },
    maxResidentBytes: 1024 * 1024 * 1024,
    maxSeries: 10_000,
    nowMs: () => Date.now(),
    onDefect: (error) => {
      throw error;
    },
    onCertificates: () => {},
  });
  await receiver.start();
  process.on('message', () =>
    process.send?.({ points, cpuSeconds: cpuSeconds(), rssBytes: process.memoryUsage.rss() }),
  );
  process.on('disconnect', () => process.exit());
  process.send?.(receiver.addresses);
}

interface Reading {
  readonly points: number;
  readonly cpuSeconds: number;
  readonly rssBytes: number;
}

interface Sender extends Disposable {
  send(bytes: Uint8Array): Promise<void>;
}

function grpcSender(address: string, compression: 'none' | 'gzip'): Sender {
  const client = rawClient(address, compression);
  return {
    async send(bytes) {
      const answer = await client.send(bytes);
      if (!answer.ok) throw answer.error;
    },
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

function httpSender(address: string, compression: 'none' | 'gzip', contentType: string): Sender {
  const agent = new Agent({ keepAlive: true, maxSockets: REQUESTS_ON_THE_WAY });
  const headers = { 'content-type': contentType, ...(compression === 'gzip' && { 'content-encoding': 'gzip' }) };
  return {
    send: (bytes) =>
      new Promise((resolve, reject) => {
        const url = `http://${address}/v1/metrics`;
        const call = request(url, { method: 'POST', agent, headers: { ...headers, 'content-length': bytes.length } });
        call.on('error', reject);
        call.on('response', (response) => {
          response.resume();
          response.on('end', () =>
            response.statusCode === 200 ? resolve() : reject(new Error(`answered ${response.statusCode}`)),
          );
        });
        call.end(bytes);
      }),
    [Symbol.dispose]: () => agent.destroy(),
  };
}

type Protocol = 'grpc' | 'http' | 'http-json';

async function benchTransport(protocol: Protocol, points: number, compression: 'none' | 'gzip', seconds: number) {
  const child = fork(import.meta.filename, [SERVE]);
  // What arrives is what `serve` above sends.
  const received = <T>() => new Promise<T>((resolve) => child.once('message', (message) => resolve(message as T)));
  const read = () => {
    const reading = received<Reading>();
    child.send('read');
    return reading;
  };
  try {
    const { grpc, http } = await received<{ grpc: string; http: string }>();
    const type = protocol === 'http-json' ? 'application/json' : 'application/x-protobuf';
    using sender = protocol === 'grpc' ? grpcSender(grpc, compression) : httpSender(http, compression, type);
    const plain = protocol === 'http-json' ? jsonRequests(points, VARIANTS) : requests(points, VARIANTS);
    const bytes = protocol !== 'grpc' && compression === 'gzip' ? plain.map((each) => gzipSync(each)) : plain;
    const drive = async (forSeconds: number): Promise<void> => {
      const until = performance.now() + forSeconds * 1_000;
      const lane = async (first: number): Promise<void> => {
        for (let i = first; performance.now() < until; i++) await sender.send(bytes[i % VARIANTS]!);
      };
      await Promise.all(Array.from({ length: REQUESTS_ON_THE_WAY }, (_, lap) => lane(lap)));
    };
    await drive(1);
    const before = await read();
    await drive(seconds);
    const after = await read();
    const cpu = after.cpuSeconds - before.cpuSeconds;
    return {
      ...{ protocol, pointsPerRequest: points, compression },
      pointsPerCpuSecond: Math.round((after.points - before.points) / cpu),
      requestsPerCpuSecond: Math.round((after.points - before.points) / points / cpu),
      serverRssMiB: Math.round(after.rssBytes / 1024 / 1024),
    };
  } finally {
    child.disconnect();
  }
}

if (positionals.includes(SERVE)) await serve();
else if (positionals.includes(INSIGHTS)) {
  const insights = benchInsights();
  if (values.json) console.log(JSON.stringify({ insights }));
  else console.table(insights);
} else {
  const seconds = Number(values.seconds);
  const decode = SIZES.map((points) => benchDecode(points, seconds));
  const transports: Awaited<ReturnType<typeof benchTransport>>[] = [];
  for (const protocol of ['grpc', 'http', 'http-json'] as const) {
    for (const compression of ['none', 'gzip'] as const) {
      for (const points of SIZES) transports.push(await benchTransport(protocol, points, compression, seconds));
    }
  }
  const report = {
    node: process.version,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    decode,
    transports,
    insights: benchInsights(),
  };
  if (values.json) console.log(JSON.stringify(report));
  else {
    console.table(decode);
    console.table(transports);
    console.table(report.insights);
  }
}
