import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';
import type { Status } from '../../../agent/adapters/web/status.ts';

/** An agent as its users start it: defaults wherever `config` says nothing, but free ports and a folder of its own. */
export class BenchAgent implements AsyncDisposable {
  readonly pid: number;
  readonly grpc: string;
  readonly control: string;
  readonly #web: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(child: ChildProcess, folder: string, ready: Ready) {
    if (child.pid === undefined) throw new Error('the agent has no process id');
    this.pid = child.pid;
    this.grpc = ready.otlpGrpc;
    this.#web = ready.web;
    this.control = `unix:${join(folder, 'control.sock')}`;
    this.#child = child;
    this.#folder = folder;
  }

  /** `entry`: `dist/main.js` as it is shipped, or `agent/main.ts`. */
  static async start(entry: string, config: Readonly<Record<string, object>> = {}): Promise<BenchAgent> {
    const folder = mkdtempSync(join(tmpdir(), 'perfopt-bench-'));
    const file = join(folder, 'agent.yaml');
    const { receivers, ...others } = config;
    const own = {
      state: { path: join(folder, 'state.db') },
      receivers: {
        otlp: { grpc: { address: '127.0.0.1:0' }, http: { address: '127.0.0.1:0' }, ...receivers },
      },
      web: { address: '127.0.0.1:0' },
      control: { socket: join(folder, 'control.sock'), address: null },
    };
    writeFileSync(file, stringify({ ...own, ...others }));
    const child = spawn(process.execPath, [resolve(entry), 'run', '--config', file], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const seen: string[] = [];
    const ready = await new Promise<Ready>((settle, fail) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        if (seen.length < 20) seen.push(line);
        const found = readyOf(line);
        if (found !== undefined) settle(found);
      });
      child.once('error', fail);
      child.once('exit', (code) => fail(new Error(`the agent ended with ${code}:\n${seen.join('\n')}`)));
    });
    return new BenchAgent(child, folder, ready);
  }

  async status(): Promise<Status> {
    const answer = await fetch(`http://${this.#web}/status`);
    // The page is made from a `Status`.
    return (await answer.json()) as Status;
  }

  /** The engine's steps since the agent started. */
  async steps(): Promise<Steps> {
    const page = await (await fetch(`http://${this.#web}/metrics`)).text();
    const readingOf = (name: string): number => {
      const line = page.split('\n').find((each) => each.startsWith(`${name} `));
      if (line === undefined) throw new Error(`/metrics has no ${name}`);
      return Number(line.split(' ')[1]);
    };
    const name = 'performance_optimizer_step_duration_seconds';
    const buckets = page
      .split('\n')
      .filter((line) => line.startsWith(`${name}_bucket`))
      .map((line) => ({ uptoS: Number(/le="([^"]+)"/.exec(line)?.[1]?.replace('+Inf', 'Infinity')), line }))
      .map(({ uptoS, line }) => ({
        uptoS,
        count: Number(
          line
            .slice(line.lastIndexOf('}') + 1)
            .trim()
            .split(' ')[0],
        ),
      }));
    return { count: readingOf(`${name}_count`), sumS: readingOf(`${name}_sum`), buckets };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = new Promise((settle) => this.#child.once('exit', settle));
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGTERM');
      await exited;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export interface Steps {
  readonly count: number;
  readonly sumS: number;
  /** Cumulative. */
  readonly buckets: readonly { readonly uptoS: number; readonly count: number }[];
}

/** Mean, and the bound that 99 % of the steps were under. */
export function stepsBetween(before: Steps, after: Steps): { stepMsMean: number; stepMsP99Below: number } {
  const count = after.count - before.count;
  const p99 = after.buckets.find(({ count: upto }, i) => upto - (before.buckets[i]?.count ?? 0) >= 0.99 * count);
  return {
    stepMsMean: Number(((1_000 * (after.sumS - before.sumS)) / count).toFixed(4)),
    stepMsP99Below: 1_000 * (p99?.uptoS ?? Number.POSITIVE_INFINITY),
  };
}

interface Ready {
  readonly otlpGrpc: string;
  readonly web: string;
}

function readyOf(line: string): Ready | undefined {
  if (!line.startsWith('{')) return undefined;
  const { msg, otlpGrpc, web } = JSON.parse(line);
  return msg === 'the agent is ready' ? { otlpGrpc, web } : undefined;
}
