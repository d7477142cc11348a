import { MAX_LIMIT } from '../adapters/journal/journal.ts';
import { parseDuration } from '../config/kinds.ts';
import { nearest } from '../config/nearest.ts';
import type { DecisionKind } from '../core/model.ts';
import { DECISION_KINDS, isDecisionKind } from './decision-kinds.ts';
import { changesOf, effectOf } from './explanation.ts';
import { STATE_OPTION, withJournal } from './journal-access.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, hasFlag, optionOf } from './shell.ts';
import { instant, paint, printable, table } from './text.ts';

export const decisionsCommand: Command = {
  name: 'decisions',
  synopsis: '[--component NAME] [--kind KIND] [--since 24h] [--limit 50] [--json]',
  summary: 'list what the agent decided, newest first',
  details: [
    'Reads the state file, also while the agent runs.',
    '  --component NAME   of one component',
    `  --kind KIND        one of ${DECISION_KINDS.join(', ')}`,
    '  --since TIME       in the last "30m", "24h", "7d", or since a date',
    '  --limit N          at most so many; 50',
    '  --json             a list of whole records',
    '  -s, --state        the state file, instead of the one in the configuration',
    '  -c, --config       the configuration file; else PERFOPT_CONFIG, else the defaults',
  ],
  options: {
    ...CONFIG_OPTION,
    ...STATE_OPTION,
    component: { type: 'string' },
    kind: { type: 'string' },
    since: { type: 'string' },
    limit: { type: 'string' },
    json: { type: 'boolean' },
  },
  arguments: [0, 0],
  choices: { kind: DECISION_KINDS },
  async run(given, shell) {
    const component = optionOf(given, 'component');
    const kind = kindOf(optionOf(given, 'kind'));
    const sinceMs = sinceOf(optionOf(given, 'since'));
    const query = {
      limit: limitOf(optionOf(given, 'limit')),
      ...(component === undefined ? {} : { component }),
      ...(kind === undefined ? {} : { kind }),
      ...(sinceMs === undefined ? {} : { sinceMs }),
    };
    const found = await withJournal(given, shell, (journal) => journal.decisions(query));
    if (hasFlag(given, 'json')) {
      shell.out(JSON.stringify(found, null, 2));
    } else if (found.length === 0) {
      shell.err('no such decisions');
    } else {
      const rows = found.map((decision) => [
        instant(decision.atMs),
        printable(decision.id),
        printable(decision.component),
        decision.kind,
        decision.changes.length === 0 ? '' : changesOf(decision),
        decision.evidence?.effect === undefined ? '' : effectOf(decision.evidence.effect),
      ]);
      const heading = ['time', 'decision', 'component', 'kind', 'change', 'effect (lower is better)'];
      shell.out(table([heading, ...rows], paint(shell.hasColours)));
    }
    return EXIT.ok;
  },
};

function kindOf(text: string | undefined): DecisionKind | undefined {
  if (text === undefined || isDecisionKind(text)) return text;
  const guess = nearest(text, DECISION_KINDS);
  throw new CommandError(
    `--kind ${printable(text)}:${guess === undefined ? '' : ` did you mean ${guess}?`} allowed: ${DECISION_KINDS.join(', ')}`,
    EXIT.usage,
  );
}

/** `30m` ago, or a date; in milliseconds since the Unix epoch. */
export function sinceOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const agoMs = parseDuration(text);
  if (agoMs !== undefined) return Date.now() - agoMs;
  const atMs = Date.parse(text);
  if (!Number.isNaN(atMs)) return atMs;
  throw new CommandError(
    `--since ${printable(text)}: allowed: "30m", "24h", "7d", or a date such as 2026-11-23T12:00Z`,
    EXIT.usage,
  );
}

export function limitOf(text: string | undefined): number {
  if (text === undefined) return 50;
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new CommandError(`--limit ${printable(text)}: allowed: a whole number from 1 to ${MAX_LIMIT}`, EXIT.usage);
}
