import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Subject } from './reader_process.ts';
import type { Answer, GpuSource, SourceName } from './reading.ts';

/** The process runs from source in development and from JavaScript when built. */
const READER = fileURLToPath(
  new URL(`./reader_process${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

/** A process that can be killed is gone within milliseconds, on a machine that is not overwhelmed. */
const GOING_MS = 2_000;

export interface ReaderOptions {
  readonly name: SourceName;
  readonly subject: Subject;
  readonly isLikely: () => boolean;
  /** Loading a driver library can take seconds for each GPU that nobody else uses. */
  readonly openTimeoutMs: number;
  readonly readTimeoutMs: number;
}

/**
 * A reader process and its watchdog. The process starts with the first reading. When it does not answer in time it is
 * killed, and the next reading starts another; but not before the killed one is really gone, because one that is stuck
 * inside the kernel cannot be killed, and they must not pile up.
 */
export class ReaderSource implements GpuSource {
  readonly name: SourceName;
  readonly #options: ReaderOptions;
  #reader: ChildProcess | undefined;
  #isOpen = false;
  /** Killed and not gone yet. */
  #stuck: ChildProcess | undefined;
  #gone: Promise<void> = Promise.resolve();

  constructor(options: ReaderOptions) {
    this.name = options.name;
    this.#options = options;
  }

  isLikely(): boolean {
    return this.#options.isLikely();
  }

  /** Of the process that reads now. */
  get pid(): number | undefined {
    return this.#reader?.pid;
  }

  async read(): Promise<Answer> {
    if (this.#stuck !== undefined) {
      return { state: 'failed', reason: `process ${this.#stuck.pid} is still stuck in the driver after it was killed` };
    }
    const reader = this.#reader ?? this.#start();
    const timeoutMs = this.#isOpen ? this.#options.readTimeoutMs : this.#options.openTimeoutMs;
    const answer = await ask(reader, this.#options.subject, timeoutMs);
    if (this.#reader !== reader) return { state: 'failed', reason: 'the reading was given up' };
    this.#isOpen = answer.state === 'read';
    // What was opened in vain is opened anew next time, by a fresh process.
    if (answer.state !== 'read') await this.#kill(GOING_MS);
    return answer;
  }

  /** Settles when the process is gone, which one stuck in the kernel may never be. */
  async close(): Promise<void> {
    await this.#kill();
  }

  #start(): ChildProcess {
    const reader = fork(READER, [], {
      // Without the parent's arguments: a test runner's loaders, or a debugger's port, have no business in there.
      execArgv: ['--max-old-space-size=32', '--max-semi-space-size=1'],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    reader.unref();
    reader.channel?.unref();
    // Whoever asks hears of it by `exit`; unheard, it would end the agent.
    reader.on('error', () => {});
    this.#reader = reader;
    this.#isOpen = false;
    return reader;
  }

  /** Settles when what was killed is gone, now or before, or after `patienceMs`. */
  async #kill(patienceMs?: number): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    // Unless it never started, or is over already.
    if (reader?.pid !== undefined && reader.exitCode === null && reader.signalCode === null) {
      this.#stuck = reader;
      this.#gone = new Promise((resolve) => reader.once('exit', () => resolve()));
      void this.#gone.then(() => {
        if (this.#stuck === reader) this.#stuck = undefined;
      });
      reader.kill('SIGKILL');
    }
    if (this.#stuck === undefined) return;
    const patience = Promise.withResolvers<void>();
    const timer = patienceMs === undefined ? undefined : setTimeout(patience.resolve, patienceMs);
    timer?.unref();
    await Promise.race([this.#gone, patience.promise]);
    clearTimeout(timer);
  }
}

/** One question, one answer, or the reason why there is none. */
function ask(reader: ChildProcess, subject: Subject, timeoutMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    const settle = (answer: Answer) => {
      clearTimeout(timer);
      reader.off('message', onMessage);
      reader.off('exit', onExit);
      reader.off('error', onError);
      resolve(answer);
    };
    // Both ends are built together: the reader sends answers and nothing else.
    const onMessage = (message: unknown) => settle(message as Answer);
    const onExit = (code: number | null, signal: NodeJS.Signals | null) =>
      settle({ state: 'failed', reason: `the reader ended ${code === null ? `by ${signal}` : `with code ${code}`}` });
    const onError = (error: Error) => settle({ state: 'failed', reason: `the reader: ${error.message}` });
    const timer = setTimeout(
      () => settle({ state: 'failed', hung: true, reason: `the driver did not answer within ${timeoutMs} ms` }),
      timeoutMs,
    );
    timer.unref();
    reader.on('message', onMessage);
    reader.on('exit', onExit);
    reader.on('error', onError);
    reader.send(subject, (error) => {
      if (error !== null) onError(error);
    });
  });
}
