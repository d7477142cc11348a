import type { AuditRecord } from '../adapters/journal/journal.ts';
import { limitOf, sinceOf } from './decisions.ts';
import { STATE_OPTION, withJournal } from './journal-access.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, EXIT, hasFlag, optionOf } from './shell.ts';
import { instant, paint, printable, table } from './text.ts';

export const auditCommand: Command = {
  name: 'audit',
  synopsis: '[--action NAME] [--since 24h] [--limit 50] [--json]',
  summary: 'list who asked the agent for what, and what came of it, newest first',
  details: [
    'Reads the state file, also while the agent runs.',
    '  --action NAME   of one method, such as Freeze or Pin',
    '  --since TIME    in the last "30m", "24h", "7d", or since a date',
    '  --limit N       at most so many; 50',
    '  --json          a list of whole records, with their requests',
    '  -s, --state     the state file, instead of the one in the configuration',
    '  -c, --config    the configuration file; else PERFOPT_CONFIG, else the defaults',
  ],
  options: {
    ...CONFIG_OPTION,
    ...STATE_OPTION,
    action: { type: 'string' },
    since: { type: 'string' },
    limit: { type: 'string' },
    json: { type: 'boolean' },
  },
  arguments: [0, 0],
  async run(given, shell) {
    const action = optionOf(given, 'action');
    const sinceMs = sinceOf(optionOf(given, 'since'));
    const query = {
      limit: limitOf(optionOf(given, 'limit')),
      ...(action === undefined ? {} : { action }),
      ...(sinceMs === undefined ? {} : { sinceMs }),
    };
    const found = await withJournal(given, shell, (journal) => journal.audit(query));
    if (hasFlag(given, 'json')) shell.out(JSON.stringify(found, null, 2));
    else if (found.length === 0) shell.err('nobody has asked for anything');
    else {
      const heading = ['time', 'who', 'from', 'asked for', 'outcome'];
      shell.out(table([heading, ...found.map(row)], paint(shell.hasColours)));
    }
    return EXIT.ok;
  },
};

function row({ atMs, who, address, action, dryRun, outcome }: AuditRecord): readonly string[] {
  const became = outcome === undefined ? 'not answered before the agent ended' : outcome.message;
  return [
    instant(atMs),
    printable(who),
    printable(address),
    `${printable(action)}${dryRun ? ' (dry run)' : ''}`,
    outcome?.ok === false ? `refused: ${printable(became)}` : printable(became),
  ];
}
