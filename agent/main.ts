#!/usr/bin/env node
// The only reader of argv and environment. Nothing is imported before the version is known: on an older Node.js the
// imports themselves would fail, and with worse words.
const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  console.error(`perfopt needs Node.js 24 or newer, and this is ${process.versions.node}: https://nodejs.org`);
  process.exitCode = 1;
} else {
  // A reader that goes away (`perfopt decisions | head`) is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  // On standard error, so that what is piped on stays clean.
  const confirm = async (question: string): Promise<boolean> => {
    const { createInterface } = await import('node:readline/promises');
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return /^y(?:es)?$/i.test((await lines.question(question)).trim());
    } finally {
      lines.close();
    }
  };
  const { runCommandLine } = await import('./command/command.ts');
  process.exitCode = await runCommandLine({
    argv: process.argv.slice(2),
    environment: process.env,
    out: (text) => process.stdout.write(`${text}\n`),
    err: (text) => process.stderr.write(`${text}\n`),
    hasColours: process.stdout.isTTY === true && !process.env.NO_COLOR,
    onSignal(handler) {
      const signals = ['SIGINT', 'SIGTERM'] as const;
      for (const signal of signals) process.on(signal, handler);
      return () => {
        for (const signal of signals) process.off(signal, handler);
      };
    },
    exit: (code) => process.exit(code),
    ...(process.stdin.isTTY && process.stderr.isTTY && { confirm }),
  });
}
