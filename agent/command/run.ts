import { type Prepared, runAgent } from './agent.ts';
import { CONFIG_OPTION, configOf } from './settings.ts';
import type { Command } from './shell.ts';
import { packageVersion } from './version.ts';

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
    const prepared: Prepared = { ...configOf(given, shell), version: packageVersion() };
    // Comes back only where there is no such thing.
    shell.becomeAgent?.(JSON.stringify(prepared));
    return runAgent(prepared, shell);
  },
};
