import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { MAX_LIMIT } from '../../agent/adapters/journal/journal.ts';
import { openJournalReader } from '../../agent/adapters/journal/reader.ts';
import type { Decision } from '../../agent/core/model.ts';

const MAIN = fileURLToPath(new URL('../../agent/main.ts', import.meta.url));

/** One line of the agent's log. */
export interface LogLine {
  readonly msg: string;
  readonly level: string;
  readonly [key: string]: unknown;
}

/**
 * A real agent in a process of its own, with a folder of its own. It can be killed and started again on the same state.
 * Waiting is for lines of its log, never for time.
 */
export class AgentProcess {
  readonly folder = mkdtempSync(join(tmpdir(), 'perfopt-e2e-'));
  readonly lines: LogLine[] = [];
  readonly #waiting = new Set<() => void>();
  #child: ChildProcess | undefined;
  #exited: Promise<number | string> = Promise.resolve(0);
  readonly #main: string;
  #otlpPort = 0;

  /** `main`: the program, in place of the sources. */
  constructor(main = MAIN) {
    this.#main = main;
  }

  /** Fast enough for a test: windows of a quarter of a second. */
  async start(config: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const file = join(this.folder, 'agent.yaml');
    const defaults = {
      state: { path: join(this.folder, 'state.db') },
      receivers: { otlp: { grpc: { address: `127.0.0.1:${this.#otlpPort}` }, http: { address: '127.0.0.1:0' } } },
      web: { address: '127.0.0.1:0' },
      control: {
        socket: join(this.folder, 'control.sock'),
        address: null,
        heartbeatInterval: 500,
        leaseTtl: 1500,
        applyDeadline: 500,
      },
      tuning: {
        tick: 20,
        window: { min: 200, max: 4000, minRequests: 50 },
        probe: { pairsPerProof: 4 },
        cooldown: { windows: 2 },
      },
      log: { level: 'debug' },
    };
    writeFileSync(file, stringify({ ...defaults, ...config }));
    const from = this.lines.length;
    this.#run(['run', '--config', file]);
    const ready = await this.line((line) => line.msg === 'the agent is ready' || line.level === 'fatal', from);
    if (ready.level === 'fatal') throw new Error(`the agent did not start: ${JSON.stringify(ready)}`);
    this.#otlpPort = Number(String(ready.otlpGrpc).split(':').at(-1));
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('the agent is not running');
    return this.#child.pid;
  }

  get otlpUrl(): string {
    return `http://127.0.0.1:${this.#otlpPort}`;
  }

  get controlAddress(): string {
    return `unix:${join(this.folder, 'control.sock')}`;
  }

  /** The first line of the log from `from` on that a predicate holds for, as soon as there is one. */
  async line(holds: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    for (;;) {
      const found = this.lines.slice(from).find(holds);
      if (found !== undefined) return found;
      if (this.#child === undefined) throw new Error(`the agent ended; its log: ${this.tail()}`);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** The first decision of one of these kinds for a component from line `from` on. */
  async decision(component: string, kinds: readonly Decision['kind'][], from = 0): Promise<Decision> {
    const line = await this.line(
      ({ kind, component: of, decision }) =>
        decision !== undefined && of === component && kinds.some((wanted) => wanted === kind),
      from,
    );
    const found = this.decisions().find(({ id }) => id === line.decision);
    if (found === undefined) throw new Error(`decision ${line.decision} was logged but is not in the journal`);
    return found;
  }

  /** Oldest first, from the file, whether the agent runs or not. */
  decisions(): readonly Decision[] {
    const reader = openJournalReader(join(this.folder, 'state.db'));
    try {
      return reader.decisions({ limit: MAX_LIMIT }).toReversed();
    } finally {
      reader.close();
    }
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | string> {
    this.#child?.kill(signal);
    return this.#exited;
  }

  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  tail(): string {
    return this.lines
      .slice(-20)
      .map((line) => JSON.stringify(line))
      .join('\n');
  }

  #run(args: readonly string[]): void {
    const child = spawn(process.execPath, [this.#main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    createInterface({ input: child.stderr }).on('line', (text) => {
      this.lines.push(text.startsWith('{') ? JSON.parse(text) : { msg: text, level: 'raw' });
      this.#wake();
    });
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#child = undefined;
        this.#wake();
        resolve(signal ?? code ?? 0);
      });
    });
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}
