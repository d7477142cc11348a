import { runCommandLine } from '../../agent/command/command.ts';

/** Runs one command of `perfopt` in this process; what it printed, and its exit code. */
export async function perfopt(...argv: readonly string[]): Promise<{ out: string; err: string; code: number }> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine({
    argv,
    environment: {},
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    hasColours: false,
    onSignal: () => () => {},
    exit: () => {},
  });
  return { out: out.join('\n'), err: err.join('\n'), code };
}
