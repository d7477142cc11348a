/** Starts the demo's processes, talks with them, and ends every one of them, whatever happens. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Shape } from './arrivals.ts';
import type { LoadOrder, LoadReport, Measurement } from './load.ts';

/** Every child that was started here. None outlives this process: see `endWithMe`. */
const children = new Set<ChildProcess>();

/** Kills `child` when this process exits, for whatever reason short of SIGKILL (then its channel closes, and it ends itself). */
export function endWithMe(child: ChildProcess): void {
  children.add(child);
  child.once('exit', () => children.delete(child));
}
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

function here(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}

function exitOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
  });
}

/** SIGTERM, and SIGKILL for what has not ended by the deadline. */
export async function end(child: ChildProcess, deadlineMs = 3_000): Promise<void> {
  const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
  child.kill('SIGTERM');
  await exitOf(child);
  clearTimeout(timer);
}

export class ServerProcess {
  readonly child: ChildProcess;
  readonly port: number;

  private constructor(child: ChildProcess, port: number) {
    this.child = child;
    this.port = port;
  }

  static async start(flags: readonly string[], stderr: 'inherit' | 'ignore'): Promise<ServerProcess> {
    const child = fork(here('server.ts'), ['--port', '0', ...flags], { stdio: ['ignore', 'ignore', stderr, 'ipc'] });
    endWithMe(child);
    const port = await new Promise<number>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the server ended with ${code} before it was listening`)));
      child.once('message', (message: { readonly listening: number }) => resolve(message.listening));
    });
    return new ServerProcess(child, port);
  }

  /** The values in force, read from the process itself. */
  async knobs(): Promise<Readonly<Record<string, number>>> {
    const response = await fetch(`http://127.0.0.1:${this.port}/admin/knobs`);
    return (await response.json()) as Readonly<Record<string, number>>;
  }

  async setKnobs(values: Readonly<Record<string, number>>): Promise<void> {
    const body = JSON.stringify(values);
    const response = await fetch(`http://127.0.0.1:${this.port}/admin/knobs`, { method: 'POST', body });
    if (!response.ok) throw new Error(`the server refused ${body}: ${await response.text()}`);
  }
}

export class LoadProcess {
  readonly child: ChildProcess;
  readonly #waiting = new Map<string, (report: LoadReport) => void>();
  #nextId = 1;
  /** Called every second while load is running. */
  onSecond: (second: Extract<LoadReport, { report: 'second' }>) => void = () => {};

  private constructor(child: ChildProcess) {
    this.child = child;
    child.on('message', (report: LoadReport) => {
      if (report.report === 'second') this.onSecond(report);
      else this.#waiting.get(report.report === 'measured' ? `measured ${report.id}` : report.report)?.(report);
    });
  }

  static async start(port: number): Promise<LoadProcess> {
    const child = fork(here('load.ts'), [String(port)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    endWithMe(child);
    const load = new LoadProcess(child);
    await load.#next('ready');
    return load;
  }

  /** Requests per second that the server answers when `connections` are kept under way. */
  async saturate(connections: number, warmUpMs: number, measureMs: number): Promise<number> {
    this.#send({ order: 'saturate', connections, warmUpMs, measureMs });
    const report = await this.#next('saturated');
    return report.report === 'saturated' ? report.perSecond : Number.NaN;
  }

  run(shape: Shape, seed: number): void {
    this.#send({ order: 'start', shape, seed });
  }

  /** What becomes of the requests that are due from `afterMs` on, for `forMs`. */
  async measure(afterMs: number, forMs: number): Promise<Measurement> {
    const id = this.#nextId++;
    this.#send({ order: 'measure', id, afterMs, forMs });
    const report = await this.#next(`measured ${id}`);
    if (report.report !== 'measured') throw new Error(`asked for measurement ${id}, got ${report.report}`);
    return report.measurement;
  }

  stop(): void {
    this.#send({ order: 'stop' });
  }

  #send(order: LoadOrder): void {
    this.child.send(order);
  }

  #next(key: string): Promise<LoadReport> {
    return new Promise((resolve, reject) => {
      const lost = (code: number | null): void => reject(new Error(`the load generator ended with ${code}`));
      this.child.once('exit', lost);
      this.#waiting.set(key, (report) => {
        this.#waiting.delete(key);
        this.child.off('exit', lost);
        resolve(report);
      });
    });
  }
}
