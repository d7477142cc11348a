import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { CommandError, type Given, optionOf, type Shell } from './shell.ts';

/** For every command that reads a configuration. */
export const CONFIG_OPTION = { config: { type: 'string', short: 'c' } } as const;

/** From `--config`, else from the file that PERFOPT_CONFIG names, else the defaults. Throws with all problems. */
export function configOf(given: Given, shell: Shell): { readonly config: Config; readonly notes: readonly string[] } {
  const loaded = loadConfig(
    optionOf(given, 'config') ?? (shell.environment.PERFOPT_CONFIG || undefined),
    shell.environment,
  );
  if (!loaded.ok) throw new CommandError(loaded.message);
  return loaded;
}
