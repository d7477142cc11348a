import { createLog } from '../adapters/telemetry/log.ts';
import { logLevel } from '../config/engine.ts';
import type { Config } from '../config/schema.ts';
import { EXIT, type Shell } from './shell.ts';

/** All that an agent needs to run: plain JSON, so that it can be handed from one process image to the next. */
export interface Prepared {
  readonly config: Config;
  /** What is worth saying of the configuration. */
  readonly notes: readonly string[];
  readonly version: string;
}

/** Time for open requests, the last journal commit and the last export. */
const STOP_DEADLINE_MS = 10_000;
const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

/**
 * The agent as a process: runs until it is asked to stop. Nothing that reads or checks configurations is imported from
 * here on; that part of the program is larger than the agent itself.
 */
export async function runAgent(
  { config, notes, version }: Prepared,
  shell: Pick<Shell, 'onSignal' | 'exit'>,
): Promise<number> {
  const log = createLog({ level: logLevel(config), version });
  for (const note of notes) log.warn(note);
  const asked = askedToStop(shell);
  let code: number = EXIT.ok;
  try {
    const { startSidecar } = await import('../sidecar.ts');
    const sidecar = await startSidecar(config, { log, version });
    log.info({ signal: await asked.promise }, 'stopping');
    await sidecar.stop(AbortSignal.timeout(STOP_DEADLINE_MS));
    log.info('stopped');
  } catch (error) {
    log.fatal({ err: error }, error instanceof Error ? error.message : String(error));
    code = EXIT.failed;
  } finally {
    asked.stopListening();
  }
  // Everything is stopped and written. What may still be under way (an inventory of the host) is not worth waiting for.
  shell.exit(code);
  return code;
}

/** Settles with the first signal, also one that comes while the agent still starts. The second ends the process. */
function askedToStop(shell: Pick<Shell, 'onSignal' | 'exit'>) {
  const { promise, resolve } = Promise.withResolvers<string>();
  let isAsked = false;
  const stopListening = shell.onSignal((signal) => {
    if (isAsked) shell.exit(128 + SIGNAL_NUMBERS[signal]);
    isAsked = true;
    resolve(signal);
  });
  return { promise, stopListening };
}
