import { type ChildProcess, spawn } from 'node:child_process';
import type { Answer, GpuDevice, GpuSource } from './reading.ts';
import { parseSmiLine, SMI_QUERIES } from './smi_parse.ts';

const MAX_LINE_CHARACTERS = 4_096;
/** A line counts for this many intervals, so that one that comes a little late leaves no gap. */
const FRESH_INTERVALS = 3;
const REFUSED_FIELD = /not a valid field/i;
const NO_DEVICES = /no devices were found/i;

export interface SmiOptions {
  readonly command: string;
  readonly intervalMs: number;
  readonly monotonicMs: () => number;
  readonly isLikely: () => boolean;
  /** Until the first line; and without any further line, it counts as hung. */
  readonly silentMs: number;
}

/**
 * One `nvidia-smi` that goes on telling, once an interval, for as long as it is asked: starting it takes 50 ms to seconds
 * of CPU, so never one each time. It tells no process list. The lines are kept as they come, the latest of each GPU.
 */
export class SmiSource implements GpuSource {
  readonly name = 'nvidia-smi';
  readonly #options: SmiOptions;
  #run: SmiRun | undefined;
  #query = 0;

  constructor(options: SmiOptions) {
    this.#options = options;
  }

  isLikely(): boolean {
    return this.#options.isLikely();
  }

  /** Of the process that tells now. */
  get pid(): number | undefined {
    return this.#run?.pid;
  }

  async read(): Promise<Answer> {
    const run = this.#run ?? new SmiRun(this.#options, SMI_QUERIES[this.#query] ?? []);
    this.#run = run;
    await run.firstWord;
    const answer = run.answer();
    if (answer.state !== 'read') {
      this.#run = undefined;
      run.kill();
      if (run.refusedField && this.#query < SMI_QUERIES.length - 1) this.#query += 1;
    }
    return answer;
  }

  async close(): Promise<void> {
    const run = this.#run;
    this.#run = undefined;
    run?.kill();
    await run?.gone;
  }
}

/** One process, from its start to its end. */
class SmiRun {
  /** The first line is in, or there will be none. */
  readonly firstWord: Promise<void>;
  readonly gone: Promise<void>;
  readonly #options: SmiOptions;
  readonly #fields: readonly string[];
  readonly #child: ChildProcess;
  readonly #devices = new Map<string, { readonly device: GpuDevice; readonly atMs: number }>();
  #rest = '';
  #failures = 0;
  /** The latest line that was none. */
  #lastWord = '';
  #heardMs: number;
  #end: { readonly absent: boolean; readonly reason: string } | undefined;

  constructor(options: SmiOptions, fields: readonly string[]) {
    this.#options = options;
    this.#fields = fields;
    this.#heardMs = options.monotonicMs();
    const query = `--query-gpu=${fields.join(',')}`;
    const child = spawn(options.command, [query, '--format=csv,noheader,nounits', `--loop-ms=${options.intervalMs}`], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.unref();
    const first = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    this.firstWord = first.promise;
    this.gone = gone.promise;
    const timer = setTimeout(first.resolve, options.silentMs);
    timer.unref();
    const end = (absent: boolean, reason: string) => {
      clearTimeout(timer);
      this.#end ??= { absent, reason };
      first.resolve();
    };
    child.on('error', (error) => {
      end('code' in error && error.code === 'ENOENT', error.message);
      if (child.pid === undefined) gone.resolve();
    });
    child.on('exit', () => gone.resolve());
    // `close` comes after the last output, `exit` may come before.
    child.on('close', (code, signal) => end(false, `it ended ${code === null ? `by ${signal}` : `with code ${code}`}`));
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.#take(chunk.toString('latin1'));
        if (this.#devices.size > 0) first.resolve();
      });
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get refusedField(): boolean {
    return REFUSED_FIELD.test(this.#lastWord);
  }

  kill(): void {
    // It holds nothing that it would have to put in order, and one that hangs does not hear a polite word.
    this.#child.kill('SIGKILL');
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
  }

  answer(): Answer {
    if (this.#end !== undefined) {
      const { absent, reason } = this.#end;
      const why = this.#lastWord === '' ? reason : `${reason}: ${this.#lastWord}`;
      return { state: absent || NO_DEVICES.test(this.#lastWord) ? 'absent' : 'failed', reason: why };
    }
    const nowMs = this.#options.monotonicMs();
    const freshMs = FRESH_INTERVALS * this.#options.intervalMs;
    const devices = [...this.#devices.values()].filter(({ atMs }) => nowMs - atMs <= freshMs);
    if (this.#devices.size === 0 || nowMs - this.#heardMs > Math.max(freshMs, this.#options.silentMs)) {
      return { state: 'failed', hung: true, reason: `it said nothing for ${this.#options.silentMs} ms` };
    }
    const failures = this.#failures;
    this.#failures = 0;
    return { state: 'read', devices: devices.map(({ device }) => device), failures };
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    // Longer than any line: not worth waiting for its end.
    if (this.#rest.length > MAX_LINE_CHARACTERS) this.#rest = '';
    for (const line of lines) {
      const device = parseSmiLine(line, this.#fields);
      if (device === undefined) {
        if (line.trim() === '') continue;
        this.#failures += 1;
        this.#lastWord = line.trim().slice(0, 300);
      } else {
        this.#heardMs = this.#options.monotonicMs();
        this.#devices.set(device.id, { device, atMs: this.#heardMs });
      }
    }
  }
}
