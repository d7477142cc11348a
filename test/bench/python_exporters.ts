/**
 * The official Python exporters against the receiver: `npm run -s test:python`.
 *
 * gRPC and HTTP, cumulative and delta, plain and gzip; counters, gauges, histograms of both kinds. Everything recorded
 * must arrive exactly once. The script makes a virtual environment of its own (`.venv`) from
 * `test/bench/python/requirements.txt`. Not part of `npm test`, which must not depend on another language's packages; CI runs both.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createOtlpReceiver } from '../../agent/adapters/otlp/receiver.ts';
import type { SampleBatch } from '../../agent/core/model.ts';
import { type Increment, SeriesStore } from '../../agent/core/series/store.ts';

const PROGRAM = join(import.meta.dirname, 'python', 'exporters.py');
const LIMIT = 16 * 1024 * 1024;

const { values } = parseArgs({
  options: { python: { type: 'string', default: 'python3' }, json: { type: 'boolean', default: false } },
});

interface Case {
  readonly transport: 'grpc' | 'http';
  readonly temporality: 'cumulative' | 'delta';
  readonly compression: 'none' | 'gzip';
}

const CASES: readonly Case[] = (['grpc', 'http'] as const).flatMap((transport) =>
  (['cumulative', 'delta'] as const).flatMap((temporality) =>
    (['none', 'gzip'] as const).map((compression) => ({ transport, temporality, compression })),
  ),
);

/** The program's exit code and what it complained of. */
function run(args: readonly string[]): Promise<{ readonly code: number | null; readonly errors: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(values.python, [PROGRAM, ...args], { stdio: ['ignore', 'inherit', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, errors }));
  });
}

async function received({ transport, temporality, compression }: Case): Promise<Increment[]> {
  const batches: SampleBatch[] = [];
  const shared = { address: '127.0.0.1:0', maxMessageBytes: LIMIT, maxInFlightBytes: LIMIT, tls: null };
  const receiver = createOtlpReceiver({
    grpc: shared,
    http: { ...shared, paths: { metrics: '/v1/metrics', traces: '/v1/traces', logs: '/v1/logs' } },
    sink: {
      accept(batch) {
        batches.push(batch);
        return { state: 'accepted', rejected: 0 };
      },
    },
    maxSeries: 100,
    maxResidentBytes: 1024 * LIMIT,
    nowMs: () => Date.now(),
    onDefect: (error) => {
      throw error;
    },
    onCertificates: () => {},
  });
  await receiver.start();
  const { grpc, http } = receiver.addresses;
  const endpoint = transport === 'grpc' ? `http://${grpc}` : `http://${http}/v1/metrics`;
  const { code, errors } = await run([transport, temporality, compression, endpoint]);
  await receiver.stop(AbortSignal.timeout(1_000));
  if (code !== 0) throw new Error(`the Python program ended with ${code}: ${errors.trim().split('\n').at(-1)}`);
  const store = new SeriesStore({ maxSeries: 100 });
  return batches.flatMap((batch) =>
    Array.from({ length: batch.size }, (_, row) => store.normalise(batch, row)).filter((each) => each !== undefined),
  );
}

/** What is wrong with what arrived; nothing where everything is right. */
function problems(increments: readonly Increment[], { temporality }: Case): string[] {
  const of = (name: string): Increment[] => increments.filter(({ series }) => series.name === name);
  const total = (name: string): number =>
    of(name).reduce(
      (sum, each) => sum + (each.kind === 'sum' ? each.delta : each.kind === 'histogram' ? each.count : 0),
      0,
    );
  const levels = (name: string): string =>
    of(name)
      .flatMap((each) => (each.kind === 'gauge' ? each.value : []))
      .join();
  const histogramSum = of('spread').reduce((sum, each) => sum + (each.kind === 'histogram' ? (each.sum ?? 0) : 0), 0);
  const cumulativeLevels = levels('active').startsWith('3,1,4');
  const spread = of('spread')[0]?.series;
  const checks: readonly (readonly [string, boolean])[] = [
    [`requests: ${total('requests')}, expected 63`, total('requests') === 63],
    [`active: ${levels('active')}, expected 3,1,4 first`, cumulativeLevels],
    [`load: ${levels('load')}, expected 0.1,0.2,0.3 first`, levels('load').startsWith('0.1,0.2,0.3')],
    [`durations: ${total('duration')}, expected 9`, total('duration') === 9],
    [`spread: ${total('spread')}, expected 9`, total('spread') === 9],
    [`sum of spread: ${histogramSum}, expected 1010100.906`, Math.abs(histogramSum - 1_010_100.906) < 1e-6],
    [`spread is a ${spread?.temporality} ${spread?.kind}`, spread?.kind === 'exponential_histogram'],
    [`temporality ${spread?.temporality}`, spread?.temporality === temporality],
    ['service.name', spread?.resource.get('service.name') === 'python-app'],
  ];
  return checks.flatMap(([what, holds]) => (holds ? [] : what));
}

const rows: { case: string; result: 'pass' | 'fail'; problems: readonly string[] }[] = [];
for (const each of CASES) {
  const name = `${each.transport}, ${each.temporality}, ${each.compression}`;
  const found = problems(await received(each), each);
  rows.push({ case: name, result: found.length === 0 ? 'pass' : 'fail', problems: found });
}
if (values.json) console.log(JSON.stringify({ rows }));
else console.table(rows);
process.exitCode = rows.some(({ result }) => result === 'fail') ? 1 : 0;
