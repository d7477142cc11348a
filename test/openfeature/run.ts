/**
 * The stock OpenFeature SDKs against a real agent: `npm run -s test:openfeature -- --json`.
 *
 * For JavaScript and Python, evaluating in process and by RPC: the baseline first, tuned values and their revisions as they
 * come, the baseline by itself within the lease after the agent is killed with -9, and the tuned value when it is back. In
 * process no read may take longer than a millisecond: not of the reading thread's processor time (999 in 1,000, once the program is
 * warm), and not of wall time (99 in 100, as the machine does other things too; the longest is shown). By RPC an evaluation blocks while the agent is gone: shown, and why the README advises against it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { create } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import { FlagSyncService } from '../../agent/gen/flagd/sync/v1/sync_pb.ts';
import { TuningService } from '../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callServerStream, callUnary } from '../../agent/rpc/calls.ts';
import { encodeValue } from '../../agent/rpc/knob_codec.ts';
import { AgentProcess } from '../e2e/agent_process.ts';

const { values: options } = parseArgs({
  options: {
    python: { type: 'string', default: '.venv/openfeature/bin/python' },
    json: { type: 'boolean', default: false },
  },
});

const COMPONENT = 'checkout';
const KNOB = 'batch_size';
const LEASE_MS = 3_000;
/** How late a read may find out, on a machine that does other things too. */
const SLACK_MS = 250;
const WITHIN_MS = 30_000;

interface Seen {
  readonly value: number;
  readonly variant: string;
}

interface Row {
  readonly language: string;
  readonly mode: string;
  readonly result: 'pass' | 'fail';
  readonly problems: readonly string[];
  readonly changeMs?: number;
  readonly fallbackMs?: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly maxMs?: number;
  readonly p999CpuMs?: number;
}

class Consumer {
  readonly #child: ChildProcess;
  readonly #lines: { readonly atMs: number; readonly text: string }[] = [];
  readonly #waiting = new Set<() => void>();
  #errors = '';
  #taken = 0;

