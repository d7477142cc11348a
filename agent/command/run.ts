import type { Logger } from 'pino';
import { createLog } from '../adapters/telemetry/log.ts';
import type { Config } from '../config/schema.ts';
import { CONFIG_OPTION, configOf } from './settings.ts';
import { type Command, EXIT, type Shell } from './shell.ts';
import { packageVersion } from './version.ts';

/** Time for open requests, the last journal commit and the last export. */
const STOP_DEADLINE_MS = 10_000;
const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

export const runCommand: Command = {
  name: 'run',
  synopsis: '[--config FILE]',
  summary: 'run the agent until SIGTERM or SIGINT',
  details: [
    '  -c, --config   the configuration file; else PERFOPT_CONFIG, else the defaults (`perfopt config` prints them)',
    'The first signal stops the agent in order, within ten seconds; a second one ends it at once.',
  ],
  options: CONFIG_OPTION,
  arguments: [0, 0],
  async run(given, shell) {
    const { config, notes } = configOf(given, shell);
    const version = packageVersion();
    const log = createLog({ level: config.debug ? 'debug' : config.log.level, version });
    for (const note of notes) log.warn(note);

    const code = await runUntilAsked(config, shell, log, version);
    // Everything is stopped and written. What may still be under way (an inventory of the host) is not worth waiting for.
    shell.exit(code);
    return code;
  },
};

async function runUntilAsked(config: Config, shell: Shell, log: Logger, version: string): Promise<number> {
  const asked = askedToStop(shell);
  try {
    const { startSidecar } = await import('../sidecar.ts');
    const sidecar = await startSidecar(config, { log, version });
    log.info({ signal: await asked.promise }, 'stopping');
    await sidecar.stop(AbortSignal.timeout(STOP_DEADLINE_MS));
    log.info('stopped');
    return EXIT.ok;
  } catch (error) {
    log.fatal({ err: error }, error instanceof Error ? error.message : String(error));
    return EXIT.failed;
  } finally {
    asked.stopListening();
  }
}

/** Settles with the first signal, also one that comes while the agent still starts. The second ends the process. */
function askedToStop(shell: Shell) {
  const { promise, resolve } = Promise.withResolvers<string>();
  let isAsked = false;
  const stopListening = shell.onSignal((signal) => {
    if (isAsked) shell.exit(128 + SIGNAL_NUMBERS[signal]);
    isAsked = true;
    resolve(signal);
  });
  return { promise, stopListening };
}
