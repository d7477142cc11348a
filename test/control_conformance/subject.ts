/** The client under test: a process of its own that is told what to do, and asked what it sees, in lines of JSON. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';

const HERE = import.meta.dirname;
const ROOT = join(HERE, '..', '..');
const CONTROL = '../../../proto/performance_optimizer/control/v1';
const ANSWER_WITHIN_MS = 20_000;

export const CLIENTS = ['typescript', 'python', 'go'] as const;
export type ClientName = (typeof CLIENTS)[number];

/** How a client's harness is started, after what it needs has been built. Throws, loudly, when the toolchain is absent. */
export function prepare(client: ClientName, python: string): readonly [string, ...string[]] {
  if (client === 'typescript') return [process.execPath, join(HERE, 'harness.ts')];
  if (client === 'python') {
    need(
      python,
      ['-c', 'import h2, google.protobuf'],
      'Python 3.10 or later with h2 and protobuf (npm run conformance:control:python makes it)',
    );
    return [python, join(HERE, 'harness.py')];
  }
  need('go', ['version'], 'Go 1.24 or later');
  const folder = join(HERE, 'go');
  const binary = join(ROOT, '.venv', 'control-conformance-go');
  const options = { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] as ['ignore', 'inherit', 'inherit'] };
  execFileSync(
    join(ROOT, 'node_modules', '.bin', 'buf'),
    ['generate', '../../../proto', '--template', 'buf.gen.yaml', '--path', CONTROL],
    options,
  );
  execFileSync('go', ['build', '-o', binary, '.'], options);
  return [binary];
}

function need(command: string, args: readonly string[], what: string): void {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
  } catch (error) {
    throw new Error(`this client cannot be tested here: ${what} is needed (${command})`, { cause: error });
  }
}

export class Subject {
  readonly #child: ChildProcess;
  readonly #answers = new Map<number, (answer: Record<string, unknown>) => void>();
  #asked = 0;
  #errors = '';
  readonly #exited: Promise<void>;
  #isOver = false;

  constructor([command, ...args]: readonly [string, ...string[]]) {
    const source = join(ROOT, 'agent', 'client', 'python', 'src');
    const PYTHONPATH = [source, process.env.PYTHONPATH].filter((path) => path && existsSync(path)).join(delimiter);
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, PYTHONPATH } });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      const answer: Record<string, unknown> = JSON.parse(line);
      this.#answers.get(Number(answer.id))?.(answer);
    });
    this.#child.stderr!.on('data', (chunk) => {
      this.#errors = `${this.#errors}${chunk}`.slice(-4_000);
    });
    this.#child.stdin!.on('error', () => {});
    this.#exited = new Promise((resolve) => {
      this.#child.once('close', () => {
        this.#isOver = true;
        for (const answer of this.#answers.values()) answer({ failed: 'the process has ended' });
        resolve();
      });
    });
  }

  /** What the harness answers; an answer with `failed` is an error of the harness itself. */
  async ask(request: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>> {
    if (this.#isOver) throw new Error(`the client's process has ended: ${this.#errors}`);
    const id = ++this.#asked;
    const answer = await new Promise<Record<string, unknown>>((settle) => {
      const timer = setTimeout(
        () => settle({ failed: `no answer to ${JSON.stringify(request)} within ${ANSWER_WITHIN_MS} ms` }),
        ANSWER_WITHIN_MS,
      );
      this.#answers.set(id, (found) => {
        clearTimeout(timer);
        settle(found);
      });
      this.#child.stdin!.write(`${JSON.stringify({ id, ...request })}\n`);
    });
    this.#answers.delete(id);
    if (answer.failed !== undefined) throw new Error(`the client's harness: ${String(answer.failed)} ${this.#errors}`);
    return answer;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async end(): Promise<void> {
    this.signal('SIGKILL');
    await this.#exited;
  }
}
