import { runCommandLine } from '../../agent/command/command.ts';

/** Runs one command of `perfopt` in this process; what it printed, and its exit code. */
export async function perfopt(...argv: readonly string[]): Promise<{ out: string; err: string; code: number }> {
  let [out, err] = ['', ''];
  const code = await runCommandLine({
    argv,
    environment: {},
    out: (text) => {
      out += `${text}\n`;
    },
    err: (text) => {
      err += `${text}\n`;
    },
    hasColours: false,
    onSignal: () => () => {},
    exit: () => {},
  });
  return { out, err, code };
}
