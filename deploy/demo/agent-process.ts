import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Operator } from './operator.ts';
import { endWithMe } from './processes.ts';

const STARTS_WITHIN_MS = 20_000;

/** The agent as anyone runs it, `main.ts run --config …`, with its state, socket and log in a new folder under /tmp. */
export class AgentProcess {
  readonly folder: string;
  readonly otlpUrl: string;
  /** Where AI processes and operators reach it. */
  readonly controlAddress: string;
  readonly operator: Operator;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, folder: string, otlpPort: number, operator: Operator) {
    this.#child = child;
    this.folder = folder;
    this.otlpUrl = `http://127.0.0.1:${otlpPort}`;
    this.controlAddress = `unix:${join(folder, 'control.sock')}`;
    this.operator = operator;
  }

  static async start(component: string): Promise<AgentProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'perfopt-demo-'));
    // Any free port, so that the demo runs beside a real collector.
    const otlpPort = await freePort();
    const logPath = join(folder, 'agent.log');
    const log = openSync(logPath, 'w');
    const child = spawn(process.execPath, [here('../../agent/main.ts'), 'run', '--config', here('agent.yaml')], {
      env: { ...process.env, DEMO_DIR: folder, DEMO_OTLP_PORT: String(otlpPort) },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    endWithMe(child);
    const socket = join(folder, 'control.sock');
    const operator = new Operator(`unix:${socket}`, component);
    const deadlineMs = performance.now() + STARTS_WITHIN_MS;
    // Not asked before the socket is there: a gRPC channel that was refused once takes its time to try again.
    while (!existsSync(socket) || !(await operator.reachable())) {
      if (child.exitCode !== null || performance.now() > deadlineMs) {
        throw new Error(`the agent did not start; its log (${logPath}) ends with:\n${tail(logPath)}`);
      }
      await sleep(100);
    }
    return new AgentProcess(child, folder, otlpPort, operator);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The agent ended by itself: nothing more will come of the demo. */
  onDeath(tell: (why: string) => void): void {
    this.#child.once('exit', (code, signal) =>
      tell(`the agent ended (${signal ?? code}); its log ends with:\n${tail(join(this.folder, 'agent.log'))}`),
    );
  }

  /** As a crash or the kernel would: no chance to say goodbye. */
  async killHard(): Promise<void> {
    this.#child.removeAllListeners('exit');
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
    this.operator.close();
  }
}

function here(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}

function tail(path: string): string {
  return readFileSync(path, 'utf8').split('\n').slice(-15).join('\n');
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => {
        if (typeof address === 'object' && address !== null) resolve(address.port);
        else reject(new Error('no free port on 127.0.0.1'));
      });
    });
  });
}
