#!/usr/bin/env node
// The only reader of argv and environment. Nothing is imported before the version is known: on an older Node.js the
// imports themselves would fail, and with worse words.
const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  console.error(`perfopt needs Node.js 24 or newer, and this is ${process.versions.node}: https://nodejs.org`);
  process.exitCode = 1;
} else {
  const HOUSEKEEPING = ['--max-semi-space-size=2', '--heap-growing-percent=50', '--expose-gc'];
  const ends = {
    onSignal(handler: (signal: 'SIGINT' | 'SIGTERM') => void) {
      const signals = ['SIGINT', 'SIGTERM'] as const;
      for (const signal of signals) process.on(signal, handler);
      return () => {
        for (const signal of signals) process.off(signal, handler);
      };
    },
    exit: (code: number) => process.exit(code),
  };
  // Handed from the process image before this one, see `becomeAgent`.
  const prepared = process.env.PERFOPT_PREPARED;
  delete process.env.PERFOPT_PREPARED;
  process.exitCode = prepared === undefined ? await runCommand() : await runPrepared(prepared);

  async function runPrepared(handed: string): Promise<number> {
    const json = await takeOver(handed);
    const { runAgent } = await import('./command/agent.ts');
    return runAgent(JSON.parse(json), ends);
  }

  async function runCommand(): Promise<number> {
    // A reader that goes away (`perfopt decisions | head`) is no failure of ours.
    process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
    const { runCommandLine } = await import('./command/command.ts');
    return runCommandLine({
      argv: process.argv.slice(2),
      environment: process.env,
      out: (text) => process.stdout.write(`${text}\n`),
      err: (text) => process.stderr.write(`${text}\n`),
      hasColours: process.stdout.isTTY === true && !process.env.NO_COLOR,
      ...ends,
      becomeAgent,
      ...(process.stdin.isTTY && process.stderr.isTTY && { confirm }),
      ...(process.stdin.isTTY && process.stdout.isTTY && { screen }),
    });
  }

  /**
   * The same process (its id, its descriptors) begins anew: reading and checking a configuration leaves 15 MiB behind, and
   * V8 and malloc are told how to keep house only at the start: a young generation of 2 MiB in place of 16, a heap that is
   * collected when it has grown by half and once after the start (`start_memory.ts`), one arena for all threads. At 10,000 points a second that is 112 MiB resident in
   * place of 190; at full speed garbage takes a fifth of the work in place of an eighth. What the user says of either overrules it.
   */
  function becomeAgent(json: string): void {
    const [, script = ''] = process.argv;
    // Where there is no such call, this process has to do.
    if (process.execve === undefined || process.platform === 'win32') return;
    const handed = handOver(json);
    if (handed === undefined) return;
    const args = [process.execPath, ...HOUSEKEEPING, ...process.execArgv, script, 'run'];
    process.execve(process.execPath, args, { MALLOC_ARENA_MAX: '1', ...process.env, PERFOPT_PREPARED: handed });
  }

  /**
   * The configuration has secrets, and an environment can be read for as long as its process lives: it goes by a file that only this user
   * can read and that is gone once it was read. Where no file can be written the environment has to do, for up to the 128 KiB that one string may have.
   */
  function handOver(json: string): string | undefined {
    const { mkdtempSync, writeFileSync } = process.getBuiltinModule('node:fs');
    const { tmpdir } = process.getBuiltinModule('node:os');
    // Memory first, so that nothing of it is ever on a disk.
    for (const place of ['/dev/shm', tmpdir()]) {
      try {
        const file = `${mkdtempSync(`${place}/perfopt-`)}/prepared.json`;
        writeFileSync(file, json, { mode: 0o600 });
        return file;
      } catch {
        // Not there, full, or read-only: the next may do.
      }
    }
    return Buffer.byteLength(json) > 100_000 ? undefined : json;
  }

  async function takeOver(handed: string): Promise<string> {
    if (handed.startsWith('{')) return handed;
    const { readFileSync, rmSync } = await import('node:fs');
    const json = readFileSync(handed, 'utf8');
    rmSync(handed.slice(0, handed.lastIndexOf('/')), { recursive: true });
    return json;
  }

  // On standard error, so that what is piped on stays clean.
  async function confirm(question: string): Promise<boolean> {
    const { createInterface } = await import('node:readline/promises');
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return /^y(?:es)?$/i.test((await lines.question(question)).trim());
    } finally {
      lines.close();
    }
  }

  function screen() {
    const { stdin, stdout } = process;
    // The other buffer, no cursor: what stood in the terminal is there again afterwards.
    stdout.write('\u001b[?1049h\u001b[?25l');
    stdin.setRawMode(true).setEncoding('utf8').resume();
    return {
      get rows() {
        return stdout.rows || 24;
      },
      get columns() {
        return stdout.columns || 80;
      },
      draw(frame: string) {
        // From the top left, each line to its end, then everything below: no flicker.
        stdout.write(`\u001b[H${frame.replaceAll('\n', '\u001b[K\r\n')}\u001b[K\u001b[J`);
      },
      onKey: (handler: (key: string) => void) => void stdin.on('data', handler),
      close() {
        stdin.setRawMode(false).pause();
        stdout.write('\u001b[?25h\u001b[?1049l');
      },
    };
  }
}