  constructor([command, ...args]: readonly [string, ...string[]]) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    createInterface({ input: this.#child.stdout! }).on('line', (text) => {
      this.#lines.push({ atMs: performance.now(), text });
      for (const wake of [...this.#waiting]) wake();
    });
    this.#child.stderr!.on('data', (chunk) => {
      this.#errors = `${this.#errors}${chunk}`.slice(-2_000);
    });
  }

  /** The next line that `wants` accepts, and when it came. */
  async next<T>(
    what: string,
    wants: (line: Record<string, unknown>) => T | undefined,
  ): Promise<{ line: T; atMs: number }> {
    const untilMs = performance.now() + WITHIN_MS;
    for (;;) {
      for (const { text, atMs } of this.#lines.slice(this.#taken)) {
        this.#taken++;
        const found = text.startsWith('{') ? wants(JSON.parse(text)) : undefined;
        if (found !== undefined) return { line: found, atMs };
      }
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0)
        throw new Error(`${what} within ${WITHIN_MS} ms; last: ${this.#lines.at(-1)?.text} ${this.#errors}`);
      await new Promise<void>((wake) => {
        const timer = setTimeout(finish, leftMs);
        const waiting = this.#waiting;
        function finish(): void {
          clearTimeout(timer);
          waiting.delete(finish);
          wake();
        }
        waiting.add(finish);
      });
    }
  }

  value(wanted: number): Promise<{ line: Seen; atMs: number }> {
    return this.next(`the value ${wanted}`, ({ value, variant }) =>
      value === wanted ? { value, variant: String(variant) } : undefined,
    );
  }

  endInput(): void {
    this.#child.stdin!.end();
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

async function pin(agent: AgentProcess, value: number): Promise<void> {
  const client = new Client(agent.controlAddress, credentials.createInsecure());
  const request = create(TuningService.method.pin.input, {
    ...{ component: COMPONENT, knob: KNOB, value: encodeValue(value, 'int'), by: 'me' },
  });
  try {
    // A value is read as soon as there is one; that its reader counts as the component's process comes a moment later.
    for (let left = 50; ; left--) {
      try {
        await callUnary(client, TuningService.method.pin, request, 5_000);
        return;
      } catch (error) {
        if (left === 0) throw error;
        await new Promise((wake) => setTimeout(wake, 100));
      }
    }
  } finally {
    client.close();
  }
}

/** Names the component, as the event stream of the JavaScript provider's RPC mode does not: it only looks on. */
function subscribe(address: string): () => void {
  const client = new Client(address, credentials.createInsecure());
  const stream = callServerStream(
    client,
    FlagSyncService.method.syncFlags,
    create(FlagSyncService.method.syncFlags.input, { selector: COMPONENT }),
  );
  stream.on('data', () => {});
  stream.on('error', () => {});
  return () => client.close();
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', () => listening()));
  const address = server.address();
  await new Promise<void>((closed) => server.close(() => closed()));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function test(language: string, mode: string, program: readonly [string, ...string[]]): Promise<Row> {
  const agent = new AgentProcess();
  const address = `127.0.0.1:${await freePort()}`;
  const problems: string[] = [];
  const must = (holds: boolean, problem: string): void => {
    if (!holds) problems.push(problem);
  };
  const start = (): Promise<void> =>
    agent.start({
      control: {
        socket: agent.controlAddress.slice('unix:'.length),
        address,
        heartbeatInterval: LEASE_MS / 3,
        leaseTtl: LEASE_MS,
        applyDeadline: 1_000,
        maxRequestsPerSecond: 10_000,
      },
      flags: {
        components: {
          [COMPONENT]: {
            tier: 'stable',
            knobs: { [KNOB]: { type: 'int', default: 8, min: 1, max: 64, scale: 'log' } },
          },
        },
      },
    });
  await start();
  let unsubscribe = mode === 'rpc' ? subscribe(agent.controlAddress) : () => {};
  const consumer = new Consumer([...program, mode, address, COMPONENT, `${COMPONENT}/${KNOB}`]);
  let measured = {};
  try {
    const first = await consumer.value(8);
    must(first.line.variant === 'baseline', `the first variant is ${first.line.variant}`);
    const pinnedMs = performance.now();
    await pin(agent, 16);
    const tuned = await consumer.value(16);
    must(/^rev-\d+$/.test(tuned.line.variant), `the variant of a tuned value is ${tuned.line.variant}`);
    await pin(agent, 32);
    const again = await consumer.value(32);
    must(revisionOf(again.line) > revisionOf(tuned.line), `${again.line.variant} after ${tuned.line.variant}`);
    // Longer than a lease: it is renewed.
    const until = performance.now() + 2 * LEASE_MS;
    while (performance.now() < until) await new Promise((wake) => setTimeout(wake, 50));
    const killedMs = performance.now();
    await agent.kill();
    if (mode === 'in-process') {
      const fallen = await consumer.value(8);
      const fallbackMs = fallen.atMs - killedMs;
      must(fallbackMs <= LEASE_MS + SLACK_MS, `at the baseline ${Math.round(fallbackMs)} ms after the agent's death`);
      must(fallbackMs > 0, 'at the baseline while the agent was there');
      measured = { changeMs: tuned.atMs - pinnedMs, fallbackMs };
    } else {
      // The SDK answers with the application's own default once its deadline has passed.
      await consumer.next('an answer without an agent', ({ value }) => (value === -1 ? true : undefined));
      measured = { changeMs: tuned.atMs - pinnedMs };
    }
    await start();
    unsubscribe();
    unsubscribe = mode === 'rpc' ? subscribe(agent.controlAddress) : () => {};
    await consumer.value(32);
    consumer.endInput();
    const { line: times } = await consumer.next('the read times', ({ p50Ms, p99Ms, maxMs, p999CpuMs }) =>
      typeof p99Ms === 'number'
        ? { p50Ms: Number(p50Ms), p99Ms, maxMs: Number(maxMs), p999CpuMs: Number(p999CpuMs) }
        : undefined,
    );
    measured = { ...measured, ...times };
    if (mode === 'in-process') {
      must(times.p99Ms <= 1, `the 99th percentile of a read is ${times.p99Ms} ms`);
      must(times.p999CpuMs <= 1, `1 read in 1,000 takes ${times.p999CpuMs} ms of processor time or more`);
    }
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  } finally {
    consumer.kill();
    unsubscribe();
    await agent.dispose();
  }
  return { language, mode, result: problems.length === 0 ? 'pass' : 'fail', problems, ...measured };
}

function revisionOf({ variant }: Seen): number {
  return Number(variant.slice('rev-'.length));
}

const HERE = import.meta.dirname;
const rows: Row[] = [];
for (const [language, program] of [
  ['javascript', [process.execPath, join(HERE, 'consumer.ts')]],
  ['python', [options.python, join(HERE, 'consumer.py')]],
] as const)
  for (const mode of ['in-process', 'rpc']) rows.push(await test(language, mode, program));
if (options.json) console.log(JSON.stringify({ rows }));
else {
  console.table(rows.map(({ problems, ...row }) => row));
  for (const { language, mode, problems } of rows)
    for (const problem of problems) console.error(`${language}, ${mode}: ${problem}`);
}
process.exitCode = rows.some(({ result }) => result === 'fail') ? 1 : 0;
